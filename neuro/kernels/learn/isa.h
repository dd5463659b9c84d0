// The learning kernel of one instruction set; learn.cpp chooses, and calls these in turn.
#pragma once

#include <cstdint>

#include "net.h"

namespace neuro {

enum LearnSizes : std::int64_t { kPad = 8, kPending = 6, kMostTile = 32 };

// Whether learning signals that wait for the next touch are learned from now: at every step where weights change at every step, and
// after the last step of a sample.
enum Flush : std::int32_t { kWait = 0, kNow = 1, kLast = 2 };

// One run of the kernel; learning signals of a tile are handed from `signals` to `trails`.
struct LearnCall {
    const NeuroLearnNet& net;
    const NeuroLearnState& state;
    const NeuroLearnSignals& in;
};

struct LearnKernels {
    void (*reset)(const LearnCall&, std::int64_t b);
    // Advance the network from step `from` to step `to`, both in one tile.
    void (*network)(const LearnCall&, std::int64_t b, std::int64_t from, std::int64_t to);
    // Filter what arrived in these steps.
    void (*filter)(const LearnCall&, std::int64_t b, std::int64_t from, std::int64_t to);
    // Learning signals of trail k in its steps from..to - 1 into signal, (to - from, size); now: the last step that the network did.
    void (*signals)(const LearnCall&, std::int64_t b, std::int64_t k, std::int64_t from, std::int64_t to, std::int64_t now,
                    double* signal);
    // Advance the eligibility of targets first..last - 1 of trail k.
    void (*trails)(const LearnCall&, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last, std::int64_t from,
                   std::int64_t to, std::int64_t now, const double* signal, Flush flush);
    // Advance targets first..last - 1 of the STDP synapses k by step t, which the network has done, and change their weights.
    void (*pairs)(const LearnCall&, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last, std::int64_t t);
    // Add the gradient of the rate's loss to the targets first..last - 1 of site k.
    void (*rates)(const LearnCall&, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last);
    // Change the weights of targets first..last - 1 of site k by their gradient, and clear that; t: the step, after the last of a sample
    // their number; fade: what follows them shrinks, too.
    void (*update)(const LearnCall&, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last, std::int64_t t, bool fade);
    // Close the last step: what only a step more would tell.
    void (*end)(const LearnCall&, std::int64_t b);
};

extern const LearnKernels learn_baseline;
#ifdef NEURO_X86_64
extern const LearnKernels learn_avx2, learn_avx512;
#endif

}  // namespace neuro
