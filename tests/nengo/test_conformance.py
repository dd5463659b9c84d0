"""Hold the Nengo backend to the golden model: 200 random graphs, in spikes and every state."""

from __future__ import annotations

from neuro.backend import conformance
from neuro_nengo import NengoBackend

TestNengo = conformance.suite(NengoBackend, n_graphs=200)
