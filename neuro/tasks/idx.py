"""Read the IDX files of MNIST, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuro.errors import DataError

_UBYTE = 0x08


def read(folder: Path, name: str, n_dims: int, advice: str) -> npt.NDArray[np.uint8]:
    """Read the unsigned bytes of `folder`/`name` or `folder`/`name`.gz.

    An IDX file is two zero bytes, the type (0x08: unsigned byte), the number of dimensions, each dimension as a big-endian 32-bit
    number, then the values, the last dimension running fastest. The size is checked before anything of that size is allocated.

    Raises
    ------
    DataError
        The file is missing, unreadable, of another type or shape, truncated or too long; the message ends with `advice`.
    """
    path = _find(folder, name, advice)
    raw = _bytes(path, advice)
    header = 4 + 4 * n_dims
    magic = bytes((0, 0, _UBYTE, n_dims))
    if raw[:4] != magic:
        raise _error(
            path, "not the expected IDX file", f"magic number 0x{raw[:4].hex() or 'none'}", f"0x{magic.hex()}", advice
        )
    if len(raw) < header:
        raise _error(path, "truncated header", f"{len(raw)} bytes", f"at least {header}", advice)
    shape = tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(4, header, 4))
    need = header + math.prod(shape)
    if len(raw) != need:
        what = "truncated file" if len(raw) < need else "bytes after the last value"
        raise _error(path, what, f"{len(raw)} bytes", f"{need} for shape {shape}", advice)
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def _find(folder: Path, name: str, advice: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    got = "no such folder" if not folder.is_dir() else f"a folder with {_listing(folder)}"
    raise _error(folder / name, "file not found", got, f"{name} or {name}.gz in {folder}", advice)


def _listing(folder: Path) -> str:
    names = sorted(os.listdir(folder))
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return shown or "nothing in it"


def _bytes(path: Path, advice: str) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as file:
                return file.read()
        return path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise _error(
            path, "damaged or truncated gzip file", str(err) or type(err).__name__, "a whole one", advice
        ) from err
    except OSError as err:
        raise _error(path, "unreadable", err.strerror or str(err), "a readable file", advice) from err


def _error(path: Path, what: str, got: str, need: str, advice: str) -> DataError:
    return DataError(f"{path}: {what} (got {got}; need {need}). {advice}")
