"""Define the graph's populations as Nengo neuron types.

Nengo's own LIF and AdaptiveLIF are other models: they integrate within a step, spike with amplitude 1 / dt, and adapt by a
current. These compute the graph's semantics in its order of operations, and put out 1 in a step with a spike and else 0.

Import this module only after `session.load()`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import nengo
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro.errors import UnsupportedError
from neuro.graph import RESETS

Array = NDArray[np.float64]


def _array(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


class _GraphType(nengo.neurons.NeuronType):  # type: ignore[misc]
    """What the types share: parameters as arrays of one value a neuron, or one value for all.

    Two objects are equal only if they are one. Nengo's optimizer joins ensembles of equal types into one step, which is right
    for types of scalars and wrong for arrays.
    """

    negative = False

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at 0x{id(self):x}>"

    def make_state(self, n_neurons: int, rng: Any = np.random, dtype: Any = None) -> dict[str, Array]:
        """Return the state before step 0, zero. Raises UnsupportedError for signals of less than double precision."""
        if dtype is not None and np.dtype(dtype) != np.float64:
            raise UnsupportedError(
                f"backend 'nengo': signals of the wrong precision (got {np.dtype(dtype)}; need float64). "
                "Set nengo.rc['precision']['bits'] = '64'."
            )
        return {name: np.zeros(n_neurons) for name in self.state}

    def max_rates_intercepts(self, gain: Array, bias: Array) -> tuple[None, None]:
        """Return nothing: gain is 1 and bias the graph's, and no rates follow from them."""
        return None, None

    def rates(self, x: ArrayLike, gain: Array, bias: Array) -> Array:
        """Refuse to decode. Raises UnsupportedError."""
        raise UnsupportedError(
            f"neuron type {type(self).__name__}: has no rates to decode from (got a connection or probe from an ensemble; need "
            "one from its neurons). Use ensemble.neurons with a transform."
        )


class GraphLIF(_GraphType):
    """Leaky integrate-and-fire neurons of the graph:

        v(t) = (alpha v(t-1) + J(t)) - r(t-1);   z(t) = 1 if v(t) > v_th and not refractory;   r = z v_th

    and the resets "adaptive" and "zero" as in the semantics (`neuro.graph.reference`). J is bias and all that arrives.

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | alpha | 1 | required | membrane decay of one step |
    | v_th | 1 | 1.0 | threshold |
    | n_ref | steps | 0 | steps after a spike in which none is possible |
    | reset | | "threshold" | "threshold", "adaptive" or "zero" |

    Output: z. Can be probed besides: v, before a subtractive reset and after reset "zero".
    """

    spiking = True
    state: ClassVar[dict[str, float]] = {"v": 0.0, "r": 0.0, "wait": 0.0}

    def __init__(self, alpha: ArrayLike, v_th: ArrayLike = 1.0, n_ref: ArrayLike = 0, reset: str = "threshold") -> None:
        super().__init__()
        if reset not in RESETS:
            raise UnsupportedError(
                f"neuron type {type(self).__name__}: unknown reset (got {reset!r}; need one of {', '.join(RESETS)}). "
                "Choose one."
            )
        self.alpha, self.v_th, self.n_ref = _array(alpha), _array(v_th), _array(n_ref)
        self.reset = reset

    def step(self, dt: float, J: Array, output: Array, **state: Array) -> None:
        """Advance by one step; `output` holds z(t-1) before and z(t) after."""
        self._fire(J, output, self.v_th, **state)

    def _fire(self, J: Array, output: Array, threshold: Array, v: Array, r: Array, wait: Array) -> None:
        free = wait == 0
        total = self.alpha * v + J
        v[...] = np.where(free, total, 0.0) if self.reset == "zero" else total - r
        fired = (v > threshold) & free
        output[...] = fired
        if self.reset == "zero":
            v[fired] = 0.0
        else:
            r[...] = output * (threshold if self.reset == "adaptive" else self.v_th)
        wait[...] = np.where(fired, self.n_ref, np.maximum(wait - 1, 0))


class GraphALIF(GraphLIF):
    """Neurons whose threshold follows their own spikes: a(t) = rho a(t-1) + z(t-1), A(t) = v_th + beta a(t) in place of v_th.

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | rho | 1 | required | adaptation decay of one step |
    | beta | 1 | required | rise of the threshold for each spike |

    The others are those of GraphLIF. Can be probed besides: v, a.
    """

    state: ClassVar[dict[str, float]] = {**GraphLIF.state, "a": 0.0}

    def __init__(
        self,
        alpha: ArrayLike,
        rho: ArrayLike,
        beta: ArrayLike,
        v_th: ArrayLike = 1.0,
        n_ref: ArrayLike = 0,
        reset: str = "threshold",
    ) -> None:
        super().__init__(alpha, v_th, n_ref, reset)
        self.rho, self.beta = _array(rho), _array(beta)

    def step(self, dt: float, J: Array, output: Array, **state: Array) -> None:
        """Advance by one step; `output` holds z(t-1) before and z(t) after."""
        a = state.pop("a")
        a[...] = self.rho * a + output
        self._fire(J, output, self.v_th + self.beta * a, **state)


class GraphLI(_GraphType):
    """Leaky readouts, without spikes: y(t) = kappa y(t-1) + J(t). Output: y.

    kappa: decay of one step.
    """

    negative = True

    def __init__(self, kappa: ArrayLike) -> None:
        super().__init__()
        self.kappa = _array(kappa)

    def step(self, dt: float, J: Array, output: Array, **state: Array) -> None:
        """Advance by one step; `output` holds y(t-1) before and y(t) after."""
        output[...] = self.kappa * output + J
