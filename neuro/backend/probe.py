"""Try a backend on a minimal real job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuro.errors import NeuroError, UnsupportedError
from neuro.graph import Builder, Graph, reference

from .api import Availability, Record
from .stimulus import Stimulus

if TYPE_CHECKING:
    from .api import Backend

STEPS = 12


def tiny_graph() -> Graph:
    """Return a graph of two neurons and a readout whose every spike can be followed by hand."""
    b = Builder(name="probe")
    b.spike_input("in", 1)
    b.lif("lif", 2, tau_m_ms=20.0, n_ref=1)
    b.li("out", 1)
    b.connect("in", "lif", weight=[1.5, 0.25], pre=[0, 0], post=[0, 1])
    b.connect("lif", "lif", weight=[1.5], pre=[0], post=[1], delay=2, name="rec")
    b.connect("lif", "out", weight=[0.5, 0.5], pre=[0, 1], post=[0, 0])
    return b.build()


def tiny_stimulus(batch: int = 1) -> Stimulus:
    """Return a spike in every third step."""
    spikes = np.zeros((batch, STEPS, 1), dtype=np.uint8)
    spikes[:, ::3] = 1
    return Stimulus.dense({"in": spikes})


def tiny_integer_graph() -> Graph:
    """Return the like of the tiny graph in integers, for a backend that is set up to run nothing else."""
    b = Builder(name="integer probe")
    b.spike_input("in", 1)
    b.int_lif("lif", 2, d_v=200, v_th=100)
    b.int_li("out", 1, d_y=200)
    b.connect("in", "lif", weight=[150, 40], pre=[0, 0], post=[0, 1])
    b.connect("lif", "lif", weight=[150], pre=[0], post=[1], delay=2, name="rec")
    b.connect("lif", "out", weight=[50, 50], pre=[0, 1], post=[0, 0])
    return b.build()


def probe(backend: Backend, version: str = "") -> Availability:
    """Compile and run the tiny graph, compare it with the golden model, and report; never raises.

    A backend may refuse float graphs by an option of its own; if it can run integers, it is then tried on the integer one.
    """
    try:
        return _try(backend, tiny_graph(), version)
    except UnsupportedError as err:
        if "integer" not in backend.capabilities.semantics:
            return Availability(False, str(err), version)
    try:
        return _try(backend, tiny_integer_graph(), version)
    except UnsupportedError as err:
        return Availability(False, str(err), version)


def _try(backend: Backend, graph: Graph, version: str) -> Availability:
    """Run one tiny graph. Raises UnsupportedError if the backend does."""
    stimulus = tiny_stimulus()
    expected = reference.simulate(graph, {"in": stimulus.dense_input(graph, "in")})
    assert expected["lif"]["z"].sum() > 0, "the probe must spike"
    try:
        program = backend.compile(graph)
        try:
            recording = program.run(stimulus, Record(traces="all"))
        finally:
            program.close()
    except UnsupportedError:
        raise
    except NeuroError as err:
        return Availability(False, str(err), version)
    except Exception as err:  # a simulator may raise anything: that it is not usable is the answer
        return Availability(False, f"{type(err).__name__}: {err}", version)
    same = np.array_equal(recording.spikes["lif"].to_dense(1, STEPS, 2), expected["lif"]["z"].astype(bool))
    if backend.capabilities.exact:  # a chip may have no states to show
        same = same and all(
            np.array_equal(x, expected[name][s]) for name, states in recording.traces.items() for s, x in states.items()
        )
    reason = (
        ""
        if same
        else f"backend '{backend.name}': wrong result on the probe (spikes or states differ from the golden model)"
    )
    return Availability(same, reason, version)
