// One block of samples forward through time: spikes are delivered event by event, states advance lane by lane.
//
// A spike of one sample adds the weights of its source to what waits for that sample. In a small net with shared delays it adds a whole
// row of weights, zeros included, to a step that is turned round: vectors of targets, and no index. Else it adds weight by weight.
#pragma once

#include "ring.h"

namespace {

template <class L>
class Forward {
    using Real = typename L::Real;
    using Kept = typename L::Kept;
    using Vector = typename L::Vector;
    using Mask = typename L::Mask;
    static constexpr int kLanes = L::kLanes, kWidth = L::kWidth, kParts = L::kParts;
    // With more spikes than this a source is delivered as whole vectors, else lane by lane.
    static constexpr int kFew = kParts;
    static constexpr std::int64_t kCacheBytes = 16 << 20;
    static constexpr int kDigits = 10;  // of a count that is kept in binary

    const NeuroLsnnNet& net_;
    const NeuroLsnnSignals& in_;
    const NeuroLsnnTape& tape_;
    const NeuroLsnnOutput& out_;
    const std::int64_t block_, n_, n_targets_, first_, n_samples_;
    const std::uint32_t idle_;  // lanes without a sample
    const bool large_;          // psi does not fit a cache
    const Real *bias_, *decay_, *v_th_, *rho_, *beta_;
    Parts parts_;
    const bool whole_;          // rows of weights are added whole
    Rows<L> from_inputs_, from_neurons_;  // with whole rows no more than their delays
    Window<L> window_;          // what waits for each target; with whole rows one step, filled from waiting_
    Turned<L> waiting_;         // with whole rows
    Real* whole_weight_;        // with whole rows (n_sources, rows)
    Real *v_, *a_;              // (n_targets, lanes): v of neurons, y of readouts; (n_neurons, lanes)
    Real* inverse_;             // (n_neurons,) 1 / v_th
    std::uint32_t* blocked_;    // (n_neurons,) refractory
    std::int32_t* sending_;     // (n_inputs + n_neurons + kListed,) those that spike in some lane

  public:
    // An input of delay 0 is delivered before its step is read, a spike after.
    static std::int64_t n_slots(const NeuroLsnnNet& net) {
        const std::int64_t in = net.max_delay_in + 1, between = net.max_delay + (delays_shared(net) ? 0 : 1);
        return in > between ? in : between;
    }

    // Tell whether whole rows of weights cost less than their synapses one by one: kRowVectors vectors of a row about as much as the start
    // of a loop over synapses, and half a vector as much as a synapse (benchmarks/train.py), while the rows stay in a cache. Where more than
    // a share of the input bits are spikes, going by some steps of the first sample, weights are better added to all lanes together. Both
    // ways add in the same order, but for synapses of one pair: a row holds their sum.
    static bool whole_rows(const NeuroLsnnNet& net, const NeuroLsnnSignals& in) {
        constexpr std::int64_t kRowsBytes = 1 << 19, kRowVectors = 13, kEvery = 16, kShare = 5;
        const std::int64_t n_sources = net.n_inputs + net.n_neurons, n_rows = row_count<L>(net);
        if (!delays_shared(net) || in.n_currents || n_sources * n_rows * std::int64_t(sizeof(Real)) > kRowsBytes) return false;
        if (2 * n_sources * (n_rows / kWidth - kRowVectors) > net.n_synapses) return false;
        std::int64_t n_spikes = 0, n_bits = 0;
        for (std::int64_t t = 0; t < in.steps; t += kEvery, n_bits += in.n_spiking)
            for (std::int64_t i = 0; i < in.n_spiking; ++i) n_spikes += in.spikes[t * in.n_spiking + i];
        return kShare * n_spikes <= n_bits;
    }

    static std::int64_t bytes(const NeuroLsnnNet& net, const NeuroLsnnSignals& in) {
        const std::int64_t targets = net.n_neurons + net.n_readouts;
        const bool whole = whole_rows(net, in);
        return Parts::size<Real>(Window<L>::size(net, whole ? 1 : n_slots(net))) +
               (whole ? Parts::size<Real>(Turned<L>::size(net, n_slots(net))) +
                            Parts::size<Real>((net.n_inputs + net.n_neurons) * row_count<L>(net)) : 0) +
               Parts::size<Real>(targets * kLanes) +
               Parts::size<Real>(net.n_neurons * kLanes) + Parts::size<Real>(net.n_neurons) +
               Parts::size<std::uint32_t>(net.n_neurons) + Parts::size<std::int32_t>(net.n_inputs + net.n_neurons + kListed) +
               Rows<L>::bytes(net, 0, whole ? 0 : net.n_inputs) + Rows<L>::bytes(net, net.n_inputs, whole ? 0 : net.n_neurons);
    }

