"""Turn a network that was trained for a chip into the integer graph that it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from neuro.graph import Graph, IntProjection, Population
from neuro.train.pairs import Pair, delays
from neuro.train.quantized import Mantissas, QuantizedLSNN


@dataclass(frozen=True)
class Rounding:
    """What rounding to mantissas changed.

    largest_change: of a weight, in units of the float network; n_dropped: synapses whose mantissa is 0, left out; n_clipped: weights
    beyond the largest mantissa.
    """

    largest_change: float
    n_dropped: int
    n_clipped: int

    def __str__(self) -> str:
        text = (
            f"mantissas: largest change of a weight {self.largest_change:.3g}, {self.n_dropped} synapses rounded to 0 and were "
            "dropped"
        )
        return text + (f", {self.n_clipped} weights clipped: lower the weights or the scale" if self.n_clipped else "")


def integer_graph(model: QuantizedLSNN, name: str, notes: Mapping[str, str]) -> tuple[Graph, Rounding]:
    """Return the integer graph of a network trained for a chip, and what rounding changed.

    Each projection is one a sign, NAME.exc and NAME.inh where it has both. Weights that are zero, and those that round to it, are
    left out.
    """
    weights, whole = model.weights().detach().double().numpy(), model.mantissas()
    scale = np.ones(len(weights))
    for pair in model.pairs:
        scale[pair.entries] = model.template.scales[pair.target]
    change = np.abs(whole.activation / scale - weights)
    bias = _biases(model)
    by_name: dict[str, Population] = {p.name: p for p in model.inputs}
    by_name |= {key: replace(model.chip[key], bias=values) for key, values in bias.items()}
    delay = delays(model)
    graph = Graph(
        populations=tuple(by_name[n] for n in model.order),
        projections=(*(c for pair in model.pairs for c in _split(pair, whole, delay)), *model.resets.values()),
        dt_ms=model.dt_ms,
        name=name,
        notes={**notes, "profile": model.template.profile},
    )
    clipped = (np.abs(whole.mantissa) == 255) & (change * scale > 2.0 ** (5 + whole.exponent))
    dropped = int(((weights != 0) & (whole.mantissa == 0)).sum())
    return graph, Rounding(float(change.max(initial=0.0)), dropped, int(clipped.sum()))


def _biases(model: QuantizedLSNN) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for group, bias in ((model.neurons, model.bias), (model.readouts, model.bias_out)):
        values = model.integer_bias(group, bias)
        ends = np.cumsum([p.size for p in group])[:-1]
        found |= {p.name: part for p, part in zip(group, np.split(values, ends), strict=True)}
    return found


def _split(pair: Pair, whole: Mantissas, delay: np.ndarray) -> list[IntProjection]:
    mantissa = whole.mantissa[pair.entries]
    both = bool((mantissa > 0).any() and (mantissa < 0).any())
    found = []
    for suffix, mode, keep in ((".exc", "excitatory", mantissa > 0), (".inh", "inhibitory", mantissa < 0)):
        if keep.any():
            at = pair.entries[keep]
            found.append(
                IntProjection(
                    name=pair.name + suffix if both else pair.name,
                    source=pair.source,
                    target=pair.target,
                    pre=pair.pre[keep],
                    post=pair.post[keep],
                    weight=mantissa[keep],
                    delay=delay[at],
                    exponent=int(whole.exponent[at[0]]),
                    sign_mode=mode,
                )
            )
    return found
