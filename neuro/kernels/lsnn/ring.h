// Synapses with delays: a window of steps, where in it each synapse reads or writes, and a step of it turned round.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lanes.h"
#include "net.h"

namespace {

// Return the rows of a step: targets, filled up to whole vectors, as a step may be turned round.
template <class L>
std::int64_t row_count(const NeuroLsnnNet& net) {
    return (net.n_neurons + net.n_readouts + L::kWidth - 1) / L::kWidth * L::kWidth;
}

// Tell whether all inputs share a delay, and all neurons.
inline bool delays_shared(const NeuroLsnnNet& net) { return net.shared_delay_in >= 0 && net.shared_delay >= 0; }

// The n_slots steps t, t + 1, .. that are alive at step t, (rows, lanes) numbers each.
//
// Where delays are shared, it is a ring: step t lies in slot t % n_slots, and a synapse's place is its target in one of them. Else it
// slides through twice the room, so that its steps lie side by side and a synapse's place is a distance from step t; at the end of the
// room it is moved back to where it began.
template <class L>
class Window {
    using Real = typename L::Real;
    Real* values_;
    std::int64_t slot_size_, n_slots_, room_;
    bool slides_;
    std::int64_t low_ = 0;  // the step in slot 0 of the room

    Real* at(std::int64_t slot) const { return values_ + slot * slot_size_; }

    void move(std::int64_t from, std::int64_t to) {
        const std::size_t bytes = static_cast<std::size_t>((n_slots_ - 1) * slot_size_) * sizeof(Real);
        __builtin_memcpy(at(to), at(from), bytes);
        __builtin_memset(at(from), 0, bytes);
    }

  public:
    static std::int64_t size(const NeuroLsnnNet& net, std::int64_t n_slots) {
        return (delays_shared(net) ? n_slots : 2 * n_slots) * row_count<L>(net) * L::kLanes;
    }

    Window(const NeuroLsnnNet& net, std::int64_t n_slots, Parts& parts)
        : values_(parts.take<Real>(size(net, n_slots))), slot_size_(row_count<L>(net) * L::kLanes), n_slots_(n_slots),
          room_(delays_shared(net) ? n_slots : 2 * n_slots), slides_(!delays_shared(net)) {}

    Real* slot(std::int64_t t) const { return at(slides_ ? t - low_ : t % n_slots_); }

    // Make way for step t, the first to be read: after it, none but those alive hold anything but 0.
    void forward_to(std::int64_t t) {
        if (!slides_ || t + n_slots_ <= low_ + room_) return;
        move(t - low_, 0);
        low_ = t;
    }

    // Empty it, and let `last` be the last step alive.
    void start_back(std::int64_t last) {
        __builtin_memset(values_, 0, static_cast<std::size_t>(room_ * slot_size_) * sizeof(Real));
        low_ = last + 1 - room_;
    }

    // Make way for step t, the first alive.
    void back_to(std::int64_t t) {
        if (!slides_ || t >= low_) return;
        move(t + 1 - low_, room_ - n_slots_ + 1);
        low_ = t + n_slots_ - room_;
    }
};

// A ring of steps turned round, (lanes, rows): what waits for all targets in one sample lies side by side.
template <class L>
class Turned {
    using Real = typename L::Real;
    Real* values_;
    std::int64_t slot_size_, n_slots_;

  public:
    const std::int64_t n_rows;

    static std::int64_t size(const NeuroLsnnNet& net, std::int64_t n_slots) { return n_slots * row_count<L>(net) * L::kLanes; }

    Turned(const NeuroLsnnNet& net, std::int64_t n_slots, Parts& parts)
        : values_(parts.take<Real>(size(net, n_slots))), slot_size_(row_count<L>(net) * L::kLanes), n_slots_(n_slots),
          n_rows(row_count<L>(net)) {}

    Real* slot(std::int64_t t) const { return values_ + t % n_slots_ * slot_size_; }
};

// The synapses of sources first..first + n_sources, row by row, each filled up to a multiple of kPad with weights of 0: loops over
// rows take kPad synapses at a time, and end in few different ways, which a processor foresees.
template <class L>
struct Rows {
    using Real = typename L::Real;
    using Index = typename L::Index::type;
    static constexpr int kPad = 4;
    std::int64_t first, n_sources;
    std::int64_t delay;  // of all of them where they lie in a ring, else 0
    std::int64_t* row;   // (n_sources + 1,) multiples of kPad
    Real* weight;
    Index* place;        // in the window, from the step at which `delay` ends

