// Advance a batch of spiking nets by a number of steps, event by event: the float semantics in IEEE double.
//
// Built with -ffp-contract=off and without -ffast-math: the order of operations below is that of the golden model,
// neuro/graph/reference.py. The update of the neurons is compiled for several instruction sets, chosen at run time; each rounds
// every operation once, so that all give the same bits (neurons.h). Sizes and index ranges are checked by the owner of this kernel,
// neuro/engine/kernel.py; how events travel, and what threads do, is in event_driven.h.

#include <cstdint>

#include "event_driven.h"
#include "neurons.h"
#include "packed.h"
#include "rows.h"

namespace {

enum Column : std::int64_t { kV = 0, kA = 1 };
enum Parameter : int { kBias = 0, kLeak = 1, kVTh = 2, kRho = 3, kBeta = 4, kHold = 5 };
constexpr std::int64_t kAlike = 1 << kLeak | 1 << kVTh | 1 << kRho | 1 << kHold;

}  // namespace

extern "C" {

struct NeuroPopulation {           // receiving ones, in order of their targets
    std::int64_t kind, first, size;
    std::int64_t adapts;           // 0: rho and beta are 0
    std::int64_t uniform;          // bit k: parameter k is one number for all, given kBlock times
    const double* bias;            // (size,) as all below, or (kBlock,)
    const double* leak;            // alpha of neurons, kappa of readouts
    const double* v_th;
    const double* rho;
    const double* beta;
    const std::uint32_t* hold;     // after a spike: 2 n_ref + 1
    double unit;                   // of the sums of a packed graph
};

struct NeuroState {                // each (batch, n_targets), contiguous; zero before step 0
    double* v;                     // membrane, or y of a readout
    double* a;                     // of blocks of neurons where it is of use (Adapting)
    std::uint32_t* hold;           // 2 * (refractory steps left) + (1 if it spiked in this step)
    void* ring;                    // (batch, n_slots, n_targets) doubles, or (batch, n_parts, 2^place_bits) integers of a packed graph
};

}  // extern "C"

namespace {

// Where a of neurons is needed: where beta is not 0, or a is to be kept. Elsewhere it changes nothing that is seen.
class Adapting {
    std::vector<std::int32_t> before_;  // (n_targets + 1,) how many there are before each target

  public:
    Adapting(const NeuroWiring& net, const NeuroPopulation* populations, std::int64_t n, const NeuroOutputs& out)
        : before_(static_cast<std::size_t>(net.n_targets + 1)) {
        for (std::int64_t i = 0; i < n; ++i) {
            const NeuroPopulation& p = populations[i];
            bool kept = false;
            for (std::int64_t k = 0; k < out.n_traces; ++k) kept |= out.trace[k].column == kA && out.trace[k].first == p.first;
            const std::int64_t step = p.uniform >> kBeta & 1 ? 0 : 1;
            for (std::int64_t j = 0; j < p.size; ++j) {
                const bool adapts = p.adapts && (kept || p.beta[j * step] != 0.0);
                const auto at = static_cast<std::size_t>(p.first + j);
                before_[at + 1] = before_[at] + adapts;
            }
        }
    }
    bool any(std::int64_t from, std::int64_t to) const {
        return before_[static_cast<std::size_t>(from)] != before_[static_cast<std::size_t>(to)];
    }
};

// Sums_: how what arrives is summed up, Rows<double, double> or Packed.
template <class Sums_>
class Float {
    using Value = typename Sums_::Value;
    const NeuroWiring& net_;
    const NeuroPopulation* populations_;
    std::int64_t n_populations_;
    const NeuroState& x_;
    const Adapting adapting_;
    neuro::Update<Value> update_;

  public:
    using Sums = Sums_;

    Float(const NeuroWiring& net, const NeuroPopulation* populations, std::int64_t n, const NeuroState& x, const NeuroOutputs& out,
          std::int64_t instructions)
        : net_(net),
          populations_(populations),
          n_populations_(n),
          x_(x),
          adapting_(net, populations, n, out),
          update_(neuro::update_for<Value>(instructions)) {}

