// The training kernels of one instruction set and one kind of number; dispatch.cpp chooses.
#pragma once

#include <cstdint>

#include "net.h"

namespace neuro {

struct LsnnKernels {
    // Run one block forward. Returns false if there is no memory for its state.
    bool (*forward)(const NeuroLsnnNet&, const NeuroLsnnSignals&, const NeuroLsnnTape&, const NeuroLsnnOutput&,
                    std::int64_t block);
    // Run the blocks of a group backward. Returns false if there is no memory.
    bool (*backward)(const NeuroLsnnNet&, const NeuroLsnnSignals&, const NeuroLsnnTape&, const NeuroLsnnGradient&,
                     std::int64_t group);
    // Return how many of the numbers (n,) are not 0 (NaN is one).
    std::int64_t (*count_places)(std::int64_t n, const void* weight);
    // Write `first` and more for each of those, sorted, into places, which has room for 8 more. Returns how many there are.
    std::int64_t (*find_places)(std::int64_t n, const void* weight, std::int64_t first, std::int64_t* places);
};

extern const LsnnKernels lsnn_baseline_float, lsnn_baseline_double;
#ifdef NEURO_X86_64
extern const LsnnKernels lsnn_avx2_float, lsnn_avx2_double, lsnn_avx512_float, lsnn_avx512_double;
#endif

}  // namespace neuro