    static std::int64_t capacity(const NeuroLsnnNet& net, std::int64_t first, std::int64_t n_sources) {
        return net.row[first + n_sources] - net.row[first] + (kPad - 1) * n_sources;
    }

    static std::int64_t bytes(const NeuroLsnnNet& net, std::int64_t first, std::int64_t n_sources) {
        const std::int64_t n = capacity(net, first, n_sources);
        return Parts::size<std::int64_t>(n_sources + 1) + Parts::size<Real>(n) + Parts::size<Index>(n);
    }

    // `shared` is the delay of all these synapses, or -1.
    Rows(const NeuroLsnnNet& net, std::int64_t first_source, std::int64_t n, std::int64_t shared, Parts& parts)
        : first(first_source), n_sources(n), delay(delays_shared(net) ? shared : 0),
          row(parts.take<std::int64_t>(n + 1)), weight(parts.take<Real>(capacity(net, first, n))),
          place(parts.take<Index>(capacity(net, first, n))) {
        const std::int64_t n_rows = row_count<L>(net);
        row[0] = 0;
        for (std::int64_t k = 0; k < n; ++k) {
            std::int64_t at = row[k];
            for (std::int64_t s = net.row[first + k]; s < net.row[first + k + 1]; ++s, ++at) {
                weight[at] = static_cast<const Real*>(net.weight)[s];
                place[at] = static_cast<Index>(((net.delay[s] - delay) * n_rows + net.post[s]) * L::kUnits);
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
};

// The indices of four synapses at a time: a processor that loads two vectors at once has no load to spare for the index of each.
template <class Index>
inline void four_of(const Index* from, std::uint64_t* index) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    constexpr int kPerWord = 8 / sizeof(Index), kBits = 8 * sizeof(Index);
    std::uint64_t word[4 / kPerWord];
    __builtin_memcpy(word, from, sizeof word);
    for (int k = 0; k < 4; ++k) index[k] = static_cast<Index>(word[k / kPerWord] >> (k % kPerWord * kBits));
#else
    for (int k = 0; k < 4; ++k) index[k] = from[k];
#endif
}

// The way from step t to the targets of synapses.
template <class L>
class Way {
    using Real = typename L::Real;
    char* base_;
    const typename L::Index::type* place_;

  public:
    Way(const Window<L>& window, const Rows<L>& rows, std::int64_t t)
        : base_(reinterpret_cast<char*>(window.slot(t + rows.delay))), place_(rows.place) {}

    // Return the way to one lane of the targets.
    Way of_lane(int lane) const {
        Way way = *this;
        way.base_ += lane * sizeof(Real);
        return way;
    }

    // Find where synapses s..s + 3 read or write.
    void operator()(std::int64_t s, Real** to) const {
        std::uint64_t index[4];
        four_of(place_ + s, index);
        for (int k = 0; k < 4; ++k) to[k] = reinterpret_cast<Real*>(base_ + index[k] * L::kUnit);
    }
};

// Call body(source, lanes) for each source that is listed as sending, `words` the lanes of all. Sources are those of inputs, or the places
// in the list themselves.
template <class Body>
inline void for_sending(std::int64_t n_listed, const std::int32_t* listed, const std::uint32_t* words, const std::int32_t* input,
                        const Body& body) {
    for (std::int64_t k = 0; k < n_listed; ++k) {
        const std::int64_t place = listed[k];
        body(input ? std::int64_t{input[place]} : place, words[place]);
    }
}

// Tell whether places in a window of so many steps fit an index.
template <class L>
bool fits(const NeuroLsnnNet& net, std::int64_t n_slots) {
    return (delays_shared(net) ? 1 : n_slots) * row_count<L>(net) * L::kUnits - 1 <=
           static_cast<std::int64_t>(static_cast<typename L::Index::type>(-1));
}

}  // namespace
