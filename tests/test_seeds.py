"""A named stream is the same on every machine and independent of its siblings."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.seeds import stream


def test_stream_gives_the_same_numbers_on_every_machine() -> None:
    # numpy keeps PCG64's integers stable between versions (its policy, NEP 19); stored with numpy 2.2.6.
    assert stream(7, "weights").bit_generator.random_raw(2).tolist() == [4993692888857368620, 2258648018554949813]


def test_streams_differ_by_seed_and_by_name() -> None:
    draws = {stream(seed, name).bytes(8) for seed in (0, 1, -1) for name in ("a", "b", "1:a")}
    assert len(draws) == 9


def test_a_numpy_integer_seed_equals_the_python_one() -> None:
    assert stream(np.int64(3), "a").bytes(8) == stream(3, "a").bytes(8)


def test_two_streams_are_uncorrelated() -> None:
    n = 20_000
    a, b = (stream(0, name).standard_normal(n) for name in ("a", "b"))
    assert a.std() > 0.9
    # under independence the coefficient is normal with sd 1/sqrt(n) = 0.007; five sd
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("seed", [1.0, "1", None, True])
def test_a_seed_that_is_no_integer_is_refused(seed: object) -> None:
    with pytest.raises(TypeError, match=r"stream 'a': the run seed is no integer \(got .*; need an int\)"):
        stream(seed, "a")  # type: ignore[arg-type]
