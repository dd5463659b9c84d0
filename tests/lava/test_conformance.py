"""Hold Lava to the contract: random graphs, bit for bit, in one worker."""

from __future__ import annotations

from neuro.backend import conformance, get

TestLava = conformance.suite(lambda: get("lava"), n_graphs=25, n_integer_graphs=60)
