// Vectors of lanes in the compiler's own vector types, so that one source serves every instruction set.
//
// Everything is in an unnamed namespace: this file is compiled once for each instruction set, and no function of one may
// stand in for that of another. For the same reason nothing here comes from the standard library but <cstdint>.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

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
template <>
struct IntegerOf<std::uint16_t> { using type = std::int16_t; };
template <>
struct IntegerOf<std::uint32_t> { using type = std::int32_t; };

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

// A block of kLanes samples as kParts vectors of kWidth lanes; Index_ counts the targets of a ring, of all its steps.
template <class R, int kLanes_, class Index_>
struct Lanes {
    using Real = R;
    using Index = Index_;
    using Integer = typename IntegerOf<R>::type;
    static constexpr int kLanes = kLanes_;
    static constexpr int kWidth = kVectorBytes / int(sizeof(R)) < kLanes ? kVectorBytes / int(sizeof(R)) : kLanes;
    static constexpr int kParts = kLanes / kWidth;
    typedef Real Vector __attribute__((vector_size(kWidth * sizeof(Real))));
    typedef Integer Mask __attribute__((vector_size(kWidth * sizeof(Real))));  // all bits set, or none

    static Vector spread(Real x) { return x - Vector{}; }

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

// Tell whether any number of a block is not zero; there is no -0 among them.
template <class L>
inline bool any(const typename L::Real* block) {
    typename L::Mask found{};
    for (int q = 0; q < L::kParts; ++q) found |= load<typename L::Mask>(block + q * L::kWidth);
    return L::bits(found != 0) != 0;
}

// List the places of words that are not 0, for which list has room and for one more; return how many there are.
inline std::int64_t list_set(const std::uint32_t* words, std::int64_t n, std::int32_t* list) {
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < n; ++k) {  // no branch: which words are set is hard to foresee
        list[count] = static_cast<std::int32_t>(k);
        count += words[k] != 0;
    }
    return count;
}

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
