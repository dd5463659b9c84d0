"""Read and write HDF5 safely: atomic files, no links out, sizes checked against the file before memory is taken."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuro.errors import NeuroError, nearest

Error = type[NeuroError]


@contextmanager
def writing(path: str | Path) -> Iterator[Any]:
    """Open a new file under a temporary name beside `path`, and rename it to `path` when the block ends well.

    Nothing that was at `path` before is lost if writing fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        # v108: its metadata carry checksums. A cache of a few pieces of each array that grows: the default is megabytes each.
        with h5py.File(temporary, "w", libver=("v108", "v108"), rdcc_nbytes=2**18) as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def reading(path: str | Path, *, form: str, version: int, error: Error) -> Iterator[Any]:
    """Open a file of a given form and schema version for reading; every fault of the file is raised as `error`."""
    path = Path(path)
    if not path.is_file():
        raise error(f"{path}: no such file (got nothing to read; need a {form} file). Check the path.")
    try:
        with h5py.File(path, "r") as file:
            found = attribute(file, "format", str, path, error)
            if found != form:
                raise error(f"{path}: another kind of file (got {found!r}; need {form!r}). Give a file of that kind.")
            got = attribute(file, "schema_version", int, path, error)
            if got != version:
                raise error(
                    f"{path}: schema version not supported (got {got}; need {version}). "
                    "Write the file again with this version of neuro, or install the version that wrote it."
                )
            yield file
    except NeuroError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as err:
        raise error(
            f"{path}: file cannot be read (got {type(err).__name__}: {err}; need a whole {form} file). "
            "It is truncated or damaged: write it again."
        ) from err


def attribute(node: Any, key: str, kind: type, path: Path, error: Error) -> Any:
    """Return an attribute as str, int or float; raise `error` if it is missing or of another type."""
    where = f"{path}: {node.name}"
    if key not in node.attrs:
        raise error(f"{where}: attribute missing (got none; need '{key}'). The file is damaged: write it again.")
    value = node.attrs[key]
    value = value.decode() if isinstance(value, bytes) else value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
        raise error(
            f"{where}: attribute '{key}' has the wrong type (got {value!r}; need {kind.__name__}). Write it again."
        )
    return value


def expect(node: Any, *, members: Iterable[str], attributes: Iterable[str], path: Path, error: Error) -> None:
    """Raise `error` unless a group's members and attributes are exactly these: nothing unknown is passed over."""
    for what, got, need in (("member", set(node), set(members)), ("attribute", set(node.attrs), set(attributes))):
        if got != need:
            extra, missing = sorted(got - need), sorted(need - got)
            hint = nearest(extra[0], missing) if extra and missing else ""
            raise error(
                f"{path}: {node.name}: {what}s differ from the schema (got unknown {extra}, missing {missing}; need exactly "
                f"{sorted(need)}). Write the file again. {hint}".rstrip()
            )


def group(parent: Any, key: str, path: Path, error: Error) -> Any:
    """Return a member group, refusing links to other places."""
    node = _member(parent, key, path, error)
    if not isinstance(node, h5py.Group):
        raise error(f"{path}: {node.name}: wrong kind of node (got a dataset; need a group). Write the file again.")
    return node


def array(parent: Any, key: str, dtype: type, path: Path, error: Error, ndim: int = 1) -> NDArray[Any]:
    """Return a dataset as an array, after checking type, rank, and that the file really holds all its bytes."""
    node = _member(parent, key, path, error)
    where = f"{path}: {parent.name}/{key}"
    if not isinstance(node, h5py.Dataset):
        raise error(f"{where}: wrong kind of node (got a group; need an array). Write the file again.")
    want = np.dtype(dtype).newbyteorder("<")
    if node.dtype != want or node.ndim != ndim:
        raise error(
            f"{where}: wrong type of array (got {node.dtype}, {node.ndim}-d; need {want}, {ndim}-d). Write the file again."
        )
    if node.is_virtual or node.external:
        raise error(
            f"{where}: array lies in another file (got a virtual or external dataset; need its own). Copy it in."
        )
    if node.chunks is not None and node.id.get_create_plist().get_nfilters():
        raise error(f"{where}: array is packed (got a filter; need plain bytes). Write it without compression.")
    stored, declared = node.id.get_storage_size(), node.size * want.itemsize
    if declared and (stored < declared or declared > os.path.getsize(path)):
        raise error(
            f"{where}: array is larger than the file (got {stored} bytes stored; need {declared} for shape {node.shape}). "
            "The file is damaged or edited: write it again."
        )
    return np.asarray(node[...], dtype=dtype)


def put(parent: Any, key: str, values: NDArray[Any]) -> None:
    """Write an array, little-endian and contiguous."""
    parent.create_dataset(key, data=values.astype(values.dtype.newbyteorder("<"), copy=False), track_times=False)


def put_text(parent: Any, key: str, text: str) -> None:
    """Write text as UTF-8 bytes; attributes hold only short text."""
    put(parent, key, np.frombuffer(text.encode(), dtype=np.uint8))


def text(parent: Any, key: str, path: Path, error: Error) -> str:
    """Read text that `put_text` wrote."""
    return bytes(array(parent, key, np.uint8, path, error)).decode()


def _member(parent: Any, key: str, path: Path, error: Error) -> Any:
    link = parent.get(key, getlink=True)
    if link is None:
        raise error(
            f"{path}: {parent.name}: part missing (got none; need '{key}'). The file is damaged: write it again."
        )
    if not isinstance(link, h5py.HardLink):
        raise error(
            f"{path}: {parent.name}/{key}: link to another place (got a link; need the data). Copy the data in."
        )
    return parent[key]
