// Advance samples event by event: what the kernels of both semantics share.
//
// Work grows with spikes times fan-out plus one state update a neuron a step. Inputs of later steps wait in a ring buffer.
//
// Units are numbered twice: "sources" send (inputs, then neurons), "targets" receive (neurons, then readouts). Two ways to deliver:
// rows.h reads synapses where the graph has them, in one list a projection, sorted by (pre, post); where delays differ, delay and target
// are one number, the place in the ring, seen from row 0. packed.h reads a copy of them. The targets are cut into parts, and so is each
// row of synapses: a part of a row is contiguous. Two ways to use threads, of one result:
//   over samples: a thread advances a whole sample;
//   over neurons: each thread owns the targets of one part, state and ring, and delivers all spikes to them; no two threads
//   write to one place, and one barrier a step lets them exchange their spikes.
// Sizes and index ranges are checked by the owner of each kernel (neuro/engine) before any pointer crosses.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "float_mode.h"
#include "threads.h"

extern "C" {

struct NeuroProjection {               // synapses from one population to another, sorted by (pre, post)
    std::int64_t first_source, n_sources, first_target;
    std::int64_t one_delay;            // of all its synapses; -1: they differ
    const std::int64_t* row;           // (n_sources + 1,) where each sender's synapses begin
    const std::uint32_t* split;        // (n_sources, n_parts - 1) from the begin of the row: where parts 1, 2, ... begin
    const std::int32_t* post;          // (n_synapses,) of the target population
    const std::uint32_t* place;        // (n_synapses,) delay * n_targets + first_target + post; not read where one_delay >= 0
    const std::int32_t* delay;         // (n_synapses,)
    const void* weight;                // (n_synapses,) of the kernel's own type
    const std::uint32_t* chunk;        // (n_parts, n_sources + 1) where the words of each sender begin; packed graphs only (packed.h)
    const std::int64_t* word;          // (n_chunks, 8)
    double unit;                       // of the weights in them
};

struct NeuroWiring {
    std::int64_t n_inputs, n_neurons, n_targets;
    std::int64_t n_slots;              // rows of the ring: max delay + 1
    std::int64_t n_projections, n_parts;
    std::int64_t place_bits, row_stride;  // of packed graphs: the ring of a part has 2^place_bits cells; 0: not packed
    const NeuroProjection* projection; // sorted by first_source
    const std::int64_t* bound;         // (n_parts + 1,) targets of part h: bound[h]..bound[h + 1] - 1
};

struct NeuroEvents {                   // input spikes of the steps to be advanced
    const std::int64_t* row;           // (batch * n_steps + 1,) into source: where those of each (sample, step) begin
    const std::int32_t* source;        // ascending in each of them
    std::int64_t n_currents;           // channels of real values
    const std::int32_t* current_source;  // (n_currents,) ascending
    const double* current;             // (batch, n_steps, n_currents)
};

struct NeuroTrace {                    // a state of one population, to be kept at every step
    std::int64_t column, first, size;  // which state; the population's targets
    std::int64_t stride;               // numbers from one sample to the next in `to`
    double* to;                        // (batch, n_steps, size) out
};

struct NeuroOutputs {
    std::int64_t room;                 // spikes a sample that there is room for: n_steps * n_neurons
    std::int64_t* n;                   // (batch, n_steps) out, of each step
    std::int32_t* source;              // (batch, room) out
    std::int64_t n_traces;
    const NeuroTrace* trace;           // (n_traces,)
};

}  // extern "C"

namespace neuro {

constexpr std::int64_t kBlock = 256;   // neurons updated at a time: their state stays in the first cache

// Fetch the cache lines of n numbers. Inlined always: a function that does nothing else has no effect in GCC's eyes, which drops
// the calls of it.
template <class T>
__attribute__((always_inline)) inline void prefetch(const T* from, std::int64_t n) {
    const char* const p = reinterpret_cast<const char*>(from);
    for (std::int64_t k = 0; k < n * static_cast<std::int64_t>(sizeof(T)); k += 64) __builtin_prefetch(p + k);
}

// Call body(projection, begin, end) for each projection with those of some spikes that its senders sent. sources: ascending.
template <class Body>
void each_projection(const NeuroWiring& net, const std::int32_t* sources, std::int64_t n, const Body& body) {
    const std::int32_t *begin = sources, *limit = sources, *const end = sources + n;
    for (std::int64_t p = 0; p < net.n_projections; ++p) {
        const NeuroProjection& c = net.projection[p];
        if (p == 0 || net.projection[p - 1].first_source != c.first_source) {
            begin = std::lower_bound(limit, end, static_cast<std::int32_t>(c.first_source));
            limit = std::lower_bound(begin, end, static_cast<std::int32_t>(c.first_source + c.n_sources));
        }
        body(c, begin, limit);
    }
}

// Room for numbers, not touched before it is used.
using Room = std::unique_ptr<std::int32_t[]>;

inline Room make_room(std::int64_t n) { return Room(new std::int32_t[static_cast<std::size_t>(std::max<std::int64_t>(n, 1))]); }

// What the threads of one sample tell one another: the spikes of this step and of the one before, by part.
class Exchange {
    static constexpr std::int64_t kLine = 8;  // numbers a cache line: no two threads write to one
    const NeuroWiring& net_;
    const Room spikes_;
    std::vector<std::int64_t> n_;

