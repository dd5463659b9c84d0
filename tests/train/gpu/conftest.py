"""Load Triton in its interpreter for the tests of this folder, and for nothing else."""

from __future__ import annotations

import importlib.util
import sys

import pytest

if importlib.util.find_spec("triton") is None:  # there are no wheels for this machine
    collect_ignore_glob = ["test_*.py"]
else:
    assert "triton" not in sys.modules, "Triton is loaded already: its kernels would need a GPU"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")  # read where a kernel is defined ...
        import neuro.train.gpu.sequence  # noqa: F401


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # ... and by parts of Triton that are loaded at a launch
