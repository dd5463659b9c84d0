"""Placement: by hand what a small graph takes, and every broken limit by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import neuro
from neuro.deploy import placement, profile
from neuro.deploy.demand import demand, synapse_bits
from neuro.errors import QuantizationError, UnsupportedError
from neuro.graph import IntProjection


def _hand() -> neuro.Graph:
    """Return 3 inputs -> 2 LIF -> 2 AHP -> 1 readout, small enough to count by hand."""
    b = neuro.Builder(name="hand")
    b.spike_input("in", 3)
    b.int_lif("lif", 2, d_v=200, v_th=100)
    b.ahp("ahp", 2, d_v=200, v_th=100, d_x=10, w_x=-64)
    b.int_li("out", 1, d_y=200)
    b.connect("in", "lif", weight=10)  # 6 synapses, 3 axons
    b.connect("lif", "ahp", weight=10, delay=5)  # 4 synapses with a delay, 2 axons
    b.connect("ahp", "out", weight=-10)  # 2 synapses, 2 axons
    return b.build()


def _wide(n_in: int) -> neuro.Graph:
    b = neuro.Builder(name="wide")
    b.spike_input("in", n_in)
    b.int_lif("lif", 2, d_v=200, v_th=100)
    b.connect("in", "lif", weight=1)
    return b.build()


def test_counts_by_hand_on_one_core() -> None:
    found = placement(_hand(), "loihi1")
    (core,) = found.cores
    assert core.compartments == 2 + 2 * 2 + 1
    assert core.n_synapses == 6 + 4 + 2 + 2  # the last two: from each AHP neuron to its auxiliary compartment
    assert core.axons_in == 3 + 2 + 2 + 2
    assert core.axons_out == 2 + 2 + 2
    assert core.max_fan_in == 3
    # lists: 3 of 2 synapses of 8 + 10 bits and 10: 46 -> 64; 2 of 2 with 6 bits of delay: 58 -> 64; 4 of one: 28 -> 64
    assert core.synaptic_bits == 9 * 64
    assert found.n_chips == 1
    assert not found.broken
    assert "no limit broken" in str(found)


def test_a_list_of_more_than_64_synapses_takes_a_second_block() -> None:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.int_lif("lif", 65, d_v=200, v_th=100)
    b.connect("in", "lif", weight=1)
    (core,) = placement(b.build(), "loihi1").cores
    assert core.synaptic_bits == 1216 + 64  # 64 * 18 + 10 = 1162 -> 1216; 18 + 10 = 28 -> 64


def test_neurons_go_on_the_next_core_when_compartments_run_out() -> None:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.int_lif("lif", 1000, d_v=200, v_th=100)
    b.ahp("ahp", 100, d_v=200, v_th=100, d_x=10, w_x=-64)
    b.connect("in", "lif", weight=1)
    found = placement(b.build(), "loihi1")
    assert [c.compartments for c in found.cores] == [1000 + 2 * 12, 2 * 88]
    assert [dict(c.neurons) for c in found.cores] == [{"lif": 1000, "ahp": 12}, {"ahp": 88}]
    assert found.core_of["ahp"].tolist() == [0] * 12 + [1] * 88
    assert not found.broken


def test_cores_go_on_the_next_chip_and_too_few_chips_are_named() -> None:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.int_lif("lif", 8 * 129, d_v=200, v_th=100)
    graph, small = b.build(), replace(profile("loihi1"), n_core_compartments=8)
    found = placement(graph, small)
    assert (len(found.cores), found.n_chips) == (129, 2)
    assert [c.chip for c in found.cores] == [0] * 128 + [1]
    assert not found.broken
    (broken,) = placement(graph, small, max_chips=1).broken
    assert str(broken).startswith("graph: too many cores for 1 chip (got 129; need at most 128).")


def test_input_axons_open_a_new_core() -> None:
    b = neuro.Builder()
    b.spike_input("in", 6000)
    b.int_lif("lif", 2, d_v=200, v_th=100)
    b.connect("in", "lif", pre=np.arange(6000), post=np.repeat([0, 1], 3000), weight=1)
    found = placement(b.build(), "loihi1")
    assert [c.axons_in for c in found.cores] == [3000, 3000]
    assert not found.broken


def test_synaptic_memory_opens_a_new_core() -> None:
    b = neuro.Builder()
    b.spike_input("in", 200)
    b.int_lif("lif", 1000, d_v=200, v_th=100)
    b.connect("in", "lif", weight=1)
    found = placement(b.build(), "loihi1")
    assert len(found.cores) == 4
    assert max(c.synaptic_bits for c in found.cores) <= 128 * 1024 * 8
    assert sum(c.n_synapses for c in found.cores) == 200_000


def test_too_many_output_axons_spread_the_sources() -> None:
    small = replace(profile("loihi1"), n_axons_out=10)
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.int_lif("lif", 16, d_v=200, v_th=100)
    b.connect("lif", "lif", weight=1, pre=np.arange(16), post=np.arange(16))
    found = placement(b.build(), small)
    assert max(c.axons_out for c in found.cores) <= 10
    assert not found.broken
    b.connect("lif", "lif", weight=1, name="all")
    tight = placement(b.build(), replace(small, n_axons_out=1))
    assert "too many output axons" in str(tight)


def test_the_report_agrees_with_a_count_from_the_placement() -> None:
    rng = np.random.default_rng(0)
    b = neuro.Builder(seed=1)
    b.spike_input("in", 40)
    b.int_lif("a", 60, d_v=200, v_th=100)
    b.ahp("b", 30, d_v=200, v_th=100, d_x=10, w_x=-64)
    for source in ("in", "a", "b"):
        for target in ("a", "b"):
            b.connect(source, target, weight=lambda r, n: r.integers(1, 200, n), p=0.3, delay=(1, 9))
    graph = b.build()
    found = placement(graph, replace(profile("loihi1"), n_core_compartments=int(rng.integers(20, 30))))
    assert len(found.cores) > 3
    for k, core in enumerate(found.cores):
        inside, out, fan_in = set(), set(), []
        for c in graph.projections:
            source_core = found.core_of.get(c.source)
            for i, j in zip(c.pre.tolist(), c.post.tolist(), strict=True):
                if found.core_of[c.target][j] == k:
                    inside.add((c.name, i))
                if source_core is not None and source_core[i] == k:
                    out.add((c.name, i, int(found.core_of[c.target][j])))
        own = int((found.core_of["b"] == k).sum())
        for name in ("a", "b"):
            for j in np.flatnonzero(found.core_of[name] == k):
                heard = {(c.name, i) for c in graph.projections_to(name) for i in c.pre[c.post == j].tolist()}
                fan_in.append(len(heard) + (name == "b"))
        assert core.axons_in == len(inside) + own
        assert core.axons_out == len(out) + own
        assert core.max_fan_in == max(fan_in)


@pytest.mark.parametrize("limit", ["compartments", "axons", "memory"])
def test_a_core_is_closed_only_when_the_next_neuron_does_not_fit(limit: str) -> None:
    b = neuro.Builder(seed=2)
    b.spike_input("in", 50)
    b.int_lif("a", 80, d_v=200, v_th=100)
    b.ahp("b", 40, d_v=200, v_th=100, d_x=10, w_x=-64)
    for target in ("a", "b"):
        b.connect("in", target, weight=lambda r, n: r.integers(1, 200, n), p=0.3)
    small: dict[str, Any] = {
        "compartments": {"n_core_compartments": 25},
        "axons": {"n_axons_in": 52},
        "memory": {"synaptic_memory_bits": 3500},
    }[limit]
    chip = replace(profile("loihi1"), **small)
    graph = b.build()
    needs, found = demand(graph, chip), placement(graph, chip)
    assert len(found.cores) > 3
    core_of = np.concatenate([found.core_of["a"], found.core_of["b"]])
    for core in range(len(found.cores)):
        start, stop = (int(x) for x in np.searchsorted(core_of, [core, core + 1]))
        for end in {stop, min(stop + 1, needs.n_neurons)}:
            axon, count = needs.incoming(start, end)
            full = {
                "compartments": int(needs.compartments[start:end].sum()) > chip.n_core_compartments,
                "axons": len(axon) > chip.n_axons_in,  # type: ignore[operator]
                "memory": int(synapse_bits(count, needs.bits[axon]).sum()) > chip.synaptic_memory_bits,  # type: ignore[operator]
            }
            assert full[limit] == (end > stop), (core, end)
            assert not any(full.values()) or end > stop


def test_fan_in_over_the_limit_is_named() -> None:
    found = placement(_wide(4100), "loihi1")
    text = str(found.broken[0])
    assert text.startswith("population 'lif', neuron 0: fan-in too large (2 such neurons; from 4100 by 'in->lif')")
    assert "(got 4100; need at most 4096). Prune its inputs" in text
    assert "input axons (got 4100; need at most 4096)" in str(found)
    assert not placement(_wide(4096), "loihi1").broken


def test_a_neuron_too_large_for_any_core_is_named() -> None:
    small = replace(profile("loihi1"), synaptic_memory_bits=128)
    found = placement(_hand(), small)
    assert "too many bits of synaptic memory (synapses alone) (got 192; need at most 128)" in str(found)


def test_values_that_a_profile_cannot_hold_are_named() -> None:
    b = neuro.Builder()
    b.spike_input("in", 2)
    b.int_alif("alif", 2, d_v=200, v_th=100, d_a=10, bump=5, reset="threshold", bias=[0, 524161])
    b.ahp("ahp", 2, d_v=200, v_th=100, d_x=10, w_x=[-1, -1000])
    b.connect("in", "alif", weight=2)
    text = str(placement(b.build(), "loihi1"))
    assert (
        "population 'alif': kind that loihi1 does not have (got IntALIF; need AHP, IntLI, IntLIF, SpikeInput)" in text
    )
    assert "(got threshold; need zero). Convert it with neuro.deploy.keep_soft_reset." in text
    assert "population 'alif': reset that its neurons cannot do (got threshold; need zero)" in text
    assert "population 'alif', neuron 1: bias without mantissa and exponent (1 such neurons) (got 524161; need" in text
    assert "population 'ahp': w_x is no synaptic weight (got -1000..-1; need" in text
    assert len(placement(b.build(), "loihi2").broken) == 2


def test_a_float_graph_is_refused() -> None:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.lif("lif", 1)
    with pytest.raises(
        QuantizationError,
        match=r"placement: float graph given to an integer-only target .*neuro.quantize\(graph, 'loihi1'\)",
    ):
        placement(b.build(), "loihi1")


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(
        UnsupportedError,
        match=r"profile 'loihi3': not known \(got 'loihi3'; need one of loihi1, loihi2\). Did you mean 'loihi",
    ):
        placement(_hand(), "loihi3")
    for nonsense in (None, ["loihi1"]):
        with pytest.raises(UnsupportedError, match=r"profile '.*': not known \(got .*; need one of loihi1, loihi2\)"):
            placement(_hand(), nonsense)  # type: ignore[arg-type]


def test_unpublished_limits_are_said_not_to_be_checked() -> None:
    text = str(placement(_wide(5000), "loihi2"))
    assert "input axons: 5000 (limit not published: not checked)" in text
    assert "no limit broken" in text


def test_every_figure_of_a_profile_has_a_source() -> None:
    for name in ("loihi1", "loihi2"):
        p = profile(name)
        named = set(p.__dataclass_fields__) - {"name", "sources"}
        assert set(p.sources) == named
        for field in named:
            sure = p.sources[field].sure
            assert sure in ("verified", "secondary", "derived", "not published")
            if sure == "not published":
                assert getattr(p, field) is None


def test_projections_of_a_graph_are_left_alone() -> None:
    graph = _hand()
    before = graph.sha256
    placement(graph, "loihi1")
    assert graph.sha256 == before
    assert all(isinstance(c, IntProjection) for c in graph.projections)
