// One block of samples backward through time.
//
// With delta(t) = dL/dI(t), read downward in t:
//
//     dL/dz(t) = sum over synapses of w delta(t + d) + dL/dn_spikes + grad_z(t) - r' delta(t+1) + dL/da(t+1)
//     delta(t) = alpha delta(t+1) + psi(t) dL/dz(t)          readouts: kappa delta(t+1) + grad_y(t)
//     dL/da(t) = rho dL/da(t+1) - beta (psi(t) dL/dz(t) + [adaptive] z(t) delta(t+1))
//
// with r' = v_th (kResetThreshold) or A(t) (kResetAdaptive). kResetZero: the term is -v(t) alpha delta(t+1), v before the
// reset, and alpha delta(t+1) reaches step t only where there was no spike and the neuron was not held at 0.
// dL/dw = sum over t of s(t) delta(t + d), gathered at spikes. Where rows of
// synapses are long and psi is 0 in all lanes, dL/dz is not formed.
#pragma once

#include "ring.h"

// A call puts the sums of a row in memory; inlined, they take more registers than there are where vectors are short.
#if defined(__AVX2__)
#define NEURO_SPREAD_INLINE __attribute__((always_inline))
#else
#define NEURO_SPREAD_INLINE
#endif

namespace {

template <class L>
class Backward {
    using Real = typename L::Real;
    using Kept = typename L::Kept;
    using Vector = typename L::Vector;
    using Mask = typename L::Mask;
    static constexpr int kLanes = L::kLanes, kWidth = L::kWidth, kParts = L::kParts;
    // With more spikes than this, delta is read as whole vectors and summed over lanes.
    static constexpr int kFew = 4 * kParts;
    static constexpr std::int64_t kShortRow = 64;
    // Sums at a time: eight vectors in all, as many as additions that are under way at once; short vectors leave registers for four.
    static constexpr int kVectors = kVectorBytes > 16 ? 8 : 4, kSums = kParts < kVectors ? kVectors / kParts : 1;
    typedef Real Four __attribute__((vector_size(4 * sizeof(Real))));

    const NeuroLsnnNet& net_;
    const NeuroLsnnSignals& in_;
    const NeuroLsnnTape& tape_;
    const NeuroLsnnGradient& grad_;
    const std::int64_t n_, n_targets_;
    const Real *decay_, *v_th_, *rho_, *beta_;
    Real *grad_w_, *grad_bias_;  // of the group
    Parts parts_;
    Rows<L> from_inputs_, from_neurons_;
    Window<L> window_;           // delta
    Real *grad_w_inputs_, *grad_w_neurons_;  // of the synapses in the order of the rows
    Real* grad_a_;               // (n_neurons, lanes)
    Real* grad_each_;            // (n_neurons, lanes) what reaches dL/dz from outside, by sample; or null
    const Real* grad_all_;       // (n_neurons,) likewise, the same for all samples and steps
    std::int32_t* sent_;         // (n_inputs + n_neurons + kListed,) those that spiked in some lane
    const bool short_rows_;      // a branch past one costs more than it saves (benchmarks/train.py)
    Real* peak_;                 // (n_neurons,) dampening / v_th, of psi as it is kept
    std::int64_t block_ = 0, first_ = 0, n_samples_ = 0;

  public:
    // delta(t) is written while others still read delta(t + 1) .. delta(t + max delay).
    static std::int64_t n_slots(const NeuroLsnnNet& net) {
        return (net.max_delay_in > net.max_delay ? net.max_delay_in : net.max_delay) + 1;
    }

    static std::int64_t bytes(const NeuroLsnnNet& net) {
        return Parts::size<Real>(Window<L>::size(net, n_slots(net))) +
               2 * Parts::size<Real>(net.n_neurons * kLanes) +
               2 * Parts::size<Real>(net.n_neurons) + Parts::size<std::int32_t>(net.n_inputs + net.n_neurons + kListed) +
               Parts::size<Real>(Rows<L>::capacity(net, 0, net.n_inputs)) +
               Parts::size<Real>(Rows<L>::capacity(net, net.n_inputs, net.n_neurons)) +
               Rows<L>::bytes(net, 0, net.n_inputs) +
               Rows<L>::bytes(net, net.n_inputs, net.n_neurons);
    }

