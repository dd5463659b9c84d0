"""The golden model of learning: what a learning run means, in plain numpy. Every backend's rules are compared with it.

The network itself steps by `neuro.graph.reference`; only its weights may change between steps. One step t is, in this order:

1. what was sent arrives, times the weights as they are (a spike in flight is weighed at its arrival);
2. every population advances; readouts give y(t); the teacher judges it: errors, the action, the reward;
3. every site's rule advances by what its synapses can know (`neuro.learning.local`) and gives its part of the gradient;
4. where update is "step", w becomes settle(w - lr gradient), and counts from step t + 1 on.

After the last step the rules `finish`; where update is "episode", w then becomes settle(w - lr sum of gradients). All samples start
from zero state. They run side by side if every rule's update is "batch", else one after the other.
Shapes are (batch, n): n units, or n synapses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Learned, Stimulus, Teacher
from neuro.errors import DataError, UnsupportedError
from neuro.graph import LIF, Graph, Receiver, reference
from neuro.learning import baseline, eprop, feedback, reward, signals, stdp
from neuro.learning.local import FloatArray, Local, RuleSteps, State
from neuro.learning.log import Log
from neuro.learning.plan import Plan, Site, prepare
from neuro.learning.rules import STDP, EProp, RewardEProp, RewardSTDP, Rule

STEPS: dict[type[Rule], RuleSteps] = {EProp: eprop, RewardEProp: reward, STDP: stdp, RewardSTDP: stdp}
"""The step functions of each rule."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """Everything between two steps of a run.

    t: steps done. sample: how many the run has learned from before. neurons: state by population. sent: by population what it sent up to step t - 1, newest first, (1 + longest delay,
    batch, size). rules: state by site. weight: by site. feedback: B by "P/Y". y, reward, action: of step t - 1. gradient: sum
    so far by site, (batch, n). n_updates: changed weights by site.
    """

    t: int
    sample: int
    neurons: dict[str, reference.State]
    sent: dict[str, FloatArray]
    rules: dict[str, State]
    weight: dict[str, FloatArray]
    feedback: dict[str, FloatArray]
    y: dict[str, FloatArray]
    reward: FloatArray
    action: NDArray[np.int64]
    gradient: dict[str, FloatArray]
    n_updates: dict[str, int]


def learn(graph: Graph, stimulus: Stimulus, teacher: Teacher, trajectory_every: int = 0) -> Learned:
    """Run a batch through a graph whose projections carry plasticity, and learn from it.

    trajectory_every: keep the weights after every so many steps; 0: never.
    Raises: what `plan.prepare` raises; DataError for a stimulus or teacher that does not fit.
    """
    return Learner(graph).learn(stimulus, teacher, trajectory_every=trajectory_every)


class Learner:
    """A graph that learns and keeps its weights, and its adaptive feedback, from one call to the next.

    graph: with the present weights. feedback: the present random or adaptive B by "P/Y", (n_Y, n_P); drawn anew
    if there are none. n_samples: how many the run has learned from so far. Raises: DataError if they are not those of the graph.
    """

    def __init__(self, graph: Graph, feedback: Mapping[str, FloatArray] | None = None, n_samples: int = 0) -> None:
        self.graph, self.n_samples = graph, n_samples
        self.feedback = prepare(graph).feedback
        if feedback:
            need = {key: b.shape for key, b in self.feedback.items()}
            got = {key: np.shape(b) for key, b in feedback.items()}
            if got != need:
                raise DataError(
                    f"learn: feedback does not fit the graph (got {got}; need {need}). Keep it with its graph."
                )
            self.feedback = {key: np.array(b, np.float64) for key, b in feedback.items()}

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch and learn from it (`learn`)."""
        plan = prepare(self.graph)
        stimulus.check(self.graph)
        plan.check(teacher, stimulus.batch, stimulus.steps)
        inputs = {p.name: stimulus.dense_input(self.graph, p.name) for p in self.graph.inputs}
        width = stimulus.batch if plan.batched else 1
        log = Log.begin(plan, stimulus.batch, stimulus.steps, trajectory_every)
        weight, matrices = plan.weight, self.feedback
        for first in range(0, stimulus.batch, width):
            rows = slice(first, first + width)
            now = start(plan, width, weight, matrices, self.n_samples + first)
            told = _rows(teacher, rows)
            for t in range(stimulus.steps):
                now = step(plan, now, {name: u[rows, t] for name, u in inputs.items()}, told)
                last = t + 1 == stimulus.steps
                now = finish(plan, now) if last else now
                log.keep_step(rows, t, now.y, now.neurons, now.action, now.reward, now.weight)
            weight, matrices = now.weight, now.feedback
            log.keep_sample(now.gradient, now.n_updates)
            if not plan.batched:
                plan = baseline.after_sample(plan, log.reward[first], told.mask[0])
        learned = log.learned(weight)
        learned = replace(learned, graph=baseline.kept_in(learned.graph, plan))
        self.graph, self.feedback = learned.graph, matrices
        self.n_samples += stimulus.batch
        return learned


