"""Recipes of learning: what a file means, what is refused with which words, and the recipes of the zoo."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import neuro
from neuro.errors import RecipeError
from neuro.learning import RULES, DamageConfig, EProp, LearnConfig, NetworkConfig, RewardEProp, lesson_for, prepared
from neuro.learning.recipe import LearnRecipe, load, loads
from tests.learning.sides import small_net

MODELS = Path(__file__).parents[2] / "models"
MINIMAL = '[task]\nname = "delayed_match"\n[rule]\nname = "eprop"\n'
LEARNED = sorted(path.parent.name for path in MODELS.glob("*/recipe.toml") if "[rule]" in path.read_text())


def problems(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        loads(text, where="r.toml")
    return str(caught.value).splitlines()


def test_a_task_and_a_rule_are_enough() -> None:
    found = loads(MINIMAL)
    assert (found.name, found.seed, found.backend, found.damage) == ("run", 0, "engine", None)
    assert (found.graph, found.learn, found.make_rule()) == (NetworkConfig(), LearnConfig(), EProp())
    assert found.task.params["cue_ms"] == 100


def test_every_table_is_read() -> None:
    found = loads(
        """
        name = "mine"
        seed = 7
        backend = "reference"
        [task]
        name = "delayed_match"
        delay_ms = 30
        [graph]
        n_lif = 5
        tau_a_ms = [10, 20]
        value = true
        [rule]
        name = "reward_eprop"
        value = "value"
        lr = 1
        projections = ["in->lif"]
        signal = "out"
        [damage]
        kill = 0.5
        [learn]
        iterations = 3
        choose = "each"
        """
    )
    assert (found.name, found.seed, found.backend) == ("mine", 7, "reference")
    assert found.graph == NetworkConfig(n_lif=5, tau_a_ms=(10.0, 20.0), value=True)
    assert found.make_rule() == RewardEProp(value="value", lr=1.0, feedback_seed=7)
    assert (found.projections, found.signal) == (("in->lif",), "out")
    assert found.damage == DamageConfig(kill=0.5, noise=0.2)
    assert found.learn == LearnConfig(iterations=3, choose="each")
    task = found.make_task()
    graph = prepared(found.make_graph(task), task, found.make_rule(), found.projections, found.signal)
    assert [c.name for c in graph.projections if c.plasticity] == ["in->lif"]
    assert lesson_for(graph, task, found.learn).loss == "reward"


def test_written_and_read_again_it_is_the_same() -> None:
    whole = loads(MINIMAL + 'projections = ["a", "b"]\nlr = 0.5\n[damage]\nnoise = 0.1\n')
    path = replace(whole, graph="../graph.h5", rule=None, parameters={}, projections=None, damage=None)
    for recipe in (whole, path, loads(MINIMAL)):
        assert loads(recipe.to_toml()) == recipe


def test_feedback_follows_the_seed_unless_it_has_its_own() -> None:
    assert loads("seed = 4\n" + MINIMAL).make_rule() == EProp(feedback_seed=4)
    assert loads("seed = 4\n" + MINIMAL + "feedback_seed = 2").make_rule() == EProp(feedback_seed=2)
    assert loads("seed = 4\n" + MINIMAL.replace("eprop", "stdp")).make_rule() == RULES["stdp"]()


def test_rounding_follows_the_seed_unless_it_has_its_own() -> None:
    rounded = MINIMAL.replace("eprop", "stdp") + "bits = 8\n"
    assert loads("seed = 4\n" + rounded).make_rule() == RULES["stdp"](bits=8, rounding_seed=4)
    assert loads("seed = 4\n" + rounded + "rounding_seed = 2").make_rule() == RULES["stdp"](bits=8, rounding_seed=2)


def test_everything_wrong_is_told_at_once_with_file_table_and_key() -> None:
    found = problems(
        """
        seed = -1
        bakend = "x"
        [task]
        name = "delayed_match"
        cue = 3
        [graph]
        n_lif = 1.5
        [rule]
        name = "eprop"
        lrr = 1
        update = "steps"
        [damage]
        kill = 2
        [learn]
        iterations = -1
        optimizer = "adm"
        """
    )
    assert [line.split(" (got")[0] for line in found] == [
        "r.toml: unknown key",
        "r.toml: 'seed': out of range",
        "r.toml: task 'cue': unknown key",
        "r.toml: graph 'n_lif': wrong type",
        "r.toml: rule 'lrr': unknown key",
        "r.toml: rule 'eprop': unknown update",
        "r.toml: damage 'kill': out of range",
        "r.toml: learn 'iterations': out of range",
        "r.toml: learn 'optimizer': unknown value",
    ]
    assert "Did you mean 'backend'?" in found[0]
    assert found[4].endswith("Did you mean 'lr'?")
    assert "got 2; need a number, 0..1" in found[6]
    assert found[8].endswith("Did you mean 'adam'?")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[task]\nname = "delayed_match"', "rule 'name': no rule (got nothing; need one of eprop, reward_eprop, stdp, rewar"),
        (MINIMAL.replace("eprop", "e-prop"), "rule 'name': unknown rule (got 'e-prop'; need one of eprop, "),
        (MINIMAL + '[graph]\npath = "a.h5"\nn_lif = 3', "graph 'path': a graph and a network at once (got path and 'n_lif'; "),
        (MINIMAL + '[graph]\npaht = "a.h5"', "graph 'paht': unknown key (got 'paht'; need path). Did you mean 'path'?"),
        (MINIMAL + "[graph]\npath = 3", "graph 'path': no path (got 3; need a graph file or a folder with graph.h5)"),
        (MINIMAL + 'projections = "out"', "rule 'projections': no names (got 'out'; need a list of projections' names)"),
        ("[train]\nlr = 1\n" + MINIMAL, "a recipe of training by BPTT (got table 'train'; need tables of local learning)"),
        (MINIMAL + "signal = 3", "rule 'signal': no name (got 3; need the name of a readout)"),
        ("backend = 3\n" + MINIMAL, "'backend': no name (got 3; need a backend's)"),
        (MINIMAL.replace('name = "eprop"', 'name = "reward_eprop"'), "no value readout (got value ''"),
    ],
)  # fmt: skip
def test_single_mistakes(text: str, message: str) -> None:
    assert any(message in line for line in problems(text))


def test_a_graph_is_loaded_from_a_file_or_a_folder(tmp_path: Path) -> None:
    graph = small_net()
    neuro.save(graph, tmp_path / "graph.h5")
    for path in ("graph.h5", "."):
        found = loads(MINIMAL + f'[graph]\npath = "{path}"', folder=tmp_path)
        assert found.make_graph(found.make_task()) == graph
    missing = loads(MINIMAL + '[graph]\npath = "none.h5"', folder=tmp_path)
    with pytest.raises(
        RecipeError, match=re.escape(f"graph 'path': no graph there (got '{tmp_path / 'none.h5'}'; need")
    ):
        missing.make_graph(missing.make_task())


@pytest.mark.parametrize("name", LEARNED)
def test_recipes_of_the_zoo_fit_their_tasks(name: str) -> None:
    recipe: LearnRecipe = load(MODELS / name)
    task = recipe.make_task()
    graph = prepared(recipe.make_graph(task), task, recipe.make_rule(), recipe.projections, recipe.signal)
    assert lesson_for(graph, task, recipe.learn).readout == "out"


def test_the_zoo_holds_learned_models() -> None:
    assert {"delayed_match", "digits_eprop", "digits_repair", "evidence_accumulation", "pattern_generation"} <= set(
        LEARNED
    )