    Backward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnGradient& grad,
             std::int64_t group, char* scratch)
        : net_(net), in_(in), tape_(tape), grad_(grad), n_(net.n_neurons), n_targets_(net.n_neurons + net.n_readouts),
          decay_(static_cast<const Real*>(net.decay)),
          v_th_(static_cast<const Real*>(net.v_th)), rho_(static_cast<const Real*>(net.rho)),
          beta_(static_cast<const Real*>(net.beta)),
          grad_w_(static_cast<Real*>(grad.weight) + group * net.n_synapses),
          grad_bias_(grad.bias ? static_cast<Real*>(grad.bias) + group * n_targets_ : nullptr), parts_(scratch),
          from_inputs_(net, 0, net.n_inputs, net.shared_delay_in, parts_),
          from_neurons_(net, net.n_inputs, net.n_neurons, net.shared_delay, parts_), window_(net, n_slots(net), parts_),
          short_rows_(from_neurons_.row[n_] < kShortRow * n_) {
        grad_a_ = parts_.take<Real>(n_ * kLanes);
        Real *const each = parts_.take<Real>(n_ * kLanes), *const none = parts_.take<Real>(n_);
        grad_each_ = grad.z || (grad.n_spikes && grad.by_sample) ? each : nullptr;
        grad_all_ = grad.n_spikes && !grad.by_sample ? static_cast<const Real*>(grad.n_spikes) : none;
        peak_ = parts_.take<Real>(n_);
        for (std::int64_t j = 0; j < n_; ++j) peak_[j] = static_cast<Real>(net.dampening) / (v_th_[j] * KeptOf<Real>::kOne);
        sent_ = parts_.take<std::int32_t>(net.n_inputs + n_ + kListed);
        grad_w_inputs_ = parts_.take<Real>(Rows<L>::capacity(net, 0, net.n_inputs));
        grad_w_neurons_ = parts_.take<Real>(Rows<L>::capacity(net, net.n_inputs, n_));
    }

    // Write the weight gradients of all blocks that were run.
    void finish() {
        from_inputs_.unpack(net_, grad_w_inputs_, grad_w_);
        from_neurons_.unpack(net_, grad_w_neurons_, grad_w_);
    }

    void run(std::int64_t block) {
        block_ = block;
        first_ = block * kLanes;
        n_samples_ = in_.batch - first_ < kLanes ? in_.batch - first_ : kLanes;
        window_.start_back(in_.steps + n_slots(net_) - 2);
        for (std::int64_t k = 0; k < n_ * kLanes; ++k) grad_a_[k] = 0;
        for (std::int64_t t = in_.steps - 1; t >= 0; --t) {
            window_.back_to(t);
            read_grad_z(t);
            for (std::int64_t p = 0; p < net_.n_stretches; ++p) stretch(t, p);
            spikes(t);
            readouts(t);
            inputs(t);
            if (grad_bias_) biases(t);
        }
    }

  private:
    // Lay out in lanes what reaches dL/dz of step t from outside, if it differs between samples.
    void read_grad_z(std::int64_t t) {
        const Real *dense = static_cast<const Real*>(grad_.z), *spikes = static_cast<const Real*>(grad_.n_spikes);
        if (!grad_each_) return;
        if (!dense && t != in_.steps - 1) return;  // the same at every step
        for (std::int64_t b = 0; b < n_samples_; ++b) {
            const Real* row = dense ? dense + ((first_ + b) * in_.steps + t) * n_ : nullptr;
            const Real* count = spikes && grad_.by_sample ? spikes + (first_ + b) * n_ : nullptr;
            for (std::int64_t j = 0; j < n_; ++j)
                grad_each_[j * kLanes + b] = (row ? row[j] : Real{0}) + (count ? count[j] : Real{0});
        }
    }

    void stretch(std::int64_t t, std::int64_t p) {
        const Way<L> reach(window_, from_neurons_, t);
        const bool adaptive = net_.adaptive[p] != 0;
        switch (net_.reset[p]) {
            case kResetAdaptive: neurons<kResetAdaptive, true>(reach, t, p); break;
            case kResetZero: adaptive ? neurons<kResetZero, true>(reach, t, p) : neurons<kResetZero, false>(reach, t, p); break;
            default: adaptive ? neurons<kResetThreshold, true>(reach, t, p) : neurons<kResetThreshold, false>(reach, t, p);
        }
    }

