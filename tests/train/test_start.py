"""A run starts from a graph or another run, for a chip or not, and one that was stopped goes on bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neuro import graph as graphs
from neuro.errors import DataError, RecipeError
from neuro.tasks import Batch
from neuro.train import (
    LSNN,
    DeepRConfig,
    ModelConfig,
    QuantizedLSNN,
    Start,
    TaskShape,
    Template,
    TrainConfig,
    checkpoint,
    evaluate,
    fit,
    load_run,
    loop,
    prepare,
    read_start,
    to_graph,
)
from neuro.train.start import held_start, read_template
from tests.train.integer_nets import template

MODEL = ModelConfig(n_lif=10, n_alif=6, gain_in=4.0, tau_a_ms=50.0)
TRAIN = TrainConfig(
    iterations=8, batch=16, lr=0.01, validate_every=4, validate_samples=64, checkpoint_every=3, threads=1
)
WIRED = DeepRConfig(mode="hard", connectivity=0.3)


@dataclass(frozen=True)
class WhichHalf:
    """Two classes: the first or the second half of the inputs spikes more."""

    name = "which_half"
    input_kind = "spikes"
    n_in, n_out, steps, dt_ms, u_max, u_step = 6, 2, 30, 1.0, 1.0, 1.0

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": None, "validation": 64}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        target = rng.integers(0, 2, n)
        likely = np.where(np.arange(self.n_in)[None, None, :] // 3 == target[:, None, None], 0.3, 0.15)
        inputs = (rng.random((n, self.steps, self.n_in)) < likely).astype(np.uint8)
        window = np.full((n, self.steps), -1, dtype=np.int16)
        window[:, -10:] = 0
        return Batch(inputs=inputs, window=window, targets=target[:, None])

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        whole = self.sample(split, np.random.default_rng(1), 64)
        return Batch(
            inputs=whole.inputs[start:stop], window=whole.window[start:stop], targets=whole.targets[start:stop]
        )


def run(folder: Path, **changes: object) -> loop.FitResult:
    own = {k: changes.pop(k) for k in ("model", "deep_r", "resume", "start", "template", "seed") if k in changes}
    settings = {"model": MODEL, "echo": lambda line: None, **own}
    return fit(WhichHalf(), folder, train=replace(TRAIN, **changes), **settings)  # type: ignore[arg-type]


def first_template(slow: bool, unit: float = 2.0**12, **origin: object) -> Template:
    settings = {"model": MODEL, "train": TRAIN, "deep_r": DeepRConfig(), **origin}
    made = prepare(shape=TaskShape.of(WhichHalf()), seed=0, **settings)  # type: ignore[arg-type]
    return template(to_graph(made.model)[0], slow=slow, unit=unit)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def float_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a float run with DEEP R, and its graph beside it."""
    folder = tmp_path_factory.mktemp("float") / "run"
    run(folder, deep_r=WIRED, iterations=60, validate_every=20)
    graphs.save(to_graph(load_run(folder))[0], folder.parent / "graph.h5")
    return folder


@pytest.mark.parametrize("slow", [False, True])
def test_a_network_learns_for_a_chip_from_scratch(tmp_path, slow):
    made = first_template(slow, deep_r=WIRED)
    result = run(tmp_path / "run", template=made, deep_r=WIRED, iterations=60, logit_scale=3.0)
    assert isinstance(result.model, QuantizedLSNN)
    losses = [float(e["validation"]["loss"]) for e in result.history]
    assert losses[-1] < 0.8 * losses[0]
    assert result.best.accuracy > 0.85
    assert result.n_active == result.budget
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, QuantizedLSNN)
    assert same_weights(loaded, result.model)
    assert evaluate(loaded, WhichHalf(), "validation", limit=64, batch=16, logit_scale=3.0) == result.best


def test_the_score_is_that_of_the_chip(tmp_path):
    result = run(tmp_path / "run", template=first_template(slow=True))
    graph, report = to_graph(result.model, WhichHalf().fixed("validation", 0, 64))
    assert graph.semantics == "integer"
    assert (report.n_identical, report.n_samples) == (64, 64)
    assert report.accuracy_graph == report.accuracy_module == result.best.accuracy
    assert "rasters: 64 of 64 samples identical" in str(report)


