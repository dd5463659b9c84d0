"""Hold the embedded engine, and the golden model as a backend, to the golden model."""

from __future__ import annotations

from neuro.backend import conformance
from neuro.backend.golden import ReferenceBackend
from neuro.engine import EngineBackend

TestEngine = conformance.suite(EngineBackend, n_graphs=400)
TestEngineOnOneThread = conformance.suite(lambda: EngineBackend(n_threads=1), n_graphs=50, n_integer_graphs=60)
TestReference = conformance.suite(ReferenceBackend, n_graphs=20, n_integer_graphs=60)
