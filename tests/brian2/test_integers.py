"""Hold integer graphs on Brian2 to the golden model where random graphs seldom go: widest states, every decay, signs of zero."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, conformance
from neuro.graph import (
    AHP,
    MAX_D,
    MAX_INT_DELAY,
    MAX_N_REF,
    MAX_STATE,
    MAX_V_TH,
    RESETS,
    Graph,
    IntALIF,
    IntLI,
    IntLIF,
    IntProjection,
    SpikeInput,
    int_projections,
)
from neuro.recording import Recording
from neuro_brian2 import Brian2Backend
from neuro_brian2.batch import wanted
from neuro_brian2.cells import FLOAT_CELLS, INTEGER_CELLS
from neuro_brian2.layout import lay_out


def check(
    graph: Graph, stimulus: Stimulus, backend: Brian2Backend | None = None, record: Record = conformance.ALL
) -> Recording:
    """Run a graph on the numpy target, or a given backend, and compare every spike, state and count; no state is -0.0."""
    program = (backend or Brian2Backend()).compile(graph)
    try:
        got = program.run(stimulus, record)
    finally:
        program.close()
    conformance.assert_equal(got, conformance.golden(graph, stimulus, record), graph)
    for name, states in got.traces.items():
        for state, values in states.items():
            assert values.dtype == np.float64 and not np.signbit(values[values == 0]).any(), (name, state)
    return got


def pulse(size: int, steps: int, at: tuple[int, ...] = (0,)) -> Stimulus:
    """Return one sample in which every input spikes at the steps given."""
    spikes = np.zeros((1, steps, size), bool)
    spikes[0, list(at)] = True
    return Stimulus.dense({"in": spikes})


def from_input(target: str, post: np.ndarray, weight: np.ndarray, copies: int = 1) -> IntProjection:
    """Return synapses of the largest exponent from input 0, `copies` to each neuron of `post`."""
    mode = "excitatory" if weight.min() >= 0 else "inhibitory"
    (found,) = int_projections(
        name=f"in>{target}", source="in", target=target, pre=0, post=np.repeat(post, copies),
        weight=np.repeat(weight, copies), delay=0, exponent=7, sign_mode=mode,
    )  # fmt: skip
    return found


# ------------------------------------------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize("sign", [1, -1])
def test_every_decay_of_the_widest_state(sign: int) -> None:
    # Five of the heaviest synapses are clipped to 2**23 - 1, from where u and y decay toward 0.
    d = np.arange(MAX_D + 1)
    held = IntLI(name="y", size=len(d), d_u=MAX_D, d_y=d)
    current = IntLI(name="u", size=len(d), d_u=d, d_y=MAX_D)
    weight = np.full(len(d), sign * 255)
    projections = (from_input("y", d, weight, copies=5), from_input("u", d, weight, copies=5))
    graph = Graph(populations=(SpikeInput(name="in", size=1), held, current), projections=projections)
    got = check(graph, pulse(1, 40))
    for name, state in (("y", "y"), ("u", "u")):
        values = sign * got.traces[name][state][0]
        assert values[0].tolist() == [MAX_STATE] * len(d)
        assert len(np.unique(values[1:])) > 20_000, "decays must pass through many values"
        assert got.counts.saturations[name]["u"].tolist() == [len(d)]


def test_sums_close_to_2_31_are_clipped_once_and_counted() -> None:
    # 1028 synapses of 255 * 2**13 are 2147450880, the rule's limit is 2**31; membrane and currents stay at their bounds.
    size = 8
    common = {"size": size, "d_u": [0, 1, 2, 3, 4092, 4093, 4094, 4095], "d_v": [0, 0, 1, 1, 7, 7, 4095, 4095]}
    populations: list[SpikeInput | IntLIF | AHP | IntLI] = [SpikeInput(name="in", size=1)]
    for reset in RESETS:
        populations.append(
            IntALIF(name=reset, **common, v_th=[1, MAX_V_TH] * 4, bias=[MAX_STATE, -MAX_STATE] * 4, reset=reset,
                    d_a=[0, 0, 1, 4095] * 2, bump=[MAX_STATE, -MAX_STATE] * 4, n_ref=[0, 0, 0, 0, 1, 2, 3, MAX_N_REF])  # type: ignore[arg-type]
        )  # fmt: skip
    populations.append(
        AHP(name="ahp", **common, v_th=MAX_V_TH, d_x=[0, 1, 2, 4095] * 2, w_x=-MAX_STATE, bias=MAX_STATE)
    )  # type: ignore[arg-type]
    populations.append(IntLI(name="out", size=size, d_u=common["d_u"], d_y=common["d_v"], bias=-MAX_STATE))
    units = np.arange(size)
    weight = np.full(size, 255)
    projections = tuple(from_input(p.name, units, weight, copies=1028) for p in populations[1:])
    graph = Graph(populations=tuple(populations), projections=projections)
    assert projections[0].activation.sum() / size > 2**31 - 2**16
    got = check(graph, pulse(1, 60, (0, 1, 2, 3, 20, 21, 40)))
    spikes = {p.name: int(got.counts.spikes[p.name].sum()) for p in graph.neurons}
    assert min(spikes.values()) > 20, spikes
    clips = got.counts.saturations
    counted = {(name, state): int(n.sum()) for name, states in clips.items() for state, n in states.items()}
    assert len(counted) == 3 * 4 + 2 and min(counted.values()) > 20, counted


@pytest.mark.parametrize("state_bits", [8, 13, 24])
def test_states_of_every_width_clip_at_their_bounds(state_bits: int) -> None:
    top = 2 ** (state_bits - 1) - 1
    n = IntALIF(name="n", size=6, state_bits=state_bits, d_u=64, d_v=64, d_a=1, v_th=1, bump=[top, -top, 9, -9, 0, 70],
                bias=[0, 0, 5, -5, 3, 0], reset="threshold")  # fmt: skip
    weight = np.array([255, 255, -255, -255, 1, 255])
    (excitatory, inhibitory) = int_projections(
        name="w", source="in", target="n", pre=0, post=np.arange(6), weight=weight, delay=0, exponent=7
    )
    graph = Graph(populations=(SpikeInput(name="in", size=1), n), projections=(excitatory, inhibitory))
    got = check(graph, pulse(1, 80, tuple(range(0, 60, 2))))
    traces = got.traces["n"]
    for state in ("u", "v", "a"):
        assert np.abs(traces[state]).max() <= top
    assert traces["a"].max() == top == -traces["a"].min()
    assert got.counts.saturations["n"]["a"].sum() > 10 and got.counts.spikes["n"].sum() > 100


def test_a_negative_membrane_that_spikes_is_set_to_zero_without_a_sign() -> None:
    # Bumps downward sink the threshold far below zero; `check` looks at the signs.
    n = IntALIF(name="n", size=1, d_v=10, v_th=1, d_a=1, bump=-100_000, bias=0, reset="zero")
    weights = int_projections(
        name="w", source="in", target="n", pre=[0, 1], post=0, weight=[255, -255], delay=0, exponent=0
    )
    graph = Graph(populations=(SpikeInput(name="in", size=2), n), projections=weights)
    spikes = np.zeros((1, 30, 2), bool)
    spikes[0, 0, 0] = spikes[0, 4:9, 1] = True
    got = check(graph, Stimulus.dense({"in": spikes}))
    u = got.traces["n"]["u"][0, :, 0]
    fired = got.spikes["n"].step
    assert u[4] < 0 and 4 in fired, "a membrane below zero must spike"


def test_reset_to_zero_counts_no_clip_while_refractory() -> None:
    kinds = {
        "zero": IntLIF(name="zero", size=1, d_v=0, v_th=1, n_ref=9, bias=MAX_STATE),
        "threshold": IntLIF(name="threshold", size=1, d_v=0, v_th=1, n_ref=9, bias=MAX_STATE, reset="threshold"),
    }
    synapses = tuple(from_input(name, np.zeros(1, np.int64), np.array([255]), copies=5) for name in kinds)
    graph = Graph(populations=(SpikeInput(name="in", size=1), *kinds.values()), projections=synapses)
    got = check(graph, pulse(1, 40, tuple(range(40))))
    clips = {name: int(got.counts.saturations[name]["v"][0]) for name in kinds}
    assert {name: int(n[0]) for name, n in got.counts.spikes.items() if name != "in"} == {"zero": 4, "threshold": 4}
    assert clips == {"zero": 4, "threshold": 40}


# ------------------------------------------------------------------------------------------------- graphs and runs


def test_the_longest_delay_and_refractory_period() -> None:
    n = IntLIF(name="n", size=2, d_v=MAX_D, v_th=100, n_ref=[0, MAX_N_REF])
    synapses = {"source": "in", "target": "n", "pre": [0, 0], "post": [0, 1], "weight": [202, 202]}
    late = IntProjection(name="late", delay=MAX_INT_DELAY, **synapses)  # type: ignore[arg-type]
    loop = IntProjection(name="loop", source="n", target="n", pre=[0], post=[1], weight=[202], delay=[MAX_INT_DELAY])
    graph = Graph(populations=(SpikeInput(name="in", size=1), n), projections=(late, loop))
    events = check(graph, pulse(1, 200, (3, 5, 70))).spikes["n"]
    found = sorted((int(t), int(k)) for t, k in zip(events.step, events.unit, strict=True))
    # Neuron 1 is refractory at 67, and free again at 65 + 64; its loop's spikes at 127 come too early, the one at 194 not.
    assert found == [(65, 0), (65, 1), (67, 0), (129, 1), (132, 0), (194, 1)]


def test_graphs_without_inputs_and_readouts_alone() -> None:
    driven = IntLIF(name="n", size=3, d_v=100, v_th=500, bias=[9000, 4000, 0], reset="threshold")
    out = IntLI(name="out", size=2, d_y=9, bias=[-7, 7])
    read = IntProjection(name="read", source="n", target="out", pre=[0, 1], post=[0, 1], weight=[20, -20], delay=[1, 2])
    got = check(Graph(populations=(driven, out), projections=(read,)), Stimulus(batch=3, steps=60))
    assert got.counts.spikes["n"].tolist() == [int(got.counts.spikes["n"][0])] * 3 and got.counts.spikes["n"][0] > 5
    alone = check(Graph(populations=(SpikeInput(name="in", size=1), out)), pulse(1, 20))
    # 7 at first, and 6 more in each of 19 steps: toward zero, the smallest decay takes 1.
    assert alone.traces["out"]["y"][0, -1].tolist() == [-121.0, 121.0]
    one = check(Graph(populations=(out,)), Stimulus(batch=2, steps=1))
    assert one.counts.saturations["out"]["y"].tolist() == [0, 0]


def test_a_batch_in_parts_counts_the_clips_of_every_sample() -> None:
    graph = saturating()
    stimulus = conformance.draw_stimulus(graph, 5, 40, 2)
    got = check(graph, stimulus, Brian2Backend(memory_bytes=1))
    conformance.assert_equal(got, check(graph, stimulus), graph)
    clips = got.counts.saturations["alif"]["v"]
    assert clips.shape == (5,) and clips.min() > 0 and len(set(clips.tolist())) > 1, clips


def test_only_the_traces_asked_for_are_recorded_and_all_clips_are_counted() -> None:
    graph = saturating()
    layout = lay_out(graph)
    cells = wanted(layout, {"out": ("y",), "ahp": ("x",), "alif": ("u", "a")})
    sizes = {p.name: p.size for p in graph.receivers}
    assert {name: len(found) for name, found in cells.items()} == {
        "v": sizes["out"], "a": sizes["ahp"] + sizes["alif"], "u": sizes["alif"],
    }  # fmt: skip
    stimulus = conformance.draw_stimulus(graph, 2, 30, 3)
    for traces in ({"out": ("y",)}, {"ahp": ("x",), "alif": ("u", "a")}, {"lif": ("v", "u"), "out": ("u",)}, {}):
        got = check(graph, stimulus, record=Record(traces=traces))
        assert {name: set(states) for name, states in got.traces.items()} == {n: set(s) for n, s in traces.items()}
        assert sum(int(n.sum()) for states in got.counts.saturations.values() for n in states.values()) > 0


@pytest.mark.parametrize("target", ["numpy", "cython"])  # a standalone program is one graph's
def test_float_and_integer_graphs_follow_each_other(target: str) -> None:
    # Each semantics has its own code; none may be taken for the other's.
    backend = Brian2Backend(target=target)
    for graph in (conformance.example(), saturating(), conformance.example()):
        program = backend.compile(graph)
        stimulus = conformance.draw_stimulus(graph, 2, 20, 4)
        got = program.run(stimulus, conformance.ALL)
        conformance.assert_equal(got, conformance.golden(graph, stimulus, conformance.ALL), graph)
        assert got.exact and got.counts.spikes["lif"].sum() > 0
        assert bool(got.counts.saturations) == (graph.semantics == "integer")
        program.close()


def test_a_graph_is_laid_out_in_the_model_of_its_semantics() -> None:
    assert lay_out(conformance.example()).model is FLOAT_CELLS
    layout = lay_out(saturating())
    assert layout.model is INTEGER_CELLS
    assert set(layout.parameters) == set(INTEGER_CELLS.parameters)
    assert {len(values) for values in layout.parameters.values()} == {layout.n_cells}
    weight = layout.from_lines.weight
    assert np.array_equal(weight, np.rint(weight)) and np.abs(weight).max() > 2**17


def saturating() -> Graph:
    """Return the suite's example, of every kind, with synapses so strong that states clip."""
    graph = conformance.integer_example()
    strong = [
        IntProjection(
            name=f"strong {p.name}", source="in", target=p.name, pre=[0, 1, 2] * 5, post=[0] * 15, weight=[254, 254, -256] * 5,
            delay=[0, 1, 2] * 5, exponent=7,
        )
        for p in graph.receivers
    ]  # fmt: skip
    return Graph(populations=graph.populations, projections=(*graph.projections, *strong), dt_ms=graph.dt_ms)
