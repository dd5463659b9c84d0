"""Backends that misbehave, each in its own way: found by entry point, as a stranger's are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from neuro.backend import Availability, Backend, Capabilities, Program, Record, Stimulus, get
from neuro.errors import UnsupportedError
from neuro.graph import Graph
from neuro.recording import Events, Recording

NAMES = ("differs", "breaks", "absent", "picky", "rough", "stopped", "chokes", "explodes", "unimportable")
AT = {"sample": 3, "step": 40, "unit": 2}
"""Where `Differs` has one spike more, or one less."""


class _Engine:
    """The engine under another name."""

    name = "engine"
    capabilities = Capabilities()

    def compile(self, graph: Graph) -> Program:
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
