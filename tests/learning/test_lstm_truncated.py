"""The truncated gradient of an LSTM is that of autodiff with the same cuts; a step costs the same however long the sequence."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neuro.errors import DataError, RecipeError
from neuro.learning import lstm_kernel, lstm_sequence, lstm_torch
from neuro.learning.lstm import State, rest, step
from neuro.learning.lstm_blocks import MemoryBlocks, Weights, draw
from neuro.learning.lstm_sequence import Sequences, one
from neuro.seeds import stream
from neuro.train import LSTMClassifier

AUTODIFF = 1e-10
"""Largest difference from autodiff in float64, of the largest entry of a matrix."""
TWIN = 1e-12
"""Largest difference of the kernel from its twin: sums in another order, 20 steps of learning."""

NETS = {
    "2000, 3 blocks of 2 cells": MemoryBlocks(n_in=4, n_blocks=3, n_cells=2, n_out=3),
    "1997, 3 blocks of 2 cells": MemoryBlocks(n_in=4, n_blocks=3, n_cells=2, n_out=3, forget=False),
    "1997, no bias but the gates'": MemoryBlocks(
        n_in=3, n_blocks=2, n_cells=3, n_out=4, forget=False, cell_bias=False, readout_bias=False
    ),
    "gates do not feed back": MemoryBlocks(n_in=2, n_blocks=4, n_cells=1, n_out=1, gates_feed=False, readout="linear"),
    "as torch, softmax": MemoryBlocks(n_in=5, n_blocks=6, n_out=4, squash="tanh", readout="softmax", gates_feed=False),
    "tanh, 2 blocks of 4 cells, softmax": MemoryBlocks(
        n_in=1, n_blocks=2, n_cells=4, n_out=2, squash="tanh", readout="softmax", forget=False
    ),
}
each_net = pytest.mark.parametrize("blocks", NETS.values(), ids=NETS)


def task(blocks: MemoryBlocks, lengths: tuple[int, ...] = (25,), seed: int = 0) -> tuple[Weights, Sequences]:
    """Return random weights, large enough for gates that move, and random sequences with targets at two of three steps."""
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    targets = rng.uniform(0, 1, (n, blocks.n_out))
    if blocks.readout == "softmax":
        targets = np.eye(blocks.n_out)[rng.integers(0, blocks.n_out, n)]
    data = Sequences(
        inputs=rng.normal(0, 1, (n, blocks.n_in)), targets=targets, at=rng.random(n) < 2 / 3, lengths=np.array(lengths)
    )
    return draw(blocks, rng, 0.8), data


def difference(ours: Weights, theirs: dict[str, Any]) -> dict[str, float]:
    """Return the largest difference in each matrix, relative to its largest entry."""
    return {
        name: float(np.abs(w - theirs[name]).max() / np.abs(theirs[name]).max())
        for name, w in ours.arrays().items()
        if w.size
    }


def autodiff(
    blocks: MemoryBlocks, weights: Weights, data: Sequences, truncated: bool = True
) -> tuple[dict[str, Any], Any]:
    """Return the gradient by torch, through the whole sequence but for what a step takes from the one before, and the outputs."""
    w = {k: torch.tensor(x, requires_grad=True) for k, x in weights.arrays().items()}
    cut = Tensor.detach if truncated else (lambda x: x)
    one_ = torch.ones(1, dtype=torch.float64)
    tanh = blocks.squash == "tanh"
    g, h = (torch.tanh, torch.tanh) if tanh else (lambda x: 4 * x.sigmoid() - 2, lambda x: 2 * x.sigmoid() - 1)
    state = seen = torch.zeros(blocks.size, dtype=torch.float64)
    gates = torch.zeros(blocks.n_gates if blocks.gates_feed else 0, dtype=torch.float64)
    total, outputs = torch.zeros((), dtype=torch.float64), []
    for x, target, now in zip(torch.tensor(data.inputs), torch.tensor(data.targets), data.at, strict=True):
        m = torch.cat([x, cut(seen), cut(gates), one_])
        opened = [(w[k] @ m).sigmoid() for k in ("input", "forget", "output")]
        y_in, y_phi, y_out = (y.repeat_interleave(blocks.n_cells) for y in opened)
        state = (y_phi * state if blocks.forget else state) + y_in * g(w["cell"] @ m)
        seen = y_out * h(state)
        gates = torch.cat(opened) if blocks.gates_feed else gates
        net = w["readout"] @ torch.cat([seen, one_])
        y = {"logistic": net.sigmoid(), "linear": net, "softmax": net.softmax(0)}[blocks.readout]
        outputs.append(y.detach())
        if now:
            softmax = blocks.readout == "softmax"
            total = total + (-(target * net.log_softmax(0)).sum() if softmax else 0.5 * ((y - target) ** 2).sum())
    total.backward()
    found = {k: torch.zeros_like(x) if x.grad is None else x.grad for k, x in w.items()}
    for name, there in (("cell", blocks.cell_bias), ("readout", blocks.readout_bias)):
        if not there:
            found[name][:, -1] = 0
    return {k: x.numpy() for k, x in found.items()}, torch.stack(outputs).numpy()


@each_net
def test_the_gradient_is_autodiffs_with_the_same_truncation(blocks: MemoryBlocks) -> None:
    weights, data = task(blocks)
    expected, outputs = autodiff(blocks, weights, data)
    assert all(np.abs(x).max() > 1e-3 for x in expected.values() if x.size)
    for functions in (lstm_sequence, lstm_kernel):
        assert np.abs(functions.run(blocks, weights, data) - outputs).max() < AUTODIFF
        found = difference(functions.gradients(blocks, weights, data), expected)
        assert len(found) == (5 if blocks.forget else 4)
        assert max(found.values()) < AUTODIFF, found


@each_net
def test_the_truncation_is_no_small_thing_in_these_nets(blocks: MemoryBlocks) -> None:
    # Else the test above would not tell whether anything is cut.
    weights, data = task(blocks)
    whole, _ = autodiff(blocks, weights, data, truncated=False)
    found = difference(lstm_sequence.gradients(blocks, weights, data), whole)
    del found["readout"]  # the only one that the truncation leaves alone
    assert min(found.values()) > 1e-3, found


def test_error_travels_far_in_the_internal_state() -> None:
    # The one target stands 500 steps after the one input that is not 0.
    blocks = MemoryBlocks(n_in=1, n_blocks=2, n_out=1, forget=False, gates_feed=False, cell_bias=False)
    weights = draw(blocks, np.random.default_rng(1), 0.5, input=0.0)
    inputs, at = np.zeros((501, 1)), np.zeros(501, bool)
    inputs[0], at[-1] = 1.0, True
    data = one(inputs, np.zeros((501, 1)), at)
    column = np.abs(lstm_sequence.gradients(blocks, weights, data).cell[:, 0])
    assert (column > 1e-4).all()
    assert np.allclose(column, np.abs(autodiff(blocks, weights, data)[0]["cell"][:, 0]), rtol=AUTODIFF, atol=0)


@pytest.mark.parametrize("update", ["sequence", "step"])
@each_net
def test_the_kernel_learns_what_its_twin_learns(blocks: MemoryBlocks, update: str) -> None:
    weights, data = task(blocks, lengths=(7, 1, 12), seed=3)
    ours, twin = (f.learn(blocks, weights, data, 0.3, update) for f in (lstm_kernel, lstm_sequence))
    changed = difference(twin.weights, weights.arrays())
    assert min(changed.values()) > 1e-3
    assert max(difference(ours.weights, twin.weights.arrays()).values()) < TWIN
    assert np.abs(ours.outputs - twin.outputs).max() < TWIN
    assert np.abs(ours.losses - twin.losses).max() < TWIN * np.abs(twin.losses).max()


@each_net
def test_an_update_goes_down_the_gradient_and_each_sequence_starts_from_rest(blocks: MemoryBlocks) -> None:
    weights, data = task(blocks, lengths=(9, 9), seed=4)
    first = replace(data, inputs=data.inputs[:9], targets=data.targets[:9], at=data.at[:9], lengths=data.lengths[:1])
    second = replace(data, inputs=data.inputs[9:], targets=data.targets[9:], at=data.at[9:], lengths=data.lengths[:1])
    middle = weights.less(0.1, lstm_sequence.gradients(blocks, weights, first))
    end = middle.less(0.1, lstm_sequence.gradients(blocks, middle, second))
    learned = lstm_sequence.learn(blocks, weights, data, 0.1)
    assert max(difference(learned.weights, end.arrays()).values()) < TWIN
    both = lstm_sequence.gradients(blocks, weights, first).plus(lstm_sequence.gradients(blocks, weights, second))
    assert max(difference(lstm_kernel.gradients(blocks, weights, data), both.arrays()).values()) < TWIN


def test_updates_at_each_step_differ_from_those_at_the_end_in_order_lr() -> None:
    blocks = NETS["2000, 3 blocks of 2 cells"]
    weights, data = task(blocks)
    gaps = []
    for lr in (1e-2, 1e-3):
        ends = [lstm_kernel.learn(blocks, weights, data, lr, update).weights for update in lstm_sequence.UPDATES]
        gaps.append(max(np.abs(ends[0].cell - ends[1].cell).max() / lr, 0.0))
    assert gaps[0] > 1e-4
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.3)


@pytest.mark.parametrize("functions", [lstm_sequence, lstm_kernel], ids=["numpy", "kernel"])
def test_no_target_changes_nothing(functions: Any) -> None:
    blocks = NETS["1997, 3 blocks of 2 cells"]
    weights, data = task(blocks)
    for update in lstm_sequence.UPDATES:
        after = functions.learn(blocks, weights, replace(data, at=np.zeros(25, bool)), 0.5, update)
        assert all((after.weights.arrays()[k] == w).all() for k, w in weights.arrays().items())
        assert after.losses == [0.0]


# ----------------------------------------------------------------------------------------- the cost of a step is constant


def n_numbers(state: State) -> int:
    """Return how many numbers a state holds."""
    return sum(x.size for x in (state.s, state.h, state.gates, *state.partials))


@each_net
def test_a_state_holds_a_few_numbers_a_weight_however_many_steps_it_has_seen(blocks: MemoryBlocks) -> None:
    weights, data = task(blocks, lengths=(300,))
    state = rest(blocks)
    at_rest = n_numbers(state)
    for x in data.inputs:
        state, _ = step(blocks, weights, state, x)
    assert n_numbers(state) == at_rest
    assert at_rest <= 3 * blocks.n_cells * blocks.n_parameters
    assert np.abs(state.partials.cell).max() > 0.1


def test_a_step_takes_as_long_in_a_long_sequence_as_in_a_short_one() -> None:
    blocks = NETS["2000, 3 blocks of 2 cells"]
    weights, data = task(blocks, lengths=(100_000,))

    def seconds(lengths: list[int]) -> float:
        cut = replace(data, lengths=np.array(lengths))
        start = time.perf_counter()
        lstm_kernel.gradients(blocks, weights, cut)
        return time.perf_counter() - start

    rounds = [(seconds([100_000]), seconds([100] * 1000)) for _ in range(5)]
    assert min(r[0] for r in rounds) < 1.5 * min(r[1] for r in rounds)  # unrolling would keep 1000 times as much


def test_a_step_changes_none_of_its_arguments() -> None:
    blocks = NETS["2000, 3 blocks of 2 cells"]
    weights, data = task(blocks)
    state = rest(blocks)
    for x in (*weights.arrays().values(), state.s, state.h, state.gates, *state.partials, data.inputs, data.targets):
        x.flags.writeable = False
    assert step(blocks, weights, state, data.inputs[0])[0].s.any()
    for functions in (lstm_sequence, lstm_kernel):
        for update in lstm_sequence.UPDATES:
            functions.learn(blocks, weights, data, 0.1, update)
        functions.gradients(blocks, weights, data)


# ------------------------------------------------------------------------------------------------- the LSTM of neuro.train


def classifier(dtype: torch.dtype = torch.float64) -> tuple[LSTMClassifier, dict[str, Any]]:
    model = LSTMClassifier(3, 8, 4, partial(stream, 5), dtype, chrono_steps=16)
    return model, {k: x.numpy() for k, x in model.state_dict().items()}


def test_the_baselines_outputs_are_ours() -> None:
    model, arrays = classifier()
    blocks, weights = lstm_torch.read(arrays)
    inputs = np.random.default_rng(0).normal(0, 1, (40, 3))
    expected = model(inputs[None]).y[0].softmax(-1).detach().numpy()
    data = one(inputs, np.zeros((40, 4)))
    assert np.ptp(expected) > 0.1
    assert np.abs(lstm_kernel.run(blocks, weights, data) - expected).max() < AUTODIFF


def test_the_baseline_learns_on_line_and_takes_its_weights_back() -> None:
    # Which of the first step's inputs is 1, asked 15 steps later.
    model, arrays = classifier(torch.float32)
    blocks, weights = lstm_torch.read(arrays)
    rng = np.random.default_rng(1)
    n, steps = 6000, 16
    label = rng.integers(0, 3, n)
    inputs, targets = np.zeros((n, steps, 3)), np.zeros((n, steps, 4))
    inputs[np.arange(n), 0, label] = targets[np.arange(n), -1, label] = 1
    at = np.tile(np.arange(steps) == steps - 1, n)
    data = Sequences(
        inputs=inputs.reshape(-1, 3), targets=targets.reshape(-1, 4), at=at, lengths=np.full(n, steps, np.int64)
    )

    def accuracy() -> float:
        return float((model(inputs[:300]).y[:, -1].argmax(-1).numpy() == label[:300]).mean())

    assert accuracy() < 0.6
    learned = lstm_kernel.learn(blocks, weights, data, 0.3).weights
    model.load_state_dict({k: torch.from_numpy(x) for k, x in lstm_torch.write(learned).items()})
    assert accuracy() == 1.0


def test_writing_what_was_read_gives_the_same_net() -> None:
    _, arrays = classifier()
    blocks, weights = lstm_torch.read(arrays)
    again, same = lstm_torch.read(lstm_torch.write(weights, np.float64))
    assert again == blocks
    assert all((same.arrays()[k] == w).all() for k, w in weights.arrays().items())


# ------------------------------------------------------------------------------------------------------- start and refusals


def test_the_nets_of_1997_have_the_published_numbers_of_weights() -> None:
    reber = MemoryBlocks(n_in=7, n_blocks=3, n_cells=2, n_out=7, forget=False, cell_bias=False, readout_bias=False)
    assert reber.n_parameters == 276
    assert replace(reber, n_blocks=4, n_cells=1).n_parameters == 264
    assert MemoryBlocks(n_in=2, n_blocks=2, n_cells=2, n_out=1, forget=False).n_parameters == 93
    assert MemoryBlocks(n_in=1, n_blocks=3, n_cells=1, n_out=1, forget=False, readout_bias=False).n_parameters == 102


def test_weights_start_where_they_are_told() -> None:
    blocks = NETS["1997, no bias but the gates'"]
    weights = draw(blocks, stream(0, "init"), 0.2, output=[-1.0, -2.0], input=-3.0)
    assert weights.output[:, -1].tolist() == [-1.0, -2.0]
    assert weights.input[:, -1].tolist() == [-3.0, -3.0]
    assert not weights.cell[:, -1].any() and not weights.readout[:, -1].any()
    assert 0.15 < np.abs(weights.cell[:, :-1]).max() <= 0.2
    for wrong in ({"output": [1.0]}, {"cell": 0.0}):
        with pytest.raises(
            RecipeError, match=r"lstm: no such biases \(got (output|cell) of shape .*need input, forget"
        ):
            draw(blocks, stream(0, "init"), 0.2, **wrong)  # type: ignore[arg-type]


def test_a_net_that_cannot_be_is_refused_with_every_reason() -> None:
    with pytest.raises(RecipeError) as err:
        MemoryBlocks(n_in=0, n_blocks=2, n_out=1, forget=1, squash="tahn", readout="linaer")  # type: ignore[arg-type]
    for part in ("n_in 0; need a whole number >= 1", "forget 1; need True or False", "Did you mean 'tanh'", "'linear'"):
        assert part in str(err.value)


@pytest.mark.parametrize("functions", [lstm_sequence, lstm_kernel], ids=["numpy", "kernel"])
def test_arrays_that_do_not_fit_are_refused(functions: Any) -> None:
    blocks = NETS["1997, no bias but the gates'"]
    weights, data = task(blocks)
    poisoned = data.inputs.copy()
    poisoned[3, 1] = np.nan
    cases: list[tuple[Weights, Sequences, str]] = [
        (weights, replace(data, inputs=poisoned), r"inputs: not finite \(got nan; need"),
        (
            weights,
            replace(data, inputs=data.inputs.astype(np.float32)),
            r"inputs: another array .*got float32 \(25, 3\)",
        ),
        (weights, replace(data, targets=data.targets[1:]), r"targets: .*got float64 \(24, 4\); need float64 \(25, 4\)"),
        (weights, replace(data, at=data.at.astype(np.int64)), r"at: .*got int64 \(25,\); need bool \(25,\)"),
        (weights, replace(data, inputs=[[1.0]]), r"inputs: no array \(got list; need float64"),  # type: ignore[arg-type]
        (
            weights,
            replace(data, lengths=np.array([24])),
            r"lengths: .*1 sequences, the shortest 24, 24 steps .*to 25\)",
        ),
        (weights, replace(data, lengths=np.array([26, -1])), r"lengths: .*the shortest -1, 25 steps"),
        (
            replace(weights, cell=weights.cell[1:]),
            data,
            r"weights 'cell': .*got float64 \(5, 14\); need float64 \(6, 14\)",
        ),
        (
            replace(weights, readout=weights.readout + 1),
            data,
            r"weights 'readout': a bias where there is none \(got 1;",
        ),
    ]
    for w, d, text in cases:
        with pytest.raises(DataError, match=text):
            functions.learn(blocks, w, d, 0.1)
        with pytest.raises(DataError, match=text):
            functions.gradients(blocks, w, d)
        with pytest.raises(DataError, match=text):
            functions.run(blocks, w, d)


@pytest.mark.parametrize("functions", [lstm_sequence, lstm_kernel], ids=["numpy", "kernel"])
def test_rates_and_updates_that_there_are_not_are_refused(functions: Any) -> None:
    blocks = NETS["gates do not feed back"]
    weights, data = task(blocks)
    with pytest.raises(
        DataError, match=r"no such update \(got 'steps'; need one of sequence, step\). Did you mean 'step'"
    ):
        functions.learn(blocks, weights, data, 0.1, "steps")
    for lr in (0.0, -1.0, float("nan")):
        with pytest.raises(DataError, match=r"learning rate out of range \(got (0|-1|nan)"):
            functions.learn(blocks, weights, data, lr)


def test_weights_that_run_away_are_refused() -> None:
    blocks = NETS["gates do not feed back"]  # its outputs are linear: nothing bounds the error
    weights, data = task(blocks, lengths=(1,) * 2000)
    with pytest.raises(DataError, match=r"left the range of numbers while learning \(got .*readout.* at lr 10;"):
        lstm_kernel.learn(blocks, weights, data, 10.0)


def test_weights_of_another_net_are_refused() -> None:
    _, arrays = classifier()
    with pytest.raises(
        DataError, match=r"not the weights of one LSTM layer and a readout \(got layer.bias_hh_l0, .*need"
    ):
        lstm_torch.read({k: x for k, x in arrays.items() if k != "readout.bias"})
    with pytest.raises(DataError, match=r"lstm 'layer.weight_ih_l0': .*got \(31, 3\); need \(32, 3\)"):
        lstm_torch.read({**arrays, "layer.weight_ih_l0": arrays["layer.weight_ih_l0"][1:]})
