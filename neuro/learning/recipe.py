"""Read a recipe of `neuro learn`: everything that makes a learning run, in one validated TOML file.

    name = "evidence"               # of the run; default: the folder that the file lies in
    seed = 0                        # every random stream of the run comes from it
    backend = "engine"              # who runs the rule

    [task]                          # name, and the parameters of the task (neuro.tasks)
    [graph]                         # path: a graph file or a folder with graph.h5, relative to this file; or NetworkConfig
    [rule]                          # name, its parameters, and projections and signal (neuro.learning.attach); left out: the graph's own
    [rewire]                        # RewireConfig: left out, synapses stay where they are
    [damage]                        # DamageConfig: left out, the graph is whole
    [learn]                         # LearnConfig

Random feedback and stochastic rounding follow the run's seed where [rule] gives no feedback_seed or rounding_seed. Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from neuro import tasks
from neuro._recipes import TaskConfig, general_problems, line, parse, read, read_task, table_problems, toml
from neuro.errors import GraphError, RecipeError, nearest
from neuro.graph import Graph
from neuro.graph import load as load_graph
from neuro.learning.config import DamageConfig, LearnConfig, RewireConfig
from neuro.learning.network import NetworkConfig, draw_network
from neuro.learning.rules import RULES, Rule, make
from neuro.tasks import parameters
from neuro.tasks.parameters import Problem

_TABLES = ("task", "graph", "rule", "rewire", "damage", "learn")
_KEYS = ("name", "seed", "backend")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class LearnRecipe:
    """Everything that makes a learning run, checked.

    | name | default | meaning |
    | --- | --- | --- |
    | name | folder | what the run is called |
    | seed | 0 | source of every random stream of the run |
    | backend | engine | who runs the rule |
    | task | | `TaskConfig`: what is learned |
    | graph | | path of the graph that learns, as written, or `NetworkConfig`: the network to draw |
    | rule | None | name of the rule; None: those that the graph carries |
    | parameters | {} | of the rule, as given |
    | projections, signal | None | where the rule is attached, and who teaches (`attach`) |
    | rewire | None | `RewireConfig`, None: synapses stay where they are |
    | damage | None | `DamageConfig`, None: the graph is whole |
    | learn | | `LearnConfig` |
    | folder | . | where the recipe lies, and a path is looked for |
    """

    name: str
    seed: int = 0
    backend: str = "engine"
    task: TaskConfig
    graph: str | NetworkConfig = field(default_factory=NetworkConfig)
    rule: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    projections: tuple[str, ...] | None = None
    signal: str | None = None
    rewire: RewireConfig | None = None
    damage: DamageConfig | None = None
    learn: LearnConfig = field(default_factory=LearnConfig)
    folder: Path = field(default=Path(), compare=False, repr=False)

    @property
    def graph_path(self) -> Path | None:
        """Return where the graph lies; None: it is drawn."""
        return self.folder / self.graph if isinstance(self.graph, str) else None

    def make_task(self, data_dir: str | Path | None = None) -> tasks.Task:
        """Build the recipe's task; its fixed sets are the same for every seed of the run. Raises DataError without its data."""
        return tasks.make(self.task.name, data_dir, **self.task.params)

    def make_rule(self) -> Rule | None:
        """Return the recipe's rule; None: the graph carries its own."""
        if self.rule is None:
            return None
        given = dict(self.parameters)
        if "feedback_seed" in {f.name for f in fields(RULES[self.rule])}:
            given.setdefault("feedback_seed", self.seed)
        if given.get("bits"):
            given.setdefault("rounding_seed", self.seed)
        return make(self.rule, **given)

    def make_graph(self, task: tasks.Task) -> Graph:
        """Draw or load the graph that learns, before any damage. Raises RecipeError if nothing is at its path, GraphError if it is bad."""
        path = self.graph_path
        if path is None:
            assert isinstance(self.graph, NetworkConfig)
            return draw_network(self.graph, task, self.seed, self.name)
        file = path / "graph.h5" if path.is_dir() else path
        if not file.is_file():
            raise RecipeError(
                f"graph 'path': no graph there (got '{path}'; need a graph file, or a folder with graph.h5). A run of 'neuro train' gets one "
                "by 'neuro export'. Paths are relative to the recipe."
            )
        return load_graph(file)

    def to_toml(self) -> str:
        """Write the whole recipe, defaults included but for the rule's, so that `loads` of it gives an equal one."""
        rule: dict[str, Any] = {}
        if self.rule is not None:
            rule = {"name": self.rule, **self.parameters, "projections": self.projections, "signal": self.signal}
        tables = {
            "task": {"name": self.task.name, **self.task.params},
            "graph": {"path": self.graph} if isinstance(self.graph, str) else asdict(self.graph),
            "rule": rule,
            "rewire": {} if self.rewire is None else asdict(self.rewire),
            "damage": {} if self.damage is None else asdict(self.damage),
            "learn": asdict(self.learn),
        }
        lines = [f"name = {toml(self.name)}", f"seed = {self.seed}", f"backend = {toml(self.backend)}"]
        for title, table in tables.items():
            if table:
                lines += ["", f"[{title}]"]
                lines += [f"{key} = {toml(value)}" for key, value in table.items() if value is not None]
        return "\n".join(lines) + "\n"


