"""The store-recall task: characters, spikes, windows and fixed sets."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro import tasks
from neuro.errors import RecipeError
from neuro.tasks import Batch, StoreRecall, StoreRecallParameters
from neuro.tasks.store_recall import RECALL, STORE

SMALL = StoreRecallParameters(
    characters=9, ms_per_character=20, delay=2, wait=1, group_size=3, validation_size=6, test_size=9
)


def small(**changes: object) -> StoreRecall:
    parameters = {**vars(SMALL), **changes}
    return StoreRecall(parameters=StoreRecallParameters(**parameters))


def answer_by_hand(commands: np.ndarray, bits: np.ndarray) -> list[int]:
    """Replay one sequence: the bit of the last store, at each recall."""
    held, answers = None, []
    for command, bit in zip(commands, bits, strict=True):
        if command == STORE:
            assert held is None
            held = int(bit)
        elif command == RECALL:
            assert held is not None
            answers.append(held)
            held = None
    assert held is None
    return answers


def test_shapes_and_sizes() -> None:
    task = tasks.make("store_recall")
    assert task.sizes == {"train": None, "validation": 128, "test": 512}
    assert (task.n_in, task.n_out, task.steps, task.dt_ms, task.input_kind) == (100, 2, 2400, 1.0, "spikes")
    batch = task.sample("train", np.random.default_rng(0), 4)
    assert (batch.inputs.shape, batch.inputs.dtype) == ((4, 2400, 100), np.uint8)
    assert (batch.window.shape, batch.window.dtype) == ((4, 2400), np.int16)
    assert (batch.targets.shape, batch.targets.dtype) == ((4, 4), np.int64)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    characters=st.integers(3, 14),
    delay=st.floats(0.2, 6),
    wait=st.floats(0, 6),
)
def test_every_store_is_recalled_once_after_at_least_one_character(
    seed: int, characters: int, delay: float, wait: float
) -> None:
    task = small(characters=characters, delay=delay, wait=wait)
    commands, bits = task.characters(np.random.default_rng(seed), 20)
    assert commands.shape == bits.shape == (20, characters)
    assert set(np.unique(bits)) <= {0, 1}
    for row, shown in zip(commands, bits, strict=True):
        stores, recalls = np.flatnonzero(row == STORE), np.flatnonzero(row == RECALL)
        assert 1 <= len(stores) == len(recalls) <= characters // 3
        assert (recalls >= stores + 2).all()
        assert answer_by_hand(row, shown) == shown[recalls].tolist()


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_targets_and_windows_are_those_of_the_recalls(seed: int) -> None:
    task = small()
    commands, bits = task.characters(np.random.default_rng(seed), 8)
    batch = task.sample("train", np.random.default_rng(seed), 8)  # draws the same characters first
    for b in range(8):
        answers = answer_by_hand(commands[b], bits[b])
        assert batch.targets[b].tolist() == answers + [-1] * (3 - len(answers))
        expected = np.full(9, -1)
        expected[commands[b] == RECALL] = np.arange(len(answers))
        np.testing.assert_array_equal(batch.window[b], np.repeat(expected, 20))
    assert batch.n_decisions == (commands == RECALL).sum() >= 8


def groups(task: StoreRecall, batch: Batch) -> np.ndarray:
    """Spikes of each group during each character: (batch, characters, 4)."""
    p = task.parameters
    shape = (len(batch), p.characters, p.ms_per_character, 4, p.group_size)
    return batch.inputs.reshape(shape).sum(axis=(2, 4), dtype=np.int64)


def test_a_character_excites_its_groups_alone_and_at_the_rate() -> None:
    task = small(ms_per_character=200, rate_hz=100.0)
    commands, bits = task.characters(np.random.default_rng(5), 50)
    batch = task.sample("train", np.random.default_rng(5), 50)
    fired = groups(task, batch)
    active = np.stack(
        [commands == STORE, commands == RECALL, (commands != RECALL) & (bits == 0), (commands != RECALL) & (bits == 1)],
        axis=2,
    )
    np.testing.assert_array_equal(fired > 0, active)
    # Binomial with p = 0.1 in n trials: the rate of this seed lies within 5 standard deviations of 100 Hz.
    trials = active.sum() * 200 * 3
    assert trials > 100000
    assert abs(fired.sum() / trials - 0.1) < 5 * np.sqrt(0.1 * 0.9 / trials)


def test_every_neuron_and_step_of_an_active_group_fires_independently() -> None:
    task = small(rate_hz=500.0)
    batch = task.sample("train", np.random.default_rng(0), 200)
    spikes = batch.inputs.reshape(200, 9, 20, 4, 3)
    shown = spikes[
        spikes.any(axis=(2, 4)).nonzero()[0],
        spikes.any(axis=(2, 4)).nonzero()[1],
        :,
        spikes.any(axis=(2, 4)).nonzero()[2],
    ]
    mean = shown.mean(axis=0)
    assert np.abs(mean - 0.5).max() < 5 * 0.5 / np.sqrt(len(shown))
    assert abs(np.corrcoef(shown[:, :, 0].ravel(), shown[:, :, 1].ravel())[0, 1]) < 5 / np.sqrt(shown[:, :, 0].size)


def test_distracting_bits_say_nothing_about_the_answer() -> None:
    task = small()
    commands, bits = task.characters(np.random.default_rng(0), 4000)
    rows, at = np.nonzero(commands == STORE)
    same = (bits[rows, at] == bits[rows, at + 1]).mean()
    assert abs(same - 0.5) < 5 * 0.5 / np.sqrt(len(rows))
    assert abs(bits[rows, at].mean() - 0.5) < 5 * 0.5 / np.sqrt(len(rows))


def test_delays_of_the_defaults_are_those_documented() -> None:
    task = StoreRecall()
    commands, _ = task.characters(np.random.default_rng(0), 4000)
    store, recall = (np.argwhere(commands == c) for c in (STORE, RECALL))
    delays = recall[:, 1] - store[:, 1]
    assert 1.05 < len(delays) / 4000 < 1.15
    assert 4.5 < delays.mean() < 4.8
    assert (delays.min(), delays.max()) == (2, 11)


def test_fixed_samples_do_not_depend_on_where_a_batch_begins() -> None:
    task = small()
    whole = task.fixed("test", 0, 9)
    for start, stop in ((0, 1), (3, 7), (8, 9)):
        part = task.fixed("test", start, stop)
        np.testing.assert_array_equal(part.inputs, whole.inputs[start:stop])
        np.testing.assert_array_equal(part.targets, whole.targets[start:stop])
        np.testing.assert_array_equal(part.window, whole.window[start:stop])
    assert whole.inputs.any()


def test_fixed_sets_follow_the_seed_and_differ_between_splits() -> None:
    first, again = small().fixed("test", 0, 6), small().fixed("test", 0, 6)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    other_seed = StoreRecall(parameters=SMALL, seed=1).fixed("test", 0, 6)
    for other in (other_seed, small().fixed("validation", 0, 6)):
        assert not np.array_equal(first.inputs, other.inputs)
    drawn = small().sample("validation", np.random.default_rng(0), 6)
    assert sorted(map(bytes, drawn.inputs)) == sorted(map(bytes, small().fixed("validation", 0, 6).inputs))


def test_training_sequences_follow_the_generator_alone() -> None:
    first, again, other = (small().sample("train", np.random.default_rng(seed), 5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)


def test_a_delay_that_no_sequence_has_room_for_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=re.escape("delay: longer than a sequence (got 6; need at most characters - 2 = 4)")
    ):
        tasks.make("store_recall", characters=6)
    with pytest.raises(RecipeError, match=re.escape("rate_hz: out of range (got 1001; need a number, above 0..1000)")):
        tasks.make("store_recall", rate_hz=1001)
