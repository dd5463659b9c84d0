// What passes between Python and the training kernels of a float LSNN: sizes, parameters, signals, tape, gradients.
//
// Samples are run in blocks of `lanes`, the contiguous inner dimension. Sources send (inputs, then neurons), targets receive
// (neurons, then readouts); synapses lie in rows by source. `Real` below is float or double, one for a whole call. The owner,
// neuro/train/kernel.py, checks every size and index before a pointer crosses.
#pragma once

#include <cstdint>

extern "C" {

enum NeuroReset : std::int32_t { kResetThreshold = 0, kResetAdaptive = 1, kResetZero = 2 };

struct NeuroLsnnNet {
    std::int64_t n_inputs, n_neurons, n_readouts, n_synapses;
    std::int64_t max_delay_in, max_delay;      // longest delay from an input, from a neuron (at least 1)
    std::int64_t shared_delay_in, shared_delay;  // the delay of all synapses from inputs, from neurons, or -1; 0 without any
    std::int64_t n_stretches;                  // of neurons with one reset, all adaptive or none
    const std::int64_t* stretch;               // (n_stretches + 1,) first neuron of each
    const std::int32_t* reset;                 // (n_stretches,) NeuroReset; kResetAdaptive only where adaptive
    const std::int32_t* adaptive;              // (n_stretches,) 0 or 1
    const std::int64_t* kept;                  // (n_stretches + 1,) first row of the tape's `state`; empty for kResetThreshold
    const std::int64_t* row;                   // (n_sources + 1,) into the synapses
    const std::int32_t* post;                  // (n_synapses,) a target
    const std::int32_t* delay;                 // (n_synapses,) steps; >= 1 from neurons
    const void* weight;                        // (n_synapses,) Real
    const void* bias;                          // (n_targets,) Real, or null
    const void* decay;                         // (n_targets,) alpha, kappa
    const void* v_th;                          // (n_neurons,)
    const void* rho;                           // (n_neurons,)
    const void* beta;                          // (n_neurons,)
    const std::int32_t* n_ref;                 // (n_neurons,)
    double dampening;
};

struct NeuroLsnnSignals {
    std::int64_t batch, steps, lanes, n_blocks;  // n_blocks = ceil(batch / lanes)
    std::int64_t n_spiking, n_currents;
    const std::int32_t* spiking_source;        // (n_spiking,) an input
    const std::uint8_t* spikes;                // (batch, steps, n_spiking) 0 or 1
    const std::int32_t* current_source;        // (n_currents,) an input
    const void* currents;                      // (batch, steps, n_currents) Real
};

struct NeuroLsnnTape {                         // what the backward pass reads; a bit for each lane
    std::uint32_t* sent;                       // (n_blocks, steps, n_spiking) input spikes
    std::uint32_t* fired;                      // (n_blocks, steps, n_neurons)
    void* psi;                                 // (n_blocks, steps, n_neurons, lanes) in units of dampening / v_th: for float uint16
                                               // of 65535ths, for double double; or null
    void* state;                               // (n_blocks, steps, n_kept, lanes) Real: A for kResetAdaptive, v before the
                                               // reset for kResetZero; or null
    std::uint32_t* blocked;                    // (n_blocks, steps, n_kept) refractory neurons; or null
};

struct NeuroLsnnOutput {                       // Real; null where it is not asked for
    void* y;                                   // (batch, steps, n_readouts)
    std::int32_t* n_spikes;                    // (batch, n_neurons), zero before the call
    void* z;                                   // (batch, steps, n_neurons)
    void* v;                                   // likewise
    void* a;                                   // likewise, 0 for neurons that do not adapt
};

struct NeuroLsnnGradient {                     // Real; null for zero
    const void* y;                             // (batch, steps, n_readouts) dL/dy
    const void* n_spikes;                      // dL/dn_spikes: (n_neurons,), or (batch, n_neurons) with by_sample
    const void* z;                             // (batch, steps, n_neurons) dL/dz
    std::int32_t by_sample;
    std::int64_t n_groups;                     // sets of neighbouring blocks that share a row of the results
    void* weight;                              // (n_groups, n_synapses) out, zero before the call
    void* bias;                                // (n_groups, n_targets) out, likewise; or null
};

}  // extern "C"

namespace neuro {

// Return the first block of a group; group n_groups ends the list.
inline std::int64_t first_block(std::int64_t group, std::int64_t n_groups, std::int64_t n_blocks) {
    return group * n_blocks / n_groups;
}

}  // namespace neuro
