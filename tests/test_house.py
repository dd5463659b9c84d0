"""Hold the house in order: who imports whom, what `import neuro` loads, what Python 3.10 can import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ROOT / "backends"

# A room may import itself and the rooms named here (DESIGN.md, section 1).
_BASE = {"errors", "seeds", "_hdf5", "_runs"}
_RECORDING = _BASE | {"graph"}
_BACKEND = _RECORDING | {"recording"}
_ENGINE = _BACKEND | {"backend", "kernels"}
_TRAIN = _ENGINE | {"tasks", "engine"}
ORDER = {
    "errors": set(),
    "seeds": {"errors"},
    "kernels": {"errors"},
    "_hdf5": {"errors"},
    "_runs": {"errors"},
    "graph": _BASE,
    "tasks": _BASE,
    "_recipes": {"errors", "tasks"},
    "measure": {"errors"},
    "recording": _RECORDING,
    "backend": _BACKEND,
    "engine": _ENGINE,
    "train": _TRAIN,
    "learning": _TRAIN | {"_recipes"},
    "recipe": _TRAIN | {"train", "_recipes"},
    "metrics": _RECORDING | {"recording"},
    "deploy": _BACKEND | {"backend", "metrics"},
    "report": _TRAIN | {"metrics", "deploy"},
    "sweep": _TRAIN | {"train", "recipe", "_recipes", "metrics", "deploy", ""},
    "cli": _TRAIN | {"train", "learning", "recipe", "metrics", "report", "deploy", "measure", "sweep", ""},
    "": _BASE | {"graph", "recording", "backend", "deploy", "learning"},  # neuro/__init__.py itself
}
# Packages under backends/ are strangers: they see the contract, and nothing else of neuro.
CONTRACT = {"errors", "graph", "recording", "backend"}
SIMULATORS = {"neuro_brian2": {"brian2"}, "neuro_lava": {"lava"}, "neuro_nengo": {"nengo"}}

CORE = ("errors", "seeds", "graph", "recording", "backend")  # import on Python 3.10 with numpy and h5py
WITH_HYPOTHESIS = ("neuro.backend.conformance", "neuro.backend.integer_graphs")  # for the tests of backends
HEAVY = (
    "torch",
    "h5py",
    "scipy",
    "sklearn",
    "matplotlib",
    "pandas",
    "jinja2",
    "plotly",
    "neo",
    "elephant",
    "pynvml",
    "brian2",
    "lava",
    "nengo",
    "nest",
    "neurobench",
    "snntorch",
    "optuna",
    "dask",
    "distributed",
    *SIMULATORS,
)
NEWER_THAN_3_10 = {"tomllib", "Self", "StrEnum", "assert_never", "ExceptionGroup", "override", "batched"}


class Import(NamedTuple):
    """One imported module, as a dotted name, and where the import stands."""

    target: str
    line: int
    in_function: bool
    for_types_only: bool


class Module(NamedTuple):
    """One source file and its dotted name."""

    name: str
    path: Path
    is_package: bool

    def imports(self) -> Iterator[Import]:
        """Yield every import, those inside functions and under TYPE_CHECKING too."""
        yield from _imports(ast.parse(self.path.read_text()).body, self, False, False)


def _imports(nodes: list[ast.stmt], module: Module, in_function: bool, typing: bool) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, in_function, typing)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module)
            for alias in node.names:
                # `from neuro.graph import nodes` imports a module, `from neuro.graph import Graph` a name of one
                full = f"{base}.{alias.name}"
                yield Import(full if full in MODULES else base, node.lineno, in_function, typing)
        else:
            for call in (c for c in _own_expressions(node) if isinstance(c, ast.Call)):
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                if name in ("import_module", "__import__") and call.args and isinstance(call.args[0], ast.Constant):
                    yield Import(str(call.args[0].value), call.lineno, in_function, typing)
            inside = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            checks = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            negated = checks and ast.unparse(node.test).startswith("not ")  # type: ignore[attr-defined]
            for field in ("body", "orelse", "finalbody"):
                only_types = typing or (checks and (field == "orelse") == negated)
                yield from _imports(getattr(node, field, []), module, inside, only_types)
            for part in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
                yield from _imports(part.body, module, inside, typing)


def _own_expressions(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions of a statement, not those of the statements inside it."""
    stack = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    while stack:
        child = stack.pop()
        yield child
        stack += [c for c in ast.iter_child_nodes(child) if isinstance(c, (ast.expr, ast.keyword))]  # type: ignore[misc]


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _modules_below(folder: Path) -> Iterator[Module]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        yield Module(".".join(parts[:-1] if is_package else parts), path, is_package)


NEURO = list(_modules_below(ROOT / "neuro"))
STRANGERS = [m for folder in sorted(BACKENDS.iterdir()) if folder.is_dir() for m in _modules_below(folder)]
MODULES = {m.name: m for m in (*NEURO, *STRANGERS)}


def room(dotted: str) -> str:
    """Return the room of a module of neuro: "graph" for neuro.graph.nodes, "" for neuro itself."""
    return [*dotted.split("."), ""][1]


def test_the_parser_sees_every_kind_of_import() -> None:
    # Else every test below could pass by seeing nothing.
    source = (
        "import a\nfrom neuro import errors\nfrom neuro.graph import Graph as G\nfrom .nodes import LIF\n"
        "try:\n    import b\nexcept ImportError:\n    import c\n"
        "if TYPE_CHECKING:\n    import d\nelse:\n    import e\n"
        "class K:\n    def f(self):\n        with x:\n            import g\n        importlib.import_module('h.i')\n"
    )
    module = Module("neuro.graph.builder", Path("builder.py"), False)
    found = {
        (i.target, i.in_function, i.for_types_only) for i in _imports(ast.parse(source).body, module, False, False)
    }
    outside = {"a", "neuro.errors", "neuro.graph", "neuro.graph.nodes", "b", "c", "e"}
    assert found == {
        *((name, False, False) for name in outside),
        ("d", False, True),
        ("g", True, False),
        ("h.i", True, False),
    }


