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

// w <- w - lr g, clipped and rounded; g becomes the change. Return how many weights changed.
template <std::int64_t kRounding>
std::int64_t descend(double* __restrict w, double* __restrict g, std::int64_t n, const NeuroLearnSite& site, std::int64_t j,
                     std::uint64_t last, const std::int32_t* __restrict number) {
    const double lr = site.lr, grid = site.grid, low = site.low[j], high = site.high[j];
    std::int64_t changed = 0;
#pragma GCC ivdep
    for (std::int64_t s = 0; s < n; ++s) {
        const double now = settled<kRounding>(w[s] - lr * g[s], low, high, grid, last, kRounding == kStochastic ? number[s] : 0);
        g[s] = now - w[s];
        changed += now != w[s];
        w[s] = now;
    }
    return changed;
}

inline void change(const LearnCall& c, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last, std::int64_t t, bool fade) {
    const Sample x(c, b);
    const NeuroLearnSite& site = c.net.site[k];
    double* const w = c.net.w;
    const auto descend_by = site.rounding == kStochastic ? descend<kStochastic> : site.rounding == kHalfToEven ? descend<kHalfToEven> : descend<kNone>;
    const std::uint64_t drawn = draw_of(c, b, site.key, t);
    for (std::int64_t j = first; j < last; ++j) {
        const std::int64_t from = site.from[j], n = site.to[j] - from;
        double* const g = x.gradient + from;
        double* const row = site.follows < 0 ? nullptr : c.net.feedback + site.follows + j * site.width;
        site.n_changes[j] += descend_by(w + from, g, n, site, j, drawn, c.net.number + from);
        if (row) {  // adaptive feedback takes what the weights into a readout unit change by
            for (std::int64_t s = 0; s < n; ++s) row[site.pre[from + s]] += g[s];
            for (std::int64_t i = 0; fade && i < site.width; ++i) row[i] *= site.keep;
        }
        __builtin_memset(g, 0, static_cast<std::size_t>(n) * sizeof(double));
        if (site.bias) site.bias[j] = w[from];
    }
}

}  // namespace
