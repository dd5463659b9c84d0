"""Learn on Lava, in its own interpreter: python learn_in_lava.py CASE FOUND.json

The graph and what it is told lie in $TMPDIR, and so will be the weights. Run by test_rstdp.py and test_eprop.py; not a test by itself.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from neuro.backend import Record, Stimulus, Teacher
from neuro.graph import load
from neuro_lava import LavaBackend
from neuro_lava.learning import replay
from neuro_lava.learning.rstdp import Spikes

FOLDER = Path(os.environ["TMPDIR"])


def rstdp() -> dict[str, Any]:
    """Let a projection learn from given spikes, in each of the ways that are asked for."""
    told = np.load(FOLDER / "told.npz")
    asked = json.loads((FOLDER / "asked.json").read_text())
    graph, factor = load(FOLDER / "graph.h5"), told["factor"]
    found = {}
    for name, (lead, options) in asked.items():
        arrived, fired, later = told["arrived"], told["fired"], factor
        if lead:  # what arrives is seen before the spikes of its step, as where the connection drives the neurons
            nothing = np.zeros_like
            arrived = np.concatenate([arrived, nothing(arrived[:lead])])
            fired = np.concatenate([nothing(fired[:lead]), fired])
            later = np.concatenate([nothing(factor[:lead]), factor])
        weights = replay.learn(graph, "learns", Spikes(arrived=arrived, fired=fired, factor=later), **options)
        found[name] = weights[lead:]
    np.savez(FOLDER / "weights.npz", **found)
    return {}


def eprop() -> dict[str, Any]:
    """Learn two batches by e-prop, one call after the other, and run the graph that comes of it."""
    told = np.load(FOLDER / "told.npz")
    stimulus = Stimulus.load(FOLDER / "stimulus.h5")
    teacher = Teacher(loss=str(told["loss"]), target=told["target"], mask=told["mask"])
    program = LavaBackend().compile(load(FOLDER / "graph.h5"))
    found: dict[str, Any] = {}
    for call in range(2):
        learned = program.learn(stimulus, teacher, trajectory_every=20)
        parts = {"gradient": learned.gradient, "y": learned.y, "n_spikes": learned.n_spikes}
        parts["trajectory"] = learned.trajectory
        parts["weight"] = {c.name: c.weight for c in learned.graph.projections}
        found |= {f"{call}/{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        found |= {f"{call}/n_updates/{name}": np.array(n) for name, n in learned.n_updates.items()}
    recording = program.run(stimulus, Record(traces="all"))
    found |= {f"run/{name}": recording.traces[name]["y"] for name in learned.y}
    program.close()
    np.savez(FOLDER / "learned.npz", **found)
    return {}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(globals()[sys.argv[1]]()))
