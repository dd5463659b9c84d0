// Vectors of doubles in the compiler's own types, so that one source serves every instruction set.
#pragma once

#include <cstdint>

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

// Read kWidth numbers of a row; kDense: they lie side by side. A load each: the gather instructions took 1.6 times as long for a whole
// step of 1,000 neurons on Zen 5 (benchmarks/learning.py).
template <bool kDense>
inline Vector fetch(const double* row, const std::int32_t* reach) {
    if (kDense) return load<Vector>(row + reach[0]);
    Vector x;
    for (int i = 0; i < kWidth; ++i) x[i] = row[reach[i]];
    return x;
}

}  // namespace
