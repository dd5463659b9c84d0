// Advance a batch of spiking nets by a number of steps, event by event: the float semantics in IEEE double.
//
// Built with -ffp-contract=off and without -ffast-math: the order of operations below is that of the golden model,
// neuro/graph/reference.py. The update of the neurons is compiled for several instruction sets, chosen at run time; each rounds
// every operation once, so that all give the same bits. Sizes and index ranges are checked by the owner of this kernel,
// neuro/engine/kernel.py; how events travel, and what threads do, is in event_driven.h.

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "event_driven.h"
#include "packed.h"

// The arrays of a loop do not overlap. Inlined, the pointers' own __restrict is forgotten, and to compare ten of them at run time is
// more than the compiler does: it would not vectorise.
#if defined(__clang__)
#define NEURO_NO_ALIAS _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define NEURO_NO_ALIAS _Pragma("GCC ivdep")
#else
#define NEURO_NO_ALIAS
#endif

namespace {

enum Kind : std::int64_t { kSubtractThreshold = 0, kSubtractAdaptive = 1, kZero = 2, kReadout = 3 };
enum Column : std::int64_t { kV = 0, kA = 1 };
enum Parameter : int { kBias = 0, kLeak = 1, kVTh = 2, kRho = 3, kBeta = 4, kHold = 5 };
enum Instructions : std::int64_t { kPlain = 0, kAvx2 = 1, kAvx512 = 2 };

}  // namespace

extern "C" {

struct NeuroPopulation {           // receiving ones, in order of their targets
    std::int64_t kind, first, size;
    std::int64_t adapts;           // 0: rho and beta are 0
    std::int64_t uniform;          // bit k: parameter k is one number for all, given kBlock times
    const double* bias;            // (size,) as all below, or (kBlock,)
    const double* leak;            // alpha of neurons, kappa of readouts
    const double* v_th;
    const double* rho;
    const double* beta;
    const std::uint32_t* hold;     // after a spike: 2 n_ref + 1
    double unit;                   // of the sums of a packed graph
};

struct NeuroState {                // each (batch, n_targets), contiguous; zero before step 0
    double* v;                     // membrane, or y of a readout
    double* a;                     // of blocks of neurons where it is of use (Adapting)
    std::uint32_t* hold;           // 2 * (refractory steps left) + (1 if it spiked in this step)
    void* ring;                    // (batch, n_slots, n_targets) doubles, or (batch, n_parts, 2^place_bits) integers of a packed graph
};

}  // extern "C"

