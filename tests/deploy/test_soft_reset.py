"""Check the pass that keeps reset "threshold" on a chip that resets to zero."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import neuro
from neuro.deploy import keep_soft_reset, quantize
from neuro.errors import QuantizationError
from neuro.graph import AHP, DECAY_ONE, Graph, IntALIF, IntLIF, reference

STEPS, BATCH = 300, 4


def net(**changed: Any) -> Graph:
    """Return a recurrent net of small numbers: below 4096, a v of d_v 4095 keeps nothing, and the pass is exact."""
    b = neuro.Builder(seed=4)
    common: dict[str, Any] = {"d_v": np.linspace(50, 400, 12).astype(int), "v_th": 20, "n_ref": 3, "reset": "threshold"}
    b.spike_input("in", 10)
    b.int_lif("lif", 12, **(common | changed))
    b.int_alif("alif", 12, **common, d_a=20, bump=64)
    b.int_li("out", 2, d_y=200)
    for source, target, low in (
        ("in", "lif", -100),
        ("in", "alif", -100),
        ("lif", "alif", -150),
        ("alif", "lif", -150),
    ):
        b.connect(
            source, target, weight=lambda rng, n, low=low: rng.integers(low, 250, n), p=0.5, delay=(1, 5), exponent=-5
        )
    b.connect("alif", "out", weight=lambda rng, n: rng.integers(-200, 200, n), exponent=-3)
    return b.build()


def run(graph: Graph) -> reference.Traces:
    spikes = np.random.default_rng(1).random((BATCH, STEPS, 10)) < 0.1
    return reference.simulate(graph, {"in": spikes})


def test_small_numbers_keep_every_spike_and_the_membrane_is_u() -> None:
    graph = net()
    made, note = keep_soft_reset(graph)
    before, after = run(graph), run(made)
    assert isinstance(made.population("lif"), IntLIF) and isinstance(made.population("alif"), AHP)
    assert made.population("lif").reset == "zero"  # type: ignore[union-attr]
    for name in ("lif", "alif"):
        assert before[name]["z"].sum() > 200
        assert np.array_equal(before[name]["z"], after[name]["z"])
        assert np.array_equal(before[name]["v"], after[name]["u"])
    assert np.array_equal(before["alif"]["a"], -after["alif"]["x"])
    assert np.array_equal(before["out"]["y"], after["out"]["y"])
    assert note.kept["lif"].v_th_error == note.kept["alif"].w_x_error == 0


def test_wide_numbers_keep_almost_every_spike() -> None:
    small = net()
    populations = tuple(
        replace(p, v_th=p.v_th * 256, **({"bump": p.bump * 256} if isinstance(p, IntALIF) else {}))
        if isinstance(p, IntLIF)
        else p
        for p in small.populations
    )
    projections = tuple(replace(c, exponent=c.exponent + 8) if c.target != "out" else c for c in small.projections)  # type: ignore[attr-defined]
    graph = replace(small, populations=populations, projections=projections)
    before, after = run(graph), run(keep_soft_reset(graph)[0])
    n, moved = before["lif"]["z"].sum(), np.abs(before["lif"]["z"] - after["lif"]["z"]).sum()
    assert n > 200 and moved < 0.2 * n
    counts = [x["lif"]["z"].sum(axis=1) for x in (before, after)]
    assert np.abs(counts[0] - counts[1]).sum() < 0.05 * n


def test_each_neuron_takes_its_threshold_off_one_step_after_a_spike() -> None:
    made, note = keep_soft_reset(net())
    own = made.reset_synapses("alif")
    assert own is not None
    assert own.pre.tolist() == own.post.tolist() == list(range(12))
    assert set(own.delay.tolist()) == {1} and set(own.activation.tolist()) == {-20 * 64}
    assert (note.kept["alif"].n_synapses, note.kept["alif"].kind) == (12, "AHP")
    assert net().reset_synapses("alif") is None
    text = str(note)
    assert "'lif': reset 'threshold' kept: the membrane is held in u, and 12 synapses take v_th off" in text


def test_bias_charges_what_it_would_have_charged() -> None:
    graph = net(bias=2)
    made, note = keep_soft_reset(graph)
    p = made.population("lif")
    assert isinstance(p, IntLIF) and note.kept["lif"].biased == 12
    d_v = graph.population("lif").d_v  # type: ignore[union-attr]
    assert p.bias.tolist() == np.rint(2 * DECAY_ONE / d_v).astype(int).tolist()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"d_u": 1000}, "its synapses have a current of their own (d_u 1000; need 4095)"),
        ({"v_th": 40000}, "no synapse can take its threshold off (v_th 40000; need at most 32640)"),
        ({"d_v": 0, "bias": 1}, "a bias charges a membrane without a leak"),
    ],
)
def test_what_has_no_such_form_is_left_with_the_reason(changed: dict[str, Any], why: str) -> None:
    made, note = keep_soft_reset(net(**changed))
    assert made.population("lif").reset == "threshold"  # type: ignore[union-attr]
    assert note.left == {"lif": note.left["lif"]} and re.search(re.escape(why), note.left["lif"])
    assert f"'lif': reset 'threshold' not kept: {why}" in str(note)


def test_float_graph_is_refused() -> None:
    b = neuro.Builder()
    b.lif("n", 1)
    with pytest.raises(QuantizationError, match="keep_soft_reset: float graph"):
        keep_soft_reset(b.build())


def test_loihi1_behaves_as_loihi2_does() -> None:
    b = neuro.Builder(seed=3)
    b.spike_input("in", 20)
    b.lif("lif", 30, n_ref=3)
    b.alif("alif", 20, tau_a_ms=300.0, beta=0.1, n_ref=3)
    b.li("out", 2)
    for source in ("in", "lif", "alif"):
        for target in ("lif", "alif"):
            b.connect(source, target, weight=lambda rng, n: rng.normal(0.04, 0.2, n), p=0.4, delay=(1, 8))
    b.connect("alif", "out", weight=lambda rng, n: rng.normal(0.0, 0.2, n))
    spikes = np.random.default_rng(2).random((16, 200, 20)) < 0.05
    stimulus = neuro.Stimulus.dense({"in": spikes})
    found = {profile: quantize(b.build(), profile, stimulus, max_runs=1)[1] for profile in ("loihi1", "loihi2")}
    assert found["loihi1"].soft_reset is not None and set(found["loihi1"].soft_reset.kept) == {"lif", "alif"}
    assert found["loihi2"].soft_reset is None
    assert found["loihi1"].distance < 1.3 * found["loihi2"].distance
    hard = b.build()
    hard = replace(
        hard, populations=tuple(replace(p, reset="zero") if isinstance(p, neuro.LIF) else p for p in hard.populations)
    )
    from_hard = quantize(hard, "loihi1", stimulus, max_runs=1)
    assert from_hard[1].soft_reset is None and from_hard[1].ahp is not None
