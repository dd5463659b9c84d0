// Judge what the readouts say: errors, the action, the reward, the TD error. Twin: neuro/learning/signals.py.
#pragma once

#include <cstdint>

#include "sample.h"

namespace {

enum Judge : std::int64_t { kTaught = 0, kPolicy = 1, kValue = 2, kEntropy = 3 };
enum Loss : std::int64_t { kNoLoss = 0, kSoftmax = 1, kRegression = 2 };

// Write exp(y_k - max y) and return their sum.
inline double powers(const double* y, std::int64_t n, double* to) {
    double most = y[0], sum = 0.0;
    for (std::int64_t k = 1; k < n; ++k) most = y[k] > most ? y[k] : most;
    for (std::int64_t k = 0; k < n; ++k) sum += to[k] = __builtin_exp(y[k] - most);
    return sum;
}

inline void softmax(const double* y, std::int64_t n, double* to) {
    const double sum = powers(y, n, to);
    for (std::int64_t k = 0; k < n; ++k) to[k] /= sum;
}

// Draw the action of step t, and give the reward of it. `room` holds n_actions numbers.
inline void act(const LearnCall& c, const Sample& x, std::int64_t cell, double* room) {
    const NeuroLearnSignals& in = c.in;
    std::int64_t action = -1;
    if (in.actor >= 0 && in.choose[cell]) {
        softmax(x.v + in.actor, in.n_actions, room);
        double sum = 0.0;
        for (action = 0; action < in.n_actions - 1; ++action)  // a sum that rounds below chance leaves the last
            if ((sum += room[action]) > in.chance[cell]) break;
    }
    double reward = in.given[cell];
    if (action >= 0 && in.n_outputs > 0) {
        const double* const target = in.target + cell * in.n_outputs;
        double wanted = target[0];
        for (std::int64_t k = 1; k < in.n_outputs; ++k) wanted = target[k] > wanted ? target[k] : wanted;
        reward += target[action] == wanted ? in.right : in.wrong;
    }
    in.action[cell] = action;
    in.reward[cell] = reward;
}

inline void taught(const NeuroLearnSignals& in, const double* y, std::int64_t n, std::int64_t cell, double* error) {
    const double* const target = in.target + cell * in.n_outputs;
    const double mask = in.loss == kNoLoss ? 0.0 : in.mask[cell];
    if (mask == 0.0) {
        for (std::int64_t k = 0; k < n; ++k) error[k] = 0.0;
        return;
    }
    if (in.loss == kRegression) {
        for (std::int64_t k = 0; k < n; ++k) error[k] = (y[k] - target[k]) * mask;
        return;
    }
    softmax(y, n, error);
    for (std::int64_t k = 0; k < n; ++k) error[k] = (error[k] - target[k]) * mask;
}

// The derivatives of -log pi_a and of -H(pi), where an action was drawn.
inline void policy(const double* y, std::int64_t n, std::int64_t action, double* error) {
    softmax(y, n, error);
    error[action] -= 1.0;
}

inline void entropy(const double* y, std::int64_t n, double scale, double* error) {
    double most = y[0], h = 0.0;
    for (std::int64_t k = 1; k < n; ++k) most = y[k] > most ? y[k] : most;
    const double log_sum = __builtin_log(powers(y, n, error));
    for (std::int64_t k = 0; k < n; ++k) {
        const double log_pi = y[k] - most - log_sum;
        h -= __builtin_exp(log_pi) * log_pi;
    }
    for (std::int64_t k = 0; k < n; ++k) {
        const double log_pi = y[k] - most - log_sum;
        error[k] = scale * (__builtin_exp(log_pi) * (log_pi + h));
    }
}

// delta(t - 1) = r(t - 1) + discount V(t) - V(t - 1), into the row of step t - 1; V of that step is kept in the row's next column.
inline void td_error(const LearnCall& c, const Sample& x, const NeuroLearnJudge& j, std::int64_t b, std::int64_t t, double value) {
    const NeuroLearnNet& net = c.net;
    if (t == 0) return;
    double* const before = x.error + row_of(net, t - 1, t) * net.n_errors;
    before[j.delta] = c.in.reward[b * c.in.steps + t - 1] + j.discount * value - before[j.delta + 1];
}

inline void judge_all(const LearnCall& c, const Sample& x, std::int64_t b, std::int64_t t) {
    const NeuroLearnNet& net = c.net;
    const std::int64_t n_readouts = net.n_targets - net.n_neurons, cell = b * c.in.steps + t;
    __builtin_memcpy(c.in.y + cell * n_readouts, x.v + net.n_neurons, static_cast<std::size_t>(n_readouts) * sizeof(double));
    act(c, x, cell, x.input);
    const std::int64_t action = c.in.action[cell];
    double* const row = x.error + row_of(net, t, t) * net.n_errors;
    for (std::int64_t i = 0; i < net.n_judges; ++i) {
        const NeuroLearnJudge& j = net.judge[i];
        const double* const y = x.v + j.first_target;
        double* const error = row + j.column;
        if (j.kind == kTaught)
            taught(c.in, y, j.size, cell, error);
        else if (j.kind == kValue)
            for (std::int64_t k = 0; k < j.size; ++k) error[k] = j.scale;
        else if (action < 0)
            for (std::int64_t k = 0; k < j.size; ++k) error[k] = 0.0;
        else if (j.kind == kPolicy)
            policy(y, j.size, action, error);
        else
            entropy(y, j.size, j.scale, error);
        if (j.delta >= 0) {
            td_error(c, x, j, b, t, x.v[j.value]);
            row[j.delta + 1] = x.v[j.value];
        }
    }
}

// After the last step: V is 0 then.
inline void judge_end(const LearnCall& c, std::int64_t b) {
    const Sample x(c, b);
    const std::int64_t t = c.in.steps - 1;
    for (std::int64_t i = 0; i < c.net.n_judges; ++i) {
        const NeuroLearnJudge& j = c.net.judge[i];
        double* const row = x.error + row_of(c.net, t, t) * c.net.n_errors;
        if (j.delta >= 0) row[j.delta] = c.in.reward[b * c.in.steps + t] - row[j.delta + 1];
    }
}

}  // namespace
