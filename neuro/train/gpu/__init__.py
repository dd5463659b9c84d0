"""Run a whole sequence on a GPU, forward and backward, in a few launches of Triton kernels and none a step.

Tested for correctness in Triton's interpreter on the CPU; no time was ever measured. Triton is loaded at the first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from neuro.errors import UnsupportedError

if TYPE_CHECKING:
    from neuro.train.gpu.layout import Structure
    from neuro.train.gpu.sequence import run

__all__ = ["Structure", "run"]

_MODULE_OF = {"Structure": "layout", "run": "sequence"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name at its first use; say what to install where Triton is missing."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'neuro.train.gpu' has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(f"neuro.train.gpu.{_MODULE_OF[name]}"), name)
        except ModuleNotFoundError as err:
            if err.name != "triton":
                raise
            raise UnsupportedError(
                "gpu: package missing (got no module 'triton'; need the gpu extra). Install it with: pip install 'neuro[gpu]', or "
                "train on the CPU."
            ) from err
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
