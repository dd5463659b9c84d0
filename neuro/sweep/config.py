"""Read a sweep file: which recipe, what varies, how it is searched, and on which device energy is counted.

    name = "tradeoff"               # of the sweep; default: the folder that the file lies in, and "-sweep"
    recipe = "recipe.toml"          # relative to this file
    search = "tpe"                  # "grid", "random", "tpe" or "nsga2"
    trials = 40                     # not with "grid", which has as many as points
    seed = 0                        # of the search; each trial trains with the recipe's seed
    device = "loihi"                # of neuro.metrics.devices
    step_time_us = 1000             # what a step takes there; default: real time, the graph's dt
    profile = "loihi1"              # chip whose integers axis "bits" rounds to
    samples = 240                   # of the validation split; default: all
    calibration_runs = 48           # of the search for scales, where a graph is quantised
    population = 12                 # trials of a generation of "nsga2"

    [train]                         # keys of the recipe's [train] that are otherwise here

    [space]                         # at least one of: connectivity, rate_target_hz, alif_fraction, bits
    connectivity = {low = 0.02, high = 0.5, log = true}
    bits = [4, 6, 9]

Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from neuro import recipe as recipes
from neuro._recipes import general_problems, parse, table_problems
from neuro.deploy import PROFILES
from neuro.errors import NeuroError, RecipeError, nearest
from neuro.metrics import MOST_STEP_S
from neuro.metrics import device as device_of
from neuro.recipe import Recipe
from neuro.sweep.space import FLOAT, Axis, grid, read_space
from neuro.train.config import TrainConfig

SEARCHES = ("grid", "random", "tpe", "nsga2")
_KEYS = (
    "name", "recipe", "search", "trials", "seed", "device", "step_time_us", "profile", "samples", "calibration_runs", "population",
)  # fmt: skip
_TABLES = ("train", "space")
_PROFILE_OF = {"loihi": "loihi1"}
"""The profile that places neurons on the cores of a device."""
_COUNTS = {"trials": None, "samples": None, "calibration_runs": 48, "population": 12}
"""Keys that are whole numbers >= 1, and their defaults."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep, checked.

    recipe_path: as it is written in the file; recipe: read, with [train] of the sweep in it; trials: how many, those of the grid where the
    search is one; the other fields are the keys of the file.
    """

    name: str
    recipe_path: str
    recipe: Recipe
    search: str
    trials: int
    seed: int
    device: str
    step_time_us: float | None
    profile: str
    samples: int | None
    calibration_runs: int
    population: int
    space: tuple[Axis, ...]

    @property
    def step_time_s(self) -> float | None:
        """Return what a step takes on the device, in seconds; None: real time."""
        return None if self.step_time_us is None else self.step_time_us * 1e-6

    def settings(self) -> dict[str, Any]:
        """Return everything that decides what a trial is, for JSON; `trials` is not of it, more can be asked for later."""
        plain = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("recipe", "trials", "space", "recipe_path")
        }
        return plain | {
            "space": {axis.name: axis.as_json() for axis in self.space},
            "recipe": self.recipe_path,
            "recipe_toml": self.recipe.to_toml(),
        }

    def of_trial(self, number: int, params: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a trial. A fraction of ALIF keeps the number of neurons; "bits" is no part of training.

        Raises: RecipeError for a value that a recipe cannot have.
        """
        base = self.recipe
        model, train, deep_r = base.model, base.train, base.deep_r
        if "alif_fraction" in params:
            total = model.n_lif + model.n_alif
            n_alif = round(params["alif_fraction"] * total)
            model = replace(model, n_lif=total - n_alif, n_alif=n_alif)
        if "rate_target_hz" in params:
            train = replace(train, rate_target_hz=float(params["rate_target_hz"]))
        if "connectivity" in params:
            deep_r = replace(deep_r, connectivity=float(params["connectivity"]))
        return replace(base, name=f"{self.name}-{number}", model=model, train=train, deep_r=deep_r)


