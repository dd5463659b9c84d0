// Vectors of doubles in the compiler's own types, so that one source serves every instruction set.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
constexpr int kWidth = 8;
#elif defined(__AVX2__)
constexpr int kWidth = 4;
#else
constexpr int kWidth = 2;
#endif
constexpr int kMostVectors = 4;  // that run side by side: what they remember fits the registers

typedef double Vector __attribute__((vector_size(kWidth * sizeof(double))));
typedef std::int64_t Mask __attribute__((vector_size(kWidth * sizeof(double))));

template <class T>
inline T load(const double* from) {
    T x;
    __builtin_memcpy(&x, from, sizeof x);
    return x;
}

inline void store(double* to, Vector x) { __builtin_memcpy(to, &x, sizeof x); }

inline bool any(Mask m) {
    std::int64_t found = 0;
    for (int i = 0; i < kWidth; ++i) found |= m[i];
    return found != 0;
}

// Read kWidth numbers of a row; kDense: they lie side by side.
template <bool kDense>
inline Vector fetch(const double* row, const std::int32_t* reach) {
    if (kDense) return load<Vector>(row + reach[0]);
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
    const __m256i at = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(reach));
    return (Vector)_mm512_mask_i32gather_pd(_mm512_setzero_pd(), 0xff, at, row, 8);  // GCC warns of the one without a mask
#elif defined(__AVX2__)
    const __m128i at = _mm_loadu_si128(reinterpret_cast<const __m128i*>(reach));
    const __m256d all = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
    return (Vector)_mm256_mask_i32gather_pd(_mm256_setzero_pd(), row, at, all, 8);
#else
    Vector x;
    for (int i = 0; i < kWidth; ++i) x[i] = row[reach[i]];
    return x;
#endif
}

}  // namespace