@pytest.mark.parametrize("origin", ["scratch", "graph", "run"])
def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_not_stopped(tmp_path, float_run, origin):
    start = {"scratch": None, "graph": read_start(float_run.parent / "graph.h5"), "run": read_start(float_run)}[origin]
    deep_r = DeepRConfig() if origin == "graph" else WIRED
    made = first_template(slow=True, deep_r=deep_r, start=start)
    common = {"deep_r": deep_r, "template": made}
    whole = run(tmp_path / "whole", start=start, **common)
    run(tmp_path / "parts", start=start, iterations=3, **common)
    held = held_start(tmp_path / "parts")
    again = read_template(tmp_path / "parts")
    assert again.graph == made.graph
    parts = run(tmp_path / "parts", start=held, deep_r=deep_r, template=again, resume=True)
    assert same_weights(whole.model, parts.model)
    first, second = checkpoint.load(tmp_path / "whole")[1], checkpoint.load(tmp_path / "parts")[1]
    assert set(first) == set(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not same_weights(load_run(tmp_path / "whole", "last"), prepare(MODEL, TRAIN, deep_r, TaskShape.of(WhichHalf()), 0, start, made).model)  # fmt: skip


def test_fine_tuning_mends_a_coarse_network(tmp_path, float_run):
    """With thresholds of a few units the float network is lost; training on, with the integers, finds it again."""
    start = read_start(float_run.parent / "graph.h5")
    float_accuracy = evaluate(LSNN.from_graph(start.graph), WhichHalf(), "validation").accuracy
    result = run(tmp_path / "run", start=start, template=first_template(True, 200.0, start=start), iterations=60, logit_scale=3.0)  # fmt: skip
    before = result.history[0]
    assert before["iteration"] == 0
    assert before["validation"]["accuracy"] < float_accuracy - 0.05
    assert result.best.accuracy > before["validation"]["accuracy"] + 0.05


def test_a_run_starts_from_the_best_weights_and_goes_on_rewiring(tmp_path, float_run):
    best = load_run(float_run)
    made = prepare(MODEL, TRAIN, WIRED, TaskShape.of(WhichHalf()), 5, read_start(float_run))
    assert same_weights(made.model, best)
    for matrix, active in zip(made.deep_r.matrices, made.deep_r.active, strict=True):
        assert torch.equal(active, best.get_parameter(matrix.name) != 0)
    result = run(tmp_path / "run", start=read_start(float_run), deep_r=WIRED, seed=5)
    assert result.n_active == result.budget == made.deep_r.budget
    assert result.history[0]["iteration"] == 0
    held, signs = checkpoint.load(float_run)[1], 0
    for matrix in ("w_in", "w_rec", "w_out"):
        w = result.model.get_parameter(matrix)
        assert torch.all((w.sign() == held[f"deep_r/{matrix}/sign"]) | (w == 0))
        signs += int((w != 0).sum())
    assert signs == result.budget


def test_without_deep_r_the_connections_stay(tmp_path, float_run):
    result = run(tmp_path / "run", start=read_start(float_run))
    assert torch.equal(result.model.w_rec != 0, load_run(float_run).w_rec != 0)
    assert not torch.equal(load_run(tmp_path / "run", "last").w_rec, load_run(float_run).w_rec)
    assert load_run(tmp_path / "run").sparse
    further = run(tmp_path / "further", start=read_start(tmp_path / "run"))
    assert torch.equal(further.model.w_rec != 0, result.model.w_rec != 0)


def test_a_run_that_started_from_a_graph_can_be_started_from(tmp_path, float_run):
    first = run(tmp_path / "first", start=read_start(float_run.parent / "graph.h5"))
    start = read_start(tmp_path / "first")
    made = prepare(MODEL, TRAIN, DeepRConfig(), TaskShape.of(WhichHalf()), 0, start, first_template(False, start=start))
    assert isinstance(made.model, QuantizedLSNN)
    assert same_weights(made.model, first.model)


def test_what_does_not_fit_the_start_is_refused(tmp_path, float_run):
    shape, graph = TaskShape.of(WhichHalf()), read_start(float_run.parent / "graph.h5")
    with pytest.raises(RecipeError, match=r"start '.*nowhere': nothing to start from \(got '.*nowhere'; need a folder"):
        read_start(tmp_path / "nowhere")
    with pytest.raises(RecipeError, match=r"deep_r 'mode': connections are those of the graph \(got 'hard' with start"):
        prepare(MODEL, TRAIN, WIRED, shape, 0, graph)
    with pytest.raises(
        RecipeError, match=r"deep_r 'connectivity': differs from the start's \(got 0.5; the run in .* has 0.3\)"
    ):
        prepare(MODEL, TRAIN, replace(WIRED, connectivity=0.5), shape, 0, read_start(float_run))
    with pytest.raises(RecipeError, match=r"parameter 'w_rec' does not fit \(got \(16, 16\); need \(17, 17\)\)"):
        prepare(replace(MODEL, n_lif=11), TRAIN, WIRED, shape, 0, read_start(float_run))
    with pytest.raises(
        RecipeError,
        match=r"graph of another task \(got 1 inputs of 6 spikes, 2 readouts; need one input of 7 spikes, 2",
    ):
        prepare(MODEL, TRAIN, DeepRConfig(), replace(shape, n_in=7), 0, graph)
    with pytest.raises(RecipeError, match=r"no spiking network wanted \(got kind 'lstm' with a graph"):
        prepare(replace(MODEL, kind="lstm"), TRAIN, DeepRConfig(), shape, 0, graph)
    integer = to_graph(QuantizedLSNN.of(LSNN.from_graph(graph.graph), template(graph.graph)))[0]
    graphs.save(integer, tmp_path / "integer.h5")
    with pytest.raises(RecipeError, match=r"integer graph \(got integer semantics; need float\)"):
        read_start(tmp_path / "integer.h5")
    with pytest.raises(RecipeError, match=r"quantize: no spiking network \(got kind 'rnn'; need lsnn or lif\)"):
        prepare(replace(MODEL, kind="rnn"), TRAIN, DeepRConfig(), shape, 0, None, template(graph.graph))


def test_a_run_is_not_resumed_for_another_chip(tmp_path):
    made = first_template(slow=True)
    run(tmp_path / "run", template=made)
    with pytest.raises(DataError, match=r"quantize 'profile' differs \(got 'other'; the run has 'by hand'\)"):
        run(tmp_path / "run", template=replace(made, profile="other"), resume=True)
    with pytest.raises(DataError, match=r"start 'path' differs \(got 'x'; the run has None\)"):
        run(tmp_path / "run", template=made, start=Start("x"), resume=True)


def test_a_profile_s_biases_are_those_that_training_rounds_to():
    from neuro.deploy import PROFILES

    for profile in PROFILES.values():
        assert (profile.bias_mantissa_bits, profile.bias_exponent_bits) == (13, 3)
