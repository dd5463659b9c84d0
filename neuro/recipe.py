"""Read a recipe: everything that makes a training run, in one validated TOML file.

    name = "digits"                 # of the run; default: the folder that the file lies in
    seed = 0                        # every random stream of the run comes from it
    quantize = "loihi1"             # train what a chip computes; default, or "off": a float network
    start = "../digits/graph.h5"    # first weights: a run's folder or a float graph, relative to this file; default: drawn

    [task]                          # name, and the parameters of the task (neuro.tasks)
    [model]                         # ModelConfig
    [train]                         # TrainConfig
    [deep_r]                        # DeepRConfig

Only [task] with its name has to be there. Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from neuro import tasks
from neuro._recipes import TaskConfig, general_problems, line, parse, read, read_task, table_problems, toml
from neuro.errors import RecipeError, nearest
from neuro.tasks.parameters import Problem
from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig

__all__ = ["PROFILES", "Recipe", "TaskConfig", "load", "loads"]

_TABLES = ("task", "model", "train", "deep_r")
_SPIKING = ("lsnn", "lif")
PROFILES = ("loihi1", "loihi2")
"""What a recipe may quantize for: the names of `neuro.deploy.PROFILES`, which a test compares."""
OFF = "off"
"""`quantize = "off"` is a float network, as without the key: for the command line, which cannot take a key away."""
_Config = TypeVar("_Config", ModelConfig, TrainConfig, DeepRConfig)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that makes a training run, checked.

    | name   | default | meaning |
    | ------ | ------- | ------- |
    | name   | folder  | what the run is called |
    | seed   | 0       | source of every random stream of the run |
    | task   |         | `TaskConfig`: what is learned |
    | model  |         | `ModelConfig`: what learns |
    | train  |         | `TrainConfig`: how |
    | deep_r |         | `DeepRConfig`: with which connections |
    | quantize |       | profile of the chip whose integers are trained, None: a float network |
    | start  |         | run folder or float graph that the first weights come from, as written; None: drawn |
    | folder | .       | where the recipe lies, and `start` is looked for |
    """

    name: str
    seed: int = 0
    task: TaskConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    deep_r: DeepRConfig = field(default_factory=DeepRConfig)
    quantize: str | None = None
    start: str | None = None
    folder: Path = field(default=Path(), compare=False, repr=False)

    @property
    def start_path(self) -> Path | None:
        """Return where `start` lies."""
        return None if self.start is None else self.folder / self.start

    def make_task(self, data_dir: str | Path | None = None) -> tasks.Task:
        """Build the recipe's task; its fixed sets are the same for every seed of the run.

        Raises
        ------
        DataError
            The task's data are missing or damaged.
        """
        return tasks.make(self.task.name, data_dir, **self.task.params)

    def to_toml(self) -> str:
        """Write the whole recipe, defaults included, so that `loads` of it gives an equal one."""
        tables = {
            "task": {"name": self.task.name, **self.task.params},
            "model": asdict(self.model),
            "train": asdict(self.train),
            "deep_r": asdict(self.deep_r),
        }
        lines = [f"name = {toml(self.name)}", f"seed = {self.seed}"]
        lines += [f"{key} = {toml(getattr(self, key))}" for key in ("quantize", "start") if getattr(self, key)]
        for title, table in tables.items():
            lines += ["", f"[{title}]"]
            lines += [f"{key} = {toml(value)}" for key, value in table.items() if value is not None]
        return "\n".join(lines) + "\n"


def load(path: str | Path) -> Recipe:
    """Read and check a recipe file, or the recipe.toml of a folder.

    Raises
    ------
    RecipeError
        The file is missing, is not TOML, or has unknown tables or keys, wrong types or values out of range: all of these are
        reported at once, each with its file, table and key, what it got, what it needs, and for a name the nearest known one.
    """
    path, text = read(path)
    return loads(text, where=str(path), name=path.resolve().parent.name or "run", folder=path.parent)