  public:
    explicit Exchange(const NeuroWiring& net)
        : net_(net), spikes_(make_room(2 * net.n_targets)), n_(static_cast<std::size_t>(2 * net.n_parts * kLine)) {}

    std::int32_t* room(std::int64_t t, std::int64_t part) { return spikes_.get() + (t & 1) * net_.n_targets + net_.bound[part]; }
    std::int64_t& n(std::int64_t t, std::int64_t part) {
        return n_[static_cast<std::size_t>(((t & 1) * net_.n_parts + part) * kLine)];
    }
};

// Advance sample b by n_steps from step `start`, all targets (part < 0) or those of a part in step with the other threads.
//
// all: room for the spikes of a step, this thread's own.
// Model: Sums, Rows or Packed; ring(b), of Sums::n_cells; update(b, part, sums, spikes) advances the targets of a part by one step,
// zeroes their input, writes the numbers of those that spike, and returns how many; state(b, column, j) of target j.
template <class Model>
void advance(const Model& model, const NeuroWiring& net, const NeuroEvents& in, const NeuroOutputs& out, Exchange& exchange,
             Barrier& barrier, std::int32_t* all, std::int64_t b, std::int64_t part, std::int64_t start, std::int64_t n_steps) {
    typename Model::Sums sums(net, model.ring(b), part);
    const bool alone = part < 0;
    const std::int64_t from = alone ? 0 : net.bound[part], to = alone ? net.n_targets : net.bound[part + 1];
    const std::int64_t first = alone ? 0 : part, n_parts = alone ? 1 : net.n_parts;
    std::int32_t* const sources = out.source + b * out.room;
    std::int64_t n_spikes = 0;
    for (std::int64_t t = 0; t < n_steps; ++t) {
        const std::int64_t cell = b * n_steps + t;
        sums.go_to(start + t);
        sums.deliver_inputs(in.source + in.row[cell], in.row[cell + 1] - in.row[cell]);
        for (std::int64_t c = 0; c < in.n_currents; ++c) {
            const double u = in.current[cell * in.n_currents + c];
            if (u != 0.0) sums.deliver_current(in.current_source[c], u);
        }
        std::int64_t sent = 0;
        for (std::int64_t h = first, end = alone ? net.n_parts : part + 1; h < end; ++h)
            sent += model.update(b, h, sums, exchange.room(t, first) + sent);
        exchange.n(t, first) = sent;
        for (std::int64_t k = 0; k < out.n_traces; ++k) {
            const NeuroTrace& trace = out.trace[k];
            double* const row = trace.to + b * trace.stride + t * trace.size - trace.first;
            for (std::int64_t j = std::max(from, trace.first), end = std::min(to, trace.first + trace.size); j < end; ++j)
                row[j] = static_cast<double>(model.state(b, trace.column, j));
        }
        barrier.wait();
        std::int64_t n = 0;
        for (std::int64_t q = 0; q < n_parts; ++q) {  // one list in order of sender, so that sums do not depend on the parts
            const std::int32_t* const spikes = exchange.room(t, q);
            std::copy(spikes, spikes + exchange.n(t, q), all + n);
            if (q == first) std::copy(spikes, spikes + exchange.n(t, q), sources + n_spikes + n);
            n += exchange.n(t, q);
        }
        if (first == 0) out.n[cell] = n;
        n_spikes += n;
        sums.deliver_spikes(all, n);
    }
}

enum Threading : std::int32_t { kOverSamples = 0, kOverNeurons = 1 };

// Advance a batch; return 0, or 1 if the system gave no memory or threads: then nothing was advanced.
template <class Model>
int advance_batch(const Model& model, const NeuroWiring& net, const NeuroEvents& in, const NeuroOutputs& out,
                  std::int64_t batch, std::int64_t start, std::int64_t n_steps, std::int32_t threading,
                  std::int32_t n_threads) try {
    const auto n = threading == kOverNeurons ? static_cast<std::int32_t>(net.n_parts) : n_threads;
    std::vector<std::unique_ptr<Exchange>> exchange;
    std::vector<Room> all;
    for (std::int32_t h = 0; h < n; ++h) {
        all.push_back(make_room(net.n_neurons));
        if (threading == kOverSamples || h == 0) exchange.push_back(std::make_unique<Exchange>(net));
    }
    Barrier barrier(threading == kOverNeurons ? n : 1);
    std::atomic<std::int64_t> next{0};
    return !on_threads(n, [&](std::int32_t h) {
        const IeeeScope ieee;
        const auto i = static_cast<std::size_t>(h);
        if (threading == kOverSamples) {
            for (std::int64_t b; (b = next.fetch_add(1, std::memory_order_relaxed)) < batch;)
                advance(model, net, in, out, *exchange[i], barrier, all[i].get(), b, -1, start, n_steps);
            return;
        }
        for (std::int64_t b = 0; b < batch; ++b) {
            advance(model, net, in, out, *exchange[0], barrier, all[i].get(), b, h, start, n_steps);
            barrier.wait();  // the next sample writes into what this one exchanges
        }
    });
} catch (const std::bad_alloc&) {
    return 1;
}

}  // namespace neuro
