// Entry points of the training kernels: choose the instruction set, share blocks among threads.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "../float_mode.h"
#include "../threads.h"
#include "isa.h"

namespace {

constexpr std::int32_t kBaseline = 0;
#ifdef NEURO_X86_64
constexpr std::int32_t kAvx2 = 1, kAvx512 = 2;
#endif

const neuro::LsnnKernels* kernels(std::int32_t isa, bool is_double) {
#ifdef NEURO_X86_64
    if (isa == kAvx512) return is_double ? &neuro::lsnn_avx512_double : &neuro::lsnn_avx512_float;
    if (isa == kAvx2) return is_double ? &neuro::lsnn_avx2_double : &neuro::lsnn_avx2_float;
#endif
    return isa == kBaseline ? (is_double ? &neuro::lsnn_baseline_double : &neuro::lsnn_baseline_float) : nullptr;
}

// Return whether every one of n parts had its memory.
template <class Run>
bool run_all(std::int64_t n, std::int64_t n_threads, bool is_double, const Run& run) {
    std::atomic<bool> good{true};
    const auto body = [&](std::int64_t k) {
        if (!run(k)) good = false;
    };
    if (is_double)
        neuro::for_each<neuro::IeeeScope>(n, n_threads, body);
    else
        neuro::for_each<neuro::FlushScope>(n, n_threads, body);
    return good;
}

// Write every position to the next free place and advance past those that count: no branch that half of them would miss.
template <class Real>
std::int64_t find_places(std::int64_t n, const Real* weight, std::int64_t* places) {
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < n; ++k) {
        places[count] = k;
        count += weight[k] != 0;
    }
    return count;
}

}  // namespace

#define NEURO_EXPORT extern "C" __attribute__((visibility("default")))

// Return the best instruction set that this machine runs: 0 baseline, 1 AVX2 with FMA, 2 AVX-512.
NEURO_EXPORT std::int32_t neuro_lsnn_isa() {
#ifdef NEURO_X86_64
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        return kAvx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2;
#endif
    return kBaseline;
}

// Find the numbers that are not 0 (NaN is one): their positions, sorted, into places (n,). Returns how many there are.
NEURO_EXPORT std::int64_t neuro_lsnn_places(std::int32_t is_double, std::int64_t n, const void* weight, std::int64_t* places) {
    return is_double ? find_places(n, static_cast<const double*>(weight), places)
                     : find_places(n, static_cast<const float*>(weight), places);
}

// Sort synapses into rows by source, stably: row (n_sources + 1,) and order (n,) out, order[k] the synapse at place k.
NEURO_EXPORT void neuro_lsnn_rows(std::int64_t n, const std::int32_t* pre, std::int64_t n_sources, std::int64_t* row,
                                  std::int32_t* order) {
    std::fill(row, row + n_sources + 1, 0);
    for (std::int64_t s = 0; s < n; ++s) ++row[pre[s] + 1];
    for (std::int64_t i = 0; i < n_sources; ++i) row[i + 1] += row[i];
    for (std::int64_t s = 0; s < n; ++s) order[row[pre[s]]++] = static_cast<std::int32_t>(s);
    for (std::int64_t i = n_sources; i > 0; --i) row[i] = row[i - 1];
    row[0] = 0;
}

// Run every block forward. Returns 0, or 1 if memory ran out.
NEURO_EXPORT std::int32_t neuro_lsnn_forward(std::int32_t isa, std::int32_t is_double, const NeuroLsnnNet* net,
                                             const NeuroLsnnSignals* in, const NeuroLsnnTape* tape,
                                             const NeuroLsnnOutput* out, std::int32_t n_threads) {
    const neuro::LsnnKernels* k = kernels(isa, is_double);
    return !run_all(in->n_blocks, n_threads, is_double,
                    [&](std::int64_t block) { return k->forward(*net, *in, *tape, *out, block); });
}

// Run every group of blocks backward. Returns 0, or 1 if memory ran out. The result does not depend on n_threads.
NEURO_EXPORT std::int32_t neuro_lsnn_backward(std::int32_t isa, std::int32_t is_double, const NeuroLsnnNet* net,
                                              const NeuroLsnnSignals* in, const NeuroLsnnTape* tape,
                                              const NeuroLsnnGradient* grad, std::int32_t n_threads) {
    const neuro::LsnnKernels* k = kernels(isa, is_double);
    return !run_all(grad->n_groups, n_threads, is_double,
                    [&](std::int64_t group) { return k->backward(*net, *in, *tape, *grad, group); });
}