    Forward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
            std::int64_t block, char* scratch)
        : net_(net), in_(in), tape_(tape), out_(out), block_(block), n_(net.n_neurons),
          n_targets_(net.n_neurons + net.n_readouts), first_(block * kLanes),
          n_samples_(in.batch - first_ < kLanes ? in.batch - first_ : kLanes),
          idle_(n_samples_ == kLanes ? 0u : ~0u << n_samples_),
          large_(in.n_blocks * in.steps * net.n_neurons * kLanes * std::int64_t(sizeof(Kept)) > kCacheBytes),
          bias_(static_cast<const Real*>(net.bias)),
          decay_(static_cast<const Real*>(net.decay)), v_th_(static_cast<const Real*>(net.v_th)),
          rho_(static_cast<const Real*>(net.rho)), beta_(static_cast<const Real*>(net.beta)), parts_(scratch),
          whole_(whole_rows(net, in)),
          from_inputs_(net, 0, whole_ ? 0 : net.n_inputs, net.shared_delay_in, parts_),
          from_neurons_(net, net.n_inputs, whole_ ? 0 : net.n_neurons, net.shared_delay, parts_),
          window_(net, whole_ ? 1 : n_slots(net), parts_),
          waiting_(net, whole_ ? n_slots(net) : 0, parts_) {
        if (whole_) lay_out_rows();
        v_ = parts_.take<Real>(n_targets_ * kLanes);
        a_ = parts_.take<Real>(n_ * kLanes);
        inverse_ = parts_.take<Real>(n_);
        for (std::int64_t j = 0; j < n_; ++j) inverse_[j] = Real{1} / v_th_[j];
        blocked_ = parts_.take<std::uint32_t>(n_);
        sending_ = parts_.take<std::int32_t>(net.n_inputs + n_ + kListed);
    }

    void run() {
        for (std::int64_t t = 0; t < in_.steps; ++t) {
            window_.forward_to(t);
            receive(t);
            if (whole_) turn_back(t);
            update(t);
            readouts(t);
            send(t);
            record(t);
        }
        count();
    }

  private:
    Real* slot(std::int64_t t) const { return window_.slot(t); }

    std::uint32_t* fired(std::int64_t t) const { return tape_.fired + (block_ * in_.steps + t) * n_; }

    void lay_out_rows() {
        const std::int64_t n_rows = waiting_.n_rows, n_sources = net_.n_inputs + n_;
        whole_weight_ = parts_.take<Real>(n_sources * n_rows);
        for (std::int64_t k = 0; k < n_sources; ++k)  // += : two synapses may share a pair
            for (std::int64_t s = net_.row[k]; s < net_.row[k + 1]; ++s)
                whole_weight_[k * n_rows + net_.post[s]] += static_cast<const Real*>(net_.weight)[s];
    }

    // Pack what the spiking inputs send at step t, a bit for each lane: eight lanes to a byte, and four bytes to a word. Samples lie far
    // apart, in more streams than a processor follows: ask for what comes two steps later.
    std::uint32_t* pack(std::int64_t t) const {
        constexpr std::int64_t kTile = 64;
        const std::int64_t n = in_.n_spiking, stride = in_.steps * n, ahead = t + 2 < in_.steps ? 2 * n : 0;
        std::uint32_t* const sent = tape_.sent + (block_ * in_.steps + t) * n;
        const std::uint8_t* const first = in_.spikes + (first_ * in_.steps + t) * n;
        for (std::int64_t i = 0; i < n; i += kTile) {
            const std::int64_t width = n - i < kTile ? n - i : kTile;
            std::uint8_t bits[4][kTile] = {};
            for (std::int64_t b = n_samples_ - 1; b >= 0; --b) {
                const std::uint8_t* const row = first + b * stride + i;
                __builtin_prefetch(row + ahead);
                std::uint8_t* const to = bits[b / 8];
                if (width == kTile)
                    for (std::int64_t k = 0; k < kTile; ++k) to[k] = static_cast<std::uint8_t>(2 * to[k] + row[k]);
                else
                    for (std::int64_t k = 0; k < width; ++k) to[k] = static_cast<std::uint8_t>(2 * to[k] + row[k]);
            }
            for (std::int64_t k = 0; k < width; ++k)
                sent[i + k] = bits[0][k] | static_cast<std::uint32_t>(bits[1][k]) << 8 | static_cast<std::uint32_t>(bits[2][k]) << 16 |
                              static_cast<std::uint32_t>(bits[3][k]) << 24;
        }
        return sent;
    }

