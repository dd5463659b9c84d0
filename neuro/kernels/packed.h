// Deliver spikes through synapses of one word each, to sums of integers.
//
// A graph on its grid has weights and sums that are multiples of one unit, and at most 2^53 of them (DESIGN 2.1): integers of 64 bits add
// them exactly, in any order. A word is a weight in these units, shifted up, and a place in the ring below: 8 bytes a synapse instead of
// 12, eight of them a cache line. What the low bits cannot leave room for is sent by several words; a row is filled up with words
// of weight 0. Each part of the targets has rows and a ring of its own.
//
// The ring has a power of two of cells, so that a place past its end begins again by a mask. Its rows lie one after the other; that of a
// step begins at step * stride. Inputs arrive before the neurons are updated, and may do so in the same step; what neurons send is
// seen from the step after: a net in which all takes one step has one row, and stays in the first cache.
#pragma once

#include "event_driven.h"

namespace neuro {

constexpr std::int64_t kChunk = 8;  // words a cache line

class Packed {
    const NeuroWiring& net_;
    std::int64_t* const ring_;
    const std::int64_t first_, last_;
    const std::uint32_t mask_;
    std::int64_t step_ = 0;

    std::int64_t* ring(std::int64_t h) const { return ring_ + h * (std::int64_t{1} << net_.place_bits); }
    std::uint32_t origin(std::int64_t step) const { return static_cast<std::uint32_t>(step * net_.row_stride) & mask_; }

    // Add the rows of spikes s..end - 1 to a ring. kOneRow: the origin is always 0. Not inlined: what is loaded again and added again for
    // each word elsewhere stays in registers here.
    template <bool kOneRow>
    [[gnu::noinline]] static void add(std::int64_t* __restrict ring, std::uint32_t origin, std::uint32_t mask, int bits,
                                      const std::int64_t* word, const std::uint32_t* chunk, std::int64_t some,
                                      const std::int32_t* s, const std::int32_t* end) {
        constexpr std::int64_t kAhead = 4;  // rows between the prefetch of a row and its use
        for (; s < end; ++s) {
            if (s + 2 * kAhead < end) __builtin_prefetch(chunk + s[2 * kAhead]);
            if (s + kAhead < end) prefetch(word + kChunk * chunk[s[kAhead]], kChunk * some);
            const std::int64_t* const row_end = word + kChunk * chunk[*s + 1];
            for (const std::int64_t* x = word + kChunk * chunk[*s]; x < row_end; x += kChunk) {
#pragma GCC unroll 8
                for (int i = 0; i < kChunk; ++i)
                    ring[kOneRow ? x[i] & mask : (static_cast<std::uint32_t>(x[i]) + origin) & mask] += x[i] >> bits;
            }
        }
    }

    void deliver_through(const NeuroProjection& c, const std::int32_t* s, const std::int32_t* end, std::int64_t h,
                         std::uint32_t origin) const {
        const std::uint32_t* const chunk = c.chunk + h * (c.n_sources + 1) - c.first_source;
        // As many of each row as rows have in the mean: a loop of one length, whose end the processor predicts.
        const std::int64_t some = (chunk[c.first_source + c.n_sources] - chunk[c.first_source]) / c.n_sources + 1;
        const auto bits = static_cast<int>(net_.place_bits);
        if (net_.row_stride)
            add<false>(ring(h), origin, mask_, bits, c.word, chunk, some, s, end);
        else
            add<true>(ring(h), origin, mask_, bits, c.word, chunk, some, s, end);
    }

    void deliver(const std::int32_t* sources, std::int64_t n, std::uint32_t origin) const {
        for (std::int64_t h = first_; h < last_; ++h)
            each_projection(net_, sources, n, [&](const NeuroProjection& c, const std::int32_t* begin, const std::int32_t* end) {
                deliver_through(c, begin, end, h, origin);
            });
    }

  public:
    using Value = std::int64_t;

    Packed(const NeuroWiring& net, Value* ring, std::int64_t part)
        : net_(net),
          ring_(ring),
          first_(part < 0 ? 0 : part),
          last_(part < 0 ? net.n_parts : part + 1),
          mask_((std::uint32_t{1} << net.place_bits) - 1) {}

    static std::int64_t n_cells(const NeuroWiring& net) { return net.n_parts << net.place_bits; }

    void go_to(std::int64_t step) { step_ = step; }
    void deliver_inputs(const std::int32_t* sources, std::int64_t n) const { deliver(sources, n, origin(step_)); }
    void deliver_spikes(const std::int32_t* sources, std::int64_t n) const { deliver(sources, n, origin(step_ + 1)); }

    void deliver_current(std::int32_t source, double u) const {
        for (std::int64_t p = 0; p < net_.n_projections; ++p) {
            const NeuroProjection& c = net_.projection[p];
            const std::int64_t pre = source - c.first_source;
            if (pre < 0 || pre >= c.n_sources) continue;
            const auto* weight = static_cast<const double*>(c.weight);
            std::int64_t h = 0;
            for (std::int64_t k = c.row[pre]; k < c.row[pre + 1]; ++k) {  // ascending in their targets
                const std::int64_t target = c.first_target + c.post[k];
                while (target >= net_.bound[h + 1]) ++h;
                if (h < first_ || h >= last_) continue;
                const std::int64_t place = c.delay[k] * net_.row_stride + target - net_.bound[h];
                ring(h)[(static_cast<std::uint32_t>(place) + origin(step_)) & mask_] += static_cast<std::int64_t>(weight[k] * u / c.unit);
            }
        }
    }

    // Return what arrives at target j of part h in this step, and cut n to as many targets as follow side by side.
    Value* input(std::int64_t h, std::int64_t j, std::int64_t& n) const {
        const std::uint32_t at = (static_cast<std::uint32_t>(j - net_.bound[h]) + origin(step_)) & mask_;
        n = std::min<std::int64_t>(n, std::int64_t{mask_} + 1 - at);
        return ring(h) + at;
    }
};

}  // namespace neuro
