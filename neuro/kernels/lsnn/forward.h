// One block of samples forward through time: spikes are delivered event by event, states advance lane by lane.
#pragma once

#include "ring.h"

namespace {

template <class L>
class Forward {
    using Real = typename L::Real;
    using Vector = typename L::Vector;
    using Mask = typename L::Mask;
    static constexpr int kLanes = L::kLanes, kWidth = L::kWidth, kParts = L::kParts;
    // With more spikes than this a source is delivered as whole vectors, else lane by lane.
    static constexpr int kFew = kParts;

    const NeuroLsnnNet& net_;
    const NeuroLsnnSignals& in_;
    const NeuroLsnnTape& tape_;
    const NeuroLsnnOutput& out_;
    const std::int64_t block_, n_, n_targets_, first_, n_samples_;
    const std::uint32_t idle_;  // lanes without a sample
    const Real *weight_, *bias_, *decay_, *v_th_, *rho_, *beta_;
    Ring<L> ring_;
    Real *v_, *a_;              // (n_targets, lanes): v of neurons, y of readouts; (n_neurons, lanes)
    std::uint32_t* blocked_;    // (n_neurons,) refractory
    Reach from_inputs_, from_neurons_;

  public:
    // Return the slots that the ring needs: an input of delay 0 is delivered before its slot is read, a spike after.
    static std::int64_t n_slots(const NeuroLsnnNet& net) {
        return net.max_delay_in + 1 > net.max_delay ? net.max_delay_in + 1 : net.max_delay;
    }

    static std::int64_t bytes(const NeuroLsnnNet& net) {
        const std::int64_t targets = net.n_neurons + net.n_readouts;
        return Parts::size<Real>(n_slots(net) * targets * kLanes) + Parts::size<Real>(targets * kLanes) +
               Parts::size<Real>(net.n_neurons * kLanes) + Parts::size<std::uint32_t>(net.n_neurons) +
               Parts::size<std::int32_t>(net.n_synapses);
    }

    Forward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
            std::int64_t block, char* scratch)
        : net_(net), in_(in), tape_(tape), out_(out), block_(block), n_(net.n_neurons),
          n_targets_(net.n_neurons + net.n_readouts), first_(block * kLanes),
          n_samples_(in.batch - first_ < kLanes ? in.batch - first_ : kLanes),
          idle_(n_samples_ == 32 ? 0u : ~0u << n_samples_),
          weight_(static_cast<const Real*>(net.weight)), bias_(static_cast<const Real*>(net.bias)),
          decay_(static_cast<const Real*>(net.decay)), v_th_(static_cast<const Real*>(net.v_th)),
          rho_(static_cast<const Real*>(net.rho)), beta_(static_cast<const Real*>(net.beta)) {
        Parts parts(scratch);
        const std::int64_t slot = n_targets_ * kLanes;
        ring_ = Ring<L>{parts.take<Real>(n_slots(net) * slot), slot, n_slots(net) * slot};
        v_ = parts.take<Real>(slot);
        a_ = parts.take<Real>(n_ * kLanes);
        blocked_ = parts.take<std::uint32_t>(n_);
        std::int32_t* offset = parts.take<std::int32_t>(net.n_synapses);
        from_inputs_ = find_reach(net, 0, net.n_inputs, slot, kLanes, offset);
        from_neurons_ = find_reach(net, net.n_inputs, net.n_inputs + n_, slot, kLanes, offset);
    }

    void run() {
        for (std::int64_t t = 0; t < in_.steps; ++t) {
            from_inputs_.delay < 0 ? receive<false>(t) : receive<true>(t);
            update(t);
            readouts(t);
            from_neurons_.delay < 0 ? send<false>(t) : send<true>(t);
            record(t);
        }
    }

  private:
    std::uint32_t* fired(std::int64_t t) const { return tape_.fired + (block_ * in_.steps + t) * n_; }

