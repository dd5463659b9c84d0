"""Two recordings: what counts as a difference, and which is the first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro.backend import Record, run
from neuro.backend.conformance import draw_stimulus, example
from neuro.errors import DataError
from neuro.metrics import Divergence, compare_recordings, first_difference, merge
from neuro.recording import Events, Recording

BATCH, STEPS = 3, 40
GRAPH = example()
BASE = run(GRAPH, draw_stimulus(GRAPH, BATCH, STEPS, 3), "reference", Record(traces="all"))
STATES = [(name, state) for name, states in BASE.traces.items() for state in states]

places = st.tuples(st.integers(0, BATCH - 1), st.integers(0, STEPS - 1))


def flipped(recording: Recording, population: str, sample: int, step: int, unit: int) -> Recording:
    """Return the recording with one spike more, or one less."""
    dense = recording.spikes[population].to_dense(BATCH, STEPS, recording.sizes[population])
    dense[sample, step, unit] ^= True
    return replace(recording, backend="other", spikes={**recording.spikes, population: Events.from_dense(dense)})


def nudged(recording: Recording, population: str, state: str, at: tuple[int, int, int]) -> Recording:
    """Return the recording with one value moved to the next double."""
    values = recording.traces[population][state].copy()
    values[at] = np.nextafter(values[at], np.inf)
    traces = {**recording.traces, population: {**recording.traces[population], state: values}}
    return replace(recording, backend="other", traces=traces)


def test_the_base_is_not_vacuous() -> None:
    assert min(len(e) for e in BASE.spikes.values()) > 10
    assert {state for _, state in STATES} == {"v", "a", "y"}


def test_a_recording_agrees_with_itself_and_says_how_much_was_compared() -> None:
    parity = compare_recordings(BASE, replace(BASE, backend="other"))
    assert parity.exact
    assert parity.asserted
    assert not parity.failed
    assert parity.n_spikes == sum(map(len, BASE.spikes.values()))
    assert parity.n_values == sum(v.size for states in BASE.traces.values() for v in states.values())
    assert str(parity) == f"exact ({parity.n_spikes} spikes and {parity.n_values} values in 3 samples)"


@given(place=places, population=st.sampled_from(["lif", "alif"]), data=st.data())
def test_one_flipped_spike_is_found_where_it_is(place: tuple[int, int], population: str, data: Any) -> None:
    sample, step = place
    unit = data.draw(st.integers(0, BASE.sizes[population] - 1))
    found = first_difference(BASE, flipped(BASE, population, sample, step, unit))
    had = BASE.spikes[population].to_dense(BATCH, STEPS, BASE.sizes[population])[sample, step, unit]
    assert found == Divergence(
        step=step, sample=sample, population=population, neuron=unit, state="z",
        values=(float(had), float(not had)), backends=("reference", "other"),
    )  # fmt: skip


@given(place=places, which=st.sampled_from(STATES), data=st.data())
def test_one_ulp_of_one_state_is_found_where_it_is(place: tuple[int, int], which: tuple[str, str], data: Any) -> None:
    (sample, step), (population, state) = place, which
    unit = data.draw(st.integers(0, BASE.sizes[population] - 1))
    other = nudged(BASE, population, state, (sample, step, unit))
    found = first_difference(BASE, other)
    assert found is not None
    assert (found.step, found.sample, found.population, found.neuron) == (step, sample, population, unit)
    assert found.state == state
    assert found.values == (
        BASE.traces[population][state][sample, step, unit],
        other.traces[population][state][sample, step, unit],
    )
    assert found.values[0] != found.values[1]
    left, right = (repr(x).removesuffix(".0") for x in found.values)
    assert str(found) == (
        f"first difference at step {step}, sample {sample}, population '{population}', neuron {unit}, state {state}: "
        f"reference {left}, other {right}"
    )


@given(first=places, second=places)
def test_the_earlier_step_comes_first_then_the_lower_sample(first: tuple[int, int], second: tuple[int, int]) -> None:
    if first == second:
        return
    both = flipped(flipped(BASE, "lif", *first, 2), "alif", *second, 1)
    found = first_difference(BASE, both)
    assert found is not None
    (sample, step) = min((first, second), key=lambda p: (p[1], p[0]))
    assert (found.sample, found.step) == (sample, step)


def test_at_one_step_the_cause_comes_before_the_effect() -> None:
    other = flipped(BASE, "lif", 1, 17, 4)
    assert first_difference(BASE, other).state == "z"  # type: ignore[union-attr]
    other = nudged(other, "out", "y", (1, 17, 0))
    assert first_difference(BASE, other).state == "z"  # type: ignore[union-attr]
    other = nudged(other, "alif", "v", (1, 17, 3))
    assert first_difference(BASE, other).state == "v"  # type: ignore[union-attr]
    other = nudged(other, "alif", "a", (1, 17, 4))
    assert first_difference(BASE, other).state == "a"  # type: ignore[union-attr]
    other = nudged(other, "out", "y", (2, 16, 0))
    assert (first_difference(BASE, other).state, first_difference(BASE, other).step) == ("y", 16)  # type: ignore[union-attr]


def test_only_what_both_recorded_is_compared() -> None:
    other = replace(flipped(BASE, "lif", 0, 5, 0), traces={})
    without = replace(BASE, spikes={"alif": BASE.spikes["alif"]})
    parity = compare_recordings(without, other)
    assert parity.exact
    assert parity.n_values == 0
    assert parity.n_spikes == len(BASE.spikes["alif"])


def test_samples_that_agree_are_counted() -> None:
    other = nudged(flipped(BASE, "lif", 0, 30, 0), "lif", "v", (2, 3, 0))
    parity = compare_recordings(BASE, other)
    assert (parity.n_samples, parity.n_equal_samples) == (3, 1)
    assert parity.failed
    assert str(parity).endswith("(1 of 3 samples agree)")


def test_difference_off_the_grid_is_reported_and_not_asserted() -> None:
    parity = compare_recordings(BASE, replace(flipped(BASE, "lif", 0, 30, 0), exact=False))
    assert not parity.exact
    assert not parity.failed
    assert "reported, not asserted" in str(parity)


def test_minus_zero_equals_zero_and_nan_equals_nan() -> None:
    values = BASE.traces["lif"]["v"].copy()
    values[0, 0, 0], values[0, 1, 0] = 0.0, np.nan
    a = replace(BASE, traces={"lif": {"v": values}})
    values = values.copy()
    values[0, 0, 0] = -0.0
    b = replace(BASE, traces={"lif": {"v": values}})
    assert compare_recordings(a, b).exact
    values = values.copy()
    values[0, 1, 0] = 1.0
    assert first_difference(a, replace(BASE, traces={"lif": {"v": values}})).step == 1  # type: ignore[union-attr]


def test_groups_of_samples_join_to_the_whole() -> None:
    other = nudged(flipped(BASE, "lif", 0, 30, 0), "lif", "v", (2, 3, 0))
    whole = compare_recordings(BASE, other)

    def part(r: Recording, start: int, stop: int) -> Recording:
        return replace(
            r, batch=stop - start, spikes={k: e.select(start, stop) for k, e in r.spikes.items()},
            traces={k: {s: v[start:stop] for s, v in states.items()} for k, states in r.traces.items()},
        )  # fmt: skip

    cuts = [(0, 1), (1, 3)]
    parts = [compare_recordings(part(BASE, *c), part(other, *c)) for c in cuts]
    assert merge(parts, [0, 1]) == whole


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (replace(BASE, graph_sha256="0" * 64), "graph differs"),
        (replace(BASE, batch=4), "batch differs.*got 3 and 4"),
        (replace(BASE, steps=41), "number of steps differs.*got 40 and 41"),
        (replace(BASE, spikes={}, traces={}), "nothing in common"),
    ],
)
def test_recordings_of_different_runs_are_refused(other: Recording, text: str) -> None:
    with pytest.raises(DataError, match=text):
        first_difference(BASE, other)


@pytest.mark.parametrize("empty", [replace(BASE, batch=0), replace(BASE, steps=0)])
def test_empty_recordings_do_not_agree(empty: Recording) -> None:
    with pytest.raises(
        DataError, match=r"nothing was recorded \(got \d+ samples of \d+ steps; need at least one of each\)"
    ):
        compare_recordings(empty, empty)
