"""The `store_recall` task: keep a bit in working memory until it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from neuro import seeds
from neuro.tasks.batch import Batch, InputKind, draw, span, split_size
from neuro.tasks.parameters import Problem, number

STORE, RECALL, VALUE_0, VALUE_1 = range(4)
_PLAIN = -1


@dataclass(frozen=True, kw_only=True)
class StoreRecallParameters:
    """Length, rate and set sizes of the `store_recall` task.

    | name             | unit       | default | meaning |
    | ---------------- | ---------- | ------- | ------- |
    | characters       |            | 12      | characters in a sequence |
    | ms_per_character | ms         | 200     | duration of a character |
    | delay            | characters | 6       | expected time that a bit is held: a recall comes with probability 1 / (1 + delay) a character |
    | wait             | characters | 6       | expected time to a store: it comes with probability 1 / (1 + wait) a character |
    | rate_hz          | Hz         | 50      | Poisson rate of an active input neuron |
    | group_size       |            | 25      | neurons in each of the four groups |
    | validation_size  |            | 128     | sequences in the validation set |
    | test_size        |            | 512     | sequences in the test set |
    """

    characters: int = number(12, 3, 1000)
    ms_per_character: int = number(200, 1, 10000)
    delay: float = number(6.0, 0.0, 1000.0, open_low=True)
    wait: float = number(6.0, 0.0, 1000.0)
    rate_hz: float = number(50.0, 0.0, 1000.0, open_low=True)
    group_size: int = number(25, 1, 10000)
    validation_size: int = number(128, 1, 100000)
    test_size: int = number(512, 1, 100000)

    def rules(self) -> list[Problem]:
        """Check the fields together: a sequence has to have room for the expected delay."""
        if self.delay > self.characters - 2:
            need = f"at most characters - 2 = {self.characters - 2}"
            return [Problem("delay", "longer than a sequence", f"{self.delay:g}", need)]
        return []


@dataclass(frozen=True, kw_only=True)
class StoreRecall:
    """Store a bit at one cue, give it back at another (Bellec et al. 2018, arXiv 1803.09574, store-recall).

    A sequence of characters; each excites one or two of four groups of input neurons (Poisson, `rate_hz`), the others are silent:

        neurons 0..g-1 store, g..2g-1 recall, 2g..3g-1 value 0, 3g..4g-1 value 1        g = group_size

    Every character except a recall shows a random bit, as value 0 or value 1. A store character marks its own bit as the one to keep;
    at a recall only the recall group fires, and in every one of its steps the network has to say the bit of the last store: one
    decision a recall, over the whole character. Bits between the two distract.

    Characters are drawn one by one: while no bit is held, a store comes with probability 1 / (1 + wait), while one is held, a
    recall with 1 / (1 + delay). Sequences are kept that hold at least one store, end with no bit held, and have at least one other
    character between a store and its recall. So a sequence has between 1 and characters // 3 decisions. Keeping only those shortens
    the delays: with the defaults, those of the published code, 1.1 decisions a sequence, 2 to 11 characters (mean 4.7) after their store.

    Training sequences are drawn without end from the generator that `sample` is given. Validation and test sets are fixed
    by `seed`: sequence i of a split is always the same, wherever a batch begins.
    """

    parameters: StoreRecallParameters = field(default_factory=StoreRecallParameters)
    seed: int = 0

    name: ClassVar[str] = "store_recall"
    n_out: ClassVar[int] = 2
    dt_ms: ClassVar[float] = 1.0
    input_kind: ClassVar[InputKind] = "spikes"
    u_max: ClassVar[float] = 1.0
    u_step: ClassVar[float] = 2.0**-8

    @property
    def n_in(self) -> int:
        return 4 * self.parameters.group_size

    @property
    def steps(self) -> int:
        return self.parameters.characters * self.parameters.ms_per_character

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": None, "validation": self.parameters.validation_size, "test": self.parameters.test_size}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        if split_size(self.name, self.sizes, split) is not None:
            return self._numbered(split, draw(self.name, self.sizes, split, rng, n).tolist())
        commands, bits = self.characters(rng, n)
        return self._batch(commands, bits, self._spikes(commands, bits, rng))

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        return self._numbered(split, list(span(self.name, self.sizes, split, start, stop)))

    def characters(self, rng: np.random.Generator, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Draw the characters of n sequences.

        Returns
        -------
        commands : int64, (n, characters)
            STORE, RECALL or -1 for neither.
        bits : int64, (n, characters)
            The bit that a character shows; at a recall the bit that it asks for.
        """
        length = self.parameters.characters
        kept: list[npt.NDArray[np.int64]] = []
        while sum(map(len, kept)) < n:
            commands, valid = self._commands(rng, 4 * n)
            kept.append(commands[valid])
        commands = np.concatenate(kept)[:n]
        bits = rng.integers(0, 2, size=(n, length))
        held = bits[:, 0].copy()  # no recall comes before the first store
        for c in range(1, length):
            recall = commands[:, c] == RECALL
            bits[recall, c] = held[recall]
            store = commands[:, c] == STORE
            held[store] = bits[store, c]
        return commands, bits

    def _commands(self, rng: np.random.Generator, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Draw n candidate sequences of commands, and which of them are kept."""
        p_store, p_recall = 1.0 / (1.0 + self.parameters.wait), 1.0 / (1.0 + self.parameters.delay)
        commands = np.full((n, self.parameters.characters), _PLAIN, dtype=np.int64)
        holding = np.zeros(n, dtype=bool)
        valid = np.ones(n, dtype=bool)
        chance = rng.random(commands.shape)
        for c in range(self.parameters.characters):
            strike = chance[:, c] < np.where(holding, p_recall, p_store)
            commands[strike, c] = np.where(holding[strike], RECALL, STORE)
            if c:
                valid &= ~((commands[:, c] == RECALL) & (commands[:, c - 1] == STORE))
            holding ^= strike
        return commands, valid & ~holding & (commands == STORE).any(axis=1)

    def _spikes(
        self, commands: npt.NDArray[np.int64], bits: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """Draw the input spikes of sequences, (n, steps, n_in); random numbers are used up by active groups only."""
        p = self.parameters
        active = np.zeros((*commands.shape, 4), dtype=bool)
        active[..., STORE] = commands == STORE
        active[..., RECALL] = commands == RECALL
        active[..., VALUE_0] = (commands != RECALL) & (bits == 0)
        active[..., VALUE_1] = (commands != RECALL) & (bits == 1)
        spikes = np.zeros((*commands.shape, p.ms_per_character, 4, p.group_size), dtype=np.uint8)
        sequence, character, group = np.nonzero(active)
        chance = rng.random((len(sequence), p.ms_per_character, p.group_size), dtype=np.float32)
        spikes[sequence, character, :, group] = chance < p.rate_hz * self.dt_ms / 1000.0
        return spikes.reshape(len(commands), self.steps, self.n_in)

    def _batch(
        self, commands: npt.NDArray[np.int64], bits: npt.NDArray[np.int64], spikes: npt.NDArray[np.uint8]
    ) -> Batch:
        recall = commands == RECALL
        decision = np.where(recall, recall.cumsum(axis=1) - 1, -1).astype(np.int16)
        targets = np.full((len(commands), self.parameters.characters // 3), -1, dtype=np.int64)
        targets[np.nonzero(recall)[0], decision[recall]] = bits[recall]
        window = np.repeat(decision, self.parameters.ms_per_character, axis=1)
        return Batch(inputs=spikes, window=window, targets=targets)

    def _numbered(self, split: str, numbers: list[int]) -> Batch:
        commands, bits = (part[numbers] for part in self._fixed_characters[split])
        spikes = [
            self._spikes(commands[[k]], bits[[k]], seeds.stream(self.seed, f"store_recall.{split}.{number}"))
            for k, number in enumerate(numbers)
        ]
        return self._batch(commands, bits, np.concatenate(spikes))

    @cached_property
    def _fixed_characters(self) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """The characters of both fixed splits, drawn at once. (A cache, not state: a function of the fields.)"""
        p = self.parameters
        sizes = {"validation": p.validation_size, "test": p.test_size}
        return {
            split: self.characters(seeds.stream(self.seed, f"store_recall.{split}"), n) for split, n in sizes.items()
        }
