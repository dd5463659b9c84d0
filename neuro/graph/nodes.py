"""Define what a spiking graph is made of: populations and projections, as frozen data.

The meaning of every field is the golden model, `neuro.graph.reference`; this module only holds and normalises values.
Values are judged by the rules in `neuro.graph.rules`, so that a bad graph is reported whole and not at its first fault.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro.errors import GraphError
from neuro.graph.pieces import has_negative_zero, is_sorted
from neuro.graph.plasticity import Plasticity

RESETS = ("threshold", "adaptive", "zero")
"""How the membrane is reset after a spike: subtract v_th, subtract the adaptive threshold A, or set to zero."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
IndexArray = NDArray[np.int32]


def decay(tau_ms: ArrayLike, dt_ms: float) -> FloatArray:
    """Return the decay factor of one step, exp(-dt / tau), elementwise with `math.exp`.

    `math.exp` and not a vectorised exp: libraries differ in the last bit, and this number is stored in the graph.

    Parameters: tau_ms, any shape, ms, >= 0 (0 gives 0: no memory); dt_ms, ms, > 0.
    Returns: float64 array of the same shape.
    Raises: GraphError if a time constant is negative or NaN, or dt_ms is not a positive number.
    """
    if not (math.isfinite(dt_ms) and dt_ms > 0):
        raise GraphError(
            f"decay: dt_ms is not a positive time (got {dt_ms}; need > 0 ms). Give the step in milliseconds."
        )
    tau = np.asarray(tau_ms, dtype=np.float64)
    if not np.all(tau >= 0):
        bad = tau[~(tau >= 0)].ravel()[0]
        raise GraphError(f"decay: time constant out of range (got {bad}; need >= 0 ms). Give time constants in ms.")
    values = [math.exp(-dt_ms / x) if x > 0 else 0.0 for x in tau.ravel().tolist()]
    return np.array(values, dtype=np.float64).reshape(tau.shape)


def tau_ms(factor: ArrayLike, dt_ms: float) -> FloatArray:
    """Return the time constant in ms that a decay factor stands for, -dt / ln(factor): for display only.

    A factor of 0 gives 0 ms and a factor of 1 gives infinity.
    """
    x = np.asarray(factor, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(dt_ms / np.abs(np.log(x)))


def _frozen(where: str, value: Any, dtype: type, size: int | None = None) -> NDArray[Any]:
    """Copy a value into a read-only array of `dtype`; broadcast a scalar to (size,) where a size is given.

    A read-only array of that dtype that owns its memory is taken as it is: a large one is then held once.
    """
    raw = np.asarray(value)
    wanted = "integers" if np.issubdtype(dtype, np.integer) else "numbers"
    if raw.dtype.kind not in "biuf" or (wanted == "integers" and raw.dtype.kind == "f" and not _integral(raw)):
        shown = str(value) if raw.size <= 8 else f"{raw.dtype} array of shape {raw.shape}"
        raise GraphError(
            f"{where}: wrong type of value (got {shown}; need {wanted}). Convert it before building the graph."
        )
    if wanted == "integers" and raw.size and raw.dtype != dtype:
        limits = np.iinfo(dtype)
        low, high = raw.min(), raw.max()
        if low < limits.min or high > limits.max:
            raise GraphError(
                f"{where}: integer out of range (got {low}..{high}; need {limits.min}..{limits.max}). Check the array."
            )
    taken = raw.dtype == dtype and raw.flags.owndata and raw.flags.c_contiguous and not raw.flags.writeable
    array: NDArray[Any] = raw if taken else np.array(raw, dtype=dtype, order="C")
    if size is not None and array.ndim == 0:
        array = np.full(max(size, 0), array)
    if dtype is np.float64 and has_negative_zero(array):
        array = array + 0.0  # turns -0.0 into 0.0, so that equal graphs have equal bytes
    array.flags.writeable = False
    return array


def _integral(raw: NDArray[Any]) -> bool:
    return bool(np.all(np.isfinite(raw)) and np.all(raw == np.round(raw)))


def _whole(where: str, value: Any, what: str = "size") -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        need = "an integer >= 1). Give a count." if what == "size" else "an integer). Give one."
        raise GraphError(f"{where}: {what} is not a whole number (got {value!r}; need {need}")
    return int(value)


class _Node:
    """Give nodes equality by value: same kind, same fields, equal arrays."""

    name: str

    @classmethod
    def dtype(cls, field: str) -> type:
        """Return the dtype of an array of this node."""
        return np.int64

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.name))

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b))
    return bool(a == b)


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeInput(_Node):
    """Deliver spikes s_i(t) in {0, 1} from the stimulus.

    name: the name that stimuli use. size: number of channels.
    """

    name: str
    size: int
    parameters: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self._set("size", _whole(f"population '{self.name}'", self.size))