    // Deliver what the inputs send at step t.
    template <bool kOneDelay>
    void receive(std::int64_t t) {
        const Way<L, kOneDelay> reach(ring_, from_inputs_, t);
        std::uint32_t* sent = tape_.sent + (block_ * in_.steps + t) * in_.n_spiking;
        for (std::int64_t i = 0; i < in_.n_spiking; ++i) sent[i] = 0;
        for (std::int64_t b = 0; b < n_samples_; ++b) {
            const std::uint8_t* row = in_.spikes + ((first_ + b) * in_.steps + t) * in_.n_spiking;
            for (std::int64_t i = 0; i < in_.n_spiking; ++i) sent[i] |= static_cast<std::uint32_t>(row[i] != 0) << b;
        }
        for (std::int64_t i = 0; i < in_.n_spiking; ++i)
            if (sent[i]) deliver(reach, in_.spiking_source[i], sent[i]);
        for (std::int64_t c = 0; c < in_.n_currents; ++c) {
            alignas(64) Real u[kLanes] = {};
            for (std::int64_t b = 0; b < n_samples_; ++b)
                u[b] = static_cast<const Real*>(in_.currents)[((first_ + b) * in_.steps + t) * in_.n_currents + c];
            const std::int64_t source = in_.current_source[c];
            for (std::int64_t s = net_.row[source]; s < net_.row[source + 1]; ++s) {
                Real* to = reach(s);
                for (int k = 0; k < kLanes; ++k) to[k] += weight_[s] * u[k];
            }
        }
    }

    // Add the weights of a source to what waits for its targets, in the lanes where it spiked.
    template <class Reaching>
    void deliver(const Reaching& reach, std::int64_t source, std::uint32_t lanes) {
        const std::int64_t from = net_.row[source], to = net_.row[source + 1];
        if (__builtin_popcount(lanes) <= kFew) {
            for (; lanes; lanes &= lanes - 1) {
                const int b = __builtin_ctz(lanes);
                for (std::int64_t s = from; s < to; ++s) reach(s)[b] += weight_[s];
            }
            return;
        }
        Mask where[kParts];
        for (int q = 0; q < kParts; ++q) where[q] = L::expand(lanes, q);
        for (std::int64_t s = from; s < to; ++s) {
            Real* at = reach(s);
            const Vector w = L::spread(weight_[s]);
            for (int q = 0; q < kParts; ++q)
                store(at + q * kWidth, load<Vector>(at + q * kWidth) + L::only(where[q], w));
        }
    }

    void update(std::int64_t t) {
        for (std::int64_t p = 0; p < net_.n_stretches; ++p) {
            const bool adaptive = net_.adaptive[p] != 0;
            switch (net_.reset[p]) {
                case kResetAdaptive: neurons<kResetAdaptive, true>(t, p); break;
                case kResetZero: adaptive ? neurons<kResetZero, true>(t, p) : neurons<kResetZero, false>(t, p); break;
                default: adaptive ? neurons<kResetThreshold, true>(t, p) : neurons<kResetThreshold, false>(t, p);
            }
        }
    }

    // Return the lanes in which neuron j may not spike: one that spiked in the last n_ref steps, and idle ones.
    std::uint32_t advance_refractory(std::int64_t t, std::int64_t j, std::uint32_t last) {
        const std::int64_t n_ref = net_.n_ref[j];
        if (!n_ref) return idle_;
        const std::uint32_t freed = t - 1 - n_ref >= 0 ? fired(t - 1 - n_ref)[j] : 0u;
        blocked_[j] = (blocked_[j] | last) & ~freed;
        return blocked_[j] | idle_;
    }

