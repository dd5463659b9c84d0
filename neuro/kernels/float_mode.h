// Give a scope its floating-point mode: IEEE arithmetic with subnormal numbers kept, or with them flushed to 0.
//
// A library linked with -ffast-math sets flush-to-zero for the whole process when it is loaded; with it on, small traces
// would differ from the golden model. The mode is per thread, so every thread of a parallel region makes its own scope.
#pragma once

#include <cstdint>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace neuro {

class IeeeScope {
#if defined(__SSE2__) || defined(_M_X64)
    unsigned saved_;

  public:
    IeeeScope() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80); }  // the reset value: all masked, to nearest, no FTZ or DAZ
    ~IeeeScope() { _mm_setcsr(saved_); }
#elif defined(__aarch64__)
    std::uint64_t saved_;

  public:
    IeeeScope() {
        asm volatile("mrs %0, fpcr" : "=r"(saved_));
        asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
    }
    ~IeeeScope() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else

  public:
    IeeeScope() {}
#endif
    IeeeScope(const IeeeScope&) = delete;
    IeeeScope& operator=(const IeeeScope&) = delete;
};

// Numbers too small to be normal are 0: they are slow, and mean nothing where this is used. Nothing is flushed off x86.
class FlushScope {
#if defined(__SSE2__) || defined(_M_X64)
    unsigned saved_;

  public:
    FlushScope() : saved_(_mm_getcsr()) { _mm_setcsr(0x9FC0); }  // all masked, to nearest, FTZ and DAZ
    ~FlushScope() { _mm_setcsr(saved_); }
#else

  public:
    FlushScope() {}
#endif
    FlushScope(const FlushScope&) = delete;
    FlushScope& operator=(const FlushScope&) = delete;
};

}  // namespace neuro