@dataclass(frozen=True, kw_only=True, eq=False)
class CurrentInput(_Node):
    """Deliver real values u_i(t) from the stimulus, used in place of spikes.

    u_max bounds |u|; u_step is the grid of u, a power of two <= 1: what makes sums exact (DESIGN 2.1).
    """

    name: str
    size: int
    u_max: float = 1.0
    u_step: float = 2.0**-8
    parameters: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self._set("size", _whole(f"population '{self.name}'", self.size))
        self._set("u_max", float(self.u_max))
        self._set("u_step", float(self.u_step))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Receiver(_Node):
    """Hold what every receiving population has: per-neuron float arrays, a bias, and the grid of its inputs."""

    name: str
    size: int
    bias: Any = 0.0
    grid: float | None = None
    parameters: ClassVar[tuple[str, ...]] = ("bias",)

    def __post_init__(self) -> None:
        where = f"population '{self.name}'"
        self._set("size", _whole(where, self.size))
        for field in self.parameters:
            self._set(field, _frozen(f"{where}: {field}", getattr(self, field), self.dtype(field), self.size))
        if self.grid is not None:
            self._set("grid", float(self.grid))

    @classmethod
    def dtype(cls, field: str) -> type:
        """Return the dtype of an array of this node."""
        return np.int64 if field == "n_ref" else np.float64


@dataclass(frozen=True, kw_only=True, eq=False)
class LIF(_Receiver):
    """Leaky integrate-and-fire neurons: an ALIF population with beta = 0.

    | field | symbol | unit | default | meaning |
    | --- | --- | --- | --- | --- |
    | alpha | alpha | 1 | required | membrane decay of one step, exp(-dt / tau_m) |
    | v_th | v_th | 1 | 1.0 | firing threshold; a spike is v > v_th |
    | bias | bias | 1 | 0.0 | constant input of every step |
    | n_ref | n_ref | steps | 0 | steps after a spike in which no spike is possible |
    | reset | | | "threshold" | one of RESETS |
    | grid | g | 1 | None | weights and bias are multiples of it (DESIGN 2.1); None: not on a grid |

    Arrays have shape (size,); a scalar is given to every neuron. Source: DESIGN section 2, after Bellec et al. 2018
    (arXiv 1803.09574), with the weight scale (1 - alpha) R drawn into the weights.
    """

    alpha: Any
    v_th: Any = 1.0
    n_ref: Any = 0
    reset: str = "threshold"
    parameters: ClassVar[tuple[str, ...]] = ("alpha", "v_th", "bias", "n_ref")


@dataclass(frozen=True, kw_only=True, eq=False)
class ALIF(LIF):
    """Adaptive LIF neurons: the threshold is A = v_th + beta * a, and a follows the neuron's own spikes.

    | field | symbol | unit | default | meaning |
    | --- | --- | --- | --- | --- |
    | rho | rho | 1 | required | adaptation decay of one step, exp(-dt / tau_a) |
    | beta | beta | 1 | required | rise of the threshold for each spike |

    The other fields are those of LIF. The LSNN paper's a = rho a + (1 - rho) z gives beta here = (1 - rho) beta_lsnn.
    """

    rho: Any
    beta: Any
    parameters: ClassVar[tuple[str, ...]] = ("alpha", "v_th", "bias", "n_ref", "rho", "beta")


@dataclass(frozen=True, kw_only=True, eq=False)
class LI(_Receiver):
    """Leaky integrators without a threshold: the readout, y(t) = kappa y(t-1) + I(t).

    kappa: decay of one step, exp(-dt / tau_out), shape (size,). bias and grid as in LIF.
    """

    kappa: Any
    parameters: ClassVar[tuple[str, ...]] = ("kappa", "bias")


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection(_Node):
    """Hold the synapses from one population to another, one entry a synapse.

    pre, post: int32, indices into source and target. weight: float64. delay: int32, steps; >= 1 from neurons.
    All of shape (n_synapses,), sorted by (pre, post, delay, weight) on construction. Several synapses may join one pair.
    A scalar weight or delay is given to every synapse. plasticity: how `neuro.learn` changes the weights, or None.
    """

    name: str
    source: str
    target: str
    pre: Any
    post: Any
    weight: Any
    delay: Any = 1
    plasticity: Plasticity | None = None
    arrays: ClassVar[tuple[str, ...]] = ("pre", "post", "weight", "delay")

    def __post_init__(self) -> None:
        where = f"projection '{self.name}'"
        count = np.size(self.pre)
        for field in self.arrays:
            self._set(field, _frozen(f"{where}: {field}", getattr(self, field), self.dtype(field), count))
        if all(getattr(self, f).shape == (count,) for f in self.arrays):
            self._sort()

    @classmethod
    def dtype(cls, field: str) -> type:
        """Return the dtype of an array of this node."""
        return np.float64 if field == "weight" else np.int32

    def _sort(self) -> None:
        columns = [getattr(self, f) for f in ("pre", "post", "delay", "weight")]
        if is_sorted(columns):
            return
        order = np.lexsort(columns[::-1])
        for field in self.arrays:
            array = getattr(self, field)[order]
            array.flags.writeable = False
            self._set(field, array)

    def rows(self, n_sources: int) -> IntArray:
        """Return where the synapses of each sender begin, and the end: int64 of shape (n_sources + 1,)."""
        return np.searchsorted(self.pre, np.arange(n_sources + 1, dtype=np.int32)).astype(np.int64)

    @property
    def size(self) -> int:
        """Return the number of synapses."""
        return int(self.pre.size)


INPUTS = (SpikeInput, CurrentInput)
