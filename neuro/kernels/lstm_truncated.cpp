// Learn an LSTM of memory blocks on-line, forward in time, by the truncated gradient of Hochreiter & Schmidhuber (1997).
//
// The equations, and the twin in numpy: neuro/learning/lstm.py and lstm_sequence.py. Sizes, types and finiteness are checked by the
// owner, neuro/learning/lstm_kernel.py. What is kept between steps has a size that does not depend on their number. Sums of
// products run in four partial sums, so that results equal the twin's to rounding, not bit for bit.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include "float_mode.h"

extern "C" {

struct NeuroLstmBlocks {
    std::int64_t n_in, n_blocks, n_cells, n_out;  // n_cells: in each block
    std::int64_t n_sources;                       // inputs, cells, [gates,] the constant 1
    std::int64_t forget, gates_feed, cell_bias, readout_bias;  // 0 or 1
    std::int64_t squash;                          // 0: 1997, 1: tanh
    std::int64_t readout;                         // 0: logistic, 1: linear, 2: softmax
};

struct NeuroLstmWeights {  // or a gradient: (n_blocks, n_sources), cell (size, n_sources), readout (n_out, size + 1)
    double *input, *forget, *cell, *output, *readout;
};

struct NeuroLstmSequences {
    std::int64_t n;
    const std::int64_t* lengths;  // (n,)
    const double* inputs;         // (steps, n_in)
    const double* targets;        // (steps, n_out)
    const std::uint8_t* at;       // (steps,)
    double* outputs;              // (steps, n_out)
    double* losses;               // (n,)
};

}  // extern "C"

