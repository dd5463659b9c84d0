"""Define the nodes of integer graphs: what a Loihi-class chip holds, in whole numbers of declared width.

The meaning of every field is the golden model, `neuro.graph.reference`; DESIGN 2.2 gives the equations. The arithmetic is that of
Lava's bit-accurate LIF (lava-nc 0.10): decays of 12 bits, thresholds and synaptic activation scaled by 2**6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro.errors import GraphError
from neuro.graph.nodes import IntArray, Projection, _frozen, _Node, _whole

SCALE_BITS = 6
"""Thresholds and synaptic activation are multiples of 2**6 of a state's unit."""
DECAY_ONE = 2**12
"""A decay d keeps (4096 - d) / 4096 of a state."""
STATE_BITS = 24
"""Width of u, v, a, x and y, sign included; a wider sum is clipped to +-(2**23 - 1)."""
MAX_D = 2**12 - 1
MAX_V_TH = 2**17 - 1
MAX_N_REF = 63
MAX_INT_DELAY = 62
MAX_STATE = 2 ** (STATE_BITS - 1) - 1
EXPONENTS = (-6, 7)
"""Least and greatest exponent of a projection."""
SUM_LIMIT = 2**31
"""What may arrive at a neuron in one step, sum |w| * 2**(6 + e), is less."""
SIGN_MODES = {"mixed": (-256, 254, 2), "excitatory": (0, 255, 1), "inhibitory": (-255, 0, 1)}
"""Least and greatest mantissa of a weight, and the step between two, by sign mode."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _IntReceiver(_Node):
    """Hold what every integer population has: per-neuron int64 arrays, a synaptic current u, a bias and a width."""

    name: str
    size: int
    d_u: Any = MAX_D
    bias: Any = 0
    state_bits: int = STATE_BITS
    parameters: ClassVar[tuple[str, ...]] = ("d_u", "bias")

    def __post_init__(self) -> None:
        where = f"population '{self.name}'"
        self._set("size", _whole(where, self.size))
        self._set("state_bits", _whole(where, self.state_bits, "state_bits"))
        for field in self.parameters:
            self._set(field, _frozen(f"{where}: {field}", getattr(self, field), np.int64, self.size))

    @property
    def max_state(self) -> int:
        """Return the largest absolute value of a state."""
        return 2 ** (self.state_bits - 1) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class IntLIF(_IntReceiver):
    """Leaky integrate-and-fire neurons in integers: an IntALIF population without adaptation.

    | field | symbol | range | default | meaning |
    | --- | --- | --- | --- | --- |
    | d_u | d_u | 0..4095 | 4095 | current decay: u keeps (4095 - d_u) / 4096 of itself a step; 4095: no memory |
    | d_v | d_v | 0..4095 | required | membrane decay: v keeps (4096 - d_v) / 4096 of itself a step |
    | v_th | v_th | 1..131071 | required | threshold, in units of 2**6; a spike is v > v_th * 2**6 |
    | bias | bias | +-(2**23 - 1) | 0 | constant input to v of every step |
    | n_ref | n_ref | 0..63 steps | 0 | steps after a spike in which no spike is possible |
    | reset | | | "zero" | one of RESETS |
    | state_bits | | 8..24 | 24 | width of u and v, sign included |

    Arrays have shape (size,), int64; a scalar is given to every neuron. Source: DESIGN 2.2, after Lava's LIF.
    """

    d_v: Any
    v_th: Any
    n_ref: Any = 0
    reset: str = "zero"
    parameters: ClassVar[tuple[str, ...]] = ("d_u", "d_v", "v_th", "bias", "n_ref")


@dataclass(frozen=True, kw_only=True, eq=False)
class IntALIF(IntLIF):
    """Adaptive LIF neurons in integers: the threshold is A = v_th * 2**6 + a.

    | field | symbol | range | default | meaning |
    | --- | --- | --- | --- | --- |
    | d_a | d_a | 0..4095 | required | adaptation decay: a keeps (4096 - d_a) / 4096 of itself a step |
    | bump | bump | +-(2**23 - 1) | required | rise of the threshold one step after each spike |

    The other fields are those of IntLIF. a is scaled as v is: the float model's beta * a.
    """

    d_a: Any
    bump: Any
    parameters: ClassVar[tuple[str, ...]] = ("d_u", "d_v", "v_th", "bias", "n_ref", "d_a", "bump")


@dataclass(frozen=True, kw_only=True, eq=False)
class AHP(_IntReceiver):
    """Neurons whose adaptation is a slow current of an auxiliary compartment: what a Loihi-1 chip can hold.

    | field | symbol | range | default | meaning |
    | --- | --- | --- | --- | --- |
    | d_x | d_x | 0..4095 | required | decay of the auxiliary compartment: x keeps (4096 - d_x) / 4096 of itself a step |
    | w_x | w_x | -(2**23 - 1)..0 | required | added to x one step after each spike; in the unit of v, already scaled |

    d_u, d_v, v_th, bias, n_ref and state_bits are those of IntLIF; the reset is to zero. x is added to v's input in the same step.
    A neuron takes two compartments. Source: DESIGN 2.2, after Rao et al. 2022 (Nat. Mach. Intell. 4:467).
    """

    d_v: Any
    v_th: Any
    d_x: Any
    w_x: Any
    n_ref: Any = 0
    parameters: ClassVar[tuple[str, ...]] = ("d_u", "d_v", "v_th", "bias", "n_ref", "d_x", "w_x")


@dataclass(frozen=True, kw_only=True, eq=False)
class IntLI(_IntReceiver):
    """Leaky integrators without a threshold, in integers: the readout, y(t) = decay(y(t-1), d_y) + u(t) + bias.

    d_y: 0..4095, int64 (size,); y keeps (4096 - d_y) / 4096 of itself a step. d_u, bias and state_bits as in IntLIF.
    """

    d_y: Any
    parameters: ClassVar[tuple[str, ...]] = ("d_u", "d_y", "bias")


@dataclass(frozen=True, kw_only=True, eq=False)
class IntProjection(Projection):
    """Hold the synapses of integer graphs: a spike adds weight * 2**(6 + exponent) to u.

    weight: int32, mantissas within SIGN_MODES of sign_mode: "mixed", even -256..254; "excitatory", 0..255; "inhibitory", -255..0.
    exponent: -6..7, one for the projection; the product is exact. delay: at most 62 steps. The rest is as in Projection.
    `int_projections` makes one or two of these from weights of any sign.
    """

    exponent: int = 0
    sign_mode: str = "mixed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("exponent", _whole(f"projection '{self.name}'", self.exponent, "exponent"))

    @classmethod
    def dtype(cls, field: str) -> type:
        """Return the dtype of an array of this node."""
        return np.int32

    @property
    def activation(self) -> IntArray:
        """Return what each synapse adds to u, weight * 2**(6 + exponent), int64 of shape (n_synapses,)."""
        return self.weight.astype(np.int64) << (SCALE_BITS + self.exponent)


def int_projections(
    *,
    name: str,
    source: str,
    target: str,
    pre: ArrayLike,
    post: ArrayLike,
    weight: ArrayLike,
    delay: ArrayLike = 1,
    exponent: int = 0,
    sign_mode: str | None = None,
) -> tuple[IntProjection, ...]:
    """Return integer synapses as projections that a chip can hold: one, or two where the weights need two.

    Parameters: pre, post, weight (mantissas), delay, (n,) or scalars; sign_mode, one of SIGN_MODES, or None: "excitatory" or
    "inhibitory" where no weight has the other sign, "mixed" where both occur and all are even, and otherwise two projections,
    NAME.exc and NAME.inh (zeros go to the first).
    Raises: GraphError if a weight is not a whole number, or the arrays differ in length.
    """
    where = f"projection '{name}'"
    given = {"pre": np.asarray(pre), "post": np.asarray(post), "delay": np.asarray(delay)}
    mantissas = _frozen(f"{where}: weight", weight, np.int32)
    shapes = {key: x.shape for key, x in (*given.items(), ("weight", mantissas)) if x.ndim}
    if len(set(shapes.values())) > 1 or any(len(s) != 1 for s in shapes.values()):
        got = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        raise GraphError(f"{where}: arrays differ in shape (got {got}; need one length). Give one entry a synapse.")
    n = next(iter(shapes.values()), (1,))[0]
    w: NDArray[Any] = np.broadcast_to(mantissas, (n,))
    arrays = {key: np.broadcast_to(x, (n,)) for key, x in given.items()}

    def part(suffix: str, mode: str, keep: NDArray[np.bool_]) -> IntProjection:
        chosen = {key: value[keep] for key, value in arrays.items()}
        return IntProjection(
            name=name + suffix,
            source=source,
            target=target,
            weight=w[keep],
            exponent=exponent,
            sign_mode=mode,
            **chosen,  # type: ignore[arg-type]
        )

    everything, negative = np.ones(n, dtype=bool), w < 0
    if sign_mode is not None:
        return (part("", sign_mode, everything),)
    if not negative.any():
        return (part("", "excitatory", everything),)
    if not (w > 0).any():
        return (part("", "inhibitory", everything),)
    if not (w % 2).any() and w.min() >= SIGN_MODES["mixed"][0] and w.max() <= SIGN_MODES["mixed"][1]:
        return (part("", "mixed", everything),)
    return (part(".exc", "excitatory", ~negative), part(".inh", "inhibitory", negative))


def integer_decay(factor: ArrayLike) -> IntArray:
    """Return the 12-bit decay d whose (4096 - d) / 4096 is nearest to a factor of 0..1; for d_u subtract 1 from it.

    A factor of 0 would be d = 4096 and gives 4095. Raises: GraphError if a factor is not in 0..1.
    """
    f = np.asarray(factor, dtype=np.float64)
    if not np.all((f >= 0) & (f <= 1)):
        bad = f[~((f >= 0) & (f <= 1))].ravel()[0]
        raise GraphError(f"integer_decay: factor out of range (got {bad}; need 0..1). Give a decay factor of one step.")
    return np.minimum(DECAY_ONE - np.rint(f * DECAY_ONE), MAX_D).astype(np.int64)


def fit_exponent(largest: float) -> int:
    """Return the least exponent e of -6..7 at which a weight of that size fits, |w| <= 255 * 2**(6 + e).

    largest is in units of u; one beyond 255 * 2**13 gives 7, and is clipped by `round_to_mantissas`.
    """
    for exponent in range(EXPONENTS[0], EXPONENTS[1]):
        if largest <= 255.0 * 2.0 ** (SCALE_BITS + exponent):
            return exponent
    return EXPONENTS[1]


def round_to_mantissas(values: ArrayLike, exponent: int) -> IntArray:
    """Return weights in units of u as mantissas of -255..255, rounded half to even and clipped; int64, the shape of values."""
    scaled = np.asarray(values, dtype=np.float64) / 2.0 ** (SCALE_BITS + exponent)
    return np.clip(np.rint(scaled), -255, 255).astype(np.int64)


def round_to_bias(values: ArrayLike, mantissa_bits: int = 13, exponent_bits: int = 3) -> IntArray:
    """Return the nearest biases that a chip holds, mantissa * 2**exponent, each with the least exponent that it fits.

    Parameters: values, in units of v; mantissa_bits, sign included, and exponent_bits: Lava's bit-accurate LIF has 13 and 3. Half rounds
    to even, and beyond the largest bias it is the largest. Returns: int64, the shape of values.
    """
    bias = np.asarray(values, dtype=np.float64)
    most, greatest = 2 ** (mantissa_bits - 1) - 1, 2**exponent_bits - 1
    found = np.sign(bias).astype(np.int64) * (most << greatest)
    for exponent in reversed(range(greatest + 1)):
        mantissa = np.rint(bias / 2.0**exponent)
        fits = np.abs(mantissa) <= most
        found = np.where(fits, np.where(fits, mantissa, 0).astype(np.int64) << exponent, found)
    return found
