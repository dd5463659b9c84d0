// Advance a block of float neurons or readouts by one step, by several instruction sets of the same bits.
//
// Each operation is rounded once, in the order of the golden model, neuro/graph/reference.py: no contraction to FMA.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The arrays of a loop do not overlap. Inlined, the pointers' own __restrict is forgotten, and to compare ten of them at run time is
// more than the compiler does: it would not vectorise.
#if defined(__clang__)
#define NEURO_NO_ALIAS _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define NEURO_NO_ALIAS _Pragma("GCC ivdep")
#else
#define NEURO_NO_ALIAS
#endif

namespace neuro {

enum Kind : std::int64_t { kSubtractThreshold = 0, kSubtractAdaptive = 1, kZero = 2, kReadout = 3 };
enum Instructions : std::int64_t { kPlain = 0, kAvx2 = 1, kAvx512 = 2 };

// Some neurons of one population: parameters, then state. Value: double, or the integers of a packed graph.
template <class Value>
struct Block {
    const double *bias, *leak, *v_th, *rho, *beta;
    const std::uint32_t* after;
    double unit;
    double *v, *a;
    Value* input;
    std::uint32_t* hold;
    std::int64_t n;
    bool alike;  // leak, v_th, rho and after are one number each for all
};

// Return x where the mask is all ones, 0 where it is all zeros. A conditional of doubles would keep the loop from being
// vectorised, as an operation not taken might have trapped.
__attribute__((always_inline)) inline double only(std::int64_t mask, double x) {
    std::int64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits &= mask;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// Return a sum as a double. An integer of at most 2^53 and a power of two: exact. kNative: the processor has an instruction for several;
// else the halves of the integer become the low bits of two doubles, whose difference from 2^84 + 2^63 + 2^52 is what is wanted.
template <bool kNative>
__attribute__((always_inline)) inline double number(double sum, double) {
    return sum;
}
template <bool kNative>
__attribute__((always_inline)) inline double number(std::int64_t sum, double unit) {
    if (kNative) return static_cast<double>(sum) * unit;
    const auto bits = static_cast<std::uint64_t>(sum);
    const std::uint64_t high_bits = (bits >> 32) ^ 0x4530000080000000u, low_bits = (bits & 0xFFFFFFFFu) | 0x4330000000000000u;
    double high, low;
    std::memcpy(&high, &high_bits, sizeof high);
    std::memcpy(&low, &low_bits, sizeof low);
    return ((high - 0x1.00000801p84) + low) * unit;
}

// What is subtracted after a spike is not stored: it follows from the threshold and from a of the step before.
template <bool kNative, std::int64_t kReset, bool kAdapts, class Value>
__attribute__((always_inline)) inline void neurons(const Block<Value>& x) {
    const double *__restrict bias = x.bias, *__restrict leak = x.leak, *__restrict v_th = x.v_th;
    const double *__restrict rho = x.rho, *__restrict beta = x.beta;
    const std::uint32_t* __restrict after = x.after;
    double *__restrict v = x.v, *__restrict a = x.a;
    Value* __restrict input = x.input;
    const double unit = x.unit;  // copied: a store might change what x refers to, for all that a compiler knows
    const std::int64_t n = x.n;
    std::uint32_t* __restrict hold = x.hold;
    NEURO_NO_ALIAS
    for (std::int64_t j = 0; j < n; ++j) {
        const std::int64_t held = hold[j], spiked = -(held & 1), free = (held - 2) >> 63;
        double threshold = v_th[j], before = v_th[j];
        if (kAdapts) {
            const double last = a[j], trace = rho[j] * last + only(spiked, 1.0);
            before = v_th[j] + beta[j] * last;
            threshold = v_th[j] + beta[j] * trace;
            a[j] = trace;
        }
        double now = leak[j] * v[j] + (bias[j] + number<kNative>(input[j], unit));
        if (kReset == kZero)
            now = only(free, now);
        else
            now = now - only(spiked, kReset == kSubtractAdaptive ? before : v_th[j]);
        const std::int64_t spikes = -static_cast<std::int64_t>(now > threshold) & free;
        v[j] = kReset == kZero ? only(~spikes, now) : now;
        const std::int64_t left = ((held & ~std::int64_t{1}) - 2) & ~free;
        hold[j] = static_cast<std::uint32_t>((after[j] & spikes) | (left & ~spikes));
        input[j] = 0;
    }
}

template <bool kNative, class Value>
__attribute__((always_inline)) inline void readouts(const Block<Value>& x) {
    const double *__restrict bias = x.bias, *__restrict leak = x.leak;
    double* __restrict v = x.v;
    Value* __restrict input = x.input;
    const double unit = x.unit;  // copied: a store might change what x refers to, for all that a compiler knows
    const std::int64_t n = x.n;
    NEURO_NO_ALIAS
    for (std::int64_t j = 0; j < n; ++j) {
        v[j] = leak[j] * v[j] + (bias[j] + number<kNative>(input[j], unit));
        input[j] = 0;
    }
}

template <bool kNative, class Value>
__attribute__((always_inline)) inline void any_kind(std::int64_t kind, bool adapts, const Block<Value>& x) {
    switch (kind) {
        case kSubtractThreshold:
            return adapts ? neurons<kNative, kSubtractThreshold, true>(x) : neurons<kNative, kSubtractThreshold, false>(x);
        case kSubtractAdaptive:
            return adapts ? neurons<kNative, kSubtractAdaptive, true>(x) : neurons<kNative, kSubtractThreshold, false>(x);
        case kZero: return adapts ? neurons<kNative, kZero, true>(x) : neurons<kNative, kZero, false>(x);
        default: return readouts<kNative>(x);
    }
}

// Write base + j for each of neurons j = from..n - 1 that spiked; return how many. Eight at a time are passed over where none did, and
// written without a branch where one did: which one is not to be predicted.
__attribute__((always_inline)) inline std::int64_t collect(const std::uint32_t* hold, std::int64_t from, std::int64_t n,
                                                           std::int64_t base, std::int32_t* to) {
    std::int64_t found = 0, j = from;
    for (; j + 8 <= n; j += 8) {
        std::uint64_t pair[4];
        std::memcpy(pair, hold + j, sizeof pair);
        if (!((pair[0] | pair[1] | pair[2] | pair[3]) & 0x0000000100000001u)) continue;
        for (std::int64_t k = j; k < j + 8; ++k) {
            to[found] = static_cast<std::int32_t>(base + k);  // found <= k: within the room that all of these neurons have
            found += hold[k] & 1u;
        }
    }
    for (; j < n; ++j)
        if (hold[j] & 1u) to[found++] = static_cast<std::int32_t>(base + j);
    return found;
}

// Advance a block; write base + j for each neuron that spiked; return how many.
template <class Value>
using Update = std::int64_t (*)(std::int64_t kind, bool adapts, const Block<Value>& x, std::int64_t base, std::int32_t* to);

#if defined(__x86_64__)
constexpr bool kNativeByDefault = false;
#else
constexpr bool kNativeByDefault = true;
#endif

template <class Value>
std::int64_t plain(std::int64_t kind, bool adapts, const Block<Value>& x, std::int64_t base, std::int32_t* to) {
    any_kind<kNativeByDefault>(kind, adapts, x);
    return kind == kReadout ? 0 : collect(x.hold, 0, x.n, base, to);
}

#if defined(__x86_64__)
template <class Value>
__attribute__((target("avx2"))) std::int64_t avx2(std::int64_t kind, bool adapts, const Block<Value>& x, std::int64_t base,
                                                  std::int32_t* to) {
    any_kind<false>(kind, adapts, x);
    return kind == kReadout ? 0 : collect(x.hold, 0, x.n, base, to);
}

#define NEURO_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,popcnt,prefer-vector-width=512")))

NEURO_AVX512 inline __m512d load_input(const double* input, double) { return _mm512_loadu_pd(input); }
NEURO_AVX512 inline __m512d load_input(const std::int64_t* input, double unit) {
    return _mm512_mul_pd(_mm512_cvtepi64_pd(_mm512_loadu_si512(input)), _mm512_set1_pd(unit));
}

// As neurons and collect, eight at a time, in one pass and by hand: what a compiler makes of them takes twice the time. What is true of a
// neuron is a bit. Fewer than eight at the end are left. kAlike: as of the block.
template <std::int64_t kReset, bool kAdapts, bool kAlike, class Value>
NEURO_AVX512 std::int64_t neurons_avx512(const Block<Value>& x, std::int64_t base, std::int32_t* to) {
    const __m256i one = _mm256_set1_epi32(1), two = _mm256_set1_epi32(2), eight = _mm256_set1_epi32(8);
    const Block<Value> y = x;
    __m256i number = _mm256_add_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(base)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    std::int64_t found = 0;
    __m512d v_th = _mm512_set1_pd(*y.v_th), leak = _mm512_set1_pd(*y.leak), rho = _mm512_set1_pd(*y.rho);
    __m256i after = _mm256_set1_epi32(static_cast<std::int32_t>(*y.after));
    for (std::int64_t j = 0; j + 8 <= y.n; j += 8, number = _mm256_add_epi32(number, eight)) {
        if (!kAlike) {
            v_th = _mm512_loadu_pd(y.v_th + j);
            leak = _mm512_loadu_pd(y.leak + j);
            after = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(y.after + j));
            if (kAdapts) rho = _mm512_loadu_pd(y.rho + j);
        }
        const __m256i held = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(y.hold + j));
        const __mmask8 spiked = _mm256_test_epi32_mask(held, one), free = _mm256_cmplt_epu32_mask(held, two);
        __m512d threshold = v_th, before = v_th;
        if (kAdapts) {
            const __m512d last = _mm512_loadu_pd(y.a + j), beta = _mm512_loadu_pd(y.beta + j);
            const __m512d kept = _mm512_mul_pd(rho, last);
            const __m512d trace = _mm512_mask_add_pd(kept, spiked, kept, _mm512_set1_pd(1.0));
            before = _mm512_add_pd(v_th, _mm512_mul_pd(beta, last));
            threshold = _mm512_add_pd(v_th, _mm512_mul_pd(beta, trace));
            _mm512_storeu_pd(y.a + j, trace);
        }
        const __m512d arrives = _mm512_add_pd(_mm512_loadu_pd(y.bias + j), load_input(y.input + j, y.unit));
        __m512d now = _mm512_add_pd(_mm512_mul_pd(leak, _mm512_loadu_pd(y.v + j)), arrives);
        if (kReset == kZero)
            now = _mm512_maskz_mov_pd(free, now);
        else
            now = _mm512_mask_sub_pd(now, spiked, now, kReset == kSubtractAdaptive ? before : v_th);
        const __mmask8 spikes = _mm512_mask_cmp_pd_mask(free, now, threshold, _CMP_GT_OQ);
        if (kReset == kZero) now = _mm512_maskz_mov_pd(static_cast<__mmask8>(~spikes), now);
        const __m256i left = _mm256_maskz_sub_epi32(static_cast<__mmask8>(~free), _mm256_andnot_si256(one, held), two);
        _mm512_storeu_pd(y.v + j, now);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(y.hold + j), _mm256_mask_mov_epi32(left, spikes, after));
        _mm512_storeu_si512(y.input + j, _mm512_setzero_si512());
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + found), _mm256_maskz_compress_epi32(spikes, number));  // found <= j
        found += __builtin_popcount(spikes);
    }
    return found;
}

