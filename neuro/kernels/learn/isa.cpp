// The learning kernel, compiled once for each instruction set: NEURO_KERNELS is the name of the result. Built with
// -ffp-contract=off: every instruction set gives the same bits, and the network those of the golden model.
#include "isa.h"

#include "eligibility.h"
#include "judge.h"
#include "network.h"
#include "pairs.h"
#include "signals.h"
#include "weights.h"

namespace {

template <class T>
void clear(T* from, std::int64_t n) {
    __builtin_memset(from, 0, static_cast<std::size_t>(n) * sizeof(T));
}

void reset(const LearnCall& c, std::int64_t b) {
    const Sample x(c, b);
    const NeuroLearnNet& net = c.net;
    const std::int64_t past = net.history;
    clear(x.v, net.n_targets), clear(x.a, net.n_targets), clear(x.z, net.n_targets), clear(x.wait, net.n_targets);
    clear(c.in.n_spikes + b * net.n_neurons, net.n_neurons);
    for (std::int64_t k = 0; k < net.n_windows; ++k) clear(x.window(net, k), past * net.n_columns);
    clear(x.n_sent, net.n_slots);
    clear(x.psi, past * net.n_neurons);
    clear(x.cut, (past + net.span) * net.n_neurons);
    clear(x.error, past * net.n_errors);
    clear(x.trails, net.n_trail);
    clear(x.gradient, net.n_places);
    for (std::int64_t k = 0; k < net.n_trails; ++k) {
        const NeuroLearnTrail& trail = net.trail[k];
        for (std::int64_t j = 0; j < trail.size; ++j) {
            __builtin_memcpy(x.pending + (trail.pending + j) * neuro::kPending, &kNothing, sizeof kNothing);
            if (trail.feedback == kRate) x.pending[(trail.pending + trail.size) * neuro::kPending + j] = trail.rate_target;
        }
    }
    for (std::int64_t k = 0; k < net.n_pairs; ++k)
        for (std::int64_t j = 0; j < net.pairs[k].size; ++j) *Pairs(c, b, net.pairs[k], 0).record(j) = PairRecord{0.0, 1.0};
}

void filter(const LearnCall& c, std::int64_t b, std::int64_t from, std::int64_t to) {
    const Sample x(c, b);
    const NeuroLearnNet& net = c.net;
    for (std::int64_t k = 1; k < net.n_windows; ++k) {
        const double decay = net.decay[k];
        for (std::int64_t t = from; t < to; ++t) {
            const std::int64_t at = row_of(net, t, t) * net.n_columns;
            const double* __restrict const signal = x.windows + at;
            double* __restrict const now = x.window(net, k) + at;
            const double* __restrict const before = now - net.n_columns;
#pragma GCC ivdep
            for (std::int64_t i = 0; i < net.n_columns; ++i) now[i] = decay * before[i] + signal[i];
        }
    }
}

}  // namespace

namespace neuro {

const LearnKernels NEURO_KERNELS{reset, advance_network, filter, send_back, advance_trails, advance_pairs, add_rates, change, judge_end};

}  // namespace neuro
