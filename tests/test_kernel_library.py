"""The kernel library is found where it was built, and its absence is said plainly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from neuro import kernels
from neuro.errors import UnsupportedError


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    kernels.library.cache_clear()
    yield
    kernels.library.cache_clear()


def test_library_is_built_and_loads_once() -> None:
    assert kernels.available()
    assert kernels.library() is kernels.library()


def test_a_named_library_that_is_no_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEURO_KERNELS", str(tmp_path / "gone.so"))
    assert not kernels.available()
    with pytest.raises(UnsupportedError, match=r"NEURO_KERNELS names no file \(got '.*gone\.so'; need the path of"):
        kernels.library()


def test_a_file_that_is_no_library_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("no library")
    monkeypatch.setenv("NEURO_KERNELS", str(path))
    with pytest.raises(UnsupportedError, match=r"the library does not load \(got .*text\.so: .*; need one built for"):
        kernels.library()


def test_without_a_library_the_places_and_the_remedy_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NEURO_KERNELS", raising=False)
    monkeypatch.setattr(kernels, "__path__", [str(tmp_path)])
    monkeypatch.setattr(kernels.importlib.metadata, "distribution", _no_distribution)
    with pytest.raises(UnsupportedError, match=rf"was not found \(got none in '{tmp_path}'.*pip install") as err:
        kernels.library()
    assert "backend='reference'" in str(err.value)


def _no_distribution(name: str) -> None:
    raise kernels.importlib.metadata.PackageNotFoundError(name)
