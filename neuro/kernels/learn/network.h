// Advance the network by a step: the order of operations of the golden model, neuro/graph/reference.py, in IEEE double.
//
// Spikes wait where they were sent and meet the weight of the step in which they arrive.
#pragma once

#include <cstdint>

#include "judge.h"
#include "sample.h"

namespace {

// Add to `input` (n_targets,) what arrives at step t.
inline void arrive(const LearnCall& c, const Sample& x, std::int64_t t, double* input) {
    const NeuroLearnNet& net = c.net;
    const std::int64_t n_sources = net.n_inputs + net.n_neurons;
    for (std::int64_t k = 0; k < net.n_links; ++k) {
        const NeuroLearnLink& l = net.link[k];
        if (l.delay > t) continue;
        const std::int64_t slot = (t - l.delay) % net.n_slots;
        const std::int32_t *const list = x.sent + slot * n_sources, *const end = list + x.n_sent[slot];
        const double* const now = x.windows + row_of(net, t - l.delay, t) * net.n_columns;
        for (const std::int32_t* s = lower_bound(list, end, l.first_source); s < end && *s < l.first_source + l.n_sources; ++s) {
            const std::int64_t pre = *s - l.first_source;
            const double u = now[*s];
            for (std::int64_t i = l.row[pre]; i < l.row[pre + 1]; ++i) input[l.target[i]] += net.w[l.place[i]] * u;
        }
    }
}

// Advance neurons j = 0..size - 1 of a population; psi and cut are rows of the population.
template <std::int64_t kReset>
inline void neurons(const NeuroLearnPopulation& p, double* __restrict v, double* __restrict a, double* __restrict z,
                    double* __restrict wait, const double* __restrict input, double* __restrict psi, std::uint8_t* __restrict cut) {
    const double *__restrict bias = p.bias, *__restrict alpha = p.leak, *__restrict v_th = p.v_th, *__restrict rho = p.rho,
                 *__restrict beta = p.beta, *__restrict n_ref = p.n_ref;
#pragma GCC ivdep
    for (std::int64_t j = 0; j < p.size; ++j) {
        const double before = v_th[j] + beta[j] * a[j];
        const double trace = rho[j] * a[j] + z[j];
        const double threshold = v_th[j] + beta[j] * trace;
        const double sum = alpha[j] * v[j] + (bias[j] + input[j]);
        const bool free = wait[j] == 0.0;
        const double now = kReset == kZero ? (free ? sum : 0.0) : sum - z[j] * (kReset == kSubtractAdaptive ? before : v_th[j]);
        const double fires = (now > threshold) & free ? 1.0 : 0.0;
        const double distance = 1.0 - __builtin_fabs((now - threshold) / v_th[j]);
        const double left = wait[j] - 1.0 > 0.0 ? wait[j] - 1.0 : 0.0;
        psi[j] = free & (distance > 0.0) ? distance / v_th[j] : 0.0;
        if (kReset == kZero) cut[j] = static_cast<std::uint8_t>(!free ? kHeld : z[j] != 0.0 ? kRestarts : kGoesOn);
        a[j] = trace;
        v[j] = kReset == kZero && fires != 0.0 ? 0.0 : now;
        z[j] = fires;
        wait[j] = fires != 0.0 ? n_ref[j] : left;
    }
}

inline void readouts(const NeuroLearnPopulation& p, double* __restrict y, const double* __restrict input) {
    for (std::int64_t k = 0; k < p.size; ++k) y[k] = p.leak[k] * y[k] + (p.bias[k] + input[k]);
}

inline void update(const LearnCall& c, const Sample& x, std::int64_t t, const double* input) {
    const NeuroLearnNet& net = c.net;
    double* const psi = x.psi + row_of(net, t, t) * net.n_neurons;
    std::uint8_t* const cut = x.cut + row_of(net, t, t) * net.n_neurons;
    for (std::int64_t i = 0; i < net.n_populations; ++i) {
        const NeuroLearnPopulation& p = net.population[i];
        const std::int64_t o = p.first;
        switch (p.kind) {
            case kSubtractThreshold:
                neurons<kSubtractThreshold>(p, x.v + o, x.a + o, x.z + o, x.wait + o, input + o, psi + o, cut + o);
                break;
            case kSubtractAdaptive:
                neurons<kSubtractAdaptive>(p, x.v + o, x.a + o, x.z + o, x.wait + o, input + o, psi + o, cut + o);
                break;
            case kZero:
                neurons<kZero>(p, x.v + o, x.a + o, x.z + o, x.wait + o, input + o, psi + o, cut + o);
                break;
            default:
                readouts(p, x.v + o, input + o);
        }
    }
}

// Put what the inputs send at step t into the window of signals and into the list of who sent.
inline void take_inputs(const LearnCall& c, const Sample& x, std::int64_t b, std::int64_t t) {
    const NeuroLearnNet& net = c.net;
    const NeuroLearnSignals& in = c.in;
    double* const row = x.windows + row_of(net, t, t) * net.n_columns;
    __builtin_memset(row, 0, static_cast<std::size_t>(net.n_columns) * sizeof(double));
    row[net.n_inputs + net.n_neurons] = 1.0;
    const std::int64_t slot = t % net.n_slots, cell = b * in.steps + t;
    std::int32_t* const list = x.sent + slot * (net.n_inputs + net.n_neurons);
    std::int64_t n = 0, i = 0;
    for (std::int64_t s = in.row[cell]; s <= in.row[cell + 1]; ++s) {  // one more round for the currents after the last spike
        const std::int64_t next = s < in.row[cell + 1] ? in.source[s] : net.n_inputs;
        for (; i < in.n_currents && in.current_source[i] < next; ++i) {
            const double u = in.current[cell * in.n_currents + i];
            if (u == 0.0) continue;
            row[in.current_source[i]] = u;
            list[n++] = in.current_source[i];
        }
        if (next == net.n_inputs) break;
        row[next] = 1.0;
        list[n++] = static_cast<std::int32_t>(next);
    }
    x.n_sent[slot] = n;
}

inline void send(const LearnCall& c, const Sample& x, std::int64_t b, std::int64_t t) {
    const NeuroLearnNet& net = c.net;
    double* const row = x.windows + row_of(net, t, t) * net.n_columns + net.n_inputs;
    const std::int64_t slot = t % net.n_slots;
    std::int32_t* const list = x.sent + slot * (net.n_inputs + net.n_neurons);
    std::int64_t* const count = c.in.n_spikes + b * net.n_neurons;
    std::int64_t n = x.n_sent[slot];
    for (std::int64_t j = 0; j < net.n_neurons; ++j) {
        row[j] = x.z[j];
        if (x.z[j] == 0.0) continue;
        list[n++] = static_cast<std::int32_t>(net.n_inputs + j);
        ++count[j];
    }
    x.n_sent[slot] = n;
}

inline void advance_network(const LearnCall& c, std::int64_t b, std::int64_t from, std::int64_t to) {
    const Sample x(c, b);
    const auto bytes = static_cast<std::size_t>(c.net.n_targets) * sizeof(double);
    for (std::int64_t t = from; t < to; ++t) {
        if (t > 0 && t % c.net.span == 0) turn_all(c.net, x);
        take_inputs(c, x, b, t);
        __builtin_memset(x.input, 0, bytes);
        arrive(c, x, t, x.input);
        update(c, x, t, x.input);
        send(c, x, b, t);
        judge_all(c, x, b, t);
    }
}

}  // namespace
