"""Recipes: what a file means, what is refused with which words, and the recipes of the zoo."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro import deploy, recipe
from neuro.errors import RecipeError
from neuro.recipe import Recipe, TaskConfig, load, loads
from neuro.tasks import NAMES
from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig

MODELS = Path(__file__).parents[1] / "models"
MINIMAL = '[task]\nname = "digits"\n'
DIGITS = TaskConfig(
    name="digits",
    params={
        "steps_per_pixel": 2,
        "levels": 8,
        "cue_steps": 22,
        "decision_steps": 12,
        "max_shift": 0,
        "noise": 0,
    },
)


def problems(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        loads(text, where="r.toml")
    return str(caught.value).splitlines()


def test_a_task_is_enough() -> None:
    assert loads(MINIMAL) == Recipe(name="run", seed=0, task=DIGITS)
    assert loads(MINIMAL).model == ModelConfig()


def test_every_table_is_read() -> None:
    read = loads(
        """
        name = "mine"
        seed = 7
        [task]
        name = "store_recall"
        characters = 6
        delay = 3
        [model]
        kind = "lif"
        n_lif = 5
        tau_m_ms = [10, 20]
        [train]
        lr = 0.1
        [deep_r]
        mode = "hard"
        dale = 0.75
        """
    )
    assert (read.name, read.seed, read.task.name) == ("mine", 7, "store_recall")
    assert read.task.params["characters"] == 6
    assert (read.task.params["delay"], type(read.task.params["delay"])) == (3.0, float)
    assert read.model == ModelConfig(kind="lif", n_lif=5, n_alif=0, tau_m_ms=(10, 20))
    assert read.train == TrainConfig(lr=0.1)
    assert read.deep_r == DeepRConfig(mode="hard", dale=0.75)


def test_every_problem_is_reported_at_once_with_file_table_and_key() -> None:
    found = problems(
        """
        seed = -1
        nmae = "x"
        model = 3
        [task]
        name = "digits"
        levles = 4
        cue_steps = "long"
        [trian]
        lr = 1
        [train]
        lr = 0
        batch = 1.5
        bacth = 3
        [deep_r]
        mode = "hardd"
        """
    )
    assert found == [
        "r.toml: unknown key (got 'nmae'; need one of name, seed, quantize, start, task, model, train, deep_r). Did you mean 'name'?",
        "r.toml: 'model': wrong type (got 3; need a table). Write [model] on a line of its own.",
        "r.toml: unknown table (got 'trian'; need one of name, seed, quantize, start, task, model, train, deep_r). Did you mean 'train'?",
        "r.toml: 'seed': out of range (got -1; need a whole number, at least 0).",
        "r.toml: task 'levles': unknown key (got 'levles'; need one of cue_steps, decision_steps, levels, max_shift, noise, steps_per_pixel). "
        "Did you mean 'levels'?",
        "r.toml: task 'cue_steps': wrong type (got 'long'; need a whole number, 1..1000).",
        next(line for line in found if "'bacth'" in line),
        "r.toml: train 'batch': out of range (got 1.5; need a whole number >= 1).",
        "r.toml: train 'lr': out of range (got 0; need a number > 0).",
        "r.toml: deep_r 'mode': out of range (got 'hardd'; need one of hard, soft, off).",
    ]
    unknown = next(line for line in found if "'bacth'" in line)
    assert unknown.startswith("r.toml: train 'bacth': unknown key (got 'bacth'; need one of iterations, batch, ")
    assert unknown.endswith(". Did you mean 'batch'?")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"r.toml: task 'name': no task (got nothing; need one of {', '.join(NAMES)})."),
        ("[task]\nname = 3", "r.toml: task 'name': no task (got 3; need one of"),
        (
            '[task]\nname = "digit"',
            f"r.toml: task 'name': unknown task (got 'digit'; need one of {', '.join(NAMES)}). Did you mean 'digits'?",
        ),
        (
            '[task]\nname = "digits"\ncue_steps = 3',
            "task 'decision_steps': longer than the cue (got 12; need at most cue_steps = 3)",
        ),
        (
            '[task]\nname = "pattern_generation"',
            "task 'name': a regression (got 'pattern_generation'; need a task with decisions, as BPTT minimises their cross-entropy). "
            "Learn it by a local rule: neuro learn.",
        ),
        (
            MINIMAL + '[rule]\nname = "eprop"',
            "r.toml: a recipe of local learning (got table 'rule'; need tables of training). Use it with: neuro learn.",
        ),
        ('name = "a/b"\n' + MINIMAL, "'name': not a name (got 'a/b'; need a string without slashes"),
        ("seed = true\n" + MINIMAL, "'seed': out of range (got True; need a whole number, at least 0)"),
        (MINIMAL + "[train]\nlr = nan", "train 'lr': out of range (got nan; need a number > 0)"),
        (
            MINIMAL + "[model]\nn_lif = 0\nn_alif = 0",
            "model 'n_lif': no neurons (got n_lif 0, n_alif 0; need at least one)",
        ),
        (
            MINIMAL + '[model]\nkind = "lstm"\n[deep_r]\nmode = "soft"',
            "deep_r 'mode': no DEEP R for this model (got mode 'soft' with model kind 'lstm'; need mode 'off', or kind lsnn or lif)",
        ),
        (
            'quantize = "lohi1"\n' + MINIMAL,
            "'quantize': unknown profile (got 'lohi1'; need one of loihi1, loihi2, off). Did you mean 'loihi1'?",
        ),
        ("quantize = 2\n" + MINIMAL, "'quantize': unknown profile (got 2; need one of loihi1, loihi2, off)"),
        (
            'quantize = "loihi2"\n' + MINIMAL + '[model]\nkind = "lstm"',
            "'quantize': no integer form of this model (got kind 'lstm'; need lsnn or lif). A chip holds spiking neurons",
        ),
        ("start = 3\n" + MINIMAL, "'start': no path (got 3; need the folder of a run or the file of a float graph)"),
        ("[task\nname = 1", "r.toml: not TOML (got 'Expected '"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    assert any(message in line for line in problems(text)), problems(text)


def test_a_file_is_named_in_its_messages(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    with pytest.raises(RecipeError, match=re.escape(f"{path}: recipe not found (got no such file; need a TOML file).")):
        load(path)
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(RecipeError, match=re.escape(f"{path}: not text (got byte 0xff; need UTF-8)")):
        load(path)
    path.write_text(MINIMAL + "x = 1", encoding="utf-8")
    with pytest.raises(RecipeError, match=re.escape(f"{path}: task 'x': unknown key")):
        load(path)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(RecipeError, match=r"r\.toml: unreadable \(got 'Permission denied'; need a readable file\)"):
        load(tmp_path / "r.toml")


def test_a_mistyped_folder_gets_the_nearest_recipe(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "recipe.toml").write_text(MINIMAL, encoding="utf-8")
    nearest = re.escape(f"Did you mean '{tmp_path / 'digits'}'?")
    for wrong in (tmp_path / "digist", tmp_path / "digist" / "recipe.toml"):
        with pytest.raises(RecipeError, match=nearest):
            load(wrong)


def test_a_folder_stands_for_its_recipe_and_names_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.toml").write_text(MINIMAL, encoding="utf-8")
    assert load(tmp_path / "mine").name == load(str(tmp_path / "mine" / "recipe.toml")).name == "mine"
    monkeypatch.chdir(tmp_path / "mine")
    assert load("recipe.toml").name == load(".").name == "mine"


spreads = st.one_of(st.floats(1e-3, 1e6), st.tuples(st.floats(0.1, 10.0), st.floats(10.0, 1e4)), st.integers(1, 100))


@given(
    name=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(
        lambda s: s.strip() and not s.startswith(".") and "/" not in s and "\\" not in s
    ),
    seed=st.integers(0, 2**63 - 1),
    model=st.builds(
        ModelConfig, n_lif=st.integers(1, 500), tau_m_ms=spreads, beta=st.floats(0, 1e9), bias=st.booleans()
    ),
    train=st.builds(TrainConfig, lr=st.floats(1e-300, 1e300), batch=st.integers(1, 10**6)),
    deep_r=st.builds(DeepRConfig, mode=st.sampled_from(["hard", "soft", "off"]), dale=st.none() | st.floats(0, 1)),
    origin=st.fixed_dictionaries(
        {"quantize": st.sampled_from([None, *recipe.PROFILES]), "start": st.none() | st.just('runs/a "b"/graph.h5')}
    ),
)
def test_a_written_recipe_is_read_as_the_same(
    name: str, seed: int, model: ModelConfig, train: TrainConfig, deep_r: DeepRConfig, origin: dict[str, str | None]
) -> None:
    written = Recipe(name=name, seed=seed, task=DIGITS, model=model, train=train, deep_r=deep_r, **origin)
    assert loads(written.to_toml()) == written


TRAINED = sorted(path for path in MODELS.glob("*/recipe.toml") if "[rule]" not in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.parent.name)
def test_the_recipes_of_the_zoo_are_right(path: Path) -> None:
    read = load(path)
    assert read.name == path.parent.name
    assert loads(read.to_toml()) == read
    if read.task.name != "smnist":
        assert read.make_task().name == read.task.name


def test_the_zoo_holds_the_networks_of_the_papers() -> None:
    smnist, store_recall = load(MODELS / "smnist"), load(MODELS / "store_recall")
    assert (smnist.model.n_lif, smnist.model.n_alif, smnist.deep_r.connectivity, smnist.deep_r.dale) == (
        120,
        100,
        0.12,
        0.75,
    )
    assert (smnist.model.tau_m_ms, smnist.model.tau_a_ms, smnist.model.n_ref, smnist.model.delay_max) == (
        20,
        700,
        5,
        10,
    )
    assert (store_recall.model.n_lif, store_recall.model.n_alif, store_recall.model.tau_a_ms) == (10, 10, 1200)
    control = load(MODELS / "store_recall_lif")
    assert (control.model.kind, control.model.n_lif) == ("lif", 20)
    assert control.task == store_recall.task


def test_a_runs_seed_does_not_change_the_test_set() -> None:
    first = load(MODELS / "store_recall")
    other = replace(first, seed=first.seed + 1)
    a, b = (r.make_task().fixed("test", 0, 1) for r in (first, other))
    assert a.inputs.any()
    assert (a.inputs == b.inputs).all()


def test_reading_a_recipe_loads_no_torch() -> None:
    code = f"import sys; from neuro import recipe; recipe.load({str(MODELS / 'digits')!r}); sys.exit('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr


def test_a_start_is_looked_for_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.toml").write_text('start = "../other/graph.h5"\n' + MINIMAL, encoding="utf-8")
    assert load(tmp_path / "mine").start == "../other/graph.h5"
    assert load(tmp_path / "mine").start_path == tmp_path / "mine" / "../other/graph.h5"
    assert loads(MINIMAL).start_path is None


def test_profiles_are_those_of_deploy() -> None:
    assert tuple(deploy.PROFILES) == recipe.PROFILES


def test_public_names() -> None:
    assert set(recipe.__all__) == {"PROFILES", "Recipe", "TaskConfig", "load", "loads"}
