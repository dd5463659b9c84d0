// Deliver spikes through synapses as the graph has them, to sums in a ring of rows of all targets.
//
// What arrives at a target is added in one order, however targets are cut: by step, projection, sender, then place in its row.
#pragma once

#include "event_driven.h"

namespace neuro {

// The ring of a sample, seen from the row of a step. Its size is below 2^31 (neuro/engine/layout.py): a place past its
// end, or before, is told by the highest bit.
template <class Value>
class Ring {
    Value* const begin_;
    const std::uint32_t size_, past_;

  public:
    Ring(const NeuroWiring& net, Value* begin, std::int64_t slot)
        : begin_(begin),
          size_(static_cast<std::uint32_t>(net.n_slots * net.n_targets)),
          past_(static_cast<std::uint32_t>(slot * net.n_targets) - size_) {}

    Value* at(std::uint32_t place) const {
        const std::uint32_t past = place + past_;
        return begin_ + (past + (size_ & -(past >> 31)));  // no branch: it would go either way at random
    }
};

// The synapses from one sender to one part of the targets, or to all of them (part < 0).
struct Span {
    std::int64_t from, to;
};

inline Span span(const NeuroWiring& net, const NeuroProjection& c, std::int64_t pre, std::int64_t part) {
    const std::int64_t from = c.row[pre], to = c.row[pre + 1];
    if (part < 0) return {from, to};
    const std::int64_t inner = net.n_parts - 1;
    const std::uint32_t* split = c.split + pre * inner;
    return {part == 0 ? from : from + split[part - 1], part == inner ? to : from + split[part]};
}

// The place of target 0 of a projection with one delay.
inline std::uint32_t first_place(const NeuroWiring& net, const NeuroProjection& c) {
    return static_cast<std::uint32_t>(c.one_delay * net.n_targets + c.first_target);
}

// Add what the spikes s..end - 1, all of one population, send through a projection to all that waits for the targets of a part.
// kOneDelay: all synapses have one delay, and all add to one row. far: what waits does not stay in the second cache, and is
// fetched ahead.
template <class Weight, bool kOneDelay, class Value>
void deliver_through(const NeuroWiring& net, const NeuroProjection& c, const Ring<Value>& ring, const std::int32_t* s,
                     const std::int32_t* end, std::int64_t part, bool far) {
    constexpr std::int64_t kAhead = 4;  // rows between the prefetch of a row and its use
    const auto* weight = static_cast<const Weight*>(c.weight);
    // As many of each row as rows have in the mean: loops of one length, whose end the processor predicts. It follows longer rows
    // by itself.
    const std::int64_t some = c.row[c.n_sources] / (c.n_sources * (part < 0 ? 1 : net.n_parts)) + 1;
    Value* const row_to = kOneDelay ? ring.at(first_place(net, c)) : nullptr;
    const auto to = [&](std::int64_t k) { return kOneDelay ? row_to + c.post[k] : ring.at(c.place[k]); };
    for (; s < end; ++s) {
        if (s + 2 * kAhead < end) {
            const std::int64_t pre = s[2 * kAhead] - c.first_source;
            __builtin_prefetch(c.row + pre);
            if (part >= 0) __builtin_prefetch(c.split + pre * (net.n_parts - 1));
        }
        if (s + kAhead < end) {
            const std::int64_t next = span(net, c, s[kAhead] - c.first_source, part).from;
            kOneDelay ? prefetch(c.post + next, some) : prefetch(c.place + next, some);
            prefetch(weight + next, some);
        }
        if (far && s + 1 < end) {  // into the second cache, which takes more requests at a time than the first
            const Span next = span(net, c, s[1] - c.first_source, part);
            for (std::int64_t k = next.from; k < next.to; ++k) __builtin_prefetch(to(k), 0, 2);
        }
        const Span row = span(net, c, *s - c.first_source, part);
        std::int64_t k = row.from;
        for (; k + 8 <= row.to; k += 8) {
#pragma GCC unroll 8
            for (int i = 0; i < 8; ++i) *to(k + i) += weight[k + i];
        }
        for (; k < row.to; ++k) *to(k) += weight[k];
    }
}

// What waits for the targets of a sample, or of a part of them: sums of weights as the graph has them, in a ring of rows of all targets.
template <class Weight, class Value_>
class Rows {
    const NeuroWiring& net_;
    Value_* const rows_;
    const std::int64_t part_;
    const bool far_;
    std::int64_t slot_ = 0;

    static bool far(const NeuroWiring& net, std::int64_t part) {
        constexpr std::size_t kNear = 3u << 20;  // bytes of ring up to which its caches keep up (benchmarks/simulate.py)
        const auto n = static_cast<std::size_t>(part < 0 ? net.n_targets : net.bound[part + 1] - net.bound[part]);
        return n * static_cast<std::size_t>(net.n_slots) * sizeof(Value_) > kNear;
    }

  public:
    using Value = Value_;

    Rows(const NeuroWiring& net, Value* rows, std::int64_t part) : net_(net), rows_(rows), part_(part), far_(far(net, part)) {}

    static std::int64_t n_cells(const NeuroWiring& net) { return net.n_slots * net.n_targets; }

    void go_to(std::int64_t step) { slot_ = step % net_.n_slots; }

    void deliver_inputs(const std::int32_t* sources, std::int64_t n) const { deliver_spikes(sources, n); }

    // Add what spikes send to all that waits. sources: ascending.
    void deliver_spikes(const std::int32_t* sources, std::int64_t n) const {
        const Ring<Value> ring(net_, rows_, slot_);
        each_projection(net_, sources, n, [&](const NeuroProjection& c, const std::int32_t* begin, const std::int32_t* end) {
            if (c.one_delay >= 0)
                deliver_through<Weight, true>(net_, c, ring, begin, end, part_, far_);
            else
                deliver_through<Weight, false>(net_, c, ring, begin, end, part_, far_);
        });
    }

    // Add what a channel of real values sends.
    void deliver_current(std::int32_t source, double u) const {
        const Ring<Value> ring(net_, rows_, slot_);
        for (std::int64_t p = 0; p < net_.n_projections; ++p) {
            const NeuroProjection& c = net_.projection[p];
            const std::int64_t pre = source - c.first_source;
            if (pre < 0 || pre >= c.n_sources) continue;
            const auto* weight = static_cast<const Weight*>(c.weight);
            const Span row = span(net_, c, pre, part_);
            for (std::int64_t k = row.from; k < row.to; ++k) {
                Value* const to = c.one_delay >= 0 ? ring.at(first_place(net_, c)) + c.post[k] : ring.at(c.place[k]);
                *to += static_cast<Value>(weight[k] * u);
            }
        }
    }

    // Return what arrives at target j in this step, with those that follow beside it.
    Value* input(std::int64_t, std::int64_t j, std::int64_t&) const { return rows_ + slot_ * net_.n_targets + j; }
};

}  // namespace neuro
