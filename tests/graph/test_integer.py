"""Check the integer nodes: the golden model against numbers worked out by hand, the rules, the file, the builder."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuro.backend.conformance import draw_stimulus, integer_example
from neuro.errors import GraphError
from neuro.graph import (
    AHP,
    LIF,
    Builder,
    CurrentInput,
    Graph,
    IntALIF,
    IntLI,
    IntLIF,
    IntProjection,
    Projection,
    SpikeInput,
    fit_exponent,
    int_projections,
    integer_decay,
    load,
    reference,
    round_to_bias,
    round_to_mantissas,
    save,
    to_grid,
)

IN = SpikeInput(name="in", size=2)


def run(population: Any, weights: list[int], times: list[int], steps: int, exponent: int = 0) -> dict[str, np.ndarray]:
    """Return the states of a population of one that gets a spike at each of `times` through all the weights."""
    synapses = IntProjection(
        name="c", source="in", target=population.name, pre=[0] * len(weights), post=[0] * len(weights), weight=weights,
        delay=0, exponent=exponent, sign_mode="excitatory" if min(weights) >= 0 else "inhibitory",
    )  # fmt: skip
    graph = Graph(populations=(SpikeInput(name="in", size=1), population), projections=(synapses,))
    spikes = np.zeros((1, steps, 1))
    spikes[0, times] = 1
    return {k: v[0, :, 0] for k, v in reference.simulate(graph, {"in": spikes})[population.name].items()}


def lif(**changed: Any) -> IntLIF:
    return IntLIF(**({"name": "n", "size": 1, "d_v": 0, "v_th": 100} | changed))


def test_decay_goes_toward_zero_on_both_sides() -> None:
    x = np.array([-(2**23) + 1, -4097, -1, 0, 1, 4097, 2**23 - 1])
    for d in (0, 1, 2048, 4095, 4096):
        expected = [int(abs(v) * (4096 - d) // 4096) * (1 if v >= 0 else -1) for v in x.tolist()]
        assert reference.decay(x, np.array(d)).tolist() == expected
    assert reference.decay(np.array([-1]), np.array(1)).tolist() == [0]


def test_current_has_its_own_decay_with_an_offset_of_one() -> None:
    trace = run(lif(d_u=2047, v_th=131071), [64], [1], 5)
    assert trace["u"].tolist() == [0, 4096, 2048, 1024, 512]  # 4096 - (2047 + 1) = 2048: half a step
    assert trace["v"].tolist() == [0, 4096, 6144, 7168, 7680]
    assert run(lif(v_th=131071), [64], [1], 4)["u"].tolist() == [0, 4096, 0, 0]  # d_u 4095: no memory


@pytest.mark.parametrize(("exponent", "arrives"), [(-6, 3), (0, 3 * 64), (7, 3 * 2**13)])
def test_weight_is_scaled_by_its_exponent(exponent: int, arrives: int) -> None:
    assert run(lif(v_th=131071), [3], [0], 1, exponent)["u"].tolist() == [arrives]


def test_spike_needs_more_than_the_scaled_threshold() -> None:
    assert run(lif(v_th=100), [100], [0], 1)["z"].tolist() == [0]
    assert run(lif(v_th=100, bias=1), [100], [0], 1)["z"].tolist() == [1]


def test_resets_in_integers() -> None:
    drive: dict[str, Any] = {"d_v": 2048, "v_th": 100}
    assert run(lif(**drive, reset="threshold"), [150], [0], 3)["v"].tolist() == [9600, 4800 - 6400, -800]
    assert run(lif(**drive, reset="zero"), [150], [0], 3)["v"].tolist() == [0, 0, 0]
    adaptive = IntALIF(name="n", size=1, d_v=2048, v_th=100, d_a=2048, bump=200, reset="adaptive")
    trace = run(adaptive, [250], [0, 1], 3)
    assert trace["a"].tolist() == [0, 200, 300] and trace["z"].tolist() == [1, 1, 0]
    assert trace["v"].tolist() == [16000, 8000 + 16000 - 6400, 8800 - 6600]


def test_refractory_period_of_zero_lets_the_next_step_spike() -> None:
    assert run(lif(n_ref=0), [200], [0, 1, 2], 3)["z"].tolist() == [1, 1, 1]
    trace = run(lif(n_ref=2, d_u=2047), [200], [0, 1, 2, 3], 4)
    assert trace["z"].tolist() == [1, 0, 0, 1]
    assert trace["v"].tolist() == [0, 0, 0, 0] and trace["u"].tolist() == [12800, 19200, 22400, 24000]  # u goes on


def test_a_membrane_goes_on_while_refractory_where_the_reset_subtracts() -> None:
    trace = run(lif(v_th=100, n_ref=2, reset="threshold"), [250], [0], 5)
    assert trace["z"].tolist() == [1, 0, 0, 1, 0], "steps 1 and 2 are above the threshold, and refractory"
    assert trace["v"].tolist() == [16000, 9600, 9600, 9600, 3200]


def test_bias_enters_every_kind() -> None:
    ahp = AHP(name="n", size=1, d_v=2048, v_th=100, d_x=0, w_x=0, bias=-40)
    assert run(ahp, [1], [0], 3)["v"].tolist() == [24, -28, -54]
    assert run(IntLI(name="n", size=1, d_y=0, bias=7), [1], [1], 3)["y"].tolist() == [7, 78, 85]
    assert run(lif(d_v=2048, bias=-3), [1], [0], 2)["v"].tolist() == [61, 27]


def test_auxiliary_compartment_pulls_the_main_one_down_in_the_same_step() -> None:
    ahp = AHP(name="n", size=1, d_v=0, v_th=100, d_x=2048, w_x=-1000)
    trace = run(ahp, [110], [0], 4)
    assert trace["z"].tolist() == [1, 0, 0, 0]
    assert trace["x"].tolist() == [0, -1000, -500, -250]  # one step behind the spike
    assert trace["v"].tolist() == [0, -1000, -1500, -1750]


def test_each_sum_is_clipped_once_and_counted() -> None:
    top = 2**23 - 1
    trace = run(lif(v_th=131071, reset="threshold", d_u=0), [255] * 5, [0, 2], 3, exponent=7)
    assert trace["u"][0] == top and trace["clipped u"].tolist() == [1, 0, 1]
    assert trace["v"][0] == top and trace["z"][0] == 1
    readout = IntLI(name="n", size=1, d_y=0, state_bits=16)
    trace = run(readout, [255] * 5, [0, 1], 3, exponent=3)
    assert trace["u"].tolist() == [2**15 - 1, 2**15 - 1, 0] and trace["clipped u"].tolist() == [1, 1, 0]
    assert trace["y"].tolist() == [2**15 - 1] * 3 and trace["clipped y"].tolist() == [0, 1, 0]
    below = run(lif(v_th=10, d_u=0), [-255] * 5, [0, 1], 3, exponent=7)
    assert below["u"][:2].tolist() == [-top, -top] and below["v"].tolist()[:2] == [-top, -top]
    assert below["clipped u"].tolist() == [1, 1, 0] and below["clipped v"].tolist() == [0, 1, 1]
    reset = run(lif(v_th=100, d_v=4095, bias=4000, reset="threshold"), [255] * 5, [0, 1], 2, exponent=7)
    assert reset["v"].tolist() == [top, top + 2047 + 4000 - 6400], (
        "what the reset subtracts is in the sum that is clipped"
    )
    assert reset["clipped v"].tolist() == [1, 0]
    held = run(lif(v_th=10, n_ref=2, bias=1), [255] * 5, [0, 1, 2, 3], 4, exponent=7)
    assert held["clipped u"].tolist() == [1, 1, 1, 1] and held["z"].tolist() == [1, 0, 0, 1]
    assert held["clipped v"].tolist() == [1, 0, 0, 1], (
        "u and the bias are too wide together, but a held membrane forms no sum"
    )


def test_integer_graph_survives_the_file(tmp_path: Path) -> None:
    graph = integer_example()
    save(graph, tmp_path / "g.h5")
    again = load(tmp_path / "g.h5")
    assert again == graph and again.sha256 == graph.sha256 and again.semantics == "integer" and again.exact
    assert [type(p) for p in again.populations] == [SpikeInput, IntLIF, IntALIF, AHP, IntLI]
    assert again.projections[0].weight.dtype == np.int32 and again.populations[1].d_v.dtype == np.int64  # type: ignore[union-attr]


def test_every_field_is_in_the_hash() -> None:
    graph = integer_example()
    hashes = [graph.sha256]
    for k, p in enumerate(graph.populations[1:], 1):
        for field in (*p.parameters, "state_bits", *(("reset",) if isinstance(p, IntLIF) else ())):
            value = "threshold" if field == "reset" else 20 if field == "state_bits" else getattr(p, field) - 1
            if field in ("n_ref", "w_x"):
                value = getattr(p, field) + 1
            populations = (*graph.populations[:k], replace(p, **{field: value}), *graph.populations[k + 1 :])
            hashes.append(replace(graph, populations=populations).sha256)
    c, *rest = graph.projections
    assert isinstance(c, IntProjection) and c.sign_mode == "excitatory"
    even = replace(c, weight=c.weight // 2 * 2)
    changes: tuple[dict[str, Any], ...] = ({}, {"sign_mode": "mixed"}, {"exponent": 2}, {"delay": c.delay + 1})
    hashes += [replace(graph, projections=(replace(even, **change), *rest)).sha256 for change in changes]
    assert len(hashes) == 1 + 7 + 9 + 8 + 4 + 4 and len(set(hashes)) == len(hashes)


def test_grid_leaves_an_integer_graph_as_it_is() -> None:
    graph, note = to_grid(integer_example())
    assert graph == integer_example() and not note.grids


def test_matrix_of_both_signs_and_odd_values_becomes_two_projections() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.int_lif("n", 2, d_v=0, v_th=100)
    b.connect("in", "n", weight=np.array([[3, -5], [0, 8]]), exponent=2)
    found = {c.name: c for c in b.build().projections}
    assert set(found) == {"in->n.exc", "in->n.inh"}
    exc, inh = found["in->n.exc"], found["in->n.inh"]
    assert isinstance(exc, IntProjection) and isinstance(inh, IntProjection)
    assert (exc.sign_mode, exc.weight.tolist(), inh.sign_mode, inh.weight.tolist()) == (
        "excitatory", [3, 8], "inhibitory", [-5],
    )  # fmt: skip
    assert exc.activation.tolist() == [3 * 256, 8 * 256]


@pytest.mark.parametrize(
    ("weights", "modes"),
    [([2, -4], ["mixed"]), ([1, 255], ["excitatory"]), ([-1, -255], ["inhibitory"]), ([-256, 254], ["mixed"])],
)
def test_sign_mode_follows_the_weights(weights: list[int], modes: list[str]) -> None:
    made = int_projections(name="c", source="in", target="n", pre=[0, 1], post=[0, 0], weight=weights)
    assert [c.sign_mode for c in made] == modes


def test_arrays_that_do_not_fit_are_refused_and_no_synapses_are_fine() -> None:
    ends: dict[str, Any] = {"name": "c", "source": "in", "target": "n"}
    with pytest.raises(
        GraphError, match=r"projection 'c': arrays differ in shape \(got pre \(2,\), post \(3,\); need one length\)"
    ):
        int_projections(**ends, pre=[0, 1], post=[0, 0, 1], weight=2)
    with pytest.raises(GraphError, match=r"got pre \(1,\), post \(1,\), weight \(1, 1\); need one length"):
        int_projections(**ends, pre=[0], post=[0], weight=[[2]])
    (none,) = int_projections(**ends, pre=[], post=[], weight=2)
    (one,) = int_projections(**ends, pre=0, post=1, weight=-3)
    assert (none.size, one.size, one.sign_mode) == (0, 1, "inhibitory")
    b = Builder()
    b.spike_input("in", 2)
    b.int_lif("n", 2, d_v=0, v_th=100)
    b.connect("in", "n", weight=3, p=0.0)
    assert b.build().n_synapses == 0


def test_integer_decay_is_the_nearest_of_twelve_bits() -> None:
    assert integer_decay([1.0, 0.5, 0.0, np.exp(-1 / 20)]).tolist() == [0, 2048, 4095, 200]
    with pytest.raises(GraphError, match=r"factor out of range \(got 1.5; need 0..1\)"):
        integer_decay(1.5)


def projection(**changed: Any) -> IntProjection:
    fields: dict[str, Any] = {"name": "c", "source": "in", "target": "n", "pre": [0, 1], "post": [0, 0], "weight": 2}
    return IntProjection(**(fields | {"delay": 0} | changed))


@pytest.mark.parametrize(
    ("populations", "projections", "message"),
    [
        ((IN, lif(d_v=4096)), (), "population 'n': d_v out of range (got 4096 at neuron 0, 1 in all; need 0..4095)"),
        ((IN, lif(d_u=-1)), (), "population 'n': d_u out of range (got -1"),
        ((IN, lif(v_th=2**17)), (), "population 'n': v_th out of range (got 131072 at neuron 0, 1 in all; need 1..131071)"),
        ((IN, lif(n_ref=64)), (), "population 'n': n_ref out of range (got 64 at neuron 0, 1 in all; need 0..63)"),
        ((IN, lif(bias=2**23)), (), "population 'n': bias out of range (got 8388608"),
        ((IN, lif(reset="none")), (), "population 'n': unknown reset (got 'none'"),
        ((IN, lif(state_bits=25)), (), "population 'n': state_bits out of range (got 25; need 8..24)"),
        ((IN, AHP(name="n", size=1, d_v=0, v_th=9, d_x=0, w_x=1)), (), "population 'n': w_x out of range (got 1"),
        ((IN, AHP(name="n", size=1, d_v=0, v_th=9, d_x=0, w_x=-(2**23))), (), "population 'n': w_x out of range (got -8388608"),
        ((IN, IntALIF(name="n", size=1, d_v=0, v_th=9, d_a=0, bump=-(2**23))), (), "population 'n': bump out of range (got -8388608"),
        ((IN, IntALIF(name="n", size=1, d_v=0, v_th=9, d_a=0, bump=2**23)), (), "population 'n': bump out of range (got 8388608"),
        ((IN, lif(state_bits=7)), (), "population 'n': state_bits out of range (got 7; need 8..24)"),
        ((IN, lif()), (projection(exponent=-7),), "projection 'c': exponent out of range (got -7; need -6..7)"),
        ((IN, lif()), (projection(weight=[2, 3]),), "projection 'c': weight does not fit sign_mode 'mixed' (got 3 at synapse 1, 1 in all; need even numbers -256..254). Leave sign_mode out: "),
        ((IN, lif()), (projection(weight=[2, 256]),), "(got 256 at synapse 1, 1 in all; need even numbers -256..254). Use a larger exponent, and halve the weights for each step of it."),
        ((IN, lif()), (projection(weight=256, sign_mode="excitatory"),), "projection 'c': weight does not fit sign_mode 'excitatory' (got 256 at synapse 0, 2 in all; need 0..255)"),
        ((IN, lif()), (projection(weight=2, sign_mode="inhibitory"),), "need -255..0). Leave sign_mode out: "),
        ((IN, lif()), (projection(weight=-256, sign_mode="inhibitory"),), "need -255..0). Use a larger exponent, and halve"),
        ((IN, lif()), (projection(sign_mode="excitatry"),), "projection 'c': unknown sign_mode (got 'excitatry'; need one of mixed, excitatory, inhibitory). Did you mean 'excitatory'?"),
        ((IN, lif()), (projection(exponent=8),), "projection 'c': exponent out of range (got 8; need -6..7)"),
        ((IN, lif()), (projection(delay=63),), "projection 'c': delay out of range (got 63; need 0..62 from inputs; synapse 0, 2 in all)"),
        ((IN, lif()), (projection(source="n", delay=0, pre=[0, 0]),), "delay out of range (got 0; need 1..62 between neurons"),
        ((IN, lif(), LIF(name="f", size=1, alpha=0.5)), (), "graph: float and integer populations together (got float f and integer n; need one kind)"),
        ((CurrentInput(name="cur", size=1), lif()), (), "population 'cur': currents into an integer graph"),
        ((IN, LIF(name="n", size=1, alpha=0.5)), (projection(),), "projection 'c': integer synapses into a float population"),
        ((IN, lif()), (Projection(name="c", source="in", target="n", pre=[0], post=[0], weight=1.0, delay=0),), "projection 'c': float synapses into an integer population"),
    ],
)  # fmt: skip
def test_rule_fires(populations: tuple[Any, ...], projections: tuple[Any, ...], message: str) -> None:
    with pytest.raises(GraphError, match=re.escape(message)):
        Graph(populations=populations, projections=projections)


def test_sum_of_a_neuron_must_fit_31_bits() -> None:
    n = 2**31 // (255 * 2**13) + 1
    full = projection(pre=[0] * n, post=[0] * n, weight=255, exponent=7, sign_mode="excitatory")
    with pytest.raises(
        GraphError, match=r"sum of \|weight\| \* 2\*\*\(6 \+ exponent\) too large \(got 2149539840 at neuron 0"
    ):
        Graph(populations=(IN, lif()), projections=(full,))
    less = projection(pre=[0] * (n - 1), post=[0] * (n - 1), weight=255, exponent=7, sign_mode="excitatory")
    assert Graph(populations=(IN, lif()), projections=(less,)).n_synapses == n - 1


def test_sum_of_a_neuron_counts_every_projection_and_not_the_signs() -> None:
    half = 2**31 // (255 * 2**13) // 2 + 1
    up = projection(pre=[0] * half, post=[0] * half, weight=255, exponent=7, sign_mode="excitatory")
    down = projection(name="d", pre=[0] * half, post=[0] * half, weight=-255, exponent=7, sign_mode="inhibitory")
    assert Graph(populations=(IN, lif()), projections=(down,)).n_synapses == half
    with pytest.raises(GraphError, match=r"too large \(got 2151628800 at neuron 0; need < 2147483648\)"):
        Graph(populations=(IN, lif()), projections=(up, down))


def test_builder_passes_every_field_on() -> None:
    b = Builder()
    both: dict[str, Any] = {"d_u": 1, "bias": 3, "state_bits": 20}
    spiking: dict[str, Any] = {**both, "d_v": 2, "v_th": 5, "n_ref": 4}
    adapting: dict[str, Any] = {"d_a": 6, "bump": 7, "reset": "adaptive"}
    b.int_lif("lif", 2, **spiking, reset="threshold")
    b.int_alif("alif", 2, **spiking, **adapting)
    b.ahp("ahp", 2, **spiking, d_x=8, w_x=-9)
    b.int_li("out", 2, **both, d_y=10)
    assert b.build().populations == (
        IntLIF(name="lif", size=2, **spiking, reset="threshold"),
        IntALIF(name="alif", size=2, **spiking, **adapting),
        AHP(name="ahp", size=2, **spiking, d_x=8, w_x=-9),
        IntLI(name="out", size=2, **both, d_y=10),
    )


def test_weights_that_are_no_integers_are_refused_where_they_stand() -> None:
    with pytest.raises(
        GraphError, match=r"projection 'c': weight: wrong type of value \(got \[0.5, 1.0\]; need integers\)"
    ):
        projection(weight=[0.5, 1.0])
    b = Builder()
    b.spike_input("in", 1)
    b.lif("n", 1)
    with pytest.raises(GraphError, match="exponent and sign_mode are of integer synapses"):
        b.connect("in", "n", weight=1.0, exponent=2)


def test_summary_shows_integers_and_scales() -> None:
    text = integer_example().summary()
    for part in ("IntALIF", "tau_a 63.5 ms, bump 30000", "w_x -9000", "* 2**9", "24-bit states", "integer semantics"):
        assert part in text, part


def test_golden_model_of_integers_is_independent_of_the_batch() -> None:
    graph = integer_example()
    stimulus = draw_stimulus(graph, 3, 80, 1)
    dense = {p.name: stimulus.dense_input(graph, p.name) for p in graph.inputs}
    whole = reference.simulate(graph, dense)
    assert whole["ahp"]["z"].sum() > 0 and whole["alif"]["z"].sum() > 0
    alone = reference.simulate(graph, {name: x[1:2] for name, x in dense.items()})
    for name in ("lif", "alif", "ahp", "out"):
        for state, values in alone[name].items():
            assert np.array_equal(values, whole[name][state][1:2]), (name, state)


def test_exponent_is_the_least_at_which_a_weight_fits() -> None:
    assert [fit_exponent(x) for x in (0.0, 255.0, 255.1, 255 * 64.0, 255 * 8192.0, 1e9)] == [-6, -6, -5, 0, 7, 7]
    assert round_to_mantissas([-1e9, -96.0, 32.0, 96.0, 160.0], 0).tolist() == [-255, -2, 0, 2, 2]


def test_bias_is_rounded_to_mantissa_and_exponent() -> None:
    assert round_to_bias([0.4, 3.0, -4095.0, 4097.0, 5000.3, 1e9, -1e9]).tolist() == [
        0, 3, -4095, 4096, 5000, 4095 * 128, -4095 * 128,
    ]  # fmt: skip
    assert round_to_bias([9.0, 100.0], mantissa_bits=4, exponent_bits=2).tolist() == [8, 7 * 8]