namespace {

enum Update : std::int64_t { kRun = 0, kGradient = 1, kSequence = 2, kStep = 3 };
enum Readout : std::int64_t { kLogistic = 0, kLinear = 1, kSoftmax = 2 };
using Row = std::vector<double>;

double sigmoid(double x) {
    const double e = std::exp(-std::fabs(x));
    return (x >= 0 ? 1.0 : e) / (1.0 + e);
}

double dot(const double* __restrict a, const double* __restrict b, std::int64_t n) {
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    std::int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    for (; i < n; ++i) s0 += a[i] * b[i];
    return (s0 + s1) + (s2 + s3);
}

// y = keep * y + factor * x
void decay_add(double* __restrict y, double keep, double factor, const double* __restrict x, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = keep * y[i] + factor * x[i];
}

void add(double* __restrict y, double factor, const double* __restrict x, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

class Learner {
  public:
    Learner(const NeuroLstmBlocks& b, const NeuroLstmWeights& w, const NeuroLstmWeights& gradient, double lr, Update update)
        : b_(b), w_(w), grad_(gradient), lr_(lr), update_(update), size_(b.n_blocks * b.n_cells), n_(b.n_sources),
          m_(n_), in_(b.n_blocks), phi_(b.n_blocks), out_(b.n_blocks), g_(size_), dg_(size_), s_(size_), before_(size_),
          hs_(size_), dhs_(size_), h_(size_ + 1), delta_(b.n_out) {
        if (update == kRun) return;
        d_in_.resize(size_ * n_);
        d_phi_.resize(b.forget ? size_ * n_ : 0);
        d_cell_.resize(size_ * n_);
    }

    // Learn one sequence; return its loss.
    double sequence(const double* x, const double* target, const std::uint8_t* at, double* y, std::int64_t n_steps) {
        rest();
        double loss = 0;
        for (std::int64_t t = 0; t < n_steps; ++t, x += b_.n_in, target += b_.n_out, y += b_.n_out) {
            forward(x, y);
            if (update_ == kRun) continue;
            derivatives();
            if (!at[t]) continue;
            loss += compare(y, target);
            accumulate();
            if (update_ == kStep) descend();
        }
        if (update_ == kSequence) descend();
        return loss;
    }

  private:
    void rest() {
        for (Row* r : {&m_, &s_, &h_, &d_in_, &d_phi_, &d_cell_, &in_, &phi_, &out_}) std::fill(r->begin(), r->end(), 0.0);
        m_[n_ - 1] = h_[size_] = 1.0;
    }

    void forward(const double* x, double* y) {
        std::copy(x, x + b_.n_in, m_.begin());
        std::copy(h_.begin(), h_.end() - 1, m_.begin() + b_.n_in);
        if (b_.gates_feed) {
            auto to = std::copy(in_.begin(), in_.end(), m_.begin() + b_.n_in + size_);
            if (b_.forget) to = std::copy(phi_.begin(), phi_.end(), to);
            std::copy(out_.begin(), out_.end(), to);
        }
        for (std::int64_t j = 0; j < b_.n_blocks; ++j) {
            in_[j] = sigmoid(dot(w_.input + j * n_, m_.data(), n_));
            phi_[j] = b_.forget ? sigmoid(dot(w_.forget + j * n_, m_.data(), n_)) : 1.0;
            out_[j] = sigmoid(dot(w_.output + j * n_, m_.data(), n_));
        }
        for (std::int64_t c = 0, j = 0; j < b_.n_blocks; ++j)
            for (std::int64_t v = 0; v < b_.n_cells; ++v, ++c) {
                squash(dot(w_.cell + c * n_, m_.data(), n_), 4.0, g_[c], dg_[c]);
                before_[c] = s_[c];
                s_[c] = phi_[j] * s_[c] + in_[j] * g_[c];
                squash(s_[c], 2.0, hs_[c], dhs_[c]);
                h_[c] = out_[j] * hs_[c];
            }
        for (std::int64_t k = 0; k < b_.n_out; ++k) {
            y[k] = dot(w_.readout + k * (size_ + 1), h_.data(), size_ + 1);
            if (b_.readout == kLogistic) y[k] = sigmoid(y[k]);
        }
        if (b_.readout == kSoftmax) softmax(y);
    }

    void squash(double x, double width, double& y, double& slope) const {
        if (b_.squash) {
            y = std::tanh(x);
            slope = 1.0 - y * y;
        } else {
            const double p = sigmoid(x);
            y = width * p - width / 2;
            slope = width * p * (1.0 - p);
        }
    }

    void softmax(double* y) const {
        const double most = *std::max_element(y, y + b_.n_out);
        double sum = 0;
        for (std::int64_t k = 0; k < b_.n_out; ++k) sum += y[k] = std::exp(y[k] - most);
        for (std::int64_t k = 0; k < b_.n_out; ++k) y[k] /= sum;
    }

    void derivatives() {
        for (std::int64_t c = 0, j = 0; j < b_.n_blocks; ++j)
            for (std::int64_t v = 0; v < b_.n_cells; ++v, ++c) {
                decay_add(&d_cell_[c * n_], phi_[j], in_[j] * dg_[c], m_.data(), n_);
                decay_add(&d_in_[c * n_], phi_[j], g_[c] * (in_[j] * (1 - in_[j])), m_.data(), n_);
                if (b_.forget) decay_add(&d_phi_[c * n_], phi_[j], before_[c] * (phi_[j] * (1 - phi_[j])), m_.data(), n_);
            }
    }

    // Set delta_, the derivative of the loss with respect to the output units' net inputs; return the loss.
    double compare(const double* y, const double* target) {
        double loss = 0;
        for (std::int64_t k = 0; k < b_.n_out; ++k) {
            delta_[k] = y[k] - target[k];
            if (b_.readout == kSoftmax)
                loss -= target[k] * std::log(std::max(y[k], 2.2250738585072014e-308));  // the smallest normal double
            else
                loss += 0.5 * delta_[k] * delta_[k];
            if (b_.readout == kLogistic) delta_[k] *= y[k] * (1.0 - y[k]);
        }
        return loss;
    }

    void accumulate() {
        for (std::int64_t c = 0, j = 0; j < b_.n_blocks; ++j) {
            double through_out = 0;
            for (std::int64_t v = 0; v < b_.n_cells; ++v, ++c) {
                double e = 0;
                for (std::int64_t k = 0; k < b_.n_out; ++k) e += w_.readout[k * (size_ + 1) + c] * delta_[k];
                through_out += e * hs_[c];
                const double e_s = e * out_[j] * dhs_[c];
                add(grad_.input + j * n_, e_s, &d_in_[c * n_], n_);
                if (b_.forget) add(grad_.forget + j * n_, e_s, &d_phi_[c * n_], n_);
                add(grad_.cell + c * n_, e_s, &d_cell_[c * n_], n_ - !b_.cell_bias);
            }
            add(grad_.output + j * n_, out_[j] * (1 - out_[j]) * through_out, m_.data(), n_);
        }
        for (std::int64_t k = 0; k < b_.n_out; ++k)
            add(grad_.readout + k * (size_ + 1), delta_[k], h_.data(), size_ + b_.readout_bias);
    }

    void descend() {
        const std::int64_t gates = b_.n_blocks * n_;
        descend(w_.input, grad_.input, gates);
        if (b_.forget) descend(w_.forget, grad_.forget, gates);
        descend(w_.cell, grad_.cell, size_ * n_);
        descend(w_.output, grad_.output, gates);
        descend(w_.readout, grad_.readout, b_.n_out * (size_ + 1));
    }

    void descend(double* __restrict w, double* __restrict gradient, std::int64_t n) const {
        for (std::int64_t i = 0; i < n; ++i) {
            w[i] -= lr_ * gradient[i];
            gradient[i] = 0.0;
        }
    }

    const NeuroLstmBlocks& b_;
    NeuroLstmWeights w_, grad_;
    double lr_;
    Update update_;
    std::int64_t size_, n_;
    Row m_, in_, phi_, out_, g_, dg_, s_, before_, hs_, dhs_, h_, delta_;  // h_ ends with the constant 1, as m_ does
    Row d_in_, d_phi_, d_cell_;                                            // ds/dw, (size, n_sources)
};

}  // namespace

// Go through the sequences one after another, each from rest. update: 0 only writes outputs; 1 adds the gradient of all to
// `gradient`; 2 and 3 change the weights at the end of each sequence or at each step with a target, and leave `gradient` 0.
// Return 0, or 1 if there is no memory.
extern "C" __attribute__((visibility("default"))) std::int32_t neuro_lstm_learn(
    const NeuroLstmBlocks* blocks, const NeuroLstmWeights* weights, const NeuroLstmWeights* gradient,
    const NeuroLstmSequences* data, double lr, std::int64_t update) {
    const neuro::IeeeScope ieee;
    try {
        Learner learner(*blocks, *weights, *gradient, lr, static_cast<Update>(update));
        const double *x = data->inputs, *target = data->targets;
        const std::uint8_t* at = data->at;
        double* y = data->outputs;
        for (std::int64_t i = 0; i < data->n; ++i) {
            const std::int64_t n_steps = data->lengths[i];
            data->losses[i] = learner.sequence(x, target, at, y, n_steps);
            x += n_steps * blocks->n_in;
            target += n_steps * blocks->n_out;
            at += n_steps;
            y += n_steps * blocks->n_out;
        }
    } catch (const std::bad_alloc&) {
        return 1;
    }
    return 0;
}