    // Deliver what the inputs send at step t.
    NEURO_PHASE void receive(std::int64_t t) {
        const std::uint32_t* const sent = pack(t);
        const std::int64_t n_sending = list_set(sent, in_.n_spiking, sending_);
        if (whole_) return add_rows(t + from_inputs_.delay, n_sending, sent, in_.spiking_source);
        deliver_all(t, from_inputs_, n_sending, sent, in_.spiking_source);
        const Way<L> reach(window_, from_inputs_, t);
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

    // Deliver the spikes of step t.
    NEURO_PHASE void send(std::int64_t t) {
        const std::uint32_t* const z = fired(t);
        const std::int64_t n_sending = list_set(z, n_, sending_);
        if (whole_) return add_rows(t + from_neurons_.delay, n_sending, z, nullptr);
        deliver_all(t, from_neurons_, n_sending, z, nullptr);
    }

    // Add the row of weights of each source that sends, in the lanes where it does, to what waits for step t. The sources are those of
    // inputs, or neurons.
    void add_rows(std::int64_t t, std::int64_t n_sending, const std::uint32_t* words, const std::int32_t* input) {
        const std::int64_t n_rows = waiting_.n_rows;
        Real* const waiting = waiting_.slot(t);
        const Real* const rows = whole_weight_ + (input ? 0 : net_.n_inputs * n_rows);
        for_sending(n_sending, sending_, words, input, [=](std::int64_t source, std::uint32_t lanes) {
            const Real* const weight = rows + source * n_rows;
            for (; lanes; lanes &= lanes - 1) {
                Real* const to = waiting + __builtin_ctz(lanes) * n_rows;
#pragma GCC unroll 4
                for (std::int64_t i = 0; i < n_rows; i += kWidth)
                    store(to + i, load<Vector>(to + i) + load<Vector>(weight + i));
            }
        });
    }

    // Turn what waits for step t into lanes.
    NEURO_PHASE void turn_back(std::int64_t t) {
        Real* const from = waiting_.slot(t);
        turn<L>(from, kLanes, waiting_.n_rows, window_.slot(t));
        for (std::int64_t i = 0; i < kLanes * waiting_.n_rows; i += kWidth) store(from + i, Vector{});
    }

    // Add the weights of each source that sends to what waits for its targets, in the lanes where it does.
    void deliver_all(std::int64_t t, const Rows<L>& rows, std::int64_t n_sending, const std::uint32_t* words,
                     const std::int32_t* input) {
        const Way<L> reach(window_, rows, t);
        const std::int64_t* const ends = rows.row;
        const Real* const weight = rows.weight;
        const std::int32_t* const sending = sending_;
        for (std::int64_t k = 0; k < n_sending; ++k) {  // as for_sending, through which g++ 12 makes it a tenth slower at N = 1000
            const std::int64_t place = sending[k], row = input ? input[place] : place, from = ends[row], to = ends[row + 1];
            std::uint32_t lanes = words[place];
            if (__builtin_popcount(lanes) > kFew) {
                deliver_whole(reach, weight, from, to, lanes);
                continue;
            }
            for (; lanes; lanes &= lanes - 1) {
                const Way<L> lane = reach.of_lane(__builtin_ctz(lanes));
                for (std::int64_t s = from; s < to; s += 4) {
                    Real* at[4];
                    lane(s, at);
                    const Real w[4] = {weight[s], weight[s + 1], weight[s + 2], weight[s + 3]};
                    for (int i = 0; i < 4; ++i) *at[i] += w[i];
                }
            }
        }
    }

    void deliver_whole(const Way<L>& reach, const Real* weight, std::int64_t from, std::int64_t to, std::uint32_t lanes) const {
        Real* at[4];
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

    // a = rho a + z(t-1); A = v_th + beta a; v = (alpha v + I) - r; z = v > A and not refractory. What the loop reads lies in
    // locals: a store of a vector may change a member, for all that the compiler knows.
    template <std::int32_t kReset, bool kAdaptive, bool kHeld>
    NEURO_PHASE void neurons(std::int64_t t, std::int64_t p) {
        const std::int64_t step = block_ * in_.steps + t, from = net_.stretch[p], end = net_.stretch[p + 1];
        const std::int64_t kept = step * net_.kept[net_.n_stretches] + net_.kept[p] - from;
        Real *const input = slot(t), *const v_of = v_, *const a_of = a_;
        Kept* const psi_of = tape_.psi ? static_cast<Kept*>(tape_.psi) + step * n_ * kLanes : nullptr;
        Real* const state_of = static_cast<Real*>(tape_.state);
        std::uint32_t *const now_of = fired(t), *const blocked_of = tape_.blocked;
        const std::uint32_t* const last_of = t ? fired(t - 1) : nullptr;
        const Real *const alpha_of = decay_, *const th_of = v_th_, *const rho_of = rho_, *const beta_of = beta_;
        const Real *const bias_of = bias_, *const inverse_of = inverse_;
        const std::int32_t* const n_ref_of = net_.n_ref;
        std::uint32_t* const held_of = blocked_;
        const std::int64_t n = n_;
        const std::uint32_t idle = idle_;
        const bool large = large_;
        for (std::int64_t j = from; j < end; ++j) {
            const std::uint32_t last = last_of ? last_of[j] : 0u;
            std::uint32_t blocked = idle;  // the lanes in which it may not spike: one that spiked in the last n_ref steps, and idle ones
            if (kHeld && n_ref_of[j]) {
                const std::int64_t freeing = 1 + n_ref_of[j];  // steps ago
                const std::uint32_t freed = t >= freeing ? *(now_of + j - freeing * n) : 0u;
                held_of[j] = (held_of[j] | last) & ~freed;
                blocked |= held_of[j];
            }
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
                    L::keep(psi_of + at, L::only((psi > 0) & free, psi), large);
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
    NEURO_PHASE void readouts(std::int64_t t) {
        Real* input = slot(t);
        for (std::int64_t j = n_; j < n_targets_; ++j) {
            Real *y = v_ + j * kLanes, *i = input + j * kLanes;
            for (int k = 0; k < kLanes; ++k) {
                y[k] = decay_[j] * y[k] + ((bias_ ? bias_[j] : Real{0}) + i[k]);
                i[k] = 0;
            }
        }
        write(static_cast<Real*>(out_.y), v_ + n_ * kLanes, n_targets_ - n_, t);
    }

    // Count the spikes of all steps: sums in binary, one digit of all lanes of a neuron in a word, sixteen neurons at a time. Four steps
    // are added up before what they carry goes through the digits.
    NEURO_PHASE void count() const {
        typedef std::uint32_t Words __attribute__((vector_size(64)));
        constexpr std::int64_t kMost = ((1 << kDigits) - 1) / 4 * 4;
        const auto add = [](Words& sum, Words a, Words b) {
            const Words either = sum ^ a, carry = (sum & a) | (either & b);
            sum = either ^ b;
            return carry;
        };
        for (std::int64_t j = 0; j < n_; j += 16) {
            const std::int64_t n = n_ - j < 16 ? n_ - j : 16;
            const auto spikes = [&](std::int64_t t) {
                if (n == 16) return load<Words>(fired(t) + j);
                Words found{};
                for (std::int64_t i = 0; i < n; ++i) found[i] = fired(t)[j + i];
                return found;
            };
            for (std::int64_t t = 0; t < in_.steps;) {
                const std::int64_t end = t + kMost < in_.steps ? t + kMost : in_.steps;
                Words digit[kDigits]{};
                for (; t < end; t += 4) {
                    const Words none{};
                    const Words one = add(digit[0], spikes(t), t + 1 < end ? spikes(t + 1) : none);
                    const Words two = add(digit[0], t + 2 < end ? spikes(t + 2) : none, t + 3 < end ? spikes(t + 3) : none);
                    Words carry = add(digit[1], one, two);
                    for (int d = 2; d < kDigits; ++d) carry = add(digit[d], carry, none);
                }
                t = end;
                for (std::int64_t b = 0; b < n_samples_; ++b) {
                    std::int32_t* const to = out_.n_spikes + (first_ + b) * n_ + j;
                    Words sum{};
                    for (int d = 0; d < kDigits; ++d) sum += (digit[d] >> static_cast<std::uint32_t>(b) & 1u) << d;
                    for (std::int64_t i = 0; i < n; ++i) to[i] += static_cast<std::int32_t>(sum[i]);
                }
            }
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
