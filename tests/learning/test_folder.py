"""What a learning run leaves alone in its folder, and what it refuses before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import neuro
from neuro.errors import DataError, GraphError, RecipeError
from neuro.learning import EProp, LearnConfig
from neuro.learning.config import RewireConfig
from neuro.learning.evaluation import evaluate
from neuro.learning.loop import lesson_for, prepared
from tests.learning.sides import Sides, small_net

QUICK = LearnConfig(iterations=2, batch=2, validate_every=2, validate_samples=4, checkpoint_every=1)
RULE = EProp(lr=0.02, feedback="random")


def run(**settings: Any) -> neuro.learning.LearnResult:
    return neuro.learn(small_net(), Sides(), **{"rule": RULE, "config": QUICK, "seed": 5, **settings})


def test_files_of_others_stay(tmp_path: Path) -> None:
    names = ("best-net.h5", "graph-v1.h5", "state-of-mind.h5")
    for name in names:
        (tmp_path / name).write_text("mine")
    run(run_dir=tmp_path)
    assert all((tmp_path / name).read_text() == "mine" for name in names)
    assert len(list(tmp_path.glob("graph-0*.h5"))) == 1


@pytest.mark.parametrize("name", ["graph.h5", "note.txt", "checkpoint.json"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_whose_files_a_run_would_replace_is_refused(tmp_path: Path, name: str, resume: bool) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(DataError, match=rf"no run, but files that one would replace \(got {name} without run.json"):
        run(run_dir=tmp_path, resume=resume)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("text", ['{"format": 1}', '{"format": 1, "files": 3}'])
def test_a_damaged_checkpoint_is_told(tmp_path: Path, text: str) -> None:
    run(run_dir=tmp_path)
    (tmp_path / "checkpoint.json").write_text(text)
    with pytest.raises(DataError, match=r"checkpoint.json is damaged \(got (KeyError|AttributeError|TypeError)"):
        run(run_dir=tmp_path, resume=True)


def test_a_log_with_a_strange_byte_is_read_without_that_line(tmp_path: Path) -> None:
    run(run_dir=tmp_path)
    with (tmp_path / "log.jsonl").open("ab") as log:
        log.write(b"\xff\n")
    assert run(run_dir=tmp_path, resume=True).iterations == 2


def test_room_that_leaves_no_digit_is_refused() -> None:
    with pytest.raises(GraphError, match=r"leaves no digit for some of them \(got \d+ synapses that would round to 0"):
        prepared(small_net(), Sides(), EProp(feedback="random", w_max=1e15))
    with pytest.raises(GraphError, match=r"is all 0 in the rule's bits \(got bits 8, scale"):
        prepared(small_net(), Sides(), EProp(feedback="random", bits=8, headroom=1e6))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"rule": 3}, GraphError, r"learn: no rule \(got 3; need one as EProp"),
        ({"rule": EProp}, GraphError, r"learn: no rule \(got <class"),
        ({"rule": "eprp"}, GraphError, r"unknown rule \(got 'eprp'.*Did you mean 'eprop'"),
        ({"rewire": RewireConfig(every=0)}, RecipeError, r"rewire: every: out of range \(got 0"),
        ({"batch": 10**9}, RecipeError, r"learn: batch: out of range \(got 1000000000"),
    ],
)
def test_what_makes_no_run_is_refused_before_anything_is_written(
    tmp_path: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(run_dir=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_an_unknown_split_is_refused() -> None:
    graph = prepared(small_net(), Sides(), RULE)
    with pytest.raises(DataError, match=r"unknown split \(got 'tset'; need one of"):
        evaluate(graph, Sides(), lesson_for(graph, Sides(), QUICK), "tset")
