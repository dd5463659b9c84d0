// Change weights by their gradients, on the grid and within bounds. Twins: neuro/learning/bounds.py, feedback.py.
#pragma once

#include <cstdint>

#include "rounding.h"
#include "sample.h"

namespace {

// The derivative of rate_reg / 2 (f_j - f0)^2, f_j = spikes / steps, known when the sample has ended.
inline void add_rates(const LearnCall& c, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last) {
    const Sample x(c, b);
    const NeuroLearnSite& site = c.net.site[k];
    const double* const sum = x.trails + site.at_sum;
    const auto steps = static_cast<double>(c.in.steps);
    for (std::int64_t j = first; j < last; ++j) {
        const double rate = static_cast<double>(c.in.n_spikes[b * c.net.n_neurons + site.first + j]) / steps;
        const double factor = site.rate_reg * (rate - site.rate_target) / steps;
        for (std::int64_t s = site.from[j]; s < site.to[j]; ++s) x.gradient[s] += factor * sum[s];
    }
}

// w <- w - lr g, clipped and rounded; g becomes 0, or the change if that is kept. Return how many weights changed.
template <std::int64_t kRounding, bool kKeeps>
std::int64_t descend(double* __restrict w, double* __restrict g, const std::int32_t* __restrict number, std::int64_t n, double lr,
                     const Settling by) {
    std::int64_t changed = 0;
#pragma GCC ivdep
    for (std::int64_t s = 0; s < n; ++s) {
        const double now = settled<kRounding>(w[s] - lr * g[s], by, kRounding == kStochastic ? number[s] : 0);
        changed += now != w[s];
        g[s] = kKeeps ? now - w[s] : 0.0;
        w[s] = now;
    }
    return changed;
}

template <bool kKeeps>
std::int64_t descend(const NeuroLearnSite& site, std::int64_t j, double* w, double* g, const std::int32_t* number, std::int64_t n,
                     std::uint64_t drawn) {
    const Settling by{site.low[j], site.high[j], site.grid, 1.0 / site.grid, drawn};
    if (site.rounding == kStochastic) return descend<kStochastic, kKeeps>(w, g, number, n, site.lr, by);
    return site.rounding == kHalfToEven ? descend<kHalfToEven, kKeeps>(w, g, number, n, site.lr, by)
                                        : descend<kNone, kKeeps>(w, g, number, n, site.lr, by);
}

// Where there is none no weight changes: each is on its grid already, where either rounding lets it be.
inline bool any_gradient(const double* g, std::int64_t n) {
    std::int64_t found = 0;
    for (std::int64_t s = 0; s < n; ++s) found |= g[s] != 0.0;
    return found != 0;
}

inline void change(const LearnCall& c, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last, std::int64_t t, bool fade) {
    const Sample x(c, b);
    const NeuroLearnSite& site = c.net.site[k];
    double* const w = c.net.w;
    const std::uint64_t drawn = draw_of(c, b, site.key, t);
    for (std::int64_t j = first; j < last; ++j) {
        const std::int64_t from = site.from[j], n = site.to[j] - from;
        double* const g = x.gradient + from;
        const std::int32_t* const number = c.net.number + from;
        double* const row = site.follows < 0 ? nullptr : c.net.feedback + site.follows + j * site.width;
        if (any_gradient(g, n)) {
            site.n_changes[j] += row ? descend<true>(site, j, w + from, g, number, n, drawn)
                                     : descend<false>(site, j, w + from, g, number, n, drawn);
            for (std::int64_t s = 0; row && s < n; ++s) {  // adaptive feedback takes what the weights into a readout unit change by
                row[site.pre[from + s]] += g[s];
                g[s] = 0.0;
            }
        }
        for (std::int64_t i = 0; row && fade && i < site.width; ++i) row[i] *= site.keep;
        if (site.bias) site.bias[j] = w[from];
    }
}

}  // namespace
