"""neuro: train long short-term memory spiking networks, export one graph, run it bit for bit the same on any backend.

Names below are loaded when they are first used, so ``import neuro`` stays quick and loads no simulator, no torch and no
h5py: ``neuro.run``, ``neuro.Builder``, ``neuro.Graph`` and the rest of ``__all__``, and the rooms (``neuro.graph``, ...).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from neuro.errors import (
    DataError,
    GraphError,
    NeuroError,
    QuantizationError,
    RecipeError,
    UnsupportedError,
    WorkerError,
)

if TYPE_CHECKING:
    from neuro.backend import Record, RunInterrupted, Stimulus, StimulusStream, run
    from neuro.deploy import placement, quantize
    from neuro.graph import (
        AHP,
        ALIF,
        LI,
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
        int_projections,
        load,
        save,
        to_grid,
    )
    from neuro.learning import learn
    from neuro.recording import Events, Recording

__version__ = "0.1.0"

__all__ = [
    "AHP",
    "ALIF",
    "LI",
    "LIF",
    "Builder",
    "CurrentInput",
    "DataError",
    "Events",
    "Graph",
    "GraphError",
    "IntALIF",
    "IntLI",
    "IntLIF",
    "IntProjection",
    "NeuroError",
    "Projection",
    "QuantizationError",
    "RecipeError",
    "Record",
    "Recording",
    "RunInterrupted",
    "SpikeInput",
    "Stimulus",
    "StimulusStream",
    "UnsupportedError",
    "WorkerError",
    "__version__",
    "int_projections",
    "learn",
    "load",
    "placement",
    "quantize",
    "run",
    "save",
    "to_grid",
]

_ROOM_OF = {
    "placement": "deploy",
    "quantize": "deploy",
    "learn": "learning",
    "int_projections": "graph",
    "IntProjection": "graph",
    "IntLIF": "graph",
    "IntLI": "graph",
    "IntALIF": "graph",
    "AHP": "graph",
    "ALIF": "graph",
    "LI": "graph",
    "LIF": "graph",
    "Builder": "graph",
    "CurrentInput": "graph",
    "Graph": "graph",
    "Projection": "graph",
    "SpikeInput": "graph",
    "load": "graph",
    "save": "graph",
    "to_grid": "graph",
    "Events": "recording",
    "Recording": "recording",
    "Record": "backend",
    "RunInterrupted": "backend",
    "Stimulus": "backend",
    "StimulusStream": "backend",
    "run": "backend",
}
_ROOMS = frozenset(
    {
        "backend",
        "cli",
        "deploy",
        "engine",
        "errors",
        "graph",
        "kernels",
        "learning",
        "measure",
        "metrics",
        "recipe",
        "recording",
        "report",
        "seeds",
        "tasks",
        "train",
    }
)

if not TYPE_CHECKING:  # a type checker reads the imports above instead, and so still finds misspelt names

    def __getattr__(name: str) -> object:
        """Load a public name, or a room, at its first use."""
        if name in _ROOM_OF:
            value = getattr(importlib.import_module(f"neuro.{_ROOM_OF[name]}"), name)
            globals()[name] = value
            return value
        if name in _ROOMS:
            return importlib.import_module(f"neuro.{name}")
        raise AttributeError(f"module 'neuro' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
