"""IDX files: what is read, and what is refused with which words."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neuro.errors import DataError
from neuro.tasks import idx


def idx_bytes(array: np.ndarray) -> bytes:
    """Write an array of bytes in the IDX format."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@given(arrays(np.uint8, array_shapes(max_dims=3, max_side=6)), st.booleans())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, zipped: bool) -> None:
    folder = tmp_path_factory.mktemp("idx")
    if zipped:
        (folder / "x.gz").write_bytes(gzip.compress(idx_bytes(array)))
    else:
        (folder / "x").write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(idx.read(folder, "x", array.ndim, "Advice."), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not the expected IDX file (got magic number 0xnone; need 0x00000803). Advice."),
        (b"PK\x03\x04etc", "not the expected IDX file (got magic number 0x504b0304; need 0x00000803)"),
        (idx_bytes(np.zeros(4)), "not the expected IDX file (got magic number 0x00000801; need 0x00000803)"),
        (idx_bytes(np.zeros((2, 3, 3)))[:10], "truncated header (got 10 bytes; need at least 16)"),
        (idx_bytes(np.zeros((2, 3, 3)))[:-1], "truncated file (got 33 bytes; need 34 for shape (2, 3, 3))"),
        (
            idx_bytes(np.zeros((2, 3, 3))) + b"x",
            "bytes after the last value (got 35 bytes; need 34 for shape (2, 3, 3))",
        ),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "truncated file (got 16 bytes; need 79228162458924105"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'x'}: {message}")):
        idx.read(tmp_path, "x", 3, "Advice.")


@pytest.mark.parametrize("damage", [lambda z: z[:-12], lambda z: b"no gzip", lambda z: z[:30] + b"\xff" * 20 + z[50:]])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    noise = np.random.default_rng(0).integers(0, 256, size=(2, 10, 10))
    (tmp_path / "x.gz").write_bytes(damage(gzip.compress(idx_bytes(noise))))
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'x.gz'}: damaged or truncated gzip file (got ")):
        idx.read(tmp_path, "x", 3, "Advice.")


def test_a_missing_file_is_named_with_what_the_folder_holds(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=re.escape(f"{tmp_path / 'x'}: file not found (got a folder with nothing in it;")
    ):
        idx.read(tmp_path, "x", 3, "Advice.")
    for name in "abcdef":
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"a folder with a, b, c, d and 2 more; need x or x\.gz in .*\)\. Advice\."):
        idx.read(tmp_path, "x", 3, "Advice.")
    with pytest.raises(DataError, match="no such folder"):
        idx.read(tmp_path / "none", "x", 3, "Advice.")


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").touch()

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"x: unreadable \(got Permission denied; need a readable file\)"):
        idx.read(tmp_path, "x", 3, "Advice.")
