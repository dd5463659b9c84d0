// Pair STDP, and its three-factor form. Twin: neuro/learning/stdp.py, whose order of operations this is.
//
// A synapse is touched when a spike arrives at it or its neuron spikes; with a third factor, at every step at which that is not zero, too.
// The eligibility e of a neuron's synapses decays by one factor, which waits as `scale` for the next touch of all: e = scale * stored.
#pragma once

#include <cstdint>

#include "rounding.h"
#include "sample.h"

namespace {

enum Factor : std::int64_t { kNoFactor = 0, kGlobal = 1, kSupervised = 2 };
constexpr double kLeastScale = 1e-60;  // then e is scaled anew: what arrives is divided by it

// The records of a neuron: trace of its spikes, scale of its synapses' e.
struct PairRecord {
    double post, scale;
};

inline double power(double base, double mu) { return mu == 0.0 ? 1.0 : mu == 1.0 ? base : __builtin_pow(base, mu); }

// One population's synapses of one site at step t.
class Pairs {
    const LearnCall& c_;
    const NeuroLearnPairs& p_;
    const Sample x_;
    const std::int64_t t_;
    const double *const signal_, *const trace_;
    double* const e_;
    double* const w_;
    const double inverse_;
    const std::uint64_t drawn_;
    double post_ = 0.0, scale_ = 1.0;
    std::int64_t j_ = 0;

    // The change that the pairs of this step ask for; z, x: spike of the neuron, arrival.
    double asked(std::int64_t s, double z, double x) const {
        const double span = p_.w_max - p_.w_min;
        const double up = p_.a_plus * (power((p_.w_max - w_[s]) / span, p_.mu_plus) * trace_[c_.net.reach[s]]);
        const double down = p_.a_minus * (power((w_[s] - p_.w_min) / span, p_.mu_minus) * post_);
        return z * up - x * down;
    }

    void move(std::int64_t s, double change) {
        const double wanted = w_[s] + p_.lr * change;
        const Settling by{p_.low[j_], p_.high[j_], p_.grid, inverse_, drawn_};
        const std::int32_t number = c_.net.number[s];
        const double now = p_.rounding == kStochastic   ? settled<kStochastic>(wanted, by, number)
                           : p_.rounding == kHalfToEven ? settled<kHalfToEven>(wanted, by, number)
                                                        : settled<kNone>(wanted, by, number);
        p_.n_changes[j_] += now != w_[s];
        w_[s] = now;
    }

    void take(std::int64_t s, double change) {
        if (p_.factor == kNoFactor) move(s, change);
        else e_[s] += change / scale_;
    }

    double third(std::int64_t b) const {
        const NeuroLearnSignals& in = c_.in;
        const std::int64_t cell = b * in.steps + t_;
        if (p_.factor == kGlobal) return in.reward[cell] - p_.baseline * (in.mask[cell] != 0.0 ? 1.0 : 0.0);
        const double* const error = x_.error + row_of(c_.net, t_, t_) * c_.net.n_errors;
        double sum = 0.0;
        for (std::int64_t i = p_.back_row[j_]; i < p_.back_row[j_ + 1]; ++i) sum += w_[p_.back_at[i]] * error[p_.back_error[i]];
        return -sum;
    }

    void rescale(PairRecord& kept, std::int64_t j) {
        for (std::int64_t s = p_.from[j]; s < p_.to[j]; ++s) e_[s] *= kept.scale;
        kept.scale = 1.0;
    }

  public:
    Pairs(const LearnCall& c, std::int64_t b, const NeuroLearnPairs& p, std::int64_t t)
        : c_(c), p_(p), x_(c, b), t_(t), signal_(x_.windows + row_of(c.net, t, t) * c.net.n_columns),
          trace_(x_.window(c.net, p.window) + row_of(c.net, t, t) * c.net.n_columns), e_(x_.trails + p.at_e), w_(c.net.w),
          inverse_(1.0 / p.grid), drawn_(draw_of(c, b, p.key, t)) {}

    PairRecord* record(std::int64_t j) const {
        return reinterpret_cast<PairRecord*>(x_.pending + p_.pending * neuro::kPending) + j;
    }

    // Let e decay.
    void fade(std::int64_t first, std::int64_t last) {
        for (std::int64_t j = first; j < last && p_.factor != kNoFactor; ++j) {
            PairRecord& kept = *record(j);
            kept.scale *= p_.decay_e;
            if (kept.scale < kLeastScale) rescale(kept, j);
        }
    }

    // What arrives at targets first..last - 1 that do not spike.
    void arrivals(std::int64_t first, std::int64_t last) {
        const std::int64_t n_sources = c_.net.n_inputs + c_.net.n_neurons;
        for (std::int64_t k = p_.first_link; k < p_.first_link + p_.n_links; ++k) {
            const NeuroLearnLink& l = c_.net.link[k];
            if (l.delay > t_) continue;
            const std::int64_t slot = (t_ - l.delay) % c_.net.n_slots;
            const std::int32_t *const list = x_.sent + slot * n_sources, *const end = list + x_.n_sent[slot];
            for (const std::int32_t* s = lower_bound(list, end, l.first_source); s < end && *s < l.first_source + l.n_sources; ++s)
                for (std::int64_t i = l.row[*s - l.first_source]; i < l.row[*s - l.first_source + 1]; ++i)
                    arrives(l.target[i] - p_.first, l.place[i], first, last);
        }
    }

    void arrives(std::int64_t j, std::int64_t s, std::int64_t first, std::int64_t last) {
        if (j < first || j >= last || x_.z[p_.first + j] != 0.0) return;
        j_ = j;
        const PairRecord& kept = *record(j);
        post_ = p_.decay_minus * kept.post;
        scale_ = kept.scale;
        take(s, asked(s, 0.0, 1.0));
    }

    // The neuron's own step, after what arrived.
    void neuron(std::int64_t b, std::int64_t j) {
        j_ = j;
        PairRecord& kept = *record(j);
        const double z = x_.z[p_.first + j];
        post_ = p_.decay_minus * kept.post;
        scale_ = kept.scale;
        if (z != 0.0)
            for (std::int64_t s = p_.from[j]; s < p_.to[j]; ++s) take(s, asked(s, 1.0, signal_[c_.net.reach[s]]));
        if (p_.factor != kNoFactor) {
            const double m = third(b);
            if (m != 0.0) {
                if (scale_ != 1.0) rescale(kept, j);
                for (std::int64_t s = p_.from[j]; s < p_.to[j]; ++s)
                    if (e_[s] != 0.0) move(s, m * e_[s]);
            }
        }
        kept.post = post_ + z;
    }
};

inline void advance_pairs(const LearnCall& c, std::int64_t b, std::int64_t k, std::int64_t first, std::int64_t last, std::int64_t t) {
    Pairs pairs(c, b, c.net.pairs[k], t);
    pairs.fade(first, last);
    pairs.arrivals(first, last);
    for (std::int64_t j = first; j < last; ++j) pairs.neuron(b, j);
}

}  // namespace
