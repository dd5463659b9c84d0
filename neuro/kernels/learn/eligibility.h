// Advance what learning synapses remember, and learn from it.
//
// A synapse is touched only at the steps at which its neuron's pseudo-derivative is not zero. What happens in between is the same
// for all synapses of a neuron, and is kept as a few numbers of the neuron, to be applied at the next touch, n steps after the last:
//   r = rho^n of eps_a;   k = kappa^n of ebar;   q = sum of kappa^m L over these steps, so that G += q ebar.
// Where learning is gated by a reward, F(t) = discount F(t-1) + L(t) ebar(t), and G += delta(t) F(t) at step t + 1, when delta is known:
//   c = discount^n;   m: F = c F + m ebar;   G += s F + q ebar, with the F and ebar of the last touch.
// A tile of steps is done in one go, neuron by neuron: its touches are listed, and a few vectors of synapses run through all of them
// while what they remember stays in registers.
#pragma once

#include <cstdint>

#include "sample.h"
#include "vectors.h"

namespace {

enum Mode : std::int64_t { kFiltered = 0, kDirect = 1, kReward = 2 };
enum Feedback : std::int64_t { kOwnError = 0, kSparse = 1, kDense = 2, kRate = 3 };

struct Touch {
    const double* x;    // the row of the window that is read
    Pending before;     // what happened since the last touch
    double psi, l, rho;  // l: learning signal of mode kDirect
    double keep, open;  // of eps_v, where synapses keep their own
    bool alone;         // eps_v alone goes on
};

struct Places {         // arrays of some synapses of one neuron
    const std::int32_t* reach;
    double *a, *bar, *f, *v, *sum, *gradient;
    double beta;
};

template <std::int64_t kMode, bool kAdapts, bool kSums, bool kOwn, bool kDenseRead, int kN>
inline void run(const Touch* touch, std::int64_t n, const Places& at) {
    Vector a[kN], bar[kN], f[kN], v[kN], sum[kN], g[kN];
    for (int i = 0; i < kN; ++i) {
        if (kAdapts) a[i] = load<Vector>(at.a + i * kWidth);
        if (kMode != kDirect) bar[i] = load<Vector>(at.bar + i * kWidth);
        if (kMode == kReward) f[i] = load<Vector>(at.f + i * kWidth);
        if (kOwn) v[i] = load<Vector>(at.v + i * kWidth);
        if (kSums) sum[i] = load<Vector>(at.sum + i * kWidth);
        g[i] = load<Vector>(at.gradient + i * kWidth);
    }
    for (std::int64_t m = 0; m < n; ++m) {
        const Touch& o = touch[m];
        for (int i = 0; i < kN; ++i) {
            Vector x = fetch<kDenseRead>(o.x, at.reach + i * kWidth);
            if (kOwn) {
                v[i] = o.keep * v[i] + o.open * x;
                x = v[i];
                if (o.alone) continue;
            }
            Vector e;
            if (kAdapts) {
                const Vector before = o.before.r * a[i];
                e = o.psi * (x - at.beta * before);
                a[i] = o.rho * before + e;
            } else {
                e = o.psi * x;
            }
            if (kSums) sum[i] += e;
            if (kMode == kReward) {
                g[i] += o.before.s * f[i];
                f[i] = o.before.c * f[i] + o.before.m * bar[i];
            }
            if (kMode == kDirect) {
                g[i] += o.l * e;
            } else {
                g[i] += o.before.q * bar[i];
                bar[i] = o.before.k * bar[i] + e;
            }
        }
    }
    for (int i = 0; i < kN; ++i) {
        if (kAdapts) store(at.a + i * kWidth, a[i]);
        if (kMode != kDirect) store(at.bar + i * kWidth, bar[i]);
        if (kMode == kReward) store(at.f + i * kWidth, f[i]);
        if (kOwn) store(at.v + i * kWidth, v[i]);
        if (kSums) store(at.sum + i * kWidth, sum[i]);
        store(at.gradient + i * kWidth, g[i]);
    }
}

// Tell whether kN vectors of synapses remember nothing and nothing has come up to the last touch: no touch changes them.
template <std::int64_t kMode, bool kAdapts, bool kDenseRead, int kN>
inline bool asleep(const Touch& last, const Places& at) {
    Mask found{};
    for (int i = 0; i < kN; ++i) {
        found |= fetch<kDenseRead>(last.x, at.reach + i * kWidth) != 0.0;
        if (kAdapts) found |= load<Vector>(at.a + i * kWidth) != 0.0;
        if (kMode != kDirect) found |= load<Vector>(at.bar + i * kWidth) != 0.0;
        if (kMode == kReward) found |= load<Vector>(at.f + i * kWidth) != 0.0;
    }
    return !any(found);
}

template <std::int64_t kMode, bool kAdapts, bool kSums, bool kOwn, int kN>
inline void some(const Touch* touch, std::int64_t n, const Places& at, bool dense, bool plain) {
    if (dense) {
        if (!kOwn && plain && asleep<kMode, kAdapts, true, kN>(touch[n - 1], at)) return;
        run<kMode, kAdapts, kSums, kOwn, true, kN>(touch, n, at);
    } else {
        if (!kOwn && plain && asleep<kMode, kAdapts, false, kN>(touch[n - 1], at)) return;
        run<kMode, kAdapts, kSums, kOwn, false, kN>(touch, n, at);
    }
}

// Run all synapses of neuron j through its touches.
template <std::int64_t kMode, bool kAdapts, bool kSums, bool kOwn>
void synapses(const NeuroLearnNet& net, const NeuroLearnTrail& t, const Sample& x, std::int64_t j, const Touch* touch, std::int64_t n) {
    constexpr int kMost = kMostVectors, kLeast = neuro::kPad / kWidth;
    double* const trails = x.trails;
    for (std::int64_t s = t.row[j], end = t.row[j + 1]; s < end;) {
        const Places at{net.reach + s, trails + t.at_a + s, trails + t.at_bar + s, trails + t.at_f + s,
                        trails + t.at_v + s, trails + t.at_sum + s, x.gradient + s, t.beta[j]};
        if (end - s >= kMost * kWidth) {
            bool dense = true;
            for (int i = 0; i < kMost * kWidth / neuro::kPad; ++i) dense = dense && net.dense[s / neuro::kPad + i];
            some<kMode, kAdapts, kSums, kOwn, kMost>(touch, n, at, dense, t.plain);
            s += kMost * kWidth;
        } else {
            some<kMode, kAdapts, kSums, kOwn, kLeast>(touch, n, at, net.dense[s / neuro::kPad], t.plain);
            s += neuro::kPad;
        }
    }
}

using Synapses = void (*)(const NeuroLearnNet&, const NeuroLearnTrail&, const Sample&, std::int64_t, const Touch*, std::int64_t);

template <std::int64_t kMode, bool kAdapts>
Synapses synapses_of(bool sums, bool own) {
    if (sums) return own ? synapses<kMode, kAdapts, true, true> : synapses<kMode, kAdapts, true, false>;
    return own ? synapses<kMode, kAdapts, false, true> : synapses<kMode, kAdapts, false, false>;
}

inline Synapses synapses_of(const NeuroLearnTrail& t) {
    switch (t.mode) {
        case kFiltered: return t.adapts ? synapses_of<kFiltered, true>(t.sums, t.own) : synapses_of<kFiltered, false>(t.sums, t.own);
        case kDirect: return t.adapts ? synapses_of<kDirect, true>(t.sums, t.own) : synapses_of<kDirect, false>(t.sums, t.own);
        default: return t.adapts ? synapses_of<kReward, true>(t.sums, t.own) : synapses_of<kReward, false>(t.sums, t.own);
    }
}

// Note the learning signal of a step for all that a neuron's synapses remember.
inline void pass(const NeuroLearnTrail& t, double l, Pending& p) {
    if (t.mode == kFiltered) p.q += l * p.k;
    if (t.mode != kReward) return;
    p.c *= t.discount;
    p.m = t.discount * p.m + l * p.k;
}

// Note the TD error of the step before.
inline void gate(double delta, Pending& p) {
    p.s += delta * p.c;
    p.q += delta * p.m;
}

// List the touches of neuron j in steps from..to - 1. signal: (to - from, size). Returns their number.
inline std::int64_t list(const LearnCall& c, const NeuroLearnTrail& t, const Sample& x, std::int64_t j, std::int64_t from, std::int64_t to,
                         std::int64_t now, const double* signal, neuro::Flush flush, Touch* touch) {
    const NeuroLearnNet& net = c.net;
    const bool always = t.adapts || t.sums || t.mode != kDirect;
    double* const kept = x.pending + (t.pending + j) * neuro::kPending;
    Pending p;
    __builtin_memcpy(&p, kept, sizeof p);
    const std::int64_t first_row = row_of(net, from, now);
    const double* row = x.window(net, t.window) + first_row * net.n_columns;
    const double* psi = x.psi + first_row * net.n_neurons + t.first + j;
    const std::uint8_t* cut = x.cut + first_row * net.n_neurons + t.first + j;
    const double* delta = x.error + (first_row + t.delay - 1) * net.n_errors + t.delta;
    std::int64_t n = 0;
    for (std::int64_t s = from; s < to; ++s) {
        const double slope = t.neurons ? t.gamma * *psi : 1.0, l = signal[(s - from) * t.size + j];
        const bool touches = slope != 0.0 && (always || l != 0.0);
        if (t.mode == kReward && s + t.delay - 1 <= now) gate(*delta, p);
        p.k *= t.kappa;
        if (touches || t.own) {
            const std::uint8_t what = t.neurons ? *cut : std::uint8_t{kGoesOn};
            touch[n++] = Touch{row, p, slope, l, t.rho[j], what == kGoesOn ? t.leak[j] : 0.0, what == kHeld ? 0.0 : 1.0, !touches};
        }
        if (touches) p = kNothing;
        else p.r *= t.rho[j];
        pass(t, l, p);
        row += net.n_columns, psi += net.n_neurons, cut += net.n_neurons, delta += net.n_errors;
    }
    if (flush == neuro::kLast && t.mode == kReward && t.delay == 0) gate(*delta, p);
    if (flush && (p.q != 0.0 || p.s != 0.0)) {  // nothing comes, eps_v and eps_a stand still
        const double r = p.r;
        p.r = 1.0;
        touch[n++] = Touch{row - net.n_columns, p, 0.0, 0.0, 1.0, 1.0, 0.0, false};
        p = kNothing;
        p.r = r;
    }
    __builtin_memcpy(kept, &p, sizeof p);
    return n;
}

inline void advance_trails(const LearnCall& c, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last,
                           std::int64_t from, std::int64_t to, std::int64_t now, const double* signal, neuro::Flush flush) {
    const Sample x(c, b);
    const NeuroLearnTrail& t = c.net.trail[k];
    const Synapses advance = synapses_of(t);
    Touch touch[neuro::kMostTile + 1];
    for (std::int64_t j = first; j < last; ++j) {
        const std::int64_t n = list(c, t, x, j, from, to, now, signal, flush, touch);
        if (n) advance(c.net, t, x, j, touch, n);
    }
}

}  // namespace
