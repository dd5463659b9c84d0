// Advance a batch of spiking nets by a number of steps, event by event: the integer semantics of a Loihi-class chip.
//
// Samples are independent and run in parallel. The arithmetic is that of the golden model, neuro/graph/reference.py: every
// sum is formed in 64 bits and clipped once to the width of its population, and each clip is counted. What arrives in one
// step fits 32 bits: the rule `integer_sums_fit` of the graph holds sum |w| * 2^(6 + e) below 2^31. Sizes and ranges are
// checked by the owner of this kernel, neuro/engine/integer_kernel.py; how events travel is in event_driven.h.

#include <cstdint>

#include "event_driven.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

enum Kind : std::int32_t { kSubtractThreshold = 0, kSubtractAdaptive = 1, kZero = 2, kReadout = 3, kAhp = 4 };

}  // namespace

extern "C" {

struct NeuroIntNet {
    std::int64_t n_sources, n_targets, n_neurons, n_inputs;
    std::int64_t n_slots;          // max delay + 1
    std::int64_t n_populations;    // receiving ones
    const std::int32_t* kind;      // (n_populations,)
    const std::int32_t* max_state; // (n_populations,) largest absolute value of a state, below 2^23
    const std::int64_t* first;     // (n_populations + 1,) into targets
    const std::int64_t* row;       // (n_sources + 1,) into the synapses
    const std::int32_t* post;      // (n_synapses,) a target
    const std::int32_t* delay;     // (n_synapses,) steps
    const std::int32_t* weight;    // (n_synapses,) w * 2^(6 + e)
    const std::int32_t* bias;      // (n_targets,) as all below
    const std::int32_t* keep_u;    // 4095 - d_u
    const std::int32_t* keep_v;    // 4096 - d_v, of a readout 4096 - d_y
    const std::int32_t* v_th;      // v_th * 2^6
    const std::int32_t* keep_a;    // 4096 - d_a or 4096 - d_x
    const std::int32_t* jump;      // bump or w_x
    const std::int32_t* n_ref;
};

struct NeuroIntState {             // each (batch, n_targets) unless said otherwise, contiguous; zero before step 0
    std::int32_t* u;               // synaptic current
    std::int32_t* v;               // membrane, or y of a readout
    std::int32_t* a;               // adaptation, or x of an AHP neuron
    std::int32_t* r;               // to be subtracted at the next step
    std::uint8_t* z;
    std::int32_t* wait;            // refractory steps left
    std::int32_t* ring;            // (batch, n_slots, n_targets)
    std::int64_t* clips;           // (batch, n_populations, 3): sums of u, v, a that were clipped
};

struct NeuroIntTrace {
    NeuroSpikes spikes;
    std::int32_t* u;               // (batch, n_steps, n_targets) out, or null
    std::int32_t* v;               // likewise
    std::int32_t* a;               // likewise
};

}  // extern "C"