    // What the loop reads lies in locals, as in Forward.
    template <std::int32_t kReset, bool kAdaptive>
    NEURO_PHASE void neurons(const Way<L> reach, std::int64_t t, std::int64_t p) {
        const std::int64_t step = block_ * in_.steps + t, end = net_.stretch[p + 1];
        const std::int64_t kept_from = step * net_.kept[net_.n_stretches] + net_.kept[p] - net_.stretch[p];
        const Real *const after = window_.slot(t + 1), *const alpha_of = decay_, *const th_of = v_th_, *const peak_of = peak_;
        const Real *const rho_of = rho_, *const beta_of = beta_;
        const Kept* const psi_of = static_cast<const Kept*>(tape_.psi) + step * n_ * kLanes;
        const std::uint32_t* const fired = tape_.fired + step * n_;
        Real *const here = window_.slot(t), *const grad_a = grad_a_;
        const Real *const each = grad_each_, *const all = grad_all_;
        const std::int64_t* const ends = from_neurons_.row;
        const Real* const weight = from_neurons_.weight;
        const bool always = short_rows_;
        for (std::int64_t j = net_.stretch[p]; j < end; ++j) {
            const Kept* tape = psi_of + j * kLanes;
            const std::uint32_t spiked = fired[j];
            fetch_earlier(tape);
            Vector grad[kParts];
            Mask kept[kParts], some{};
            for (int q = 0; q < kParts; ++q) {
                grad[q] = L::spread(all[j]);
                if (each) grad[q] = grad[q] + load<Vector>(each + j * kLanes + q * kWidth);
                kept[q] = L::recall(tape + q * kWidth);
                some |= kept[q];
            }
            if (always || L::bits(some != 0)) spread_back(reach, weight, ends[j], ends[j + 1], grad);
            const Vector peak = L::spread(peak_of[j]), alpha = L::spread(alpha_of[j]), v_th = L::spread(th_of[j]);
            for (int q = 0; q < kParts; ++q) {
                const std::int64_t at = j * kLanes + q * kWidth;
                const Vector next = load<Vector>(after + at), psi = L::number(kept[q]) * peak;
                Vector flow = alpha * next, g = grad[q];
                if constexpr (kAdaptive) g = g + load<Vector>(grad_a + at);
                if constexpr (kReset == kResetThreshold) g = g - v_th * next;
                if constexpr (kReset == kResetAdaptive) g = g - state(kept_from + j, q) * next;
                if constexpr (kReset == kResetZero) {
                    g = g - state(kept_from + j, q) * flow;
                    flow = L::only(~(L::expand(spiked, q) | L::expand(tape_.blocked[kept_from + j], q)), flow);
                }
                g = g * psi;
                store(here + at, flow + g);
                if constexpr (kReset == kResetAdaptive) g = g + L::only(L::expand(spiked, q), next);
                if constexpr (kAdaptive)
                    store(grad_a + at, L::spread(rho_of[j]) * load<Vector>(grad_a + at) - L::spread(beta_of[j]) * g);
            }
        }
    }

    // Ask for psi of the same neuron one step earlier, the next to be read: backward in steps, no prefetcher of a processor follows.
    void fetch_earlier(const Kept* psi) const {
        const char* earlier = reinterpret_cast<const char*>(psi - n_ * kLanes);
        for (int at = 0; at < int(kLanes * sizeof(Kept)); at += 64) __builtin_prefetch(earlier + at);
    }

    Vector state(std::int64_t kept, int q) const {
        return load<Vector>(static_cast<const Real*>(tape_.state) + kept * kLanes + q * kWidth);
    }

    // grad += sum over the synapses of a source of w delta(t + d), in several sums: one would wait for itself. Loops over sums are
    // unrolled, or GCC would put the sums in memory.
    NEURO_SPREAD_INLINE static void spread_back(const Way<L>& reach, const Real* weight, std::int64_t s, std::int64_t end, Vector* grad) {
        Vector sum[kSums][kParts];
#pragma GCC unroll 8
        for (int k = 0; k < kSums; ++k)
#pragma GCC unroll 8
            for (int q = 0; q < kParts; ++q) sum[k][q] = Vector{};
        for (; s + 8 <= end; s += 8) {
            add_four<0>(reach, weight, s, sum);
            add_four<4>(reach, weight, s + 4, sum);
        }
        if (s < end) add_four<0>(reach, weight, s, sum);
#pragma GCC unroll 8
        for (int k = 0; k < kSums; ++k)
#pragma GCC unroll 8
            for (int q = 0; q < kParts; ++q) grad[q] = grad[q] + sum[k][q];
    }

