// Round weights to their grid: half to even, or stochastically by numbers that depend on where they are used alone. Twin:
// neuro/learning/integer.py, whose equations these are, and bounds.py.
#pragma once

#include <cstdint>

#include "sample.h"

namespace {

inline double within(double low, double x, double high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

// next(s, n): number n of the SplitMix64 stream from s.
inline std::uint64_t draw(std::uint64_t state, std::uint64_t n) {
    std::uint64_t z = state + (n + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

inline std::uint64_t draw_of(const LearnCall& c, std::int64_t b, std::uint64_t key, std::int64_t t) {
    return draw(draw(key, static_cast<std::uint64_t>(c.in.first_sample + b)), static_cast<std::uint64_t>(t));
}

enum Rounding : std::int64_t { kNone = 0, kHalfToEven = 1, kStochastic = 2 };

struct Settling {                  // what is the same for some weights
    double low, high, grid;
    double inverse;                // of the grid, a power of two: to multiply by it is to divide by the grid
    std::uint64_t last;            // next(next(key, sample), step)
};

// What a weight becomes that is to be `wanted`; number: of the synapse. Adding 0 turns -0 into 0, as the graph does.
template <std::int64_t kRounding>
inline double settled(double wanted, const Settling& by, std::int32_t number) {
    double now = within(by.low, wanted, by.high);
    if (kRounding == kHalfToEven) now = within(by.low, __builtin_rint(now * by.inverse) * by.grid, by.high);
    if (kRounding == kStochastic) {
        const double x = now * by.inverse, below = __builtin_floor(x);
        const auto bits = static_cast<std::int64_t>(draw(by.last, static_cast<std::uint64_t>(number)) >> 11);
        now = (below + (static_cast<double>(bits) * 0x1p-53 < x - below ? 1.0 : 0.0)) * by.grid;
    }
    return now + 0.0;
}

}  // namespace
