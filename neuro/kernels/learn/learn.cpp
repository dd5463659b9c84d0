// Entry point of the learning kernel: tiles of steps, shared among threads.
//
// Over samples, a thread takes a whole sample. Over neurons, one thread advances the network by a tile, and all advance the eligibility of
// their share of each population's targets, and change their weights. What concerns one synapse happens in one order either way.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "../float_mode.h"
#include "../threads.h"
#include "isa.h"

namespace {

using neuro::kMostTile;
using neuro::LearnCall;
using neuro::LearnKernels;

const LearnKernels* kernels(std::int64_t instructions) {
#ifdef NEURO_X86_64
    if (instructions == 2) return &neuro::learn_avx512;
    if (instructions == 1) return &neuro::learn_avx2;
#endif
    return instructions == 0 ? &neuro::learn_baseline : nullptr;
}

constexpr std::int64_t kChunk = 8;  // neurons whose synapses are advanced and changed in one go: they stay in the first cache

enum When : std::int64_t { kBatch = 0, kEpisode = 1, kStep = 2 };

// Some steps of one sample, as one of n_parts threads sees them.
class Sequence {
    const LearnKernels& do_;
    const LearnCall& c_;
    double* const signal_;  // of each trail, a tile
    neuro::Barrier& barrier_;
    const std::int64_t b_, part_, n_parts_;
    const bool online_;

    struct Range {
        std::int64_t from, to;
        bool empty() const { return from >= to; }
    };

    Range share(std::int64_t size) const { return {size * part_ / n_parts_, size * (part_ + 1) / n_parts_}; }

    // The steps of a trail that can be learned from once the network has done `to`, and could not at `from`.
    Range due(const NeuroLearnTrail& t, std::int64_t from, std::int64_t to, bool end) const {
        return {std::max<std::int64_t>(0, from - t.lag), end ? to : to - t.lag};
    }

    double* signal(std::int64_t k) const {
        double* to = signal_;
        for (std::int64_t i = 0; i < k; ++i) to += kMostTile * c_.net.trail[i].size;
        return to;
    }

    // Advance the eligibility of all trails after the network's steps from..to - 1, some kMostTile of them at a time.
    void learn(std::int64_t from, std::int64_t to, bool end) {
        const neuro::FlushScope flush_to_zero;
        const NeuroLearnNet& net = c_.net;
        const bool changes = online_ && !end;
        std::int64_t longest = changes ? 1 : 0;  // what follows the weights fades at every step
        for (std::int64_t k = 0; k < net.n_trails; ++k) {
            const Range r = due(net.trail[k], from, to, end);
            longest = std::max(longest, end ? r.to - r.from + 1 : r.to - r.from);  // the last flush may need no step
        }
        for (std::int64_t done = 0; done < longest; done += kMostTile) {
            for (std::int64_t k = 0; part_ == 0 && k < net.n_trails; ++k) {
                const Range r = round(k, from, to, end, done);
                if (!r.empty()) do_.signals(c_, b_, k, r.from, r.to, to - 1, signal(k));
            }
            barrier_.wait();
            for (std::int64_t k = 0, next; k < net.n_trails; k = next) {
                for (next = k; next < net.n_trails && net.trail[next].group == net.trail[k].group;) ++next;
                const Range mine = share(net.trail[k].size);
                for (std::int64_t j = mine.from; j < mine.to; j += kChunk) {
                    const Range some{j, std::min(mine.to, j + kChunk)};
                    for (std::int64_t i = k; i < next; ++i) advance(i, some, round(i, from, to, end, done), to, end, done);
                    if (changes) update(kStep, from, true, net.trail[k].group, some);
                }
            }
            barrier_.wait();
        }
    }

    // The steps of a trail that are due in one round of `learn`.
    Range round(std::int64_t k, std::int64_t from, std::int64_t to, bool end, std::int64_t done) const {
        const Range r = due(c_.net.trail[k], from, to, end);
        return {r.from + done, std::min(r.to, r.from + done + kMostTile)};
    }

    void advance(std::int64_t k, Range neurons, Range steps, std::int64_t to, bool end, std::int64_t done) const {
        const bool last = end && steps.to == to && (done == 0 || steps.from < to);  // once
        const neuro::Flush flush = last ? neuro::kLast : online_ ? neuro::kNow : neuro::kWait;
        if (!steps.empty() || last) do_.trails(c_, b_, k, neurons.from, neurons.to, steps.from, steps.to, to - 1, signal(k), flush);
    }

    // Let all STDP synapses take step t; the readouts' weights, which they may learn by, are still those of the step.
    void pair(std::int64_t t) const {
        const neuro::IeeeScope ieee;
        barrier_.wait();
        for (std::int64_t k = 0; k < c_.net.n_pairs; ++k) {
            const Range mine = share(c_.net.pairs[k].size);
            do_.pairs(c_, b_, k, mine.from, mine.to, t);
        }
        barrier_.wait();
    }

