"""Check that every rule of a valid graph fires, with where, what was got and what is needed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from neuro.errors import GraphError
from neuro.graph import ALIF, LI, LIF, CurrentInput, Graph, Projection, SpikeInput

IN = SpikeInput(name="in", size=3)
LIF4 = LIF(name="lif", size=4, alpha=0.9)
OUT = LI(name="out", size=2, kappa=0.9)


def projection(**changes: Any) -> Projection:
    values: dict[str, Any] = {
        "name": "rec", "source": "lif", "target": "lif", "pre": [0, 1], "post": [1, 2], "weight": [0.5, 0.25], "delay": [1, 2],
    }  # fmt: skip
    return Projection(**{**values, **changes})


def lif(**changes: Any) -> LIF:
    return LIF(**{"name": "lif", "size": 4, "alpha": 0.9, **changes})


@pytest.mark.parametrize(
    ("populations", "projections", "message"),
    [
        ((), (), "graph: no population (got 0; need at least 1)"),
        ((IN, IN), (), "population 'in': name used twice (got 2 of them; need 1)"),
        ((SpikeInput(name="a/b", size=1),), (), "population 'a/b': bad name"),
        ((SpikeInput(name="", size=1),), (), "population '': bad name"),
        ((SpikeInput(name="in", size=0),), (), "population 'in': size out of range (got 0; need 1..2147483647)"),
        ((lif(alpha=[0.9, 0.9]),), (), "population 'lif': alpha has the wrong shape (got (2,); need (4,))"),
        ((lif(alpha=1.5),), (), "population 'lif': alpha out of range (got 1.5 at neuron 0, 4 in all; need 0..1)"),
        ((lif(alpha=[0.9, np.nan, 0.9, 0.9]),), (), "alpha out of range (got nan at neuron 1, 1 in all; need finite numbers)"),
        ((lif(v_th=0.0),), (), "population 'lif': v_th out of range (got 0.0 at neuron 0, 4 in all; need > 0)"),
        ((lif(n_ref=-1),), (), "population 'lif': n_ref out of range (got -1 at neuron 0, 4 in all; need 0..2147483647 steps)"),
        ((lif(reset="treshold"),), (), "population 'lif': unknown reset (got 'treshold'; need one of threshold, adaptive, zero). "
                                       "Did you mean 'threshold'?"),
        ((lif(bias=np.inf),), (), "population 'lif': bias out of range (got inf"),
        ((ALIF(name="a", size=1, alpha=0.9, rho=-0.1, beta=1.0),), (), "population 'a': rho out of range (got -0.1"),
        ((LI(name="o", size=1, kappa=2.0),), (), "population 'o': kappa out of range (got 2.0"),
        ((CurrentInput(name="u", size=1, u_max=0.0),), (), "population 'u': u_max out of range (got 0.0; need a finite value > 0)"),
        ((CurrentInput(name="u", size=1, u_step=0.3),), (), "population 'u': u_step is not a grid (got 0.3; need a power of two <= 1)"),
        ((CurrentInput(name="u", size=1, u_step=2.0),), (), "u_step is not a grid (got 2.0"),
        ((IN, LIF4), (projection(source="lff"),), "projection 'rec': unknown population (got 'lff'; need one of in, lif). "
                                                  "Did you mean 'lif'?"),
        ((IN, LIF4), (projection(target="in", post=[0, 0]),), "projection 'rec': ends in an input"),
        ((LIF4, OUT), (projection(source="out"),), "projection 'rec': starts at a readout"),
        ((LIF4,), (projection(weight=[0.5]),), "projection 'rec': arrays differ in shape"),
        ((LIF4,), (projection(pre=[0, 7]),), "projection 'rec': pre out of range (got 7 at synapse 1, 1 in all; need 0..3 in 'lif')"),
        ((LIF4,), (projection(post=[-1, 0]),), "projection 'rec': post out of range (got -1 at synapse 0"),
        ((LIF4,), (projection(weight=[0.5, np.nan]),), "projection 'rec': weight out of range (got nan at synapse 1"),
        ((LIF4,), (projection(delay=[0, 1]),), "projection 'rec': delay out of range (got 0; need 1..4095 between neurons; "
                                               "synapse 0, 1 in all). Export with min_delay=1."),
        ((LIF4,), (projection(delay=[1, 5000]),), "delay out of range (got 5000; need 1..4095 between neurons"),
        ((IN, LIF4), (projection(source="in", delay=[-1, 1]),), "delay out of range (got -1; need 0..4095 from inputs"),
        ((LIF4,), (projection(), projection()), "projection 'rec': name used twice"),
        ((lif(grid=0.3),), (), "population 'lif': grid is not a power of two (got 0.3"),
        ((lif(grid=0.5, bias=0.3),), (), "population 'lif': grid: bias of 'lif' is off it"),
        ((lif(grid=0.5),), (projection(),), "population 'lif': grid: weight of 'rec' is off it (got np.float64(0.25) at 1"),
        ((lif(grid=2.0**-60),), (projection(),), "population 'lif': grid is too fine for exact sums (got S = 0.5; need S <= 0.0078125)"),
    ],
)  # fmt: skip
def test_rule_fires(populations: tuple[Any, ...], projections: tuple[Any, ...], message: str) -> None:
    with pytest.raises(GraphError, match=re.escape(message)):
        Graph(populations=populations, projections=projections)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        Graph(
            populations=(lif(alpha=2.0, v_th=-1.0, reset="no"), OUT), projections=(projection(delay=0, weight=np.inf),)
        )
    text = str(caught.value)
    assert "graph: 5 problems" in text
    for part in ("alpha", "v_th", "reset", "weight", "delay"):
        assert part in text


@pytest.mark.parametrize("dt_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_time_step_must_be_positive(dt_ms: float) -> None:
    with pytest.raises(GraphError, match="graph: dt_ms is not a positive time"):
        Graph(populations=(LIF4,), dt_ms=dt_ms)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lif(size=2.5), "size is not a whole number (got 2.5"),
        (lambda: lif(alpha="fast"), "population 'lif': alpha: wrong type of value (got fast; need numbers)"),
        (lambda: lif(n_ref=1.5), "population 'lif': n_ref: wrong type of value (got 1.5; need integers)"),
        (lambda: projection(pre=[0.5, 1.0]), "projection 'rec': pre: wrong type of value"),
        (lambda: projection(pre=[0, 2**40]), "projection 'rec': pre: integer out of range (got 0..1099511627776"),
    ],
)
def test_value_of_wrong_type_is_refused_where_it_stands(make: Any, message: str) -> None:
    with pytest.raises(GraphError, match=re.escape(message)):
        make()


def test_boundary_values_are_valid() -> None:
    graph = Graph(
        populations=(SpikeInput(name="in", size=1), lif(alpha=[0.0, 1.0, 0.5, 0.25], n_ref=2**31 - 1)),
        projections=(
            Projection(name="p", source="in", target="lif", pre=[0, 0], post=[0, 3], weight=1.0, delay=[0, 4095]),
        ),
    )
    assert graph.max_delay == 4095