namespace {

// State of one sample. The functions take plain pointers so that the loops vectorise.
struct Sample {
    std::int32_t *u, *v, *a, *r;
    std::uint8_t* z;
    std::int32_t* wait;
    std::int32_t* ring;
    std::int64_t* clips;
};

// Clips of one population in one step: u, v or y, a or x.
struct Clips {
    std::int64_t u = 0, v = 0, a = 0;
};

// sign(x) * ((|x| * keep) >> 12): toward zero. A quotient of signed numbers truncates likewise.
inline std::int64_t decay(std::int64_t x, std::int64_t keep) { return x * keep / 4096; }

inline std::int32_t clip(std::int64_t sum, std::int64_t top, std::int64_t& clips) {
    clips += sum > top || sum < -top;
    return static_cast<std::int32_t>(sum > top ? top : (sum < -top ? -top : sum));
}

template <std::int32_t kKind>
Clips update_neurons(const NeuroIntNet& net, const Sample& x, const std::int32_t* input, std::int64_t from,
                     std::int64_t to, std::int64_t top) {
    constexpr bool kHeld = kKind == kZero || kKind == kAhp;  // reset to zero, and held there while refractory
    Clips clips;
    for (std::int64_t j = from; j < to; ++j) {
        const std::int32_t u = clip(decay(x.u[j], net.keep_u[j]) + input[j], top, clips.u);
        const std::int32_t jump = x.z[j] ? net.jump[j] : 0;
        const std::int32_t a = clip(decay(x.a[j], net.keep_a[j]) + jump, top, clips.a);
        const std::int32_t threshold = kKind == kAhp ? net.v_th[j] : net.v_th[j] + a;
        const bool free = x.wait[j] == 0;
        std::int64_t sum = decay(x.v[j], net.keep_v[j]) + u + net.bias[j];
        if (kKind == kAhp) sum += a;
        sum = kHeld ? (free ? sum : 0) : sum - x.r[j];
        const std::int32_t v = clip(sum, top, clips.v);
        const bool spike = v > threshold && free;
        x.u[j] = u;
        x.a[j] = a;
        x.v[j] = kHeld && spike ? 0 : v;
        x.z[j] = spike;
        x.wait[j] = spike ? net.n_ref[j] : (free ? 0 : x.wait[j] - 1);
        if (kKind == kSubtractThreshold) x.r[j] = spike ? net.v_th[j] : 0;
        if (kKind == kSubtractAdaptive) x.r[j] = spike ? threshold : 0;
    }
    return clips;
}

Clips update_readouts(const NeuroIntNet& net, const Sample& x, const std::int32_t* input, std::int64_t from,
                      std::int64_t to, std::int64_t top) {
    Clips clips;
    for (std::int64_t j = from; j < to; ++j) {
        x.u[j] = clip(decay(x.u[j], net.keep_u[j]) + input[j], top, clips.u);
        x.v[j] = clip(decay(x.v[j], net.keep_v[j]) + x.u[j] + net.bias[j], top, clips.v);
    }
    return clips;
}

Clips update_population(const NeuroIntNet& net, const Sample& x, const std::int32_t* input, std::int64_t p) {
    const std::int64_t from = net.first[p], to = net.first[p + 1], top = net.max_state[p];
    switch (net.kind[p]) {
        case kSubtractThreshold: return update_neurons<kSubtractThreshold>(net, x, input, from, to, top);
        case kSubtractAdaptive: return update_neurons<kSubtractAdaptive>(net, x, input, from, to, top);
        case kZero: return update_neurons<kZero>(net, x, input, from, to, top);
        case kAhp: return update_neurons<kAhp>(net, x, input, from, to, top);
        default: return update_readouts(net, x, input, from, to, top);
    }
}

void advance_sample(const NeuroIntNet& net, const Sample& x, const NeuroEvents& in, const NeuroIntTrace& out,
                    std::int64_t b, std::int64_t start, std::int64_t n_steps) {
    const auto step = [&](std::int64_t, std::int64_t cell, const std::int32_t* input) {
        for (std::int64_t p = 0; p < net.n_populations; ++p) {
            const Clips clips = update_population(net, x, input, p);
            x.clips[3 * p] += clips.u;
            x.clips[3 * p + 1] += clips.v;
            x.clips[3 * p + 2] += clips.a;
        }
        neuro::keep(x.u, out.u, cell, net.n_targets);
        neuro::keep(x.v, out.v, cell, net.n_targets);
        neuro::keep(x.a, out.a, cell, net.n_targets);
    };
    neuro::advance_sample(net, x.ring, x.z, in, out.spikes, b, start, n_steps, step);
}

}  // namespace

// Advance every sample from step `start` by n_steps. The state is read and written in place; n_threads >= 1.
extern "C" __attribute__((visibility("default"))) void neuro_advance_integer(
    const NeuroIntNet* net, const NeuroIntState* state, const NeuroEvents* in, const NeuroIntTrace* out,
    std::int64_t batch, std::int64_t start, std::int64_t n_steps, std::int32_t n_threads) {
    (void)n_threads;
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads) if (n_threads > 1)
    for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t o = b * net->n_targets;
        const Sample x{state->u + o,    state->v + o,    state->a + o,
                       state->r + o,    state->z + o,    state->wait + o,
                       state->ring + o * net->n_slots, state->clips + 3 * b * net->n_populations};
        advance_sample(*net, x, *in, *out, b, start, n_steps);
    }
}
