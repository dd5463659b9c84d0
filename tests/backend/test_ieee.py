"""Check that a run computes with subnormal numbers in a process that flushes them, and leaves the process as it was."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.backend import ieee, ieee_doubles
from neuro.errors import UnsupportedError
from tests.backend.flushing import flushed_to_zero


def test_subnormal_numbers_are_there_in_the_block_alone() -> None:
    small = np.float64(2.0**-1022)
    with flushed_to_zero():
        assert ieee.flushes()
        with ieee_doubles("b", "another"):
            assert small * 0.5 == 2.0**-1023
        assert ieee.flushes(), "the process must be as before"
        with pytest.raises(KeyError), ieee_doubles("b", "another"):
            raise KeyError
        assert ieee.flushes(), "after an exception too"
    assert not ieee.flushes()


def test_a_process_that_cannot_be_mended_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with (
        flushed_to_zero(),
        pytest.raises(UnsupportedError, match=r"backend 'b': this process flushes subnormal .*: run isolated=True\."),
        ieee_doubles("b", "isolated=True"),
    ):
        pass
