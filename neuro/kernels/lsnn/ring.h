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
// rows take kPad synapses at a time, and end in few different ways, which a processor foresees.
template <class L>
struct Rows {
    using Real = typename L::Real;
    using Index = typename L::Index;
    static constexpr int kPad = 4;
    // What an index counts: numbers, or, where that is too many for a short index, blocks of lanes.
    static constexpr int kUnit = sizeof(Index) == 2 ? L::kLanes : 1;
    std::int64_t first, n_sources;
    std::int32_t delay;  // of all of them, or -1
    std::int64_t* row;   // (n_sources + 1,) multiples of kPad
    Real* weight;
    Index* place;        // in the ring: of the target, and of the delay if they differ

    static std::int64_t capacity(const NeuroLsnnNet& net, std::int64_t first, std::int64_t n_sources) {
        return net.row[first + n_sources] - net.row[first] + (kPad - 1) * n_sources;
    }

    static std::int64_t bytes(const NeuroLsnnNet& net, std::int64_t first, std::int64_t n_sources) {
        const std::int64_t n = capacity(net, first, n_sources);
        return Parts::size<std::int64_t>(n_sources + 1) + Parts::size<Real>(n) + Parts::size<Index>(n);
    }

    Rows(const NeuroLsnnNet& net, std::int64_t first_source, std::int64_t n, Parts& parts)
        : first(first_source), n_sources(n), delay(one_delay(net)), row(parts.take<std::int64_t>(n + 1)),
          weight(parts.take<Real>(capacity(net, first, n))), place(parts.take<Index>(capacity(net, first, n))) {
        const std::int64_t n_targets = net.n_neurons + net.n_readouts, scale = L::kLanes / kUnit;
        row[0] = 0;
        for (std::int64_t k = 0; k < n; ++k) {
            std::int64_t at = row[k];
            for (std::int64_t s = net.row[first + k]; s < net.row[first + k + 1]; ++s, ++at) {
                weight[at] = static_cast<const Real*>(net.weight)[s];
                place[at] = static_cast<Index>(((delay < 0 ? net.delay[s] * n_targets : 0) + net.post[s]) * scale);
            }
            for (; at % kPad; ++at) {
                weight[at] = 0;
                place[at] = place[at - 1];
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
// Four synapses at a time: a processor that loads two vectors at once has no load to spare for the index of each.
template <class L, bool kOneDelay>
class Way {
    using Real = typename L::Real;
    using Index = typename L::Index;
    static constexpr int kUnit = Rows<L>::kUnit;
    using Signed = typename IntegerOf<Index>::type;
    typedef Signed Four __attribute__((vector_size(4 * sizeof(Index))));
    char* base_;
    Signed before_, size_;  // how far step t lies before the end, as a negative number; of the ring
    const Index* place_;

  public:
    Way(const Ring<L>& ring, const Rows<L>& rows, std::int64_t t)
        : base_(reinterpret_cast<char*>(kOneDelay ? ring.slot(t + rows.delay) : ring.values)),
          before_(static_cast<Signed>((ring.slot(t) - ring.values - ring.size) / kUnit)),
          size_(static_cast<Signed>(ring.size / kUnit)),
          place_(rows.place) {}

    // Find where synapses s..s + 3 read or write.
    void operator()(std::int64_t s, Real** to) const {
        Four place = load<Four>(place_ + s);
        if constexpr (!kOneDelay) {
            place = place + before_;
            place = place + (size_ & (place >> (8 * sizeof(Index) - 1)));  // negative before the end: no turn
        }
        constexpr std::uint64_t kBytes = kUnit * sizeof(Real), kMost = static_cast<Index>(-1), kBits = 8 * sizeof(Index);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        std::uint64_t word[sizeof(Four) / 8];
        __builtin_memcpy(word, &place, sizeof place);
        for (int k = 0; k < 4; ++k) {
            constexpr int kPerWord = 8 / sizeof(Index);
            const int shift = k % kPerWord * int(kBits);
            to[k] = reinterpret_cast<Real*>(base_ + (word[k / kPerWord] >> shift & kMost) * kBytes);
        }
#else
        for (int k = 0; k < 4; ++k) to[k] = reinterpret_cast<Real*>(base_ + place[k] * kBytes);
#endif
    }
};

// Tell whether places in a ring of so many steps fit an index with a sign: on the way round it they are negative.
template <class Index>
bool fits(const NeuroLsnnNet& net, std::int64_t n_slots) {
    return n_slots * (net.n_neurons + net.n_readouts) <= static_cast<std::int64_t>(static_cast<Index>(-1) / 2);
}

}  // namespace