def load(path: str | Path) -> LearnRecipe:
    """Read and check a recipe file, or the recipe.toml of a folder.

    Raises: RecipeError if the file is missing or no TOML, or has unknown tables or keys, wrong types or values out of range: all at
    once, each with its file, table and key, what it got and what it needs, and for a name the nearest known one.
    """
    path, text = read(path)
    return loads(text, where=str(path), name=path.resolve().parent.name or "run", folder=path.parent)


def loads(text: str, where: str = "recipe", name: str = "run", folder: str | Path = ".") -> LearnRecipe:
    """Read and check a recipe from TOML text; parameters and errors as `neuro.recipe.loads`."""
    given = parse(text, where)
    for table in ("model", "train"):
        if isinstance(given.get(table), dict):
            raise RecipeError(
                f"{where}: a recipe of training by BPTT (got table '{table}'; need tables of local learning). Use it with: neuro train."
            )
    problems = table_problems(given, _KEYS, _TABLES) + general_problems(given)
    tables = {table: given[table] if isinstance(given.get(table), dict) else {} for table in _TABLES}
    backend = given.get("backend", "engine")
    if not isinstance(backend, str) or not backend:
        problems.append(f"'backend': no name (got {backend!r}; need a backend's). 'neuro backends' lists them.")
    task = read_task(tables["task"], problems)
    graph = _graph(tables["graph"], problems)
    rule = _rule(tables["rule"], problems)
    rewire = _table(RewireConfig, "rewire", tables["rewire"], problems) if "rewire" in given else None
    damage = _table(DamageConfig, "damage", tables["damage"], problems) if "damage" in given else None
    learn = _table(LearnConfig, "learn", tables["learn"], problems)
    if not rule["rule"] and isinstance(graph, NetworkConfig) and not tables["rule"]:
        problems.append(
            f"rule 'name': no rule (got nothing; need one of {', '.join(RULES)}). A network that is drawn carries none."
        )
    if problems or task is None or graph is None or learn is None:
        raise RecipeError("\n".join(f"{where}: {problem}" for problem in problems))
    return LearnRecipe(
        name=given.get("name", name), seed=given.get("seed", 0), backend=backend, task=task, graph=graph, rewire=rewire,
        damage=damage, learn=learn, folder=Path(folder), **rule,
    )  # fmt: skip


def _table(kind: type[T], table: str, values: Mapping[str, Any], problems: list[str]) -> T | None:
    built, failures = parameters.build(kind, values)
    problems += [line(table, failure) for failure in failures]
    return built


def _graph(table: Mapping[str, Any], problems: list[str]) -> str | NetworkConfig | None:
    if "path" not in table:
        unknown = [
            key for key in table if key not in {f.name for f in fields(NetworkConfig)} and nearest(key, ("path",))
        ]
        if unknown:
            problems.append(f"graph '{unknown[0]}': unknown key (got '{unknown[0]}'; need path). Did you mean 'path'?")
            return None
        return _table(NetworkConfig, "graph", table, problems)
    path = table["path"]
    if not isinstance(path, str) or not path.strip():
        problems.append(f"graph 'path': no path (got {path!r}; need a graph file or a folder with graph.h5).")
    if len(table) > 1:
        others = ", ".join(f"'{key}'" for key in table if key != "path")
        problems.append(
            f"graph 'path': a graph and a network at once (got path and {others}; need one of both). Leave the others out, or path."
        )
    return path if isinstance(path, str) else None


def _rule(table: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the recipe's fields that come from [rule], and note what is wrong with them."""
    given = dict(table)
    found: dict[str, Any] = {"rule": None, "parameters": {}, "projections": None, "signal": None}
    if not given:
        return found
    name, projections, signal = given.pop("name", None), given.pop("projections", None), given.pop("signal", None)
    if projections is not None and not (isinstance(projections, list) and all(isinstance(c, str) for c in projections)):
        problems.append(f"rule 'projections': no names (got {projections!r}; need a list of projections' names).")
    if signal is not None and not isinstance(signal, str):
        problems.append(f"rule 'signal': no name (got {signal!r}; need the name of a readout).")
    if not isinstance(name, str) or name not in RULES:
        hint = nearest(name, RULES) if isinstance(name, str) else ""
        got = "nothing" if name is None else repr(name)
        problems.append(f"rule 'name': unknown rule (got {got}; need one of {', '.join(RULES)}). {hint}".rstrip())
        return found
    known = [f.name for f in fields(RULES[name])]
    unknown = [key for key in given if key not in known]
    for key in unknown:
        need = f"one of {', '.join((*known, 'projections', 'signal'))}"
        problems.append(line("rule", Problem(key, "unknown key", f"'{key}'", need, nearest(key, known))))
    try:
        make(name, **{key: value for key, value in given.items() if key in known})
    except GraphError as err:
        problems += str(err).splitlines()
    names = tuple(projections) if isinstance(projections, list) else None
    return {"rule": name, "parameters": given, "projections": names, "signal": signal}