def loads(text: str, where: str = "recipe", name: str = "run", folder: str | Path = ".") -> Recipe:
    """Read and check a recipe from TOML text.

    Parameters
    ----------
    text : str
        The recipe.
    where : str
        What messages call it: the file.
    name : str
        The run's name if the recipe gives none.
    folder : path
        Where a relative `start` is looked for.

    Raises
    ------
    RecipeError
        As `load`.
    """
    given = parse(text, where)
    for table in ("rule", "learn"):
        if isinstance(given.get(table), dict):
            raise RecipeError(
                f"{where}: a recipe of local learning (got table '{table}'; need tables of training). Use it with: neuro learn."
            )
    problems: list[str] = []
    tables = _tables(given, problems)
    task = read_task(tables["task"], problems)
    problems += _task_problems(task)
    model = _config(ModelConfig, "model", tables["model"], problems)
    train = _config(TrainConfig, "train", tables["train"], problems)
    deep_r = _config(DeepRConfig, "deep_r", tables["deep_r"], problems)
    if model and deep_r and deep_r.mode != "off" and model.kind not in _SPIKING:
        problems.append(
            f"deep_r 'mode': no DEEP R for this model (got mode '{deep_r.mode}' with model kind '{model.kind}'; need mode 'off', or "
            f"kind {' or '.join(_SPIKING)})."
        )
    if given.get("quantize") == OFF:
        del given["quantize"]
    problems += _origin_problems(given, model)
    if problems or task is None or model is None or train is None or deep_r is None:
        raise RecipeError("\n".join(f"{where}: {problem}" for problem in problems))
    return Recipe(
        name=given.get("name", name),
        seed=given.get("seed", 0),
        task=task,
        model=model,
        train=train,
        deep_r=deep_r,
        quantize=given.get("quantize"),
        start=given.get("start"),
        folder=Path(folder),
    )


def _tables(given: dict[str, Any], problems: list[str]) -> dict[str, dict[str, Any]]:
    """Split a recipe into its tables, and note what is wrong outside them."""
    problems += table_problems(given, ("name", "seed", "quantize", "start"), _TABLES) + general_problems(given)
    return {table: given[table] if isinstance(given.get(table), dict) else {} for table in _TABLES}


def _task_problems(task: TaskConfig | None) -> list[str]:
    """Note a task that cannot be trained: the loss is that of decisions."""
    if task is None or task.name not in tasks.REGRESSIONS:
        return []
    return [
        f"task 'name': a regression (got '{task.name}'; need a task with decisions, as BPTT minimises their cross-entropy). "
        "Learn it by a local rule: neuro learn."
    ]


def _origin_problems(given: Mapping[str, Any], model: ModelConfig | None) -> list[str]:
    """Note what is wrong with the chip to train for, and with what the weights start from."""
    problems = []
    profile, start = given.get("quantize"), given.get("start")
    if profile is not None and profile not in PROFILES:
        problems.append(
            f"'quantize': unknown profile (got {profile!r}; need one of {', '.join((*PROFILES, OFF))}). {nearest(str(profile), PROFILES)}".rstrip()
        )
    if profile is not None and model is not None and model.kind not in _SPIKING:
        problems.append(
            f"'quantize': no integer form of this model (got kind '{model.kind}'; need {' or '.join(_SPIKING)}). A chip holds spiking neurons; "
            "leave quantize out."
        )
    if start is not None and (not isinstance(start, str) or not start.strip()):
        problems.append(
            f"'start': no path (got {start!r}; need the folder of a run or the file of a float graph). Leave it out to draw weights."
        )
    return problems


def _config(kind: type[_Config], table: str, values: dict[str, Any], problems: list[str]) -> _Config | None:
    """Build one of the configs, and note its unknown keys as well as its values that are out of range."""
    known = [f.name for f in fields(kind)]
    unknown = [key for key in values if key not in known]
    for key in unknown:
        failure = Problem(key, "unknown key", f"'{key}'", f"one of {', '.join(known)}", nearest(key, known))
        problems.append(line(table, failure))
    try:
        built = kind(**{key: value for key, value in values.items() if key in known})
    except RecipeError as err:
        problems += str(err).splitlines()
        return None
    return None if unknown else built