template <std::int64_t kReset, class Value>
NEURO_AVX512 std::int64_t whole_avx512(bool adapts, const Block<Value>& x, std::int64_t base, std::int32_t* to) {
    if (x.alike) return adapts ? neurons_avx512<kReset, true, true>(x, base, to) : neurons_avx512<kReset, false, true>(x, base, to);
    return adapts ? neurons_avx512<kReset, true, false>(x, base, to) : neurons_avx512<kReset, false, false>(x, base, to);
}

template <class Value>
NEURO_AVX512 std::int64_t avx512(std::int64_t kind, bool adapts, const Block<Value>& x, std::int64_t base, std::int32_t* to) {
    std::int64_t found = 0;
    switch (kind) {
        case kSubtractThreshold: found = whole_avx512<kSubtractThreshold>(adapts, x, base, to); break;
        case kSubtractAdaptive: found = whole_avx512<kSubtractAdaptive>(adapts, x, base, to); break;
        case kZero: found = whole_avx512<kZero>(adapts, x, base, to); break;
        default: readouts<true>(x); return 0;
    }
    const std::int64_t done = x.n & ~std::int64_t{7};
    if (done == x.n) return found;
    Block<Value> rest = x;
    for (const double** p : {&rest.bias, &rest.leak, &rest.v_th, &rest.rho, &rest.beta}) *p += done;
    for (double** p : {&rest.v, &rest.a}) *p += done;
    rest.after += done;
    rest.input += done;
    rest.hold += done;
    rest.n -= done;
    any_kind<true>(kind, adapts, rest);
    return found + collect(rest.hold, 0, rest.n, base + done, to + found);
}
#undef NEURO_AVX512
#endif

template <class Value>
Update<Value> update_for(std::int64_t instructions) {
#if defined(__x86_64__)
    if (instructions == kAvx512) return avx512<Value>;
    if (instructions == kAvx2) return avx2<Value>;
#endif
    (void)instructions;
    return plain<Value>;
}

}  // namespace neuro
