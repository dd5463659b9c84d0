"""Backends that misbehave, each in its own way: found by entry point, as a stranger's are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuro.backend import Availability, Backend, Capabilities, Program, Record, Stimulus, get, require
from neuro.errors import UnsupportedError
from neuro.graph import FLOAT_KINDS, INTEGER_KINDS, Graph, Projection
from neuro.recording import Events, Recording

NAMES = (
    "differs", "breaks", "absent", "picky", "rough", "stopped", "chokes", "late", "miscounts", "explodes", "unimportable",
)  # fmt: skip
AT = {"sample": 3, "step": 40, "unit": 2}
"""Where `Differs` has one spike more, or one less."""
LATE = 3
"""The synapse of 'in->lif' that `Late` delays."""


class _Engine:
    """The engine under another name."""

    name = "engine"
    capabilities = Capabilities()

    def compile(self, graph: Graph) -> Program:
        require(self, graph)
        return _Program(self, get("engine").compile(graph))

    def is_available(self) -> Availability:
        return Availability(True, version="1.0")

    def change(self, recording: Recording) -> Recording:
        return recording


class _Program:
    def __init__(self, backend: _Engine, program: Program) -> None:
        self._backend, self._program = backend, program

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008
        found = replace(self._program.run(stimulus, record), backend=self._backend.name)
        return self._backend.change(found)

    def close(self) -> None:
        self._program.close()


class Differs(_Engine):
    """One spike of 'lif' is flipped, where the batch is large enough to have it."""

    name = "differs"

    def change(self, recording: Recording) -> Recording:
        dense = recording.spikes["lif"].to_dense(recording.batch, recording.steps, recording.sizes["lif"])
        dense[AT["sample"], AT["step"], AT["unit"]] ^= True
        return replace(recording, spikes={**recording.spikes, "lif": Events.from_dense(dense)})


class Rough(Differs):
    """As `Differs`, and honest about it."""

    name = "rough"

    def change(self, recording: Recording) -> Recording:
        return replace(super().change(recording), exact=False)


class Late(_Engine):
    """One synapse of 'in->lif' delivers a step late, LATE of them; floats and integers."""

    name = "late"
    capabilities = Capabilities(populations=FLOAT_KINDS | INTEGER_KINDS, semantics=frozenset({"float", "integer"}))

    def compile(self, graph: Graph) -> Program:
        self._sha256 = graph.sha256
        return super().compile(replace(graph, projections=tuple(self._delayed(c) for c in graph.projections)))

    def change(self, recording: Recording) -> Recording:
        return replace(recording, graph_sha256=self._sha256)

    def _delayed(self, c: Projection) -> Projection:
        late = c.target == "lif" and c.source == "in"
        return replace(c, delay=c.delay + (np.arange(c.size) == LATE)) if late else c


class Miscounts(Late):
    """Right in every state, and counts one clip too many."""

    name = "miscounts"

    def change(self, recording: Recording) -> Recording:
        clips = {p: {s: n + (s == "y") for s, n in by.items()} for p, by in recording.counts.saturations.items()}
        return replace(super().change(recording), counts=replace(recording.counts, saturations=clips))

    def _delayed(self, c: Projection) -> Projection:
        return c


class Breaks(_Engine):
    """A simulator that raises its own kind of error in the middle of a run."""

    name = "breaks"

    def change(self, recording: Recording) -> Recording:
        raise ZeroDivisionError("in the simulator")


class Stopped(_Engine):
    """The user presses Ctrl-C while it runs."""

    name = "stopped"

    def change(self, recording: Recording) -> Recording:
        raise KeyboardInterrupt


class Absent(_Engine):
    """A simulator that is not installed."""

    name = "absent"

    def is_available(self) -> Availability:
        return Availability(
            False, "backend 'absent': its simulator is not installed. Install it with: pip install absent"
        )


class Picky(_Engine):
    """A simulator that cannot run the graph."""

    name = "picky"

    def compile(self, graph: Graph) -> Program:
        raise UnsupportedError("backend 'picky': cannot run this graph (got population 'alif': kind ALIF (can: LIF)).")


class Chokes(_Engine):
    """A simulator that raises its own kind of error over the graph."""

    name = "chokes"

    def compile(self, graph: Graph) -> Program:
        raise ValueError("cannot swallow this")


def offer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the backends of this file discoverable: what pip writes for an installed package."""
    info = folder / "strangers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    lines = [f"{name} = {_MODULE}:{name.capitalize()}" for name in NAMES if name not in ("explodes", "unimportable")]
    lines += ["unimportable = no_such_package_at_all:Backend", "explodes = exploding_stranger:Backend"]
    (folder / "exploding_stranger.py").write_text("raise OSError('its library is broken')\n")
    (info / "entry_points.txt").write_text("[neuro.backends]\n" + "\n".join(lines) + "\n")
    (folder / f"{_MODULE}.py").write_text(Path(__file__).read_text())
    monkeypatch.syspath_prepend(str(folder))


_MODULE = "misbehaving_strangers"
_: type[Backend] = Differs  # the contract is met
