"""Damage: dead neurons are silent and cut off, the others' weights are a little off, and the note says so."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import neuro
from neuro.backend import Record, Stimulus
from neuro.errors import RecipeError, UnsupportedError
from neuro.graph import Graph
from neuro.learning import EProp, attach, damage
from tests.learning.sides import Sides, small_net


def net() -> Graph:
    """Return a net with biases, on which a rule lies."""
    graph = small_net(n_lif=30, n_alif=20)
    populations = tuple(
        replace(p, bias=np.full(p.size, 0.05), grid=None) if p.name == "lif" else p for p in graph.populations
    )
    return attach(neuro.to_grid(replace(graph, populations=populations))[0], EProp())  # type: ignore[arg-type]


def spikes(graph: Graph) -> dict[str, np.ndarray]:
    batch = Sides().fixed("test", 0, 20)
    found = neuro.run(graph, Stimulus.dense({"in": batch.inputs}, graph), record=Record())
    return {
        p.name: np.bincount(found.spikes[p.name].unit, minlength=p.size) for p in graph.neurons
    }  # fmt: skip


def test_dead_neurons_are_cut_off_and_silent() -> None:
    graph = net()
    made, note = damage(graph, kill=0.3, noise=0.0, seed=1)
    assert note.n_killed == 15 == sum(map(len, note.killed.values()))
    assert all(len(dead) > 0 for dead in note.killed.values())
    assert made.exact
    before, after = spikes(graph), spikes(made)
    for name, dead in note.killed.items():
        assert before[name][dead].sum() > 0
        assert after[name][dead].sum() == 0
        assert after[name].sum() > 0
        assert not np.asarray(made.population(name).bias)[dead].any()  # type: ignore[union-attr]
    lost = 0
    for old, new in zip(graph.projections, made.projections, strict=True):
        gone = np.isin(old.post, note.killed.get(old.target, [])) | np.isin(old.pre, note.killed.get(old.source, []))
        lost += int(gone.sum())
        np.testing.assert_array_equal(new.pre, old.pre[~gone])
        np.testing.assert_array_equal(new.weight, old.weight[~gone])
        assert new.plasticity == old.plasticity
    assert lost == note.n_lost == graph.n_synapses - made.n_synapses
    assert note.n_perturbed == 0


def test_weights_are_off_by_a_factor() -> None:
    graph = net()
    made, note = damage(graph, kill=0.0, noise=0.2)
    factor = np.concatenate(
        [new.weight / old.weight for old, new in zip(graph.projections, made.projections, strict=True)]
    )
    assert note.n_perturbed == len(factor) == graph.n_synapses > 2000
    assert abs(factor.mean() - 1) < 5 * 0.2 / np.sqrt(len(factor))
    assert abs(factor.std() / 0.2 - 1) < 5 / np.sqrt(2 * len(factor))
    changes = [
        np.abs(new.weight - old.weight).max() for old, new in zip(graph.projections, made.projections, strict=True)
    ]
    assert note.largest_change == pytest.approx(max(changes), rel=1e-9)  # up to the new grid
    assert str(note) == (
        "damage: 0 of 50 neurons are dead (0 of 'lif', 0 of 'alif'): 0 synapses from and to them were removed and their biases set to 0, so "
        f"they never spike\ndamage: {graph.n_synapses} weights were multiplied by 1 + 0.2 N(0, 1); largest change {note.largest_change:.3g}"
    )


def test_damage_follows_its_seed() -> None:
    one, again, other = (damage(net(), seed=seed) for seed in (0, 0, 1))
    assert one[0] == again[0]
    assert {k: v.tolist() for k, v in one[1].killed.items()} != {k: v.tolist() for k, v in other[1].killed.items()}


def test_mistakes_are_refused() -> None:
    with pytest.raises(RecipeError, match=re.escape("damage 'kill': out of range (got 1.5; need a share in 0..1)")):
        damage(net(), kill=1.5)
    with pytest.raises(RecipeError, match=re.escape("damage 'noise': out of range (got -1.0; need a number >= 0)")):
        damage(net(), noise=-1.0)
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.int_lif("lif", 2, d_v=100, v_th=10)
    with pytest.raises(UnsupportedError, match=re.escape("damage: integer graph (got integer semantics; need float)")):
        damage(b.build())
