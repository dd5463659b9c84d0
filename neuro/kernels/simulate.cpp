// Advance a batch of spiking nets by a number of steps, event by event: the float semantics in IEEE double.
//
// Samples are independent and run in parallel. Built with -ffp-contract=off and without -ffast-math: the order of operations
// below is that of the golden model, neuro/graph/reference.py. Sizes and index ranges are checked by the owner of this
// kernel, neuro/engine/kernel.py; how events travel is in event_driven.h.

#include <cstdint>

#include "event_driven.h"
#include "float_mode.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

enum Kind : std::int32_t { kSubtractThreshold = 0, kSubtractAdaptive = 1, kZero = 2, kReadout = 3 };

}  // namespace

extern "C" {

struct NeuroNet {
    std::int64_t n_sources, n_targets, n_neurons, n_inputs;
    std::int64_t n_slots;          // max delay + 1
    std::int64_t n_populations;    // receiving ones
    const std::int32_t* kind;      // (n_populations,)
    const std::int64_t* first;     // (n_populations + 1,) into targets
    const std::int64_t* row;       // (n_sources + 1,) into the synapses
    const std::int32_t* post;      // (n_synapses,) a target
    const std::int32_t* delay;     // (n_synapses,) steps
    const double* weight;          // (n_synapses,)
    const double* bias;            // (n_targets,) as all below
    const double* leak;            // alpha of neurons, kappa of readouts
    const double* v_th;
    const double* rho;
    const double* beta;
    const std::int32_t* n_ref;
};

struct NeuroState {                // each (batch, n_targets), contiguous; zero before step 0
    double* v;                     // membrane, or y of a readout
    double* a;
    double* r;                     // to be subtracted at the next step
    std::uint8_t* z;
    std::int32_t* wait;            // refractory steps left
    double* ring;                  // (batch, n_slots, n_targets)
};

struct NeuroSignals {              // of the steps to be advanced
    NeuroEvents events;
    std::int64_t n_currents;
    const std::int32_t* current_source;  // (n_currents,) a source
    const double* current;               // (batch, n_steps, n_currents)
};

struct NeuroTrace {
    NeuroSpikes spikes;
    double* v;                     // (batch, n_steps, n_targets) out, or null
    double* a;                     // likewise
};

}  // extern "C"

namespace {

// State of one sample, and one step of it. The functions take plain pointers so that the loops vectorise.
struct Sample {
    double *v, *a, *r;
    std::uint8_t* z;
    std::int32_t* wait;
    double* ring;
};

template <std::int32_t kReset>
void update_neurons(const NeuroNet& net, const Sample& x, const double* input, std::int64_t from, std::int64_t to) {
    for (std::int64_t j = from; j < to; ++j) {
        const double a = net.rho[j] * x.a[j] + static_cast<double>(x.z[j]);
        const double threshold = net.v_th[j] + net.beta[j] * a;
        const double current = net.bias[j] + input[j];
        const bool free = x.wait[j] == 0;
        double v = net.leak[j] * x.v[j] + current;
        if (kReset == kZero)
            v = free ? v : 0.0;
        else
            v = v - x.r[j];
        const bool spike = v > threshold && free;
        x.a[j] = a;
        x.z[j] = spike;
        x.wait[j] = spike ? net.n_ref[j] : (free ? 0 : x.wait[j] - 1);
        if (kReset == kSubtractThreshold) x.r[j] = spike ? net.v_th[j] : 0.0;
        if (kReset == kSubtractAdaptive) x.r[j] = spike ? threshold : 0.0;
        x.v[j] = (kReset == kZero && spike) ? 0.0 : v;
    }
}

void update_readouts(const NeuroNet& net, const Sample& x, const double* input, std::int64_t from, std::int64_t to) {
    for (std::int64_t j = from; j < to; ++j) x.v[j] = net.leak[j] * x.v[j] + (net.bias[j] + input[j]);
}

void update(const NeuroNet& net, const Sample& x, const double* input) {
    for (std::int64_t p = 0; p < net.n_populations; ++p) {
        const std::int64_t from = net.first[p], to = net.first[p + 1];
        switch (net.kind[p]) {
            case kSubtractThreshold: update_neurons<kSubtractThreshold>(net, x, input, from, to); break;
            case kSubtractAdaptive: update_neurons<kSubtractAdaptive>(net, x, input, from, to); break;
            case kZero: update_neurons<kZero>(net, x, input, from, to); break;
            default: update_readouts(net, x, input, from, to);
        }
    }
}

void advance_sample(const NeuroNet& net, const Sample& x, const NeuroSignals& in, const NeuroTrace& out, std::int64_t b,
                    std::int64_t start, std::int64_t n_steps) {
    const auto step = [&](std::int64_t slot, std::int64_t cell, const double* input) {
        for (std::int64_t c = 0; c < in.n_currents; ++c) {
            const double u = in.current[cell * in.n_currents + c];
            if (u != 0.0) neuro::deliver(net, x.ring, slot, in.current_source[c], u);
        }
        update(net, x, input);
        neuro::keep(x.v, out.v, cell, net.n_targets);
        neuro::keep(x.a, out.a, cell, net.n_targets);
    };
    neuro::advance_sample(net, x.ring, x.z, in.events, out.spikes, b, start, n_steps, step);
}

}  // namespace

// Advance every sample from step `start` by n_steps. The state is read and written in place; n_threads >= 1.
extern "C" __attribute__((visibility("default"))) void neuro_advance(const NeuroNet* net, const NeuroState* state,
                                                                      const NeuroSignals* in, const NeuroTrace* out,
                                                                      std::int64_t batch, std::int64_t start,
                                                                      std::int64_t n_steps, std::int32_t n_threads) {
    (void)n_threads;
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
        const neuro::IeeeScope ieee;
#pragma omp for schedule(dynamic, 1)
        for (std::int64_t b = 0; b < batch; ++b) {
            const std::int64_t o = b * net->n_targets;
            const Sample x{state->v + o, state->a + o, state->r + o, state->z + o, state->wait + o,
                           state->ring + o * net->n_slots};
            advance_sample(*net, x, *in, *out, b, start, n_steps);
        }
    }
}