    void update(std::int64_t when, std::int64_t t, bool fade, std::int64_t group, Range neurons) const {
        for (std::int64_t k = 0; k < c_.net.n_sites; ++k) {
            const NeuroLearnSite& site = c_.net.site[k];
            if (site.when == when && site.group == group) do_.update(c_, b_, k, neurons.from, neurons.to, t, fade);
        }
    }

    void update_all(std::int64_t when, std::int64_t t, bool fade) const {
        for (std::int64_t k = 0; k < c_.net.n_sites; ++k) {
            const Range mine = share(c_.net.site[k].size);
            if (c_.net.site[k].when == when) do_.update(c_, b_, k, mine.from, mine.to, t, fade);
        }
        barrier_.wait();
    }

    void finish() {
        const neuro::IeeeScope ieee;
        for (std::int64_t k = 0; k < c_.net.n_sites; ++k) {
            const Range mine = share(c_.net.site[k].size);
            if (c_.net.site[k].at_sum >= 0) do_.rates(c_, b_, k, mine.from, mine.to);
        }
        if (online_) update_all(kStep, c_.in.steps, false);
        update_all(kEpisode, c_.in.steps, true);
    }

    void tile(std::int64_t from, std::int64_t to) {
        if (part_ == 0) {
            {
                const neuro::IeeeScope ieee;
                do_.network(c_, b_, from, to);
            }
            const neuro::FlushScope flush_to_zero;
            do_.filter(c_, b_, from, to);
        }
        if (c_.net.n_pairs) pair(from);
        learn(from, to, false);
    }

  public:
    Sequence(const LearnKernels& kernels, const LearnCall& c, double* signal, neuro::Barrier& barrier, std::int64_t b, std::int64_t part,
             std::int64_t n_parts, bool online)
        : do_(kernels), c_(c), signal_(signal), barrier_(barrier), b_(b), part_(part), n_parts_(n_parts), online_(online) {}

    // Advance from step `from` to step `to`.
    void run(std::int64_t from, std::int64_t to) {
        const std::int64_t length = c_.net.tile;
        if (from == 0 && part_ == 0) do_.reset(c_, b_);
        for (std::int64_t t = from; t < to;) {
            const std::int64_t next = std::min(to, (t / length + 1) * length);
            tile(t, next);
            t = next;
        }
        if (to < c_.in.steps) return;
        if (part_ == 0) do_.end(c_, b_);
        barrier_.wait();
        learn(to, to, true);
        finish();
    }
};

}  // namespace

// Advance `batch` samples from step `from` to step `to` of in->steps. Weights stand still in between (batch > 1), or batch is 1. Returns
// 0, or 1 if the system gave no memory or threads: then nothing was done.
extern "C" __attribute__((visibility("default"))) std::int32_t neuro_learn(const NeuroLearnNet* net, const NeuroLearnState* state,
                                                                           const NeuroLearnSignals* in, std::int64_t batch,
                                                                           std::int64_t from, std::int64_t to, std::int64_t online,
                                                                           std::int64_t n_threads, std::int64_t over_neurons,
                                                                           std::int64_t instructions) try {
    const LearnKernels& kernel = *kernels(instructions);
    const LearnCall call{*net, *state, *in};
    std::int64_t n_signals = 0;
    for (std::int64_t k = 0; k < net->n_trails; ++k) n_signals += kMostTile * net->trail[k].size;
    const auto n = static_cast<std::int32_t>(over_neurons ? n_threads : std::min(n_threads, batch));
    const std::int64_t n_parts = over_neurons ? n : 1;
    std::vector<std::unique_ptr<double[]>> signal;
    for (std::int32_t h = 0; h < (over_neurons ? 1 : n); ++h)
        signal.emplace_back(new double[static_cast<std::size_t>(std::max<std::int64_t>(n_signals, 1))]);
    neuro::Barrier barrier(static_cast<std::int32_t>(n_parts));
    std::atomic<std::int64_t> next{0};
    return !neuro::on_threads(n, [&](std::int32_t h) {
        if (over_neurons) {
            for (std::int64_t b = 0; b < batch; ++b)
                Sequence(kernel, call, signal[0].get(), barrier, b, h, n_parts, online != 0).run(from, to);
            return;
        }
        for (std::int64_t b; (b = next.fetch_add(1, std::memory_order_relaxed)) < batch;)
            Sequence(kernel, call, signal[static_cast<std::size_t>(h)].get(), barrier, b, 0, 1, online != 0).run(from, to);
    });
} catch (const std::bad_alloc&) {
    return 1;
}
