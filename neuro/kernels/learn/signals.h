// Send the errors of the readouts back to the neurons.
#pragma once

#include <cstdint>

#include "network.h"

namespace {

// Tell whether any error of steps from..to - 1 is not zero.
inline bool judged(const NeuroLearnNet& net, const Sample& x, std::int64_t from, std::int64_t to, std::int64_t now) {
    const double* const error = x.error + row_of(net, from, now) * net.n_errors;
    for (std::int64_t i = 0; i < (to - from) * net.n_errors; ++i)
        if (error[i] != 0.0) return true;
    return false;
}

// How far the running rate of each neuron is off: its memory lies behind the trail's pending numbers.
inline void rate_signals(const NeuroLearnNet& net, const NeuroLearnTrail& trail, const Sample& x, std::int64_t t, std::int64_t now,
                         double* to) {
    const double* const z = x.windows + row_of(net, t, now) * net.n_columns + net.n_inputs + trail.first;
    double* const rate = x.pending + (trail.pending + trail.size) * neuro::kPending;
    for (std::int64_t j = 0; j < trail.size; ++j) {
        rate[j] = trail.rate_decay * rate[j] + (1.0 - trail.rate_decay) * z[j];
        to[j] = trail.rate_reg * (1.0 - trail.rate_decay) * (rate[j] - trail.rate_target);
    }
}

inline void sparse_signals(const NeuroLearnNet& net, const NeuroLearnTrail& trail, const Sample& x, std::int64_t t,
                           std::int64_t now, double* to) {
    const double* const error = x.error + row_of(net, t, now) * net.n_errors;
    for (std::int64_t j = 0; j < trail.size; ++j) {
        double sum = 0.0;
        for (std::int64_t i = trail.back_row[j]; i < trail.back_row[j + 1]; ++i)
            if (t + trail.back_delay[i] <= now)  // else beyond the last step
                sum += net.w[trail.back_at[i]] * error[trail.back_delay[i] * net.n_errors + trail.back_error[i]];
        to[j] = sum;
    }
}

inline void dense_signals(const NeuroLearnNet& net, const NeuroLearnTrail& trail, const Sample& x, std::int64_t t, std::int64_t now,
                          double* __restrict to) {
    for (std::int64_t j = 0; j < trail.size; ++j) to[j] = 0.0;
    if (t + trail.delay > now) return;
    const double* const error = x.error + row_of(net, t + trail.delay, now) * net.n_errors;
    for (std::int64_t k = 0; k < trail.n_back; ++k) {
        const double* __restrict const b = net.feedback + trail.back_at[k];
        const double e = error[trail.back_error[k]];
        if (e == 0.0) continue;
#pragma GCC ivdep
        for (std::int64_t j = 0; j < trail.size; ++j) to[j] += e * b[j];
    }
}

inline void send_back(const LearnCall& c, std::int64_t b, std::int64_t k, std::int64_t from, std::int64_t to, std::int64_t now,
                      double* signal) {
    const Sample x(c, b);
    const NeuroLearnNet& net = c.net;
    const NeuroLearnTrail& trail = net.trail[k];
    if (trail.feedback != kRate) {
        const std::int64_t last = to + trail.lag < now + 1 ? to + trail.lag : now + 1;
        if (!judged(net, x, from, last, now)) {
            __builtin_memset(signal, 0, static_cast<std::size_t>((to - from) * trail.size) * sizeof(double));
            return;
        }
    }
    for (std::int64_t t = from; t < to; ++t, signal += trail.size) {
        switch (trail.feedback) {
            case kOwnError:
                __builtin_memcpy(signal, x.error + row_of(net, t, now) * net.n_errors + trail.n_back,
                                 static_cast<std::size_t>(trail.size) * sizeof(double));
                break;
            case kSparse: sparse_signals(net, trail, x, t, now, signal); break;
            case kDense: dense_signals(net, trail, x, t, now, signal); break;
            default: rate_signals(net, trail, x, t, now, signal);
        }
    }
}

}  // namespace
