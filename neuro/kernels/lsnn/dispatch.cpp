// Entry points of the training kernels: choose the instruction set, share blocks among threads.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <type_traits>

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

// Call body(list, place in it, k) for each of n sorted places in lists side by side, up to one that is out of order or in none of them.
// Returns how many it was called for.
template <class Body>
std::int64_t for_places(std::int64_t n_lists, const std::int64_t* end, std::int64_t n, const std::int64_t* places, const Body& body) {
    std::int64_t k = 0;
    for (std::int64_t list = 0; list < n_lists; ++list) {
        const std::int64_t first = list ? end[list - 1] : 0;
        for (; k < n && places[k] < end[list]; ++k) {
            if (places[k] < first) return k;
            body(list, places[k] - first, k);
        }
    }
    return k;
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

// Of n_lists lists of weights side by side, `end` (n_lists,) the position at which each ends: return how many are not 0 (NaN is one).
NEURO_EXPORT std::int64_t neuro_lsnn_count(std::int32_t isa, std::int32_t is_double, std::int64_t n_lists, const void* const* weight,
                                           const std::int64_t* end) {
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < n_lists; ++k) count += kernels(isa, is_double)->count_places(end[k] - (k ? end[k - 1] : 0), weight[k]);
    return count;
}

// Write their positions, sorted, into places, which has room for 8 more.
NEURO_EXPORT void neuro_lsnn_places(std::int32_t isa, std::int32_t is_double, std::int64_t n_lists, const void* const* weight,
                                    const std::int64_t* end, std::int64_t* places) {
    for (std::int64_t k = 0; k < n_lists; ++k) {
        const std::int64_t first = k ? end[k - 1] : 0;
        places += kernels(isa, is_double)->find_places(end[k] - first, weight[k], first, places);
    }
}

// Copy the weights at sorted places (n,) of such lists to values (n,). Returns how many, n unless a place is wrong.
NEURO_EXPORT std::int64_t neuro_lsnn_take(std::int32_t is_double, std::int64_t n_lists, const void* const* weight, const std::int64_t* end,
                                  std::int64_t n, const std::int64_t* places, void* values) {
    const auto copy = [&](auto* to) {
        using Real = std::remove_pointer_t<decltype(to)>;
        return for_places(n_lists, end, n, places, [&](std::int64_t list, std::int64_t at, std::int64_t k) {
            to[k] = static_cast<const Real*>(weight[list])[at];
        });
    };
    return is_double ? copy(static_cast<double*>(values)) : copy(static_cast<float*>(values));
}

// Copy values (n,) to sorted places (n,) of such lists, likewise.
NEURO_EXPORT std::int64_t neuro_lsnn_put(std::int32_t is_double, std::int64_t n_lists, void* const* weight, const std::int64_t* end,
                                 std::int64_t n, const std::int64_t* places, const void* values) {
    const auto copy = [&](const auto* from) {
        using Real = std::remove_const_t<std::remove_pointer_t<decltype(from)>>;
        return for_places(n_lists, end, n, places, [&](std::int64_t list, std::int64_t at, std::int64_t k) {
            static_cast<Real*>(weight[list])[at] = from[k];
        });
    };
    return is_double ? copy(static_cast<const double*>(values)) : copy(static_cast<const float*>(values));
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
