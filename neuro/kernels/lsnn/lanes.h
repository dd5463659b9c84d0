// Vectors of lanes in the compiler's own vector types, so that one source serves every instruction set.
//
// Everything is in an unnamed namespace: this file is compiled once for each instruction set, and no function of one may
// stand in for that of another. For the same reason nothing here comes from the standard library but <cstddef> and <cstdint>.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

// A function of its own, whose loops do not share registers with those of others.
#define NEURO_PHASE __attribute__((noinline))

namespace {

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class Real>
struct IntegerOf;
template <>
struct IntegerOf<float> { using type = std::int32_t; };
template <>
struct IntegerOf<double> { using type = std::int64_t; };

// What the tape keeps of a psi in 0..1: 65535ths of it in single precision, which moves the gradient by some 1e-5 of its norm
// (tests/train/test_kernel.py); all of it in double.
template <class Real>
struct KeptOf { using type = Real; static constexpr Real kOne = 1; };
template <>
struct KeptOf<float> { using type = std::uint16_t; static constexpr float kOne = 65535; };

template <class T>
inline T load(const void* from) {
    T x;
    __builtin_memcpy(&x, from, sizeof x);
    return x;
}

template <class T>
inline void store(void* to, T x) {
    __builtin_memcpy(to, &x, sizeof x);
}

// Store past the caches a vector that is not read again soon; `to` lies on a boundary of its size.
template <class T>
inline void stream(void* to, T x) {
#if defined(__AVX512F__)
    if constexpr (sizeof x == 64) return _mm512_stream_si512(static_cast<__m512i*>(to), (__m512i)x);
#endif
#if defined(__AVX2__)
    if constexpr (sizeof x == 32) return _mm256_stream_si256(static_cast<__m256i*>(to), (__m256i)x);
#endif
#if defined(__SSE2__)
    if constexpr (sizeof x == 16) return _mm_stream_si128(static_cast<__m128i*>(to), (__m128i)x);
#endif
    store(to, x);
}

// How a synapse's place is written: in units of eight bytes, which x86 scales for nothing, or of a row of lanes, where those would be
// too many for a short index.
struct ShortIndex {
    using type = std::uint16_t;
    static constexpr std::int64_t unit(std::int64_t) { return 8; }
};
struct RowIndex {
    using type = std::uint16_t;
    static constexpr std::int64_t unit(std::int64_t row_bytes) { return row_bytes; }
};
struct LongIndex {
    using type = std::uint32_t;
    static constexpr std::int64_t unit(std::int64_t) { return 8; }
};

// A block of kLanes samples as kParts vectors of kWidth lanes.
template <class R, int kLanes_, class Index_>
struct Lanes {
    using Real = R;
    using Index = Index_;
    using Integer = typename IntegerOf<R>::type;
    using Kept = typename KeptOf<R>::type;
    static constexpr int kLanes = kLanes_;
    static constexpr int kWidth = kVectorBytes / int(sizeof(R)) < kLanes ? kVectorBytes / int(sizeof(R)) : kLanes;
    static constexpr int kParts = kLanes / kWidth;
    static constexpr std::int64_t kUnit = Index::unit(kLanes * sizeof(R)), kUnits = kLanes * sizeof(R) / kUnit;  // units in a row
    typedef Real Vector __attribute__((vector_size(kWidth * sizeof(Real))));
    typedef Integer Mask __attribute__((vector_size(kWidth * sizeof(Real))));  // all bits set, or none

    typedef Kept KeptVector __attribute__((vector_size(kWidth * sizeof(Kept))));

    static Vector spread(Real x) { return x - Vector{}; }

    // Write psi, 0..1, to the tape; past the caches if it will not be read again soon.
    static void keep(Kept* to, Vector psi, bool past_caches) {
        if constexpr (sizeof(Kept) == sizeof(Real)) {
            past_caches ? stream(to, psi) : store(to, psi);
        } else {
            const KeptVector kept = shorten(__builtin_convertvector(psi * KeptOf<Real>::kOne + Real(0.5), Mask));
            past_caches ? stream(to, kept) : store(to, kept);
        }
    }

