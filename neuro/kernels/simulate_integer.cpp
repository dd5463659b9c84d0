// Advance a batch of spiking nets by a number of steps, event by event: the integer semantics of a Loihi-class chip.
//
// The arithmetic is that of the golden model, neuro/graph/reference.py: every
// sum is formed in 64 bits and clipped once to the width of its population, and each clip is counted. What arrives in one
// step fits 32 bits: the rule `integer_sums_fit` of the graph holds sum |w| * 2^(6 + e) below 2^31. Sizes and ranges are
// checked by the owner of this kernel, neuro/engine/integer_kernel.py; how events travel, and what threads do, is in
// event_driven.h.

#include <cstdint>

#include "rows.h"

namespace {

enum Kind : std::int64_t { kSubtractThreshold = 0, kSubtractAdaptive = 1, kZero = 2, kReadout = 3, kAhp = 4 };
enum Column : std::int64_t { kU = 0, kV = 1, kA = 2 };

}  // namespace

extern "C" {

struct NeuroIntPopulation {        // receiving ones, in order of their targets
    std::int64_t kind, first, size;
    std::int64_t max_state;        // largest absolute value of a state, below 2^23
};

struct NeuroIntParameters {        // each (n_targets,)
    const std::int32_t* bias;
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
    std::int64_t* clips;           // (batch, n_parts, n_populations, 3): sums of u, v, a that were clipped
};

}  // extern "C"

namespace {

using Net = NeuroIntParameters;

// State of one sample. The functions take plain pointers so that the loops vectorise.
struct Sample {
    std::int32_t *u, *v, *a, *r;
    std::uint8_t* z;
    std::int32_t* wait;
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
Clips update_neurons(const Net& net, const Sample& x, const std::int32_t* input, std::int64_t from,
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

Clips update_readouts(const Net& net, const Sample& x, const std::int32_t* input, std::int64_t from,
                      std::int64_t to, std::int64_t top) {
    Clips clips;
    for (std::int64_t j = from; j < to; ++j) {
        x.u[j] = clip(decay(x.u[j], net.keep_u[j]) + input[j], top, clips.u);
        x.v[j] = clip(decay(x.v[j], net.keep_v[j]) + x.u[j] + net.bias[j], top, clips.v);
    }
    return clips;
}

Clips update_any(const Net& net, const Sample& x, const std::int32_t* input, std::int64_t kind, std::int64_t from,
                 std::int64_t to, std::int64_t top) {
    switch (kind) {
        case kSubtractThreshold: return update_neurons<kSubtractThreshold>(net, x, input, from, to, top);
        case kSubtractAdaptive: return update_neurons<kSubtractAdaptive>(net, x, input, from, to, top);
        case kZero: return update_neurons<kZero>(net, x, input, from, to, top);
        case kAhp: return update_neurons<kAhp>(net, x, input, from, to, top);
        default: return update_readouts(net, x, input, from, to, top);
    }
}

class Integer {
    const NeuroWiring& net_;
    const NeuroIntPopulation* populations_;
    std::int64_t n_populations_;
    const NeuroIntParameters& parameters_;
    const NeuroIntState& x_;

  public:
    using Sums = neuro::Rows<std::int32_t, std::int32_t>;

    Integer(const NeuroWiring& net, const NeuroIntPopulation* populations, std::int64_t n, const NeuroIntParameters& parameters,
            const NeuroIntState& x)
        : net_(net), populations_(populations), n_populations_(n), parameters_(parameters), x_(x) {}

    std::int32_t* ring(std::int64_t b) const { return x_.ring + b * Sums::n_cells(net_); }

    std::int32_t state(std::int64_t b, std::int64_t column, std::int64_t j) const {
        const std::int32_t* const states[] = {x_.u, x_.v, x_.a};
        return states[column][b * net_.n_targets + j];
    }

    std::int64_t update(std::int64_t b, std::int64_t part, const Sums& sums, std::int32_t* spikes) const {
        const std::int64_t o = b * net_.n_targets, from = net_.bound[part], to = net_.bound[part + 1];
        std::int64_t all = net_.n_targets;
        std::int32_t* const input = sums.input(part, 0, all);
        const Sample x{x_.u + o, x_.v + o, x_.a + o, x_.r + o, x_.z + o, x_.wait + o};
        std::int64_t* clips = x_.clips + (b * net_.n_parts + part) * n_populations_ * 3;
        std::int64_t n = 0;
        for (std::int64_t i = 0; i < n_populations_; ++i, clips += 3) {
            const NeuroIntPopulation& p = populations_[i];
            const std::int64_t begin = std::max(from, p.first), end = std::min(to, p.first + p.size);
            const Clips found = update_any(parameters_, x, input, p.kind, begin, end, p.max_state);
            clips[kU] += found.u;
            clips[kV] += found.v;
            clips[kA] += found.a;
            if (p.kind == kReadout) continue;
            for (std::int64_t j = begin; j < end; ++j)
                if (x.z[j]) spikes[n++] = static_cast<std::int32_t>(net_.n_inputs + j);
        }
        std::fill(input + from, input + to, 0);
        return n;
    }
};

}  // namespace

// Advance every sample from step `start` by n_steps. The state is read and written in place. Returns 0, or 1 if the system gave
// no memory or threads: then the state is as it was.
extern "C" __attribute__((visibility("default"))) std::int32_t neuro_advance_integer(
    const NeuroWiring* net, const NeuroIntPopulation* populations, std::int64_t n_populations,
    const NeuroIntParameters* parameters, const NeuroIntState* state, const NeuroEvents* in, const NeuroOutputs* out,
    std::int64_t batch, std::int64_t start, std::int64_t n_steps, std::int32_t threading, std::int32_t n_threads) {
    const Integer model(*net, populations, n_populations, *parameters, *state);
    return neuro::advance_batch(model, *net, *in, *out, batch, start, n_steps, threading, n_threads);
}
