"""Hold the embedded engine, and the golden model as a backend, to the golden model."""

from __future__ import annotations

import pytest

import neuro
from neuro.backend import conformance
from neuro.backend.golden import ReferenceBackend
from neuro.engine import EngineBackend
from neuro.errors import UnsupportedError

TestEngine = conformance.suite(EngineBackend, n_graphs=400)
TestEngineOnOneThread = conformance.suite(lambda: EngineBackend(n_threads=1), n_graphs=50, n_integer_graphs=60)
TestReference = conformance.suite(ReferenceBackend, n_graphs=20, n_integer_graphs=60)


def test_more_sums_in_waiting_than_can_be_numbered_are_refused() -> None:
    b = neuro.Builder(seed=0)
    b.spike_input("in", 1)
    b.lif("z", 2**19, tau_m_ms=20.0)
    b.connect("in", "z", weight=1.0, pre=[0], post=[0], delay=4095)
    with pytest.raises(
        UnsupportedError, match=r"engine: delays too long \(got 4095 steps for 524288 receiving units; need"
    ):
        EngineBackend().compile(b.build())
