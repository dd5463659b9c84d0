"""Weights of fewer bits: mantissas on a coarser step, less memory a synapse, and less of the behaviour left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import neuro
from neuro.backend import Stimulus
from neuro.deploy import placement, profile, quantize
from neuro.deploy.demand import demand
from neuro.errors import QuantizationError


def _graph() -> neuro.Graph:
    b = neuro.Builder(seed=5, name="small")
    b.spike_input("in", 20)
    b.lif("lif", 30, tau_m_ms=20.0, n_ref=2, reset="threshold")
    b.li("out", 3, tau_out_ms=20.0)
    b.connect("in", "lif", weight=lambda rng, n: rng.normal(0.15, 0.15, n), p=0.5)
    b.connect("lif", "lif", weight=lambda rng, n: rng.normal(0.0, 0.15, n), p=0.4, delay=(1, 5))
    b.connect("lif", "out", weight=lambda rng, n: rng.normal(0.0, 0.2, n))
    return b.build()


def _stimulus() -> Stimulus:
    rng = np.random.default_rng(1)
    return Stimulus.dense({"in": (rng.random((6, 120, 20)) < 0.06).astype(np.uint8)})


@pytest.mark.parametrize("bits", [2, 3, 5, 8, 9])
def test_mantissas_are_multiples_of_the_step_and_one_sign_has_all_of_its_values(bits: int) -> None:
    step = 2 ** (9 - bits)
    graph, note = quantize(_graph(), replace(profile("loihi2"), weight_bits=bits), _stimulus(), max_runs=1)
    trained = [c for c in graph.projections if not c.name.endswith(".reset")]
    assert len(trained) == 6
    for c in trained:
        assert c.size > 20
        assert not (c.weight % step).any()
        assert np.abs(c.weight).max() <= 256 - step
    assert max(len(np.unique(c.weight)) for c in trained) >= min(2 ** (bits - 1), 30) // 2
    assert note.weight_bits == bits
    assert graph.notes.get("weight_bits", "9") == str(bits)
    assert (f"weights of {bits} bits" in str(note)) == (bits < 9)


def test_nine_bits_are_the_whole_mantissas_and_mixed_lists_have_half_of_them() -> None:
    plain, _ = quantize(_graph(), "loihi2", _stimulus(), max_runs=1)
    same, _ = quantize(_graph(), replace(profile("loihi2"), weight_bits=9), _stimulus(), max_runs=1)
    assert plain.sha256 == same.sha256
    mixed, _ = quantize(_graph(), replace(profile("loihi2"), weight_bits=6), _stimulus(), max_runs=1, split_signs=False)
    assert {c.sign_mode for c in mixed.projections} == {"mixed"}
    assert all(not (c.weight % 16).any() for c in mixed.projections)


def test_fewer_bits_are_further_from_the_float_graph_and_take_less_memory() -> None:
    found = {}
    for bits in (3, 5, 9):
        chip = replace(profile("loihi2"), weight_bits=bits)
        graph, note = quantize(_graph(), chip, _stimulus(), max_runs=1)
        error = float(np.mean([c.rms_error for c in note.projections.values()]))
        wide = demand(graph, chip).bits.max()
        found[bits] = error, note.distance, int(wide), sum(c.synaptic_bits for c in placement(graph, chip).cores)
    assert found[3][0] > 3 * found[5][0] > 9 * found[9][0] > 0
    assert found[3][1] > found[9][1] > 0
    assert found[9][2] - found[5][2] == 4
    assert found[9][2] - found[3][2] == 6
    assert found[3][3] < found[5][3] < found[9][3]


def test_reset_synapses_keep_their_bits() -> None:
    chip = replace(profile("loihi1"), weight_bits=4)
    graph, _ = quantize(_graph(), chip, _stimulus(), max_runs=1)
    (reset,) = (c for c in graph.projections if c.name == "lif.reset")
    assert reset.size == 30
    assert (reset.weight % 32).any()
    widths = demand(graph, chip)
    of = {name: k for k, name in enumerate(widths.projections)}
    here = widths.axon_projection
    assert int(widths.bits[here == of["lif.reset"]][0]) == 8 + 10
    assert int(widths.bits[here == of["in->lif.exc"]][0]) == 3 + 10


@pytest.mark.parametrize(("bits", "split", "least"), [(1, True, 2), (10, True, 2), (2, False, 3)])
def test_widths_that_no_mantissa_has_are_refused(bits: int, split: bool, least: int) -> None:
    wanted = rf"quantize: weight_bits out of range \(got {bits}; need {least}\.\.9, sign included\)"
    with pytest.raises(QuantizationError, match=wanted):
        quantize(_graph(), replace(profile("loihi2"), weight_bits=bits), _stimulus(), max_runs=1, split_signs=split)
