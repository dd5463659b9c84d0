// Advance one sample event by event: what the kernels of both semantics share.
//
// Work grows with spikes times fan-out plus one state update a neuron a step. Inputs of later steps wait in a ring buffer of
// max delay + 1 slots.
//
// Units are numbered twice: "sources" send (inputs, then neurons), "targets" receive (neurons, then readouts). Sizes and
// index ranges are checked by the owner of each kernel (neuro/engine) before any pointer crosses.
#pragma once

#include <algorithm>
#include <cstdint>

extern "C" {

struct NeuroEvents {                   // input spikes of the steps to be advanced
    const std::int64_t* row;           // (batch * n_steps + 1,) into source: where those of each (sample, step) begin
    const std::int32_t* source;
};

struct NeuroSpikes {                   // what the neurons sent
    std::int64_t* n;                   // (batch,) out
    std::int32_t* step;                // (batch, n_steps * n_neurons) out, counted from the first of these steps
    std::int32_t* source;              // likewise
};

}  // extern "C"

namespace neuro {

// Add signal times weight to what waits for each target of a source.
template <class Net, class Value>
inline void deliver(const Net& net, Value* ring, std::int64_t slot, std::int32_t source, Value signal) {
    for (std::int64_t s = net.row[source], end = net.row[source + 1]; s < end; ++s) {
        std::int64_t to = slot + net.delay[s];
        if (to >= net.n_slots) to -= net.n_slots;
        ring[to * net.n_targets + net.post[s]] += net.weight[s] * signal;
    }
}

// Advance sample b by n_steps from step `start`. `update(slot, cell, input)` advances all state by one step: slot of the ring,
// cell = b * n_steps + step, input (n_targets,) what arrived; z (n_targets,) holds the spikes that it leaves.
template <class Net, class Value, class Update>
void advance_sample(const Net& net, Value* ring, const std::uint8_t* z, const NeuroEvents& in, const NeuroSpikes& out,
                    std::int64_t b, std::int64_t start, std::int64_t n_steps, Update update) {
    const std::int64_t n = net.n_targets;
    std::int32_t* steps = out.step + b * n_steps * net.n_neurons;
    std::int32_t* sources = out.source + b * n_steps * net.n_neurons;
    std::int64_t n_spikes = 0;
    for (std::int64_t t = 0; t < n_steps; ++t) {
        const std::int64_t slot = (start + t) % net.n_slots, cell = b * n_steps + t;
        for (std::int64_t e = in.row[cell]; e < in.row[cell + 1]; ++e)
            deliver(net, ring, slot, in.source[e], Value{1});
        Value* input = ring + slot * n;
        update(slot, cell, input);
        std::fill(input, input + n, Value{0});
        for (std::int64_t j = 0; j < net.n_neurons; ++j) {
            if (!z[j]) continue;
            const auto source = static_cast<std::int32_t>(net.n_inputs + j);
            steps[n_spikes] = static_cast<std::int32_t>(t);
            sources[n_spikes++] = source;
            deliver(net, ring, slot, source, Value{1});
        }
    }
    out.n[b] = n_spikes;
}

// Copy a state of all targets to its place in a trace (batch, n_steps, n_targets), if that is asked for.
template <class Value>
inline void keep(const Value* state, Value* trace, std::int64_t cell, std::int64_t n) {
    if (trace) std::copy(state, state + n, trace + cell * n);
}

}  // namespace neuro
