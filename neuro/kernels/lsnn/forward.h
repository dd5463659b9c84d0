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
    static constexpr std::int64_t kCacheBytes = 16 << 20;

    const NeuroLsnnNet& net_;
    const NeuroLsnnSignals& in_;
    const NeuroLsnnTape& tape_;
    const NeuroLsnnOutput& out_;
    const std::int64_t block_, n_, n_targets_, first_, n_samples_;
    const std::uint32_t idle_;  // lanes without a sample
    const bool large_;          // psi does not fit a cache
    const Real *bias_, *decay_, *v_th_, *rho_, *beta_;
    Parts parts_;
    Rows<L> from_inputs_, from_neurons_;
    Ring<L> ring_;
    Real *v_, *a_;              // (n_targets, lanes): v of neurons, y of readouts; (n_neurons, lanes)
    Real* inverse_;             // (n_neurons,) 1 / v_th
    std::uint32_t* blocked_;    // (n_neurons,) refractory
    std::int32_t* sending_;     // (larger of n_inputs, n_neurons,) those that spike in some lane

  public:
    // Return the slots that the ring needs: an input of delay 0 is delivered before its slot is read, a spike after.
    static std::int64_t n_slots(const NeuroLsnnNet& net) {
        return net.max_delay_in + 1 > net.max_delay ? net.max_delay_in + 1 : net.max_delay;
    }

    static std::int64_t bytes(const NeuroLsnnNet& net) {
        const std::int64_t targets = net.n_neurons + net.n_readouts;
        return Parts::size<Real>(n_slots(net) * targets * kLanes) + Parts::size<Real>(targets * kLanes) +
               Parts::size<Real>(net.n_neurons * kLanes) + Parts::size<Real>(net.n_neurons) +
               Parts::size<std::uint32_t>(net.n_neurons) + Parts::size<std::int32_t>(net.n_inputs + net.n_neurons + 1) +
               Rows<L>::bytes(net, 0, net.n_inputs) + Rows<L>::bytes(net, net.n_inputs, net.n_neurons);
    }

    Forward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
            std::int64_t block, char* scratch)
        : net_(net), in_(in), tape_(tape), out_(out), block_(block), n_(net.n_neurons),
          n_targets_(net.n_neurons + net.n_readouts), first_(block * kLanes),
          n_samples_(in.batch - first_ < kLanes ? in.batch - first_ : kLanes),
          idle_(n_samples_ == 32 ? 0u : ~0u << n_samples_),
          large_(in.n_blocks * in.steps * net.n_neurons * kLanes * std::int64_t(sizeof(Real)) > kCacheBytes),
          bias_(static_cast<const Real*>(net.bias)),
          decay_(static_cast<const Real*>(net.decay)), v_th_(static_cast<const Real*>(net.v_th)),
          rho_(static_cast<const Real*>(net.rho)), beta_(static_cast<const Real*>(net.beta)), parts_(scratch), from_inputs_(net, 0, net.n_inputs, parts_),
          from_neurons_(net, net.n_inputs, net.n_neurons, parts_) {
        const std::int64_t slot = n_targets_ * kLanes;
        ring_ = Ring<L>{parts_.take<Real>(n_slots(net) * slot), slot, n_slots(net) * slot};
        v_ = parts_.take<Real>(slot);
        a_ = parts_.take<Real>(n_ * kLanes);
        inverse_ = parts_.take<Real>(n_);
        for (std::int64_t j = 0; j < n_; ++j) inverse_[j] = Real{1} / v_th_[j];
        blocked_ = parts_.take<std::uint32_t>(n_);
        sending_ = parts_.take<std::int32_t>(net.n_inputs + n_ + 1);
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
        const std::int64_t n_sending = list_set(sent, in_.n_spiking, sending_);
        for (std::int64_t k = 0; k < n_sending; ++k)
            deliver(reach, from_inputs_, in_.spiking_source[sending_[k]], sent[sending_[k]]);
        for (std::int64_t c = 0; c < in_.n_currents; ++c) {
            alignas(64) Real u[kLanes] = {};
            for (std::int64_t b = 0; b < n_samples_; ++b)
                u[b] = static_cast<const Real*>(in_.currents)[((first_ + b) * in_.steps + t) * in_.n_currents + c];
            const std::int64_t source = in_.current_source[c];
            Real* to[4];
            for (std::int64_t s = from_inputs_.row[source]; s < from_inputs_.row[source + 1]; s += 4) {
                reach(s, to);
                for (int i = 0; i < 4; ++i)
                    for (int k = 0; k < kLanes; ++k) to[i][k] += from_inputs_.weight[s + i] * u[k];
            }
        }
    }

    // Add the weights of a source to what waits for its targets, in the lanes where it spiked.
    template <class Reaching>
    void deliver(const Reaching& reach, const Rows<L>& rows, std::int64_t source, std::uint32_t lanes) {
        const std::int64_t from = rows.row[source], to = rows.row[source + 1];
        const Real* const weight = rows.weight;
        Real* at[4];
        if (__builtin_popcount(lanes) <= kFew) {
            for (; lanes; lanes &= lanes - 1) {
                const int b = __builtin_ctz(lanes);
                for (std::int64_t s = from; s < to; s += 4) {
                    reach(s, at);
                    for (int k = 0; k < 4; ++k) at[k][b] += weight[s + k];
                }
            }
            return;
        }
        Mask where[kParts];
        for (int q = 0; q < kParts; ++q) where[q] = L::expand(lanes, q);
        for (std::int64_t s = from; s < to; s += 4) {
            reach(s, at);
            for (int k = 0; k < 4; ++k) {
                const Vector w = L::spread(weight[s + k]);
                for (int q = 0; q < kParts; ++q)
                    store(at[k] + q * kWidth, load<Vector>(at[k] + q * kWidth) + L::only(where[q], w));
            }
        }
    }

    void update(std::int64_t t) {
        for (std::int64_t p = 0; p < net_.n_stretches; ++p) may_hold(p) ? choose<true>(t, p) : choose<false>(t, p);
    }

    // Tell whether there are lanes in which a neuron of a stretch may not spike.
    bool may_hold(std::int64_t p) const {
        if (idle_) return true;
        for (std::int64_t j = net_.stretch[p]; j < net_.stretch[p + 1]; ++j)
            if (net_.n_ref[j]) return true;
        return false;
    }

    template <bool kHeld>
    void choose(std::int64_t t, std::int64_t p) {
        const bool adaptive = net_.adaptive[p] != 0;
        switch (net_.reset[p]) {
            case kResetAdaptive: neurons<kResetAdaptive, true, kHeld>(t, p); break;
            case kResetZero:
                adaptive ? neurons<kResetZero, true, kHeld>(t, p) : neurons<kResetZero, false, kHeld>(t, p);
                break;
            default:
                adaptive ? neurons<kResetThreshold, true, kHeld>(t, p) : neurons<kResetThreshold, false, kHeld>(t, p);
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

    // a = rho a + z(t-1); A = v_th + beta a; v = (alpha v + I) - r; z = v > A and not refractory. What the loop reads lies in
    // locals: a store of a vector may change a member, for all that the compiler knows.
    template <std::int32_t kReset, bool kAdaptive, bool kHeld>
    void neurons(std::int64_t t, std::int64_t p) {
        const std::int64_t step = block_ * in_.steps + t, from = net_.stretch[p], end = net_.stretch[p + 1];
        const std::int64_t kept = step * net_.kept[net_.n_stretches] + net_.kept[p] - from;
        Real *const input = ring_.slot(t), *const v_of = v_, *const a_of = a_;
        Real* const psi_of = tape_.psi ? static_cast<Real*>(tape_.psi) + step * n_ * kLanes : nullptr;
        Real* const state_of = static_cast<Real*>(tape_.state);
        std::uint32_t *const now_of = fired(t), *const blocked_of = tape_.blocked;
        const std::uint32_t* const last_of = t ? fired(t - 1) : nullptr;
        const Real *const alpha_of = decay_, *const th_of = v_th_, *const rho_of = rho_, *const beta_of = beta_;
        const Real *const bias_of = bias_, *const inverse_of = inverse_;
        const bool large = large_;
        for (std::int64_t j = from; j < end; ++j) {
            const std::uint32_t last = last_of ? last_of[j] : 0u;
            const std::uint32_t blocked = kHeld ? advance_refractory(t, j, last) : 0u;
            const Vector v_th = L::spread(th_of[j]), alpha = L::spread(alpha_of[j]), inverse = L::spread(inverse_of[j]);
            const Vector bias = L::spread(bias_of ? bias_of[j] : Real{0});
            std::uint32_t now = 0;
            for (int q = 0; q < kParts; ++q) {
                const std::int64_t at = j * kLanes + q * kWidth;
                const Mask z = L::expand(last, q), free = kHeld ? ~L::expand(blocked, q) : ~Mask{};
                Vector threshold = v_th, reset = v_th;
                if constexpr (kAdaptive) {
                    const Vector before = load<Vector>(a_of + at);
                    if constexpr (kReset == kResetAdaptive) reset = v_th + L::spread(beta_of[j]) * before;
                    const Vector a = L::spread(rho_of[j]) * before + L::only(z, L::spread(Real{1}));
                    store(a_of + at, a);
                    threshold = v_th + L::spread(beta_of[j]) * a;
                }
                Vector v = alpha * load<Vector>(v_of + at) + (bias + load<Vector>(input + at));
                store(input + at, Vector{});
                if constexpr (kReset == kResetZero)
                    v = L::only(free, v);
                else
                    v = v - L::only(z, reset);
                const Mask spike = (v > threshold) & free;
                now |= L::bits(spike) << (q * kWidth);
                if (psi_of) {
                    const Vector x = (v - threshold) * inverse, psi = 1 - (x < 0 ? -x : x);
                    const Vector kept_psi = L::only((psi > 0) & free, psi);
                    large ? stream(psi_of + at, kept_psi) : store(psi_of + at, kept_psi);
                }
                if constexpr (kReset != kResetThreshold)
                    if (state_of) store(state_of + (kept + j) * kLanes + q * kWidth, kReset == kResetZero ? v : threshold);
                store(v_of + at, kReset == kResetZero ? L::only(~spike, v) : v);
            }
            if (kReset == kResetZero && blocked_of) blocked_of[kept + j] = blocked;
            now_of[j] = now;
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
        const std::int64_t n_sending = list_set(z, n_, sending_);
        for (std::int64_t k = 0; k < n_sending; ++k) {
            const std::int64_t j = sending_[k];
            deliver(reach, from_neurons_, j, z[j]);
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
