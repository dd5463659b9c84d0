"""The threshold-crossing code, against its definition written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from neuro.tasks.crossing import CrossingCode


def by_definition(code: CrossingCode, levels: npt.NDArray[np.int64], steps_per_pixel: int) -> npt.NDArray[np.uint8]:
    """Loop over pixels and thresholds of one image."""
    spikes = np.zeros((len(levels) * steps_per_pixel, code.n_neurons), dtype=np.uint8)
    before = 0
    for pixel, now in enumerate(levels):
        step = pixel * steps_per_pixel
        for n, k in enumerate(range(code.first, code.last + 1)):
            spikes[step, 2 * n] = before < k <= now
            spikes[step, 2 * n + 1] = now < k <= before
        if code.touch and now == code.n_levels:
            spikes[step : step + steps_per_pixel, -1] = 1
        before = now
    return spikes


@st.composite
def codes(draw: st.DrawFn) -> CrossingCode:
    n_levels = draw(st.integers(1, 12))
    first = draw(st.integers(0, n_levels))
    return CrossingCode(
        first=first, last=draw(st.integers(first, n_levels)), n_levels=n_levels, touch=draw(st.booleans())
    )


@given(codes(), st.integers(1, 4), st.integers(0, 3), st.integers(0, 5), st.data())
def test_code_is_its_definition_in_a_larger_silent_array(
    code: CrossingCode, steps_per_pixel: int, more_inputs: int, more_steps: int, data: st.DataObject
) -> None:
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 8)))
    grey = st.lists(st.integers(0, code.n_levels), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    levels = np.array(data.draw(grey)).reshape(shape)
    steps = shape[1] * steps_per_pixel
    spikes = code.encode(levels, steps_per_pixel, code.n_neurons + more_inputs, steps + more_steps)
    assert spikes.dtype == np.uint8
    assert not spikes[:, steps:].any()
    assert not spikes[:, :, code.n_neurons :].any()
    for image, coded in zip(levels, spikes, strict=True):
        np.testing.assert_array_equal(coded[:steps, : code.n_neurons], by_definition(code, image, steps_per_pixel))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_levels_can_be_read_back_from_the_spikes(levels: list[int]) -> None:
    code = CrossingCode(first=1, last=9, n_levels=9, touch=False)
    spikes = code.encode(np.array([levels]), 1, code.n_neurons, len(levels))[0].astype(int)
    np.testing.assert_array_equal((spikes[:, 0::2] - spikes[:, 1::2]).sum(axis=1).cumsum(), levels)


def test_one_rise_and_fall_written_out() -> None:
    code = CrossingCode(first=1, last=2, n_levels=3, touch=True)
    spikes = code.encode(np.array([[0, 1, 3, 3, 0]]), 1, 5, 5)[0]
    #                      on_1 off_1 on_2 off_2 touch
    assert spikes.tolist() == [
        [0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 1, 0, 1],
        [0, 0, 0, 0, 1],
        [0, 1, 0, 1, 0],
    ]
