// What a learning network is to its kernel: plain C, filled by neuro/learning/kernel.py, which checks every size and index.
//
// Units that send ("sources") are inputs, then neurons; units that receive ("targets") are neurons, then readouts. All weights
// lie in one array w of "places". Those that learn come first, sorted by target: the synapses into one target that learn by one rule
// are contiguous, and padded to a multiple of kPad places, so that a vector never holds two targets. A bias that learns is a synapse from
// a source that always sends 1.
//
// What arrives is read from windows: a row of columns (sources, a constant 1 for biases, a constant 0 for padding) for each step,
// `history` rows of the past and `span` rows on; row_of() finds a step's. A window holds the signal s_i(t) itself, or the signal
// filtered with one decay: where all synapses of a population share it, their eps_v(t) is the filtered s_i(t - d), and no
// synapse need keep its own.
#pragma once

#include <cstdint>

extern "C" {

struct NeuroLearnPopulation {      // receiving ones, in order of their targets; parameters (size,)
    std::int64_t kind, first, size;
    const double *bias, *leak, *v_th, *rho, *beta, *n_ref;
};

struct NeuroLearnLink {            // the synapses of one projection with one delay, sorted by (pre, post)
    std::int64_t first_source, n_sources, delay;
    const std::int64_t* row;       // (n_sources + 1,) where each sender's begin
    const std::int32_t* target;    // (n,)
    const std::int32_t* place;     // (n,) of the weight
};

struct NeuroLearnJudge {           // some columns of errors: what is said of a readout's output
    std::int64_t kind;             // Judge
    std::int64_t first_target, size, column;
    double scale;                  // factor of the error
    std::int64_t value, delta;     // of the policy: target that is the value V, and the column of its TD error; -1: none
    double discount;
};

struct NeuroLearnTrail {           // what the learning synapses into one population keep, for one way (kappa, delay) to the readouts
    std::int64_t first, size, group;       // its targets; which synapses, as in NeuroLearnSite; those of one group lie side by side
    std::int64_t window;           // which window they read
    std::int64_t mode;             // Mode
    std::int64_t adapts, own, sums;  // 0 or 1: keep eps_a; eps_v; the sum of e
    std::int64_t neurons, plain;   // 0 or 1: psi is that of neurons, else 1; nothing arrives but spikes
    std::int64_t lag;              // its eligibility of step t is learned from at step t + lag
    std::int64_t delay, delta;     // of mode kReward: F is of step t + delay, gated by that column of errors
    std::int64_t at_a, at_bar, at_f, at_v, at_sum;  // where eps_a, ebar, F, eps_v and sums of e begin in `trails`, minus the first place
    std::int64_t pending;          // where its targets' pending numbers begin
    std::int64_t feedback;         // Feedback
    std::int64_t n_back;           // kDense: columns that come back; kOwnError: the first column
    double gamma, kappa, discount;
    double rate_reg, rate_decay, rate_target;  // feedback kRate
    const std::int64_t* row;       // (size + 1,) places of each target
    const double *leak, *rho, *beta;       // (size,)
    const std::int64_t* back_row;  // kSparse: (size + 1,) where each neuron's ways back begin
    const std::int32_t* back_error;        // the column of each way
    const std::int32_t* back_delay;        // kSparse
    const std::int64_t* back_at;   // kSparse: place of the weight; kDense: where the row of the matrix begins in `feedback`
};

struct NeuroLearnSite {            // synapses from one projection, or biases: what changes their weights
    std::int64_t first, size, group, when; // its targets; When
    std::int64_t at_sum;           // where sums of e begin, minus the first place; -1: none are kept
    std::int64_t rounding;         // Rounding
    std::uint64_t key;             // kStochastic
    double lr, grid;
    double rate_reg, rate_target;
    const std::int64_t *from, *to; // (size,) places of each target
    const double *low, *high;      // (size,) bounds of a weight
    double* bias;                  // (size,) the biases that the network reads, or null
    std::int64_t* n_changes;       // (size,) out
    std::int64_t follows, width;   // adaptive feedback: where its matrix begins in `feedback`, -1: none; length of its rows
    double keep;                   // what the matrix is multiplied with after an update
    const std::int32_t* pre;       // (places that learn,) sender within its population
};

struct NeuroLearnPairs {           // synapses from one projection that learn by STDP
    std::int64_t first, size;      // its targets
    std::int64_t window;           // signals filtered with the decay of the trace of arrivals
    std::int64_t factor;           // Factor
    std::int64_t at_e, pending;    // where e begins in `trails`, minus the first place; where the targets' records begin
    std::int64_t first_link, n_links;
    std::int64_t rounding;         // Rounding
    std::uint64_t key;             // kStochastic
    double lr, grid, a_plus, a_minus, decay_minus, decay_e, w_min, w_max, mu_plus, mu_minus, baseline;
    const std::int64_t *from, *to; // (size,) places of each target
    const double *low, *high;      // (size,) bounds of a weight
    std::int64_t* n_changes;       // (size,) out
    const std::int64_t* back_row;  // kSupervised: (size + 1,) where the ways of each neuron to the readout begin
    const std::int32_t* back_error;
    const std::int64_t* back_at;
};

struct NeuroLearnNet {
    std::int64_t n_inputs, n_neurons, n_targets, n_columns;
    std::int64_t n_slots;          // max delay + 1
    std::int64_t history, span, tile;
    std::int64_t n_windows, n_errors, n_places, n_trail, n_pending;  // n_places: that learn
    std::int64_t n_populations, n_links, n_judges, n_trails, n_sites, n_pairs;
    const NeuroLearnPopulation* population;
    const NeuroLearnLink* link;
    const NeuroLearnJudge* judge;
    const NeuroLearnTrail* trail;
    const NeuroLearnSite* site;
    const NeuroLearnPairs* pairs;
    const double* decay;           // (n_windows,) of each window; 0 of the first, which holds the signal itself
    const std::int32_t* reach;     // (n_places,) column minus delay rows: where a synapse reads, seen from a step's row
    const std::uint8_t* dense;     // (n_places / kPad,) 1: these kPad synapses read side by side
    const std::int32_t* number;    // (n_places,) of each synapse in its projection
    double* w;                     // every weight
    double* feedback;              // random and adaptive feedback, matrix by matrix (readout units, neurons)
};

struct NeuroLearnState {           // each with a leading axis of samples; zeroed by the kernel before step 0
    double *v, *a, *z, *wait, *input;  // (n_targets,)
    std::int32_t* sent;            // (n_slots, n_sources) who sent
    std::int64_t* n_sent;          // (n_slots,)
    double* windows;               // (n_windows, history + span, n_columns)
    double* psi;                   // (history + span, n_neurons) pseudo-derivative / gamma
    std::uint8_t* cut;             // (history + span, n_neurons) Cut
    double* error;                 // (history + span, n_errors)
    double* trails;                // (n_trail,)
    double* gradient;              // (n_places,)
    double* pending;               // (n_pending, kPending)
};

struct NeuroLearnSignals {         // whole sequences
    std::int64_t first_sample;     // how many the run has learned from before the first of these
    std::int64_t steps;
    const std::int64_t* row;       // (batch * steps + 1,) where the spikes of each (sample, step) begin
    const std::int32_t* source;
    std::int64_t n_currents;
    const std::int32_t* current_source;
    const double* current;         // (batch, steps, n_currents)
    std::int64_t loss;             // Loss
    std::int64_t n_outputs;
    const double* target;          // (batch, steps, n_outputs)
    const double *mask, *given, *chance;   // (batch, steps); given: the teacher's own reward
    const std::uint8_t* choose;    // (batch, steps)
    double right, wrong;
    std::int64_t actor, n_actions; // first target of the readout that acts, -1: none; its size
    double* y;                     // (batch, steps, n_targets - n_neurons) out
    std::int64_t* n_spikes;        // (batch, n_neurons) out, zero before step 0
    std::int64_t* action;          // (batch, steps) out
    double* reward;                // (batch, steps) out
};

}  // extern "C"
