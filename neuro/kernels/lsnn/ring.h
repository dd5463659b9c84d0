// Synapses with delays: a ring of steps, and where in it each synapse reads or writes.
#pragma once

#include <cstdint>

#include "lanes.h"
#include "net.h"

namespace {

// n_slots steps of (n_targets, lanes) numbers; step t lies in slot t % n_slots.
template <class L>
struct Ring {
    using Real = typename L::Real;
    Real* values;
    std::int64_t slot_size, size;

    Real* slot(std::int64_t t) const { return values + t % (size / slot_size) * slot_size; }
};

// Where the synapses of one kind of source reach.
struct Reach {
    std::int32_t delay;          // of all of them, or -1
    const std::int32_t* offset;  // (n_synapses,) of each synapse: its target, and its delay if they differ
};

// The way from a step to the targets of synapses: one base for a step, one addition for a synapse if all delays are equal,
// else also a turn round the ring.
template <class L, bool kOneDelay>
class Way {
    using Real = typename L::Real;
    Real* values_;
    std::uint32_t base_, size_;
    const std::int32_t* offset_;

  public:
    Way(const Ring<L>& ring, const Reach& reach, std::int64_t t)
        : values_(ring.values), base_(static_cast<std::uint32_t>(ring.slot(kOneDelay ? t + reach.delay : t) - ring.values)),
          size_(static_cast<std::uint32_t>(ring.size)), offset_(reach.offset) {}

    Real* operator()(std::int64_t s) const {
        const std::uint32_t to = base_ + static_cast<std::uint32_t>(offset_[s]);
        if constexpr (kOneDelay) return values_ + to;
        const std::uint32_t turned = to - size_;  // beyond all sizes if `to` lies before the end
        return values_ + (turned < to ? turned : to);
    }
};

// Find where the synapses of rows from..to reach, and whether one delay is all they have.
inline Reach find_reach(const NeuroLsnnNet& net, std::int64_t from, std::int64_t to, std::int64_t slot_size,
                        std::int64_t lanes, std::int32_t* offset) {
    const std::int64_t begin = net.row[from], end = net.row[to];
    std::int32_t delay = begin < end ? net.delay[begin] : 0;
    for (std::int64_t s = begin; s < end; ++s)
        if (net.delay[s] != delay) delay = -1;
    for (std::int64_t s = begin; s < end; ++s)
        offset[s] = static_cast<std::int32_t>((delay < 0 ? net.delay[s] * slot_size : 0) + net.post[s] * lanes);
    return Reach{delay, offset};
}

}  // namespace
