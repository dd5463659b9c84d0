// Find the arrays of one sample, and the rows of its windows.
//
// In an unnamed namespace, as is all that is compiled once for each instruction set: no function of one may stand in for that of another.
// For the same reason nothing here comes from the standard library but <cstdint>.
#pragma once

#include <cstdint>

#include "isa.h"

namespace {

using neuro::LearnCall;

enum Kind : std::int64_t { kSubtractThreshold = 0, kSubtractAdaptive = 1, kZero = 2, kReadout = 3 };
enum Cut : std::uint8_t { kGoesOn = 0, kRestarts = 1, kHeld = 2 };  // what becomes of eps_v at a step

// Return the row of step t in a window, seen in step `now` >= t.
inline std::int64_t row_of(const NeuroLearnNet& net, std::int64_t t, std::int64_t now) {
    return net.history + t - now / net.span * net.span;
}

// What happened to all synapses of a neuron since they were last touched (eligibility.h).
struct Pending {
    double r, k, q, c, m, s;
};
static_assert(sizeof(Pending) == neuro::kPending * sizeof(double), "pending numbers");
constexpr Pending kNothing{1.0, 1.0, 0.0, 1.0, 0.0, 0.0};

// The arrays of one sample.
struct Sample {
    double *v, *a, *z, *wait, *input, *windows, *psi, *error, *trails, *gradient, *pending;
    std::int32_t* sent;
    std::int64_t* n_sent;
    std::uint8_t* cut;

    Sample(const LearnCall& c, std::int64_t b) {
        const NeuroLearnNet& net = c.net;
        const NeuroLearnState& s = c.state;
        const std::int64_t rows = net.history + net.span, n_sources = net.n_inputs + net.n_neurons;
        v = s.v + b * net.n_targets;
        a = s.a + b * net.n_targets;
        z = s.z + b * net.n_targets;
        wait = s.wait + b * net.n_targets;
        input = s.input + b * net.n_targets;
        windows = s.windows + b * net.n_windows * rows * net.n_columns;
        psi = s.psi + b * rows * net.n_neurons;
        cut = s.cut + b * rows * net.n_neurons;
        error = s.error + b * rows * net.n_errors;
        trails = s.trails + b * net.n_trail;
        gradient = s.gradient + b * net.n_places;
        pending = s.pending + b * net.n_pending * neuro::kPending;
        sent = s.sent + b * net.n_slots * n_sources;
        n_sent = s.n_sent + b * net.n_slots;
    }
    double* window(const NeuroLearnNet& net, std::int64_t k) const {
        return windows + k * (net.history + net.span) * net.n_columns;
    }
};

// Move the last rows of a window to its begin: a new span starts.
template <class T>
void turn(const NeuroLearnNet& net, T* window, std::int64_t width) {
    __builtin_memmove(window, window + net.span * width, static_cast<std::size_t>(net.history * width) * sizeof(T));
}

inline void turn_all(const NeuroLearnNet& net, const Sample& x) {
    for (std::int64_t k = 0; k < net.n_windows; ++k) turn(net, x.window(net, k), net.n_columns);
    turn(net, x.psi, net.n_neurons);
    turn(net, x.cut, net.n_neurons);
    turn(net, x.error, net.n_errors);
}

inline const std::int32_t* lower_bound(const std::int32_t* from, const std::int32_t* to, std::int64_t value) {
    while (from < to) {
        const std::int32_t* const middle = from + (to - from) / 2;
        if (*middle < value) from = middle + 1;
        else to = middle;
    }
    return from;
}

}  // namespace