def start(
    plan: Plan, batch: int, weight: Mapping[str, FloatArray], matrices: Mapping[str, FloatArray], sample: int = 0
) -> Moment:
    """Return the moment before step 0 of `batch` samples side by side; sample: the number of the first."""
    graph = plan.graph
    kept = 1 + graph.max_delay
    return Moment(
        t=0,
        sample=sample,
        neurons={p.name: reference.start(p, batch) for p in graph.receivers},
        sent={p.name: np.zeros((kept, batch, p.size)) for p in (*graph.inputs, *graph.neurons)},
        rules={s.key: _steps(s).start(s.rule, s.synapses, batch) for s in plan.sites},
        weight=dict(weight),
        feedback=dict(matrices),
        y={p.name: np.zeros((batch, p.size)) for p in graph.readouts},
        reward=np.zeros(batch),
        action=np.full(batch, -1),
        gradient={s.key: np.zeros((batch, s.synapses.size)) for s in plan.sites},
        n_updates={s.key: 0 for s in plan.sites},
    )


def step(plan: Plan, last: Moment, inputs: Mapping[str, FloatArray], teacher: Teacher) -> Moment:
    """Advance a run by one step. inputs, (batch, size): what the inputs send at this step."""
    graph, t = plan.graph, last.t
    sent = {name: _push(old, inputs[name]) if name in inputs else old for name, old in last.sent.items()}
    arrived = {c.name: _arrived(sent[c.source], c.delay - (c.source not in inputs), c.pre) for c in graph.projections}
    current = {p.name: _current(graph, p, arrived, last.weight) for p in graph.receivers}
    neurons = {p.name: reference.step(p, last.neurons[p.name], current[p.name]) for p in graph.receivers}
    y = {p.name: neurons[p.name]["y"] for p in graph.readouts}
    action = signals.act(teacher, y[plan.actor], t) if plan.actor else last.action
    now = replace(last, t=t + 1, neurons=neurons, y=y, action=action, reward=signals.reward(teacher, action, t))
    states, parts = {}, {}
    for site in plan.sites:
        local = _local(plan, site, last, now, arrived, current, teacher)
        states[site.key], parts[site.key] = _steps(site).step(site.rule, site.synapses, last.rules[site.key], local)
    for p in graph.neurons:
        sent[p.name] = _push(sent[p.name], neurons[p.name]["z"])
    return _update(plan, replace(now, sent=sent, rules=states), parts, "step", t)


def finish(plan: Plan, last: Moment) -> Moment:
    """End the samples: what rules know only then, and the updates of "episode"."""
    nothing = replace(last, y={name: np.zeros_like(y) for name, y in last.y.items()}, reward=np.zeros_like(last.reward))
    parts = {}
    for site in plan.sites:
        mask = np.zeros_like(last.reward)
        modulator = np.repeat(_modulator(site, last, nothing, mask)[:, None], site.synapses.size, axis=1)
        parts[site.key] = _steps(site).finish(site.rule, site.synapses, last.rules[site.key], modulator)
    now = _update(plan, last, parts, "step", last.t, fade=False)
    return _update(plan, now, now.gradient, "episode", last.t)


def _push(old: FloatArray, new: FloatArray) -> FloatArray:
    return np.concatenate([new[None], old[:-1]])


def _arrived(sent: FloatArray, age: NDArray[np.int32], pre: NDArray[np.int32]) -> FloatArray:
    """Return what each synapse delivers, (batch, n): what its sender sent `age` entries ago."""
    return np.ascontiguousarray(sent[age, :, pre].T)


def _current(
    graph: Graph, p: Receiver, arrived: Mapping[str, FloatArray], weight: Mapping[str, FloatArray]
) -> FloatArray:
    """Return I(t), (batch, size): the bias and what arrives, times the present weights."""
    batch = next(iter(arrived.values())).shape[0]
    total = np.tile(weight.get(f"bias/{p.name}", p.bias), (batch, 1))
    for c in graph.projections_to(p.name):
        np.add.at(total.T, c.post, (weight.get(c.name, c.weight) * arrived[c.name]).T)
    return total


