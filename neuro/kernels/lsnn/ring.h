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

// The synapses of sources first..first + n_sources, row by row, each filled up to a multiple of kPad with weights of 0: loops over
// rows then end in few different ways, which a processor foresees.
template <class L>
struct Rows {
    using Real = typename L::Real;
    static constexpr int kPad = 4;
    std::int64_t first, n_sources;
    std::int32_t delay;     // of all of them, or -1
    std::int64_t* row;      // (n_sources + 1,) multiples of kPad
    Real* weight;
    std::uint32_t* offset;  // in the ring: of the target, and of the delay if they differ

    static std::int64_t capacity(const NeuroLsnnNet& net, std::int64_t first, std::int64_t n_sources) {
        return net.row[first + n_sources] - net.row[first] + (kPad - 1) * n_sources;
    }

    static std::int64_t bytes(const NeuroLsnnNet& net, std::int64_t first, std::int64_t n_sources) {
        const std::int64_t n = capacity(net, first, n_sources);
        return Parts::size<std::int64_t>(n_sources + 1) + Parts::size<Real>(n) + Parts::size<std::uint32_t>(n);
    }

    Rows(const NeuroLsnnNet& net, std::int64_t first_source, std::int64_t n, Parts& parts)
        : first(first_source), n_sources(n), delay(one_delay(net)), row(parts.take<std::int64_t>(n + 1)),
          weight(parts.take<Real>(capacity(net, first, n))), offset(parts.take<std::uint32_t>(capacity(net, first, n))) {
        const std::int64_t slot_size = (net.n_neurons + net.n_readouts) * L::kLanes;
        row[0] = 0;
        for (std::int64_t k = 0; k < n; ++k) {
            std::int64_t at = row[k];
            for (std::int64_t s = net.row[first + k]; s < net.row[first + k + 1]; ++s, ++at) {
                weight[at] = static_cast<const Real*>(net.weight)[s];
                offset[at] = static_cast<std::uint32_t>((delay < 0 ? net.delay[s] * slot_size : 0) + net.post[s] * L::kLanes);
            }
            for (; at % kPad; ++at) {
                weight[at] = 0;
                offset[at] = offset[at - 1];
            }
            row[k + 1] = at;
        }
    }

    // Copy a number of each synapse here to its place in the net.
    void unpack(const NeuroLsnnNet& net, const Real* here, Real* there) const {
        for (std::int64_t k = 0; k < n_sources; ++k) {
            const std::int64_t begin = net.row[first + k];
            for (std::int64_t s = begin; s < net.row[first + k + 1]; ++s) there[s] = here[row[k] + s - begin];
        }
    }

  private:
    std::int32_t one_delay(const NeuroLsnnNet& net) const {
        const std::int64_t begin = net.row[first], end = net.row[first + n_sources];
        for (std::int64_t s = begin; s < end; ++s)
            if (net.delay[s] != net.delay[begin]) return -1;
        return begin < end ? net.delay[begin] : 0;
    }
};

// The way from a step to the targets of synapses: one base for a step if all delays are equal, else also a turn round the ring.
template <class L, bool kOneDelay>
class Way {
    using Real = typename L::Real;
    Real* values_;
    std::uint32_t base_, size_;
    const std::uint32_t* offset_;

  public:
    Way(const Ring<L>& ring, const Rows<L>& rows, std::int64_t t)
        : values_(kOneDelay ? ring.slot(t + rows.delay) : ring.values),
          base_(static_cast<std::uint32_t>(ring.slot(t) - ring.values)), size_(static_cast<std::uint32_t>(ring.size)),
          offset_(rows.offset) {}

    Real* operator()(std::int64_t s) const {
        if constexpr (kOneDelay) return values_ + offset_[s];
        const std::uint32_t to = base_ + offset_[s], turned = to - size_;  // beyond all sizes if `to` lies before the end
        return values_ + (turned < to ? turned : to);
    }
};

}  // namespace