    // Cut integers to 16 bits. (GCC takes SSE2's vectors apart for that: what SSE2 has is for numbers with a sign.)
    static KeptVector shorten(Mask x) {
#if defined(__SSE2__) && !defined(__SSE4_1__)
        if constexpr (sizeof(Mask) == 16 && sizeof(Kept) == 2) {
            const __m128i with_sign = _mm_srai_epi32(_mm_slli_epi32((__m128i)x, 16), 16);
            const __m128i twice = _mm_packs_epi32(with_sign, with_sign);
            return load<KeptVector>(&twice);
        }
#endif
        return __builtin_convertvector(x, KeptVector);
    }

    // Read psi of a part of a block from the tape, in units of 1 / kOne; any bit is set where it is not 0.
    static Mask recall(const Kept* from) {
        if constexpr (sizeof(Kept) == sizeof(Real))
            return (Mask)load<Vector>(from);
        else
            return __builtin_convertvector(load<KeptVector>(from), Mask);
    }

    static Vector number(Mask recalled) {
        if constexpr (sizeof(Kept) == sizeof(Real))
            return (Vector)recalled;
        else
            return __builtin_convertvector(recalled, Vector);
    }

    // Spread four numbers that lie side by side, each over a vector: one load and four shuffles, as loads are the bound. (The masks
    // are full: without one GCC warns of registers it leaves undefined.)
    static void spread_four(const Real* from, Vector* to) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Vector) == 64 && sizeof(Real) == 4) {
            const __m512 x = _mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(from));
            to[0] = (Vector)_mm512_maskz_permute_ps(0xffff, x, 0x00);
            to[1] = (Vector)_mm512_maskz_permute_ps(0xffff, x, 0x55);
            to[2] = (Vector)_mm512_maskz_permute_ps(0xffff, x, 0xaa);
            to[3] = (Vector)_mm512_maskz_permute_ps(0xffff, x, 0xff);
            return;
        }
#endif
#if defined(__AVX2__)
        if constexpr (sizeof(Vector) == 32 && sizeof(Real) == 4) {
            const __m256 x = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(from));
            to[0] = (Vector)_mm256_permute_ps(x, 0x00);
            to[1] = (Vector)_mm256_permute_ps(x, 0x55);
            to[2] = (Vector)_mm256_permute_ps(x, 0xaa);
            to[3] = (Vector)_mm256_permute_ps(x, 0xff);
            return;
        }
#endif
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) to[k] = spread(from[k]);
    }

    // Expand the bits of part q of a block to a mask.
    static Mask expand(std::uint32_t bits, int q) {
        Mask lane{};
        for (int i = 0; i < kWidth; ++i) lane[i] = Integer{1} << i;
        const Mask all = static_cast<Integer>((bits >> (q * kWidth)) & (kWidth == 32 ? ~0u : (1u << (kWidth % 32)) - 1)) - Mask{};
        return (all & lane) != 0;
    }

    static Vector only(Mask where, Vector x) { return (Vector)((Mask)x & where); }

    // Gather the sign bits of a mask.
    static std::uint32_t bits(Mask m);
};

template <class R, int L, class I>
inline std::uint32_t Lanes<R, L, I>::bits(Mask m) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
    if constexpr (sizeof(m) == 64 && sizeof(R) == 4) return _mm512_movepi32_mask((__m512i)m);
    if constexpr (sizeof(m) == 64 && sizeof(R) == 8) return _mm512_movepi64_mask((__m512i)m);
#endif
#if defined(__AVX2__)
    if constexpr (sizeof(m) == 32 && sizeof(R) == 4) return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)m));
    if constexpr (sizeof(m) == 32 && sizeof(R) == 8) return static_cast<std::uint32_t>(_mm256_movemask_pd((__m256d)m));
#endif
#if defined(__SSE2__)
    if constexpr (sizeof(m) == 16 && sizeof(R) == 4) return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)m));
    if constexpr (sizeof(m) == 16 && sizeof(R) == 8) return static_cast<std::uint32_t>(_mm_movemask_pd((__m128d)m));
#endif
    std::uint32_t found = 0;
    for (int i = 0; i < kWidth; ++i) found |= static_cast<std::uint32_t>(m[i] & 1) << i;
    return found;
}

