"""Where spikes go on a mesh: by hand on three cores and two chips, by plain loops on random placements, and with a real placement."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, run
from neuro.backend.conformance import draw_stimulus, example, integer_example
from neuro.deploy import placement
from neuro.errors import DataError
from neuro.graph import AHP, INPUTS, Builder, CurrentInput, Graph
from neuro.metrics import Mesh, Routing, workload
from neuro.recording import Recording


@dataclass
class On:
    """A placement that is given."""

    core_of: dict[str, np.ndarray]
    chip_of: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        self.core_of = {name: np.asarray(core, np.int64) for name, core in self.core_of.items()}
        self.chip_of = np.asarray(self.chip_of, np.int64)

    @property
    def n_cores(self) -> int:
        return len(self.chip_of)

    @property
    def n_chips(self) -> int:
        return int(self.chip_of.max()) + 1


def plain(routing: Routing | None) -> dict[str, list[int]]:
    assert routing is not None
    return {name: n.tolist() for name, n in asdict(routing).items()}


def star() -> Graph:
    """Return one neuron that repeats its input, over to five others and a readout, with two synapses to one of them."""
    b = Builder()
    b.spike_input("in", 1)
    b.lif("a", 1, tau_m_ms=0.0, v_th=0.5, reset="zero")
    b.lif("b", 5, tau_m_ms=0.0, v_th=9.0)
    b.li("out", 1)
    b.connect("in", "a", weight=1.0)
    b.connect("a", "b", weight=0.5, pre=[0] * 6, post=[0, 0, 1, 2, 3, 4], delay=[1, 5, 1, 1, 1, 1])
    b.connect("a", "out", weight=0.5)
    return b.build()


def spiked(graph: Graph, steps: list[int], batch: int = 1) -> Recording:
    """Run with spikes of the first input unit in these steps of the last sample."""
    s = np.zeros((batch, 10, 1), bool)
    s[-1, steps] = True
    return run(graph, Stimulus.dense({"in": s}), "engine", Record())


def test_a_spike_is_one_message_to_each_core_that_it_reaches() -> None:
    # cores 0..7 on chip 0, 8 on chip 1; 2 cores a tile, 2 columns: tile 0 is cores 0, 1; tile 1 (one east) 2, 3; tile 2 (one south) 4, 5;
    # tile 3 is 6, 7: one east and one south
    graph, mesh = star(), Mesh(cores_per_tile=2, columns=2, rows=2)
    placed = On({"a": [0], "b": [0, 1, 2, 7, 8], "out": [7]}, [0] * 8 + [1])
    w = workload(graph, spiked(graph, [2, 9], batch=2), placed=placed, mesh=mesh)
    assert w.spikes["a"].tolist() == [0, 2]
    assert (w.n_cores, w.n_chips) == (9, 2)
    # 2 spikes, the last in the last step: to core 0 (own), 1 (its tile), 2 (a hop east), 7 (east and south, once for two targets), chip 1
    assert plain(w.routing) == {
        "within_core": [0, 2], "within_tile": [0, 2], "between_tiles": [0, 4], "hops_ew": [0, 4], "hops_ns": [0, 2],
        "between_chips": [0, 2], "from_outside": [0, 2],
    }  # fmt: skip


def test_without_a_mesh_a_chip_is_one_tile() -> None:
    graph = star()
    w = workload(graph, spiked(graph, [2]), placed=On({"a": [0], "b": [0, 1, 2, 3, 4], "out": [3]}, [0, 0, 0, 0, 1]))
    assert plain(w.routing) == {
        "within_core": [1], "within_tile": [3], "between_tiles": [0], "hops_ew": [0], "hops_ns": [0],
        "between_chips": [1], "from_outside": [1],
    }  # fmt: skip


def test_inputs_send_a_message_to_each_core_from_outside() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.current_input("cur", 1)
    b.li("out", 3)
    b.connect("in", "out", weight=1.0)
    b.connect("cur", "out", weight=1.0, pre=[0, 0], post=[0, 1])
    graph = b.build()
    spikes, u = np.zeros((1, 10, 1), bool), np.zeros((1, 10, 1))
    spikes[0, [1, 2]], u[0, [3, 4, 5]] = True, 0.5
    stimulus = Stimulus.dense({"in": spikes, "cur": u}, graph)
    recording = run(graph, stimulus, "engine", Record())
    w = workload(graph, recording, currents=stimulus.currents, placed=On({"out": [0, 0, 1]}, [0, 0]))
    assert set(w.spikes_by_unit) == {"in"}
    assert w.routing is not None
    assert w.routing.from_outside.tolist() == [2 * 2 + 3 * 1]
    assert not any(n.any() for name, n in asdict(w.routing).items() if name != "from_outside")


def test_an_ahp_neuron_sends_to_its_own_core() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.ahp("n", 1, d_v=4095, v_th=1, d_x=4095, w_x=-64)
    b.connect("in", "n", weight=200)
    graph = b.build()
    w = workload(graph, spiked(graph, [1, 4]), placed=placement(graph, "loihi1"))
    assert w.routing is not None
    assert w.routing.within_core.tolist() == w.routing.from_outside.tolist() == [2]


def by_loops(graph: Graph, recording: Recording, stimulus: Stimulus, placed: On, mesh: Mesh) -> dict[str, list[int]]:
    """Send every spike by itself."""
    names = plain_names()
    found = {name: [0] * recording.batch for name in names}
    local = [int(np.sum(placed.chip_of[:k] == placed.chip_of[k])) for k in range(placed.n_cores)]
    for p in (*graph.inputs, *graph.neurons):
        if isinstance(p, CurrentInput):
            events = list(zip(*np.nonzero(stimulus.currents[p.name]), strict=True))
        else:
            e = recording.spikes[p.name]
            events = list(zip(e.sample.tolist(), e.step.tolist(), e.unit.tolist(), strict=True))
        for sample, _, unit in events:
            reached = {
                placed.core_of[c.target][j] for c in graph.projections_from(p.name) for j in c.post[c.pre == unit]
            }
            if isinstance(p, AHP):
                reached.add(placed.core_of[p.name][unit])
            for core in reached:
                if isinstance(p, INPUTS):
                    found["from_outside"][sample] += 1
                    continue
                here = placed.core_of[p.name][unit]
                tiles = [local[k] // mesh.cores_per_tile for k in (here, core)]
                (r0, c0), (r1, c1) = (divmod(t, mesh.columns) for t in tiles)
                if placed.chip_of[here] != placed.chip_of[core]:
                    found["between_chips"][sample] += 1
                elif here == core:
                    found["within_core"][sample] += 1
                elif tiles[0] == tiles[1]:
                    found["within_tile"][sample] += 1
                else:
                    found["between_tiles"][sample] += 1
                    found["hops_ew"][sample] += abs(c0 - c1)
                    found["hops_ns"][sample] += abs(r0 - r1)
    return found


def plain_names() -> list[str]:
    return list(Routing.__dataclass_fields__)


@pytest.mark.parametrize("make", [example, integer_example])
def test_loops_count_the_same_on_scattered_neurons(make: object) -> None:
    graph: Graph = make()  # type: ignore[operator]
    rng = np.random.default_rng(3)
    placed = On({p.name: rng.integers(0, 10, p.size) for p in graph.receivers}, [0] * 7 + [1] * 3)
    stimulus = draw_stimulus(graph, 3, 60, 11)
    recording = run(graph, stimulus, "engine", Record())
    mesh = Mesh(cores_per_tile=2, columns=2, rows=2)
    w = workload(graph, recording, currents=stimulus.currents or None, placed=placed, mesh=mesh)
    found = plain(w.routing)
    assert found == by_loops(graph, recording, stimulus, placed, mesh)
    assert all(max(n) > 0 for name, n in found.items()), found


def test_a_real_placement_on_several_chips() -> None:
    b = Builder(seed=1)
    b.spike_input("in", 20)
    b.int_lif("rec", 2500, d_v=200, v_th=400)
    b.connect("in", "rec", weight=250, exponent=3)
    b.connect("rec", "rec", weight=20, fan_in=5)
    graph = b.build()
    placed = placement(graph, "loihi1")
    assert placed.n_cores == len(placed.cores) == 3
    recording = run(graph, draw_stimulus(graph, 2, 20, 1), "engine", Record())
    w = workload(graph, recording, placed=placed, mesh=Mesh(cores_per_tile=1, columns=8, rows=4))
    assert (w.n_cores, w.n_chips) == (3, 1)
    r = w.routing
    assert r is not None
    assert int(r.between_tiles.min()) > 0
    # at 1 core a tile in one row, a message takes one hop or two, and none goes within a tile
    assert np.all((r.hops_ew > r.between_tiles) & (r.hops_ew < 2 * r.between_tiles))
    assert not (r.within_tile.any() or r.hops_ns.any() or r.between_chips.any())
    assert np.all(r.within_core + r.between_tiles <= 3 * w.spikes["rec"])


def test_a_placement_that_does_not_fit_is_refused() -> None:
    graph = star()
    recording = spiked(graph, [2])
    fits = {"a": [0], "b": [0, 1, 2, 3, 4], "out": [3]}
    with pytest.raises(DataError, match=r"not one of this graph \(got none of 'out'; need 1\)"):
        workload(graph, recording, placed=On({k: v for k, v in fits.items() if k != "out"}, [0] * 5))
    with pytest.raises(DataError, match=r"not one of this graph \(got 2 neurons of 'a'; need 1\)"):
        workload(graph, recording, placed=On({**fits, "a": [0, 0]}, [0] * 5))
    with pytest.raises(DataError, match=r"cores out of range \(got 0..4 in 'b', chips of 4 cores; need 0..3\)"):
        workload(graph, recording, placed=On(fits, [0] * 4))
    with pytest.raises(DataError, match=r"too few cores \(got 5 used cores on one; need at most 4\)"):
        workload(graph, recording, placed=On(fits, [0] * 5), mesh=Mesh(1, 2, 2))
    with pytest.raises(DataError, match=r"mesh: empty \(got 4 cores a tile, 0 x 3 tiles"):
        Mesh(4, 0, 3)