def _local(plan: Plan, site: Site, last: Moment, now: Moment, arrived: Mapping[str, FloatArray],
           current: Mapping[str, FloatArray], teacher: Teacher) -> Local:  # fmt: skip
    """Gather for each synapse of a site what it can know at this step."""
    p: Any = plan.graph.population(site.target)
    state = now.neurons[site.target]
    shape = (len(now.reward), site.synapses.size)
    units = np.ones((len(now.reward), p.size))
    told = {"psi": 0 * units, "keep": units, "open": units}
    if isinstance(p, LIF):
        told = eprop.neuron(getattr(site.rule, "gamma", 0.0), p, last.neurons[p.name], state, current[p.name])
    errors, bonus = _errors(plan, site, now, teacher)
    return Local(
        x=arrived[site.key] if site.source is not None else np.ones(shape),
        z=state["z"][:, site.post] if isinstance(p, LIF) else np.zeros(shape),
        **{name: values[:, site.post] for name, values in told.items()},
        w=np.broadcast_to(last.weight[site.key], shape),
        signal=_sent_back(site, errors, last, p.size),
        bonus=_sent_back(site, bonus, last, p.size),
        modulator=np.broadcast_to(_modulator(site, last, now, teacher.mask[:, last.t])[:, None], shape),
    )


def _errors(
    plan: Plan, site: Site, now: Moment, teacher: Teacher
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return the errors (batch, K) that a site learns from, by readout, and the ungated bonus."""
    rule, signal, t = site.rule, site.signal, now.t - 1
    if signal is None or not rule.needs_signal:
        return {}, {}
    if not isinstance(rule, RewardEProp):
        return {signal: signals.error(teacher, now.y[signal], t)}, {}
    policy = signals.policy_error(now.y[signal], now.action)
    value = np.full_like(now.y[rule.value], -rule.value_cost)
    return {signal: policy, rule.value: value}, {signal: signals.entropy_error(now.y[signal], now.action)}


def _sent_back(site: Site, errors: Mapping[str, FloatArray], last: Moment, size: int) -> FloatArray:
    """Return the learning signal of each synapse, (filters, batch, n): its own error of a readout, else by feedback."""
    n_filters, batch = len(site.synapses.filters), len(last.reward)
    if site.synapses.readout:
        own = errors.get(site.target, np.zeros((batch, size)))
        return own[None][:, :, site.post]
    routes = tuple(r for r in site.routes if r.readout in errors)
    found = feedback.learning_signal(routes, (n_filters, batch, size), errors, last.weight, last.feedback)
    return found[:, :, site.post]


def _modulator(site: Site, last: Moment, now: Moment, mask: FloatArray) -> FloatArray:
    """Return the one number that a rule tells all its synapses, (batch,)."""
    rule = site.rule
    if isinstance(rule, RewardEProp) and last.t > 0:
        return signals.td_error(last.reward, last.y[rule.value][:, 0], now.y[rule.value][:, 0], rule.discount)
    return baseline.factor(rule, now.reward, mask) if isinstance(rule, RewardSTDP) else np.zeros_like(now.reward)


def _update(plan: Plan, now: Moment, parts: Mapping[str, FloatArray], when: str, t: int, fade: bool = True) -> Moment:
    """Add the gradients of step t to the sums, and change the weights whose time it is."""
    if when == "step":
        now = replace(now, gradient={key: g + parts[key] for key, g in now.gradient.items()})
    weight, counts, change = dict(now.weight), dict(now.n_updates), {}
    for site in plan.sites:
        if site.rule.update == when:
            old = now.weight[site.key]
            wanted = old - site.rule.lr * parts[site.key].sum(axis=0)
            weight[site.key] = site.settled(wanted, now.sample, t)
            change[site.key] = weight[site.key] - old
            counts[site.key] += int(np.count_nonzero(change[site.key]))
    return replace(now, weight=weight, n_updates=counts, feedback=followed(plan, now.feedback, change, fade))


def followed(
    plan: Plan, matrices: Mapping[str, FloatArray], change: Mapping[str, FloatArray], fade: bool = True
) -> dict[str, FloatArray]:
    """Return the feedback after weights changed by `change` (by site): adaptive matrices follow their readout's weights."""
    out = dict(matrices)
    for key, decay in plan.adaptive.items():
        moved = [s for s in plan.sites if s.key in change and f"{s.source}/{s.target}" == key]
        for site in moved:
            out[key] = feedback.follow(out[key], site.pre, site.post, change[site.key])
        if moved and fade:
            out[key] = out[key] * (1 - decay)
    return out


def _steps(site: Site) -> RuleSteps:
    found = STEPS.get(type(site.rule))
    if found is None:
        raise UnsupportedError(
            f"learn: rule '{site.rule.name}' of '{site.key}' has no steps here (got none; need one of "
            f"{', '.join(kind.name for kind in STEPS)}). Use another rule."
        )
    return found


def _rows(teacher: Teacher, rows: slice) -> Teacher:
    """Return some samples of a teacher."""
    names = ("target", "mask", "reward", "choose", "chance")
    return replace(teacher, **{name: getattr(teacher, name)[rows] for name in names})