def load(path: str | Path, trials: int | None = None) -> Sweep:
    """Read and check a sweep file, or the sweep.toml of a folder, and the recipe that it names.

    trials: in place of the file's.
    Raises: RecipeError with everything that is wrong: unknown keys, axes and names, values out of range, what the recipe cannot vary, a
    device that is not known or prices no spiking model.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "sweep.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise RecipeError(
            f"{path}: not text (got byte 0x{err.object[err.start]:02x}; need UTF-8). Save it as UTF-8."
        ) from err
    except OSError as err:
        raise RecipeError(
            f"{path}: no sweep file (got '{err.strerror}'; need a readable TOML file). Check the path."
        ) from err
    given = parse(text, str(path))
    if trials is not None:
        given["trials"] = trials
    return _checked(given, path)


def _checked(given: dict[str, Any], path: Path) -> Sweep:
    problems = table_problems(given, _KEYS, _TABLES) + general_problems(given)
    tables = {table: given[table] if isinstance(given.get(table), dict) else {} for table in _TABLES}
    axes = read_space(tables["space"], problems)
    search = _one_of(given, "search", SEARCHES, "grid", problems)
    profile = _one_of(given, "profile", tuple(PROFILES), "loihi1", problems)
    counts = {key: _count(given, key, default, problems) for key, default in _COUNTS.items()}
    step_time_us = _step_time(given, problems)
    _search_problems(search, counts["trials"], axes, problems)
    recipe = _recipe(given, tables["train"], path, axes, problems)
    device = _device(given, axes, profile, problems)
    if problems or recipe is None:
        raise RecipeError("\n".join(f"{path}: {problem}" for problem in problems))
    return Sweep(
        name=given.get("name", f"{path.resolve().parent.name or 'run'}-sweep"),
        recipe_path=given["recipe"],
        recipe=recipe,
        search=search,
        trials=counts["trials"] or sum(1 for _ in grid(axes)),
        seed=given.get("seed", 0),
        device=device,
        step_time_us=step_time_us,
        profile=profile,
        samples=counts["samples"],
        calibration_runs=counts["calibration_runs"] or 1,
        population=counts["population"] or 1,
        space=axes,
    )


def _one_of(given: Mapping[str, Any], key: str, names: tuple[str, ...], default: str, problems: list[str]) -> str:
    value = given.get(key, default)
    if value not in names:
        problems.append(
            f"'{key}': unknown (got {value!r}; need one of {', '.join(names)}). {nearest(str(value), names)}".rstrip()
        )
    return str(value)


def _count(given: Mapping[str, Any], key: str, default: int | None, problems: list[str]) -> int | None:
    value = given.get(key, default)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        problems.append(f"'{key}': out of range (got {value!r}; need a whole number >= 1).")
    return value


def _step_time(given: Mapping[str, Any], problems: list[str]) -> float | None:
    value, most = given.get("step_time_us"), MOST_STEP_S * 1e6
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (number and 0 < value <= most):
        return None if value is None else float(value)
    problems.append(
        f"'step_time_us': out of range (got {value!r}; need a number > 0, at most {most:g}). Leave it out for real time."
    )
    return None


def _search_problems(search: str, trials: int | None, axes: tuple[Axis, ...], problems: list[str]) -> None:
    if search == "grid":
        problems += [
            f"space '{axis.name}': no points (got a range without n; need n >= 2 for a grid). Add n, or give a list."
            for axis in axes
            if not axis.grid()
        ]
        if trials is not None:
            problems.append(
                f"'trials': a grid has as many as points (got trials {trials}; need none). Leave it out, or choose another search."
            )
    elif trials is None and search in SEARCHES:
        problems.append(f"'trials': missing (got nothing; need how many trials '{search}' may make). Set trials.")


def _recipe(
    given: Mapping[str, Any], changes: Mapping[str, Any], path: Path, axes: tuple[Axis, ...], problems: list[str]
) -> Recipe | None:
    """Read the recipe, change its [train], and note what cannot vary."""
    name = given.get("recipe")
    if not isinstance(name, str) or not name.strip():
        problems.append(f"'recipe': no path (got {name!r}; need a recipe, relative to this file).")
        return None
    try:
        base = recipes.load(path.parent / name)
    except RecipeError as err:
        problems += [f"'recipe': {line}" for line in str(err).splitlines()]
        return None
    known = [f.name for f in fields(TrainConfig)]
    unknown = [key for key in changes if key not in known]
    problems += [
        f"train: unknown key (got '{key}'; need one of {', '.join(known)}). {nearest(key, known)}".rstrip()
        for key in unknown
    ]
    if unknown:
        return None
    try:
        recipe = replace(base, train=TrainConfig(**{**asdict(base.train), **changes}))
    except RecipeError as err:
        problems += str(err).splitlines()
        return None
    found = _fixed(recipe, axes, changes)
    problems += found
    return None if found else recipe


def _fixed(recipe: Recipe, axes: tuple[Axis, ...], changes: Mapping[str, Any]) -> list[str]:
    """Return why a recipe's trials could not vary as wanted, or be compared."""
    names = {axis.name for axis in axes}
    found = []
    if recipe.model.kind not in ("lsnn", "lif"):
        found.append(f"'recipe': no spiking network (got kind '{recipe.model.kind}'; need lsnn or lif).")
    if recipe.quantize is not None:
        found.append(
            f"'recipe': trains for a chip (got quantize '{recipe.quantize}'; need a float recipe). Leave quantize out: axis 'bits' rounds "
            "what was trained."
        )
    if recipe.start is not None:
        found.append(
            f"'recipe': starts from other weights (got start '{recipe.start}'; need none). Every trial begins anew: leave it out."
        )
    if "alif_fraction" in names and recipe.model.kind == "lif":
        found.append("space 'alif_fraction': the recipe has LIF neurons alone (got kind 'lif'; need lsnn).")
    if "connectivity" in names and recipe.deep_r.mode != "hard":
        found.append(
            f"space 'connectivity': not held by the recipe (got deep_r mode '{recipe.deep_r.mode}'; need hard)."
        )
    if "rate_target_hz" in names and not recipe.train.rate_reg:
        found.append("space 'rate_target_hz': without effect (got rate_reg 0; need > 0). Set rate_reg in [train].")
    if "rate_target_hz" in names and "rate_target_hz" in changes:
        found.append("train 'rate_target_hz': varies (got it in [train] and [space]; need one). Leave one out.")
    return found


def _device(given: Mapping[str, Any], axes: tuple[Axis, ...], profile: str, problems: list[str]) -> str:
    """Check the device: known, and where it counts cores, with integers and the profile of its own cores."""
    name = given.get("device")
    if not isinstance(name, str):
        problems.append(f"'device': missing (got {name!r}; need one of those that 'neuro devices' lists).")
        return ""
    try:
        device = device_of(name)
    except NeuroError as err:
        problems += [f"'device': {line}" for line in str(err).splitlines()]
        return name
    bits = next((axis.choices for axis in axes if axis.name == "bits"), (FLOAT,))
    if device.needs_placement and FLOAT in bits:
        problems.append(
            f"'device': '{name}' counts cores, and a float graph has no place on them (got bits {', '.join(map(str, bits))}; need whole bits, "
            'no "float"). Set bits in [space], to one value if it shall not vary.'
        )
    own = _PROFILE_OF.get(name)
    if device.needs_placement and profile in PROFILES and profile != own:
        problems.append(
            f"'profile': not of the device's cores (got profile '{profile}' with device '{name}'; need {own or 'another device: this one has none'})."
        )
    return name