def test_imports_point_down() -> None:
    wrong = []
    seen = 0
    for module in NEURO:
        here = room(module.name)
        assert here in ORDER, f"{module.path}: room '{here}' has no place in the order; give it one in ORDER"
        for found in module.imports():
            if found.target.split(".")[0] != "neuro":
                continue
            seen += 1
            there = room(found.target)
            if there != here and there not in ORDER[here]:
                wrong.append(f"{module.path.relative_to(ROOT)}:{found.line} imports {found.target}")
    assert seen > 30
    assert not wrong, "\n".join(wrong)


def test_no_circle_between_modules() -> None:
    # Imports inside functions count: one there would only hide the circle.
    edges: dict[str, set[str]] = {}
    for module in (*NEURO, *STRANGERS):
        targets = {f.target for f in module.imports() if not f.for_types_only}
        edges[module.name] = (targets & MODULES.keys()) - {module.name}
    edges["neuro"] = set()  # its lazy names are loaded after it
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "circle: " + " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in sorted(edges[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())
    assert len(done) == len(MODULES)


def test_neuro_does_not_know_the_backend_packages() -> None:
    known = {folder.name for folder in BACKENDS.iterdir() if folder.is_dir()} | {"brian2", "lava", "nengo", "nest"}
    wrong = [
        f"{m.path.relative_to(ROOT)}:{f.line} imports {f.target}"
        for m in NEURO
        for f in m.imports()
        if f.target.split(".")[0] in known
    ]
    assert not wrong, "\n".join(wrong)


def test_backend_packages_see_only_the_contract_and_their_simulator() -> None:
    wrong = []
    simulators = set().union(*SIMULATORS.values())
    for module in STRANGERS:
        package = module.name.split(".")[0]
        assert package in SIMULATORS, f"{package}: name its simulator in SIMULATORS"
        others = (SIMULATORS.keys() | simulators) - {package} - SIMULATORS[package]
        for found in module.imports():
            top = found.target.split(".")[0]
            if top in others or (top == "neuro" and room(found.target) not in CONTRACT):
                wrong.append(f"{module.path.relative_to(ROOT)}:{found.line} imports {found.target}")
    assert STRANGERS
    assert not wrong, "\n".join(wrong)


def test_only_train_imports_torch() -> None:
    importers = {room(m.name) for m in NEURO for f in m.imports() if f.target.split(".")[0] == "torch"}
    assert importers == {"train"}


def test_core_needs_only_numpy_and_h5py() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "h5py", "neuro"}
    wrong = [
        f"{m.path.relative_to(ROOT)}:{f.line} imports {f.target}"
        for m in NEURO
        if room(m.name) in CORE and m.name not in WITH_HYPOTHESIS
        for f in m.imports()
        if not f.in_function and not f.for_types_only and f.target.split(".")[0] not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def _fresh_python(code: str, python: str = sys.executable, **env: str) -> str:
    """Run code in a new interpreter and return what it printed."""
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env={**os.environ, **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_neuro_loads_no_torch_h5py_scipy_or_simulator() -> None:
    loaded = _fresh_python("import neuro, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))").split()
    assert "neuro" in loaded
    assert not set(HEAVY) & set(loaded)


def test_the_core_loads_no_torch_scipy_or_simulator() -> None:
    rooms = ", ".join(f"neuro.{name}" for name in CORE)
    loaded = _fresh_python(f"import sys, {rooms}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))").split()
    assert "numpy" in loaded
    assert not set(HEAVY) & set(loaded) - {"h5py"}


def test_every_public_name_of_neuro_is_there() -> None:
    missing = _fresh_python("import neuro; print([n for n in neuro.__all__ if not hasattr(neuro, n)])")
    assert missing.strip() == "[]"


def test_an_unknown_name_of_neuro_is_an_attribute_error() -> None:
    import neuro

    with pytest.raises(AttributeError, match="module 'neuro' has no attribute 'Grahp'"):
        neuro.Grahp  # type: ignore[attr-defined]  # noqa: B018


def test_core_uses_nothing_newer_than_python_3_10() -> None:
    modules = [m for m in NEURO if room(m.name) in CORE] + [m for m in STRANGERS if m.name.startswith("neuro_lava")]
    wrong = []
    for module in modules:
        tree = ast.parse(module.path.read_text(), feature_version=(3, 10))
        for node in ast.walk(tree):
            names = {a.name for a in node.names} if isinstance(node, (ast.Import, ast.ImportFrom)) else set()
            wrong += [f"{module.path.relative_to(ROOT)}:{node.lineno} {n}" for n in names & NEWER_THAN_3_10]  # type: ignore[attr-defined]
    assert len(modules) > 10
    assert not wrong, "\n".join(wrong)


def test_core_imports_on_python_3_10(python_3_10: str) -> None:
    names = [m.name for m in NEURO if room(m.name) in CORE and m.name not in WITH_HYPOTHESIS]
    names += ["neuro", "neuro_lava"]
    imports = "".join(f"import {name}\n" for name in names)
    code = f"import sys\n{imports}print(sys.version_info[:2], 'neuro_lava' in sys.modules, 'lava' in sys.modules)"
    printed = _fresh_python(code, python_3_10, PYTHONPATH=os.pathsep.join((str(ROOT), str(BACKENDS))))
    assert printed.strip() == "(3, 10) True False"