    Value* ring(std::int64_t b) const { return static_cast<Value*>(x_.ring) + b * Sums::n_cells(net_); }

    double state(std::int64_t b, std::int64_t column, std::int64_t j) const {
        return (column == kV ? x_.v : x_.a)[b * net_.n_targets + j];
    }

    std::int64_t update(std::int64_t b, std::int64_t part, const Sums& sums, std::int32_t* spikes) const {
        const std::int64_t o = b * net_.n_targets;
        std::int64_t n = 0;
        for (std::int64_t i = 0; i < n_populations_; ++i) {
            const NeuroPopulation& p = populations_[i];
            const std::int64_t end = std::min(net_.bound[part + 1], p.first + p.size);
            std::int64_t size;
            for (std::int64_t j = std::max(net_.bound[part], p.first); j < end; j += size) {
                size = std::min(neuro::kBlock, end - j);
                Value* const input = sums.input(part, j, size);
                const std::int64_t k = j - p.first;
                const auto at = [&](Parameter bit) { return p.uniform >> bit & 1 ? 0 : k; };
                const neuro::Block<Value> block{p.bias + at(kBias), p.leak + at(kLeak), p.v_th + at(kVTh), p.rho + at(kRho),
                                                p.beta + at(kBeta), p.hold + at(kHold), p.unit,            x_.v + o + j,
                                                x_.a + o + j,       input,              x_.hold + o + j,   size,
                                                (~p.uniform & kAlike) == 0};
                n += update_(p.kind, adapting_.any(j, j + size), block, net_.n_inputs + j, spikes + n);
            }
        }
        return n;
    }
};

}  // namespace

// Return the best instruction set that this processor has, one of Instructions.
extern "C" __attribute__((visibility("default"))) std::int64_t neuro_instructions() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return wide ? neuro::kAvx512 : __builtin_cpu_supports("avx2") ? neuro::kAvx2 : neuro::kPlain;
#else
    return neuro::kPlain;
#endif
}

// Advance every sample from step `start` by n_steps. The state is read and written in place. Returns 0, or 1 if the system gave
// no memory or threads: then the state is as it was.
extern "C" __attribute__((visibility("default"))) std::int32_t neuro_advance(
    const NeuroWiring* net, const NeuroPopulation* populations, std::int64_t n_populations, const NeuroState* state,
    const NeuroEvents* in, const NeuroOutputs* out, std::int64_t batch, std::int64_t start, std::int64_t n_steps,
    std::int32_t threading, std::int32_t n_threads, std::int64_t instructions) {
    const auto run = [&](const auto& model) {
        return neuro::advance_batch(model, *net, *in, *out, batch, start, n_steps, threading, n_threads);
    };
    try {
        if (net->place_bits) return run(Float<neuro::Packed>(*net, populations, n_populations, *state, *out, instructions));
        return run(Float<neuro::Rows<double, double>>(*net, populations, n_populations, *state, *out, instructions));
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

// Write where the synapses of each part of the targets begin in each row: twin of neuro.engine.layout.split_rows.
extern "C" __attribute__((visibility("default"))) void neuro_split_rows(const std::int64_t* row, std::int64_t n_sources,
                                                                         const std::int32_t* post, std::int64_t first_target,
                                                                         const std::int64_t* bound, std::int64_t n_parts,
                                                                         std::uint32_t* split) {
    for (std::int64_t i = 0; i < n_sources; ++i) {
        const std::int32_t* from = post + row[i];
        for (std::int64_t h = 1; h < n_parts; ++h) {
            const std::int64_t limit = bound[h] - first_target;
            from = std::lower_bound(from, post + row[i + 1], limit);
            *split++ = static_cast<std::uint32_t>(from - (post + row[i]));
        }
    }
}