namespace {

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

template <class Value>
__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,popcnt,prefer-vector-width=512"))) std::int64_t avx512(
    std::int64_t kind, bool adapts, const Block<Value>& x, std::int64_t base, std::int32_t* to) {
    any_kind<true>(kind, adapts, x);
    if (kind == kReadout) return 0;
    const __m512i one = _mm512_set1_epi32(1), sixteen = _mm512_set1_epi32(16);
    __m512i number = _mm512_add_epi32(_mm512_set1_epi32(static_cast<std::int32_t>(base)),
                                      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    std::int64_t found = 0, j = 0;
    for (; j + 16 <= x.n; j += 16, number = _mm512_add_epi32(number, sixteen)) {
        const __mmask16 spiked = _mm512_test_epi32_mask(_mm512_loadu_si512(x.hold + j), one);
        _mm512_storeu_si512(to + found, _mm512_maskz_compress_epi32(spiked, number));  // found <= j: within the room, as above
        found += __builtin_popcount(spiked);
    }
    return found + collect(x.hold, j, x.n, base, to + found);
}
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

// Where a of neurons is needed: where beta is not 0, or a is to be kept. Elsewhere it changes nothing that is seen.
class Adapting {
    std::vector<std::int32_t> before_;  // (n_targets + 1,) how many there are before each target

  public:
    Adapting(const NeuroWiring& net, const NeuroPopulation* populations, std::int64_t n, const NeuroOutputs& out)
        : before_(static_cast<std::size_t>(net.n_targets + 1)) {
        for (std::int64_t i = 0; i < n; ++i) {
            const NeuroPopulation& p = populations[i];
            bool kept = false;
            for (std::int64_t k = 0; k < out.n_traces; ++k) kept |= out.trace[k].column == kA && out.trace[k].first == p.first;
            const std::int64_t step = p.uniform >> kBeta & 1 ? 0 : 1;
            for (std::int64_t j = 0; j < p.size; ++j) {
                const bool adapts = p.adapts && (kept || p.beta[j * step] != 0.0);
                const auto at = static_cast<std::size_t>(p.first + j);
                before_[at + 1] = before_[at] + adapts;
            }
        }
    }
    bool any(std::int64_t from, std::int64_t to) const {
        return before_[static_cast<std::size_t>(from)] != before_[static_cast<std::size_t>(to)];
    }
};

// Sums_: how what arrives is summed up, Rows<double, double> or Packed.
template <class Sums_>
class Float {
    using Value = typename Sums_::Value;
    const NeuroWiring& net_;
    const NeuroPopulation* populations_;
    std::int64_t n_populations_;
    const NeuroState& x_;
    const Adapting adapting_;
    Update<Value> update_;

  public:
    using Sums = Sums_;

    Float(const NeuroWiring& net, const NeuroPopulation* populations, std::int64_t n, const NeuroState& x, const NeuroOutputs& out,
          std::int64_t instructions)
        : net_(net),
          populations_(populations),
          n_populations_(n),
          x_(x),
          adapting_(net, populations, n, out),
          update_(update_for<Value>(instructions)) {}

    Value* ring(std::int64_t b) const { return static_cast<Value*>(x_.ring) + b * Sums::n_cells(net_); }

    double state(std::int64_t b, std::int64_t column, std::int64_t j) const {
        return (column == kV ? x_.v : x_.a)[b * net_.n_targets + j];
    }

    std::int64_t update(std::int64_t b, std::int64_t part, const Sums& sums, std::int32_t* spikes) const {
        const std::int64_t o = b * net_.n_targets;
        std::int64_t n = 0;
        for (std::int64_t i = 0; i < n_populations_; ++i) {
            const NeuroPopulation& p = populations_[i];
            const std::int64_t end = std::min(net_.bound[part + 1], p.first + p.size);
            std::int64_t size;
            for (std::int64_t j = std::max(net_.bound[part], p.first); j < end; j += size) {
                size = std::min(neuro::kBlock, end - j);
                Value* const input = sums.input(part, j, size);
                const std::int64_t k = j - p.first;
                const auto at = [&](Parameter bit) { return p.uniform >> bit & 1 ? 0 : k; };
                const Block<Value> block{p.bias + at(kBias), p.leak + at(kLeak), p.v_th + at(kVTh), p.rho + at(kRho),
                                         p.beta + at(kBeta), p.hold + at(kHold), p.unit,            x_.v + o + j,
                                         x_.a + o + j,       input,              x_.hold + o + j,   size};
                n += update_(p.kind, adapting_.any(j, j + size), block, net_.n_inputs + j, spikes + n);
            }
        }
        return n;
    }
};

}  // namespace

// Return the best instruction set that this processor has, one of Instructions.
extern "C" __attribute__((visibility("default"))) std::int64_t neuro_instructions() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return wide ? kAvx512 : __builtin_cpu_supports("avx2") ? kAvx2 : kPlain;
#else
    return kPlain;
#endif
}

// Advance every sample from step `start` by n_steps. The state is read and written in place. Returns 0, or 1 if the system gave
// no memory or threads: then the state is as it was.
extern "C" __attribute__((visibility("default"))) std::int32_t neuro_advance(
    const NeuroWiring* net, const NeuroPopulation* populations, std::int64_t n_populations, const NeuroState* state,
    const NeuroEvents* in, const NeuroOutputs* out, std::int64_t batch, std::int64_t start, std::int64_t n_steps,
    std::int32_t threading, std::int32_t n_threads, std::int64_t instructions) {
    const auto run = [&](const auto& model) {
        return neuro::advance_batch(model, *net, *in, *out, batch, start, n_steps, threading, n_threads);
    };
    try {
        if (net->place_bits) return run(Float<neuro::Packed>(*net, populations, n_populations, *state, *out, instructions));
        return run(Float<neuro::Rows<double, double>>(*net, populations, n_populations, *state, *out, instructions));
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

// Write where the synapses of each part of the targets begin in each row: twin of neuro.engine.layout.split_rows.
extern "C" __attribute__((visibility("default"))) void neuro_split_rows(const std::int64_t* row, std::int64_t n_sources,
                                                                         const std::int32_t* post, std::int64_t first_target,
                                                                         const std::int64_t* bound, std::int64_t n_parts,
                                                                         std::uint32_t* split) {
    for (std::int64_t i = 0; i < n_sources; ++i) {
        const std::int32_t* from = post + row[i];
        for (std::int64_t h = 1; h < n_parts; ++h) {
            const std::int64_t limit = bound[h] - first_target;
            from = std::lower_bound(from, post + row[i + 1], limit);
            *split++ = static_cast<std::uint32_t>(from - (post + row[i]));
        }
    }
}
