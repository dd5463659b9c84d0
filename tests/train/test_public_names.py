"""Check that the package's lazy names are what they say, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import neuro.train

CODE = "import neuro.train.{module}; from neuro.train import {name}; print(type({name}).__name__)"


def test_no_public_name_is_a_module() -> None:
    """A function of its module's name would be hidden by the module as soon as that is imported."""
    for name in neuro.train.__all__:
        assert not isinstance(getattr(neuro.train, name), ModuleType), name


@pytest.mark.parametrize(("module", "name"), [("loop", "evaluate"), ("evaluation", "evaluate"), ("loop", "fit")])
def test_public_function_is_found_after_any_import(module: str, name: str) -> None:
    code = CODE.format(module=module, name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "function"