    template <int kFirst>
    static void add_four(const Way<L>& reach, const Real* weight, std::int64_t s, Vector (*sum)[kParts]) {
        Real* delta[4];
        Vector w[4];
        reach(s, delta);
        L::spread_four(weight + s, w);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k)
#pragma GCC unroll 8
            for (int q = 0; q < kParts; ++q)
                sum[(kFirst + k) % kSums][q] = sum[(kFirst + k) % kSums][q] + w[k] * load<Vector>(delta[k] + q * kWidth);
    }

    // A pass of its own, not a branch in that over neurons: it would be foreseen wrongly, and cost registers there.
    NEURO_PHASE void spikes(std::int64_t t) {
        const std::uint32_t* const fired = tape_.fired + (block_ * in_.steps + t) * n_;
        if (t) fetch(fired - n_, n_);
        gather_all(t, from_neurons_, list_set(fired, n_, sent_), fired, nullptr, grad_w_neurons_);
    }

    // Ask for words of the tape that the next step reads, the first of which it would wait for.
    static void fetch(const std::uint32_t* words, std::int64_t n) {
        for (std::int64_t k = 0; k < n; k += 16) __builtin_prefetch(words + k);
    }

    // dL/dw of the synapses of those sources that spiked += delta(t + d), in the lanes where they did. The sources are those of inputs,
    // or the rows themselves.
    void gather_all(std::int64_t t, const Rows<L>& rows, std::int64_t n_sent, const std::uint32_t* words, const std::int32_t* input,
                    Real* grad_w) const {
        const Way<L> reach(window_, rows, t);
        const std::int64_t* const ends = rows.row;
        for_sending(n_sent, sent_, words, input, [=](std::int64_t source, std::uint32_t lanes) {
            const std::int64_t from = ends[source], to = ends[source + 1];
            if (__builtin_popcount(lanes) > kFew) return gather_whole(reach, from, to, lanes, grad_w);
            for (; lanes; lanes &= lanes - 1) {
                const Way<L> lane = reach.of_lane(__builtin_ctz(lanes));
                for (std::int64_t s = from; s < to; s += 4) {
                    Real* delta[4];
                    lane(s, delta);
                    const Four found = {*delta[0], *delta[1], *delta[2], *delta[3]};
                    store(grad_w + s, load<Four>(grad_w + s) + found);
                }
            }
        });
    }

    NEURO_PHASE static void gather_whole(const Way<L>& reach, std::int64_t from, std::int64_t to, std::uint32_t lanes, Real* grad_w) {
        Real* delta[4];
        Mask where[kParts];
        for (int q = 0; q < kParts; ++q) where[q] = L::expand(lanes, q);
        for (std::int64_t s = from; s < to; s += 4) {
            reach(s, delta);
            for (int k = 0; k < 4; ++k) {
                Vector sum{};
                for (int q = 0; q < kParts; ++q) sum = sum + L::only(where[q], load<Vector>(delta[k] + q * kWidth));
                grad_w[s + k] += total(sum);
            }
        }
    }

    static Real total(Vector x) {
        Real sum = 0;
        for (int k = 0; k < kWidth; ++k) sum += x[k];
        return sum;
    }

    NEURO_PHASE void readouts(std::int64_t t) {
        const Real *const after = window_.slot(t + 1), *const dense = static_cast<const Real*>(grad_.y);
        Real* const here = window_.slot(t);
        const std::int64_t n_out = n_targets_ - n_, n_samples = n_samples_;
        const Real* const rows = dense ? dense + (first_ * in_.steps + t) * n_out : nullptr;
        const std::int64_t stride = in_.steps * n_out;
        for (std::int64_t j = 0; j < n_out; ++j)
            for (int q = 0; q < kParts; ++q) {
                const std::int64_t at = (n_ + j) * kLanes + q * kWidth;
                Vector found{};
                if (rows && n_samples == kLanes) {
                    for (int k = 0; k < kWidth; ++k) found[k] = rows[(q * kWidth + k) * stride + j];
                } else if (rows) {
                    for (int k = 0; k < kWidth; ++k) found[k] = q * kWidth + k < n_samples ? rows[(q * kWidth + k) * stride + j] : 0;
                }
                store(here + at, L::spread(decay_[n_ + j]) * load<Vector>(after + at) + found);
            }
    }

    NEURO_PHASE void inputs(std::int64_t t) {
        const Way<L> reach(window_, from_inputs_, t);
        const std::uint32_t* const sent = tape_.sent + (block_ * in_.steps + t) * in_.n_spiking;
        if (t) fetch(sent - in_.n_spiking, in_.n_spiking);
        gather_all(t, from_inputs_, list_set(sent, in_.n_spiking, sent_), sent, in_.spiking_source, grad_w_inputs_);
        for (std::int64_t c = 0; c < in_.n_currents; ++c) {
            const std::int64_t source = in_.current_source[c];
            alignas(64) Real u[kLanes] = {};
            for (std::int64_t b = 0; b < n_samples_; ++b)
                u[b] = static_cast<const Real*>(in_.currents)[((first_ + b) * in_.steps + t) * in_.n_currents + c];
            Real* delta[4];
            for (std::int64_t s = from_inputs_.row[source]; s < from_inputs_.row[source + 1]; s += 4) {
                reach(s, delta);
                for (int k = 0; k < 4; ++k) {
                    Vector sum{};
                    for (int q = 0; q < kParts; ++q)
                        sum = sum + load<Vector>(u + q * kWidth) * load<Vector>(delta[k] + q * kWidth);
                    grad_w_inputs_[s + k] += total(sum);
                }
            }
        }
    }

    void biases(std::int64_t t) {
        const Real* here = window_.slot(t);
        for (std::int64_t j = 0; j < n_targets_; ++j) {
            Real sum = 0;
            for (std::int64_t b = 0; b < n_samples_; ++b) sum += here[j * kLanes + b];
            grad_bias_[j] += sum;
        }
    }
};

}  // namespace
