"""Save and load graphs as HDF5: schema version, sha256 over canonical arrays, nothing executable.

Layout: root attributes format, schema_version, dt_ms, name, sha256 and member notes (JSON); groups populations/NAME and
projections/NAME, each with attributes kind, index (its place in the graph) and the node's plain fields, and one dataset for
each array. Floats in attributes are IEEE doubles; arrays are little-endian float64, int64 (n_ref, parameters of
integer populations) and int32 (indices, delays, mantissas).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neuro import _hdf5
from neuro.errors import GraphError, nearest
from neuro.graph.graph import SCHEMA_VERSION, Graph
from neuro.graph.kinds import KINDS, PROJECTIONS, Population
from neuro.graph.nodes import Projection
from neuro.graph.plasticity import Plasticity

FORM = "neuro-graph"
_PLAIN: dict[str, type] = {"size": int, "u_max": float, "u_step": float, "grid": float, "reset": str, "state_bits": int}
_LINKS: dict[str, type] = {"source": str, "target": str, "exponent": int, "sign_mode": str}
_OPTIONAL = {"grid", "plasticity"}
"""Fields whose attribute is left out for None; a projection's plasticity is JSON."""


def save(graph: Graph, path: str | Path) -> None:
    """Write a graph to a file, atomically. Raises OSError if the folder cannot be written."""
    with _hdf5.writing(path) as file:
        file.attrs["format"] = FORM
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["dt_ms"] = graph.dt_ms
        file.attrs["name"] = graph.name
        file.attrs["sha256"] = graph.sha256
        _hdf5.put_text(file, "notes", json.dumps(dict(graph.notes), sort_keys=True))
        populations, projections = file.create_group("populations"), file.create_group("projections")
        for index, p in enumerate(graph.populations):
            _write(populations, index, p, _plain(p, _PLAIN), p.parameters)
        for index, c in enumerate(graph.projections):
            _write(projections, index, c, _plain(c, _LINKS), c.arrays)


def load(path: str | Path) -> Graph:
    """Read a graph and check it whole: structure, sizes, validity rules and sha256.

    Raises: GraphError, naming the file and the place, if anything is missing, unknown, out of range or altered.
    """
    path = Path(path)
    with _hdf5.reading(path, form=FORM, version=SCHEMA_VERSION, error=GraphError) as file:
        _hdf5.expect(
            file,
            members=("notes", "populations", "projections"),
            attributes=("format", "schema_version", "dt_ms", "name", "sha256"),
            path=path,
            error=GraphError,
        )
        populations = _nodes(file, "populations", path)
        projections = _nodes(file, "projections", path)
        notes = json.loads(_hdf5.text(file, "notes", path, GraphError))
        dt_ms, name, stored = (
            _hdf5.attribute(file, key, kind, path, GraphError)
            for key, kind in (("dt_ms", float), ("name", str), ("sha256", str))
        )
    try:
        graph = Graph(populations=populations, projections=projections, dt_ms=dt_ms, name=name, notes=notes)
    except GraphError as err:
        raise GraphError(f"{path}: {err}") from err
    if graph.sha256 != stored:
        raise GraphError(
            f"{path}: content does not match its hash (got sha256 {graph.sha256[:16]}; need {stored[:16]}). "
            "The file was edited or damaged: write it again from its source."
        )
    return graph


def _plain(node: Population | Projection, known: dict[str, type]) -> dict[str, type]:
    return {key: kind for key, kind in known.items() if getattr(node, key, None) is not None}


def _write(parent: Any, index: int, node: Any, plain: dict[str, type], arrays: tuple[str, ...]) -> None:
    group = parent.create_group(node.name)
    group.attrs["kind"], group.attrs["index"] = type(node).__name__, index
    for key in plain:
        group.attrs[key] = getattr(node, key)
    if getattr(node, "plasticity", None) is not None:
        group.attrs["plasticity"] = node.plasticity.to_json()
    for key in arrays:
        _hdf5.put(group, key, getattr(node, key))


def _nodes(file: Any, key: str, path: Path) -> tuple[Any, ...]:
    parent = _hdf5.group(file, key, path, GraphError)
    found = []
    for name in parent:
        group = _hdf5.group(parent, name, path, GraphError)
        index = _hdf5.attribute(group, "index", int, path, GraphError)
        found.append((index, name, _node(group, name, key, path)))
    found.sort(key=lambda item: item[:2])
    if [index for index, *_ in found] != list(range(len(found))):
        raise GraphError(
            f"{path}: /{key}: order is damaged (got indices {[i for i, *_ in found]}; need 0, 1, ...). Write it again."
        )
    return tuple(node for *_, node in found)


def _node(group: Any, name: str, parent: str, path: Path) -> Any:
    """Read one node, taking exactly the attributes and arrays that its kind has."""
    kinds: dict[str, Any] = PROJECTIONS if parent == "projections" else KINDS
    kind = _hdf5.attribute(group, "kind", str, path, GraphError)
    if kind not in kinds:
        hint = nearest(kind, kinds) or "Write the file again."
        raise GraphError(f"{path}: {group.name}: unknown kind (got {kind!r}; need one of {', '.join(kinds)}). {hint}")
    cls = kinds[kind]
    fields = set(cls.__dataclass_fields__) - (_OPTIONAL - set(group.attrs))
    known = {**_LINKS, "plasticity": str} if parent == "projections" else _PLAIN
    plain = {k: t for k, t in known.items() if k in fields}
    arrays: tuple[str, ...] = cls.arrays if parent == "projections" else cls.parameters
    wanted = ["kind", "index", *plain]
    _hdf5.expect(group, members=arrays, attributes=wanted, path=path, error=GraphError)
    values: dict[str, Any] = {k: _hdf5.attribute(group, k, t, path, GraphError) for k, t in plain.items()}
    if "plasticity" in values:
        values["plasticity"] = Plasticity.from_json(values["plasticity"])
    for key in arrays:
        values[key] = _hdf5.array(group, key, cls.dtype(key), path, GraphError)
        values[key].flags.writeable = False  # the node takes it, and does not copy
    return cls(name=name, **values)
