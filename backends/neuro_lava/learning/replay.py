"""Run reward-modulated STDP on Lava's learning engine, with given spikes at both ends. Needs lava.

Three Processes: a stock RingBuffer with what arrives, a stock LearningDense with a `Loihi3FLearningRule`, and `Post`, which
plays the neurons: their spikes, and the traces that a neuron sends a learning connection. All see step t in Lava step t + 1.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.neuron import LearningNeuronModelFixed, LearningNeuronModelFloat
from lava.magma.core.process.neuron import LearningNeuronProcess
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import PyLearningDenseModelBitApproximate, PyLearningDenseModelFloat
from lava.proc.dense.process import LearningDense
from lava.proc.io.source import PySendModelFixed, PySendModelFloat, RingBuffer
from lava.proc.monitor.models import PyMonitorModel
from lava.proc.monitor.process import Monitor
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray

from neuro.graph import Graph
from neuro_lava.learning.rstdp import TRACE_MAX, Learner, Numbers, Spikes, numbers, read
from neuro_lava.simulation import Models, quiet

FloatArray = NDArray[np.float64]


def learn(
    graph: Graph, name: str, spikes: Spikes, *, model: str = "float", epoch: int = 1, seed: int = 1
) -> FloatArray:
    """Let a projection's weights learn from given spikes, and return them after each step, (steps, n_synapses).

    Parameters: model, "float" or "fixed", Lava's two models of LearningDense; epoch, steps between changes of weights; seed, of
    the fixed model's stochastic rounding.
    Raises: UnsupportedError for what the engine cannot hold; DataError for spikes that do not fit.
    """
    learner = read(graph, name)
    spikes.check(learner)
    made = numbers(learner, spikes, model, epoch)
    tags = {"float": "floating_pt", "fixed": "fixed_pt"}
    with quiet():
        source, dense, _ = build(learner, spikes, made, epoch, seed)
        monitor, steps = Monitor(), len(spikes.factor) + 1
        monitor.probe(dense.weights, steps)
        try:
            chosen = Loihi2SimCfg(select_tag=tags[model], exception_proc_model_map=Models(_MODELS[model]))
            source.run(RunSteps(steps), chosen)
            ((found,),) = (each.values() for each in monitor.get_data().values())
        finally:
            source.stop()
    return learner.synapses(np.asarray(found, np.float64)[1:] / made.unit)


def build(learner: Learner, spikes: Spikes, made: Numbers, epoch: int, seed: int) -> tuple[Any, Any, Any]:
    """Return the Processes, connected: the source of arrivals, the learning connection, the neurons."""
    n_post, n_pre = learner.weight.shape
    rule = Loihi3FLearningRule(
        dw=made.dw, dt=made.dt, x1_impulse=made.x1, x1_tau=learner.tau_plus, t_epoch=epoch, rng_seed=seed
    )
    arrived = np.concatenate([spikes.arrived, np.zeros((1, n_pre))]).T
    source = RingBuffer(data=arrived.astype(np.int32) if made.whole else arrived)
    weights = np.rint(learner.weight * made.unit).astype(np.int64) if made.whole else learner.weight
    # For the fixed model the chip's 8 bits are the bounds; Lava's floating-point model has none but 0.
    mode = SignMode.EXCITATORY if learner.w_min == 0 else SignMode.MIXED
    dense = LearningDense(
        weights=weights, learning_rule=rule, sign_mode=mode, low=learner.w_min, high=learner.w_max, num_weight_bits=8
    )
    post = Post(shape=(n_post,), learning_rule=rule, spikes=spikes, numbers=made, tau=learner.tau_minus, seed=seed)
    source.s_out.connect(dense.s_in)
    post.s_out_bap.connect(dense.s_in_bap)
    for trace in ("y1", "y2", "y3"):
        getattr(post, f"s_out_{trace}").connect(getattr(dense, f"s_in_{trace}"))
    return source, dense, post


class Post(LearningNeuronProcess, AbstractProcess):  # type: ignore[misc]
    """Neurons that spike when they are told to, and send a learning connection their traces.

    y1: trace of own spikes, before that of this step. y2: the third factor of the step before, or the sum of an epoch's.
    y3: the decay of the tag. tau, in steps: of y1. numbers: what each is scaled with.
    """

    def __init__(
        self, *, shape: tuple[int], learning_rule: Any, spikes: Spikes, numbers: Numbers, tau: float, seed: int
    ) -> None:
        super().__init__(shape=shape, learning_rule=learning_rule, spikes=spikes, numbers=numbers, tau=tau, seed=seed)


class PostModel(PyLoihiProcessModel):  # type: ignore[misc]
    """Play the spikes of `Post`."""

    y1: Any
    s_out_bap: Any
    s_out_y1: Any
    s_out_y2: Any
    s_out_y3: Any

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._spikes: Spikes = proc_params["spikes"]
        self._numbers: Numbers = proc_params["numbers"]
        self._epoch = proc_params["learning_rule"].t_epoch
        self._keep = np.exp(-1 / proc_params["tau"])
        self._owed = np.zeros(self._spikes.fired.shape[1])
        self._rng = np.random.default_rng(proc_params["seed"] + 4)  # the engine takes seed .. seed + 3

    def run_spk(self) -> None:
        """Send the spikes and traces of a step; in the last Lava step there is only the factor of the step before."""
        t = self.time_step - 1
        n = self._numbers
        fired = self._spikes.fired[t] if t < len(self._spikes.fired) else np.zeros_like(self._spikes.fired[0])
        self._owed += self._spikes.factor[t - 1] if t else 0.0
        # Where a neuron spikes the fixed engine clips its y traces at 0: what is negative waits for a step without a spike.
        told = np.where(fired & (self._owed < 0), 0.0, self._owed) if n.whole else self._owed
        self.y1 = self._faded(self.y1)
        self.s_out_bap.send(fired)
        self.s_out_y1.send(self.y1)
        self.s_out_y2.send(self._sent(n.y2 * told))
        self.s_out_y3.send(self._sent(np.full(len(fired), n.y3)))
        if self.time_step % self._epoch == 0:
            self._owed = self._owed - told
        self.y1 = self._risen(self.y1, fired)

    @abc.abstractmethod
    def _faded(self, y: Any) -> Any:
        """Return a trace after the decay of one step."""

    @abc.abstractmethod
    def _risen(self, y: Any, fired: NDArray[np.bool_]) -> Any:
        """Return a trace after the spikes of a step."""

    @abc.abstractmethod
    def _sent(self, y: FloatArray) -> Any:
        """Return what a port carries of numbers."""


@implements(proc=Post, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyPostFloat(PostModel, LearningNeuronModelFloat):  # type: ignore[misc]
    """Post in IEEE double."""

    def _faded(self, y: FloatArray) -> FloatArray:
        return self._keep * y

    def _risen(self, y: FloatArray, fired: NDArray[np.bool_]) -> FloatArray:
        return y + self._numbers.y1 * fired

    def _sent(self, y: FloatArray) -> FloatArray:
        return y


@implements(proc=Post, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPostFixed(PostModel, LearningNeuronModelFixed):  # type: ignore[misc]
    """Post with traces of 7 bits, whose decay rounds at random as that of the engine's own traces does."""

    def _faded(self, y: NDArray[Any]) -> NDArray[np.int32]:
        exact = self._keep * y
        whole = np.floor(exact)
        return np.asarray(whole + (self._rng.random() < exact - whole), np.int32)

    def _risen(self, y: NDArray[Any], fired: NDArray[np.bool_]) -> NDArray[np.int32]:
        return np.minimum(y + int(self._numbers.y1) * fired, TRACE_MAX).astype(np.int32)

    def _sent(self, y: FloatArray) -> NDArray[np.int32]:
        return np.clip(np.rint(y), -TRACE_MAX, TRACE_MAX).astype(np.int32)


class PyBoundedDense(PyLearningDenseModelFloat):  # type: ignore[misc]
    """Lava's floating-point learning engine, with hard bounds: its own has no upper one."""

    def _saturate_synaptic_variable(self, synaptic_variable_name: str, synaptic_variable_values: Any) -> Any:
        if synaptic_variable_name != "weights":
            return synaptic_variable_values
        return np.clip(synaptic_variable_values, self.proc_params["low"], self.proc_params["high"])


_MODELS: dict[str, Mapping[type, type]] = {
    "float": {RingBuffer: PySendModelFloat, LearningDense: PyBoundedDense, Post: PyPostFloat, Monitor: PyMonitorModel},
    "fixed": {
        RingBuffer: PySendModelFixed,
        LearningDense: PyLearningDenseModelBitApproximate,
        Post: PyPostFixed,
        Monitor: PyMonitorModel,
    },
}