// List the places of words that are not 0, for which list has room and for kListed more; return how many there are.
constexpr std::int64_t kListed = 16;

inline std::int64_t list_set(const std::uint32_t* words, std::int64_t n, std::int32_t* list) {
    std::int64_t count = 0, k = 0;
#if defined(__AVX512F__)
    const __m512i ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (; k < n; k += 16) {  // to a register and then to memory: to memory at once takes longer
        const __mmask16 some = n - k < 16 ? static_cast<__mmask16>((1u << (n - k)) - 1) : static_cast<__mmask16>(0xffff);
        const __mmask16 set = _mm512_test_epi32_mask(_mm512_maskz_loadu_epi32(some, words + k), _mm512_set1_epi32(-1));
        _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(set, _mm512_add_epi32(ramp, _mm512_set1_epi32(static_cast<int>(k)))));
        count += __builtin_popcount(set);
    }
#endif
    for (; k < n; ++k) {  // no branch: which words are set is hard to foresee
        list[count] = static_cast<std::int32_t>(k);
        count += words[k] != 0;
    }
    return count;
}

// Turn numbers (n_rows, n_columns) round, to (n_columns, n_rows); both are multiples of kWidth.
#if defined(__clang__)
template <class L>
inline void turn(const typename L::Real* from, std::int64_t n_rows, std::int64_t n_columns, typename L::Real* to) {
    for (std::int64_t r = 0; r < n_rows; ++r)
        for (std::int64_t c = 0; c < n_columns; ++c) to[c * n_rows + r] = from[r * n_columns + c];
}
#else
// A square of kWidth vectors at a time, in as many stages as kWidth has doublings: each interleaves the first half of them with the
// second, which turns their places by one bit. (Clang has no __builtin_shuffle.)
template <class L>
inline void turn(const typename L::Real* from, std::int64_t n_rows, std::int64_t n_columns, typename L::Real* to) {
    using Vector = typename L::Vector;
    typename L::Mask low, high;
    constexpr int W = L::kWidth;
    for (int i = 0; i < W; ++i) {
        low[i] = i / 2 + i % 2 * W;
        high[i] = W / 2 + i / 2 + i % 2 * W;
    }
    for (std::int64_t r = 0; r < n_rows; r += W)
        for (std::int64_t c = 0; c < n_columns; c += W) {
            Vector x[W], y[W];
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i) x[i] = load<Vector>(from + (r + i) * n_columns + c);
#pragma GCC unroll 4
            for (int stage = 1; stage < W; stage *= 2) {
#pragma GCC unroll 16
                for (int i = 0; i < W / 2; ++i) {
                    y[2 * i] = __builtin_shuffle(x[i], x[i + W / 2], low);
                    y[2 * i + 1] = __builtin_shuffle(x[i], x[i + W / 2], high);
                }
#pragma GCC unroll 16
                for (int i = 0; i < W; ++i) x[i] = y[i];
            }
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i) store(to + (c + i) * n_rows + r, x[i]);
        }
}
#endif

// Zeroed memory for one block's state, on a boundary of 64 bytes.
class Scratch {
  public:
    explicit Scratch(std::size_t bytes) : memory_(static_cast<char*>(__builtin_malloc(bytes + 64))) {
        if (memory_) __builtin_memset(memory_, 0, bytes + 64);
    }
    ~Scratch() { __builtin_free(memory_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    explicit operator bool() const { return memory_ != nullptr; }
    char* begin() const {
        return memory_ + (64 - reinterpret_cast<std::uintptr_t>(memory_) % 64) % 64;
    }

  private:
    char* memory_;
};

// Hand out the parts of a Scratch, each on a boundary of 64 bytes.
class Parts {
  public:
    explicit Parts(char* begin) : next_(begin) {}
    template <class T>
    T* take(std::int64_t n) {
        T* here = reinterpret_cast<T*>(next_);
        next_ += size<T>(n);
        return here;
    }
    template <class T>
    static std::int64_t size(std::int64_t n) { return (n * std::int64_t(sizeof(T)) + 63) / 64 * 64; }

  private:
    char* next_;
};

}  // namespace
