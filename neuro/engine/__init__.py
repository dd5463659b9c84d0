"""The embedded default backend."""

from neuro.engine.backend import EngineBackend, EngineProgram

__all__ = ["EngineBackend", "EngineProgram"]