    // a = rho a + z(t-1); A = v_th + beta a; v = (alpha v + I) - r; z = v > A and not refractory.
    template <std::int32_t kReset, bool kAdaptive>
    void neurons(std::int64_t t, std::int64_t p) {
        const std::int64_t step = block_ * in_.steps + t, from = net_.stretch[p], n_kept = net_.kept[net_.n_stretches];
        Real* input = ring_.slot(t);
        for (std::int64_t j = from; j < net_.stretch[p + 1]; ++j) {
            const std::uint32_t last = t ? fired(t - 1)[j] : 0u, blocked = advance_refractory(t, j, last);
            const Vector v_th = L::spread(v_th_[j]), alpha = L::spread(decay_[j]);
            const Vector bias = L::spread(bias_ ? bias_[j] : Real{0});
            const Real inverse = Real{1} / v_th_[j];
            std::uint32_t now = 0;
            for (int q = 0; q < kParts; ++q) {
                const std::int64_t at = j * kLanes + q * kWidth;
                const Mask z = L::expand(last, q), held = L::expand(blocked, q);
                Vector threshold = v_th, reset = v_th;
                if constexpr (kAdaptive) {
                    const Vector before = load<Vector>(a_ + at);
                    if constexpr (kReset == kResetAdaptive) reset = v_th + L::spread(beta_[j]) * before;
                    const Vector a = L::spread(rho_[j]) * before + L::only(z, L::spread(Real{1}));
                    store(a_ + at, a);
                    threshold = v_th + L::spread(beta_[j]) * a;
                }
                Vector v = alpha * load<Vector>(v_ + at) + (bias + load<Vector>(input + at));
                store(input + at, Vector{});
                if constexpr (kReset == kResetZero)
                    v = L::only(~held, v);
                else
                    v = v - L::only(z, reset);
                const Mask spike = (v > threshold) & ~held;
                now |= L::bits(spike) << (q * kWidth);
                if (tape_.psi) {
                    const Vector x = (v - threshold) * inverse, size = x < 0 ? -x : x;
                    store(static_cast<Real*>(tape_.psi) + (step * n_ + j) * kLanes + q * kWidth,
                          L::only((size < 1) & ~held, 1 - size));
                }
                if constexpr (kReset != kResetThreshold)
                    if (tape_.state)
                        store(static_cast<Real*>(tape_.state) + (step * n_kept + net_.kept[p] + j - from) * kLanes + q * kWidth,
                              kReset == kResetZero ? v : threshold);
                store(v_ + at, kReset == kResetZero ? L::only(~spike, v) : v);
            }
            if (kReset == kResetZero && tape_.blocked) tape_.blocked[step * n_kept + net_.kept[p] + j - from] = blocked;
            fired(t)[j] = now;
        }
    }

    // y = kappa y + I
    void readouts(std::int64_t t) {
        Real* input = ring_.slot(t);
        for (std::int64_t j = n_; j < n_targets_; ++j) {
            Real *y = v_ + j * kLanes, *i = input + j * kLanes;
            for (int k = 0; k < kLanes; ++k) {
                y[k] = decay_[j] * y[k] + ((bias_ ? bias_[j] : Real{0}) + i[k]);
                i[k] = 0;
            }
        }
        write(static_cast<Real*>(out_.y), v_ + n_ * kLanes, n_targets_ - n_, t);
    }

    // Deliver the spikes of step t, and count them.
    template <bool kOneDelay>
    void send(std::int64_t t) {
        const std::uint32_t* z = fired(t);
        const Way<L, kOneDelay> reach(ring_, from_neurons_, t);
        for (std::int64_t j = 0; j < n_; ++j) {
            if (!z[j]) continue;
            deliver(reach, net_.n_inputs + j, z[j]);
            for (std::uint32_t m = z[j]; m; m &= m - 1) ++out_.n_spikes[(first_ + __builtin_ctz(m)) * n_ + j];
        }
    }

    void record(std::int64_t t) {
        if (out_.v) write(static_cast<Real*>(out_.v), v_, n_, t);
        if (out_.a) write(static_cast<Real*>(out_.a), a_, n_, t);
        if (!out_.z) return;
        for (std::int64_t b = 0; b < n_samples_; ++b) {
            Real* row = static_cast<Real*>(out_.z) + ((first_ + b) * in_.steps + t) * n_;
            for (std::int64_t j = 0; j < n_; ++j) row[j] = static_cast<Real>(fired(t)[j] >> b & 1u);
        }
    }

    // Write rows (n, lanes) to their places in an array (batch, steps, n).
    void write(Real* to, const Real* rows, std::int64_t n, std::int64_t t) const {
        for (std::int64_t b = 0; b < n_samples_; ++b) {
            Real* row = to + ((first_ + b) * in_.steps + t) * n;
            for (std::int64_t j = 0; j < n; ++j) row[j] = rows[j * kLanes + b];
        }
    }
};

}  // namespace
