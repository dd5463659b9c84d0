"""The learning loop: it learns, keeps the best, goes on bit for bit where it was killed, and refuses what does not fit."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neuro
from neuro import tasks
from neuro.errors import DataError, GraphError, NeuroError, RecipeError, UnsupportedError
from neuro.graph import Graph
from neuro.learning import (
    EProp,
    LearnConfig,
    LearnResult,
    RewardEProp,
    RewardSTDP,
    Rule,
    Score,
    attach,
    make_room,
    prepare,
    programs,
    teacher_of,
)
from neuro.learning import reference as golden
from neuro.learning import run as run_module
from neuro.learning.loop import lesson_for
from neuro.learning.note import numbers
from neuro.learning.state import read
from neuro.seeds import stream
from tests.learning.sides import Sides, small_net

QUICK = LearnConfig(iterations=7, batch=2, validate_every=3, validate_samples=16, checkpoint_every=2)
ADAPTIVE = EProp(lr=0.02, feedback="adaptive", feedback_decay=0.01, rate_reg=0.1)


def run(rule: Rule | None = ADAPTIVE, graph: Graph | None = None, **settings: Any) -> LearnResult:
    settings = {"config": QUICK, "seed": 5, "backend": "engine", **settings}
    return neuro.learn(graph or small_net(), Sides(), rule, **settings)


def log(folder: Path) -> list[dict[str, Any]]:
    """Return the log without what differs from run to run."""
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "time_s"} for entry in entries]


def weights(graph: Graph) -> np.ndarray:
    return np.concatenate([c.weight for c in graph.projections])


@pytest.mark.parametrize(
    ("update", "optimizer", "lr"), [("batch", "adam", 0.05), ("batch", "sgd", 0.3), ("episode", "sgd", 0.05), ("step", "sgd", 0.05)]
)  # fmt: skip
def test_it_learns_with_every_update(update: str, optimizer: str, lr: float) -> None:
    found = run(
        EProp(lr=lr, update=update, feedback="random"), config=None, iterations=24, batch=4, optimizer=optimizer,
        validate_every=8, validate_samples=32,
    )  # fmt: skip
    assert found.stopped == "finished"
    assert found.before.accuracy is not None
    assert found.best.accuracy is not None
    assert found.before.rate_hz > 1.0
    assert found.best.loss < 0.7 * found.before.loss
    assert found.best.accuracy >= 0.9
    assert [entry["iteration"] for entry in found.curve] == [0, 8, 16, 24]
    assert found.curve[-1]["train"]["loss"] < found.curve[1]["train"]["loss"]
    assert found.curve[-1]["samples"] == 96


def test_a_regression_comes_closer_to_its_signal() -> None:
    task = tasks.make("pattern_generation", duration_ms=60, n_clock=12, frequencies_hz=[20.0])
    graph = neuro.learning.draw_network(
        neuro.learning.NetworkConfig(n_lif=12, n_alif=0, gain_in=2.5, gain_out=0.3), task, seed=2
    )
    rule = EProp(lr=0.02, feedback="random")
    found = neuro.learn(graph, task, rule, "engine", iterations=60, optimizer="adam", validate_every=20)
    assert found.before.nmse is not None
    assert found.best.nmse is not None
    assert found.best.nmse < 0.5 * found.before.nmse
    assert found.best.accuracy is None
    assert {"nmse", "loss", "rate_hz"} == set(found.curve[-1]["train"])
    stopped = neuro.learn(
        graph, task, rule, "engine", iterations=60, optimizer="adam", validate_every=5, stop_nmse=0.9 * found.before.nmse
    )  # fmt: skip
    assert stopped.stopped == "nmse"
    assert 0 < stopped.iterations < 60


def test_rewarded_actions_are_learned() -> None:
    rule = RewardEProp(lr=0.02, value="value", feedback="random", discount=0.9)
    found = run(rule, small_net(value=True), config=None, iterations=60, batch=8, optimizer="adam", validate_every=30)
    assert found.before.accuracy is not None
    assert found.best.accuracy is not None
    assert found.best.accuracy > max(found.before.accuracy, 0.8)
    first, last = found.curve[1]["train"]["reward"], found.curve[2]["train"]["reward"]
    assert 0.3 < first < last


def test_one_step_of_mini_batches_is_the_mean_gradient_on_the_grid() -> None:
    graph, _ = make_room(attach(small_net(), EProp(lr=0.5)))
    found = run(None, graph, config=None, iterations=1, batch=5)
    task, lesson = Sides(), lesson_for(graph, Sides(), QUICK)
    gradient: dict[str, Any] = {}
    for i in range(5):
        batch = task.sample("train", stream(5, f"learn/{i}"), 1)
        one = golden.learn(graph, *teacher_of(batch, lesson, graph)).gradient
        gradient = {key: gradient.get(key, 0.0) + g for key, g in one.items()}
    moved = 0
    for site in prepare(graph).sites:
        wanted = numbers(graph, site) - 0.5 * (gradient[site.key] / 5)
        assert site.grid is not None
        assert np.abs(numbers(found.last, site) - wanted).max() <= site.grid
        moved += int((numbers(found.last, site) != numbers(graph, site)).sum())
    assert moved > 50


def test_samples_are_the_same_whatever_the_batch() -> None:
    rule = EProp(lr=0.02, update="episode", feedback="adaptive")
    many = run(rule, config=None, iterations=12, batch=1, validate_every=100)
    few = run(rule, config=None, iterations=3, batch=4, validate_every=100)
    assert (weights(many.last) != weights(small_net())).mean() > 0.5
    np.testing.assert_array_equal(weights(many.last), weights(few.last))
    other = run(rule, config=None, iterations=3, batch=4, validate_every=100, seed=6)
    assert (weights(other.last) != weights(few.last)).any()


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        (ADAPTIVE, {"optimizer": "adam", "lr_decay": 0.5, "lr_decay_every": 3}),
        (replace(ADAPTIVE, update="step"), {"lr_decay": 0.5, "lr_decay_every": 3}),
        (replace(ADAPTIVE, update="episode", learn_bias=True), {}),
        (RewardEProp(lr=0.02, value="value", feedback="adaptive"), {"optimizer": "adam"}),
        (
            RewardSTDP(tau_reward=3.0, w_min=-5.0, w_max=5.0),
            {"lr_decay": 0.5, "lr_decay_every": 3, "backend": "reference"},
        ),
    ],
    ids=["batch", "step", "episode", "reward", "stdp"],
)
@pytest.mark.parametrize("at", [1, 5])
def test_a_killed_run_that_is_resumed_ends_as_one_that_was_not(
    tmp_path: Path, rule: Rule, settings: dict[str, Any], at: int
) -> None:
    graph = small_net(value=True)
    whole = run(rule, graph, run_dir=tmp_path / "whole", **settings)

    def kill(entry: dict[str, Any]) -> None:
        if entry["iteration"] == at:
            raise Killed

    with pytest.raises(Killed):
        run(rule, graph, run_dir=tmp_path / "killed", watch=kill, **settings)
    again = run(rule, graph, run_dir=tmp_path / "killed", resume=True, **settings)
    assert (weights(whole.last) != weights(graph)).mean() > 0.25
    assert again.last == whole.last
    if isinstance(rule, RewardSTDP):  # the running mean reward is a parameter
        held = next(c.plasticity for c in whole.last.projections if c.plasticity)
        assert 0.0 < float(held.parameters["baseline"]) < 1.0
        assert held.parameters["lr"] == rule.lr
    assert again.graph == whole.graph
    assert again.curve == whole.curve
    assert str(again.note) == str(whole.note)
    assert log(tmp_path / "killed") == log(tmp_path / "whole")
    first, second = read(tmp_path / "whole"), read(tmp_path / "killed")
    assert first is not None
    assert second is not None
    assert bool(first.feedback) != isinstance(rule, RewardSTDP)
    for a, b in (
        (first.feedback, second.feedback), (first.moments.mean, second.moments.mean), (first.moments.square, second.moments.square)
    ):  # fmt: skip
        assert a is not None
        assert b is not None
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_ctrl_c_ends_the_run_after_its_iteration_with_a_checkpoint(tmp_path: Path) -> None:
    def stop(entry: dict[str, Any]) -> None:
        if entry["iteration"] == 3 and "validation" not in entry:
            os.kill(os.getpid(), signal.SIGINT)

    first = run(run_dir=tmp_path / "run", watch=stop)
    assert (first.stopped, first.iterations) == ("interrupted", 3)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    held = read(tmp_path / "run")
    assert held is not None
    assert held.iteration == 3
    assert held.graph == first.last
    second = run(run_dir=tmp_path / "run", resume=True)
    assert (second.stopped, second.iterations) == ("finished", 7)
    assert second.last == run().last


def test_more_iterations_go_on_from_a_run_that_ended(tmp_path: Path) -> None:
    run(run_dir=tmp_path)
    more = run(run_dir=tmp_path, resume=True, iterations=9)
    assert more.iterations == 9
    assert more.last == run(iterations=9).last
    assert (tmp_path / "note.txt").read_text() == f"{more.note}\n"
    assert neuro.load(tmp_path / "graph.h5") == more.graph
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "best-00000009.h5", "checkpoint.json", "graph-00000009.h5", "graph.h5", "log.jsonl", "note.txt", "run.json", "start.h5",
        "state-00000009.h5",
    }  # fmt: skip


def test_the_best_graph_is_kept_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        Score(accuracy=a, nmse=None, loss=x, rate_hz=1.0) for a, x in ((0.5, 1.0), (0.9, 2.0), (0.9, 3.0), (0.6, 0.5))
    ]
    scores = iter(told)
    monkeypatch.setattr(run_module, "evaluate", lambda *_: next(scores))
    found = run(iterations=6, validate_every=2)
    assert (found.before, found.best, found.best_iteration) == (told[0], told[1], 2)
    assert [entry["best"] for entry in found.curve] == [True, True, False, False]
    monkeypatch.undo()
    np.testing.assert_array_equal(weights(found.graph), weights(run(iterations=2).last))
    assert (weights(found.last) != weights(found.graph)).any()


def test_it_stops_when_good_enough_or_no_better_for_long() -> None:
    done = run(config=None, iterations=80, batch=8, optimizer="adam", validate_every=5, stop_accuracy=0.9)
    assert done.stopped == "accuracy"
    assert done.iterations < 80
    tired = run(replace(ADAPTIVE, lr=0.0), config=None, iterations=80, validate_every=1, patience=3)
    assert (tired.stopped, tired.iterations, tired.best_iteration) == ("patience", 3, 0)


def test_the_learning_rate_decays(tmp_path: Path) -> None:
    run(run_dir=tmp_path, lr_decay=0.5, lr_decay_every=3)
    assert [e["lr"] for e in log(tmp_path) if "lr" in e] == [0.02] * 3 + [0.01] * 3 + [0.005]
    assert {c.plasticity.parameters["lr"] for c in neuro.load(tmp_path / "graph.h5").projections if c.plasticity} == {
        0.02
    }


def test_the_note_says_what_changed() -> None:
    rule = EProp(lr=0.02, update="step", feedback="random")
    found = run(rule, small_net(), projections=["lif->out", "in->lif"])
    text = str(found.note)
    assert text.startswith(f"before: validation {found.before}\n")
    assert "'in->lif' by eprop (step): " in text
    assert "without a rule, as they were: 'in->alif', 'lif->lif'" in text
    by = {site.key: site for site in found.note.sites}
    assert set(by) == {"in->lif", "lif->out"}
    start = make_room(attach(small_net(), rule, ["lif->out", "in->lif"], "out"))[0]
    for c, new in zip(start.projections, found.graph.projections, strict=True):
        change = np.abs(c.weight - new.weight)
        if c.name not in by:
            assert not change.any()
            continue
        assert by[c.name].n_changed == np.count_nonzero(change) > 0
        assert by[c.name].largest_change == change.max()
        assert (by[c.name].n_updates or 0) >= by[c.name].n_changed
        assert 0.0 < by[c.name].largest_use < 1.0


def test_weights_on_their_bound_are_counted() -> None:
    found = run(EProp(lr=2.0, w_max=1.5, feedback="random"), small_net(gain_in=1.0), iterations=3, batch=4)
    last = run(
        EProp(lr=2.0, w_max=1.5, feedback="random"), small_net(gain_in=1.0), iterations=3, batch=4, validate_every=3
    )
    assert max(np.abs(c.weight).max() for c in last.last.projections) == 1.5
    at = sum(int((np.abs(c.weight) == 1.5).sum()) for c in found.graph.projections)
    assert sum(site.n_at_bound for site in found.note.sites) == at


def test_mistakes_are_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(error: type[NeuroError], message: str, **settings: Any) -> None:
        with pytest.raises(error, match=message):
            run(**{"run_dir": tmp_path / "run", **settings})
        assert not (tmp_path / "run").exists()

    refused(RecipeError, r"learn: iteration: unknown key .*Did you mean 'iterations'", iteration=3)
    refused(RecipeError, re.escape("learn: lr_decay: out of range (got 2; need a number, above 0..1)"), lr_decay=2)
    refused(GraphError, r"no projection with plasticity", rule=None)
    refused(UnsupportedError, r"backend 'nobody': not installed", backend="nobody")
    wide = replace(small_net(), name="wide")
    with pytest.raises(
        DataError, match=re.escape("task 'delayed_match' on graph 'wide': inputs do not fit (got SpikeInput 'in'")
    ):
        neuro.learn(wide, tasks.make("delayed_match"), ADAPTIVE, "reference")
    monkeypatch.setattr(programs, "OWN", {})
    with pytest.raises(UnsupportedError, match=re.escape("backend 'reference': its programs cannot learn")):
        run(EProp(), backend="reference")


class Stranger:
    """A backend of someone else, whose programs can learn."""

    def compile(self, graph: Graph) -> StrangerProgram:
        return StrangerProgram(graph)


class StrangerProgram(golden.Learner):
    """Learn by the golden model."""

    def run(self, *_: object) -> None:
        raise AssertionError("scores are of the engine")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("update", ["batch", "episode"])
def test_any_backend_whose_programs_learn_will_do(monkeypatch: pytest.MonkeyPatch, update: str) -> None:
    rule = EProp(lr=0.02, update=update, feedback="random")
    expected = run(rule, backend="reference")
    monkeypatch.setattr(programs.backends, "get", lambda name: Stranger())
    found = run(rule, backend="stranger")
    assert (weights(found.last) != weights(small_net())).mean() > 0.5
    assert found.last == expected.last
    with pytest.raises(
        UnsupportedError, match=re.escape("backend 'stranger': adaptive feedback cannot be resumed on it")
    ):
        run(ADAPTIVE, backend="stranger")


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    run(run_dir=tmp_path)
    with pytest.raises(DataError, match="there is a run already"):
        run(run_dir=tmp_path)
    with pytest.raises(DataError) as caught:
        run(replace(ADAPTIVE, lr=0.5), run_dir=tmp_path, resume=True, batch=3, seed=6)
    assert [
        line.split(" differs ")[0] + line.split(" differs ")[1][:24] for line in str(caught.value).splitlines()
    ] == [
        f"run '{tmp_path}': learn 'batch'(got 3; the run has 2). ",
        f"run '{tmp_path}': rule 'lr'(got 0.5; the run has 0.",
        f"run '{tmp_path}': seed(got 6; the run has 5). ",
    ]
    with pytest.raises(DataError, match="graph 'sha256' differs"):
        run(graph=small_net(1), run_dir=tmp_path, resume=True)
