"""Train recurrent networks with BPTT and DEEP R, and export them to a graph (PyTorch).

The settings (`ModelConfig`, `TrainConfig`, `DeepRConfig`) load without torch; everything else is loaded at its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from neuro.errors import UnsupportedError
from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig

if TYPE_CHECKING:
    from neuro.train.build import TaskShape, build_model
    from neuro.train.deep_r import DeepR, Matrix, dale_signs
    from neuro.train.dense import DenseModel, dense_of_run, load_dense, save_dense
    from neuro.train.evaluation import Score, evaluate
    from neuro.train.export import ExportReport, load_run, read_run, to_graph
    from neuro.train.inference import Inference
    from neuro.train.loop import FitResult, fit
    from neuro.train.lsnn import LSNN, Output
    from neuro.train.lstm import LSTMClassifier, RNNClassifier
    from neuro.train.parallel import Group, joined
    from neuro.train.quantized import QuantizedLSNN, Template
    from neuro.train.start import Start, prepare, read_start

__all__ = [
    "LSNN",
    "DeepR",
    "DeepRConfig",
    "DenseModel",
    "ExportReport",
    "FitResult",
    "Group",
    "Inference",
    "LSTMClassifier",
    "Matrix",
    "ModelConfig",
    "Output",
    "QuantizedLSNN",
    "RNNClassifier",
    "Score",
    "Start",
    "TaskShape",
    "Template",
    "TrainConfig",
    "build_model",
    "dale_signs",
    "dense_of_run",
    "evaluate",
    "fit",
    "joined",
    "load_dense",
    "load_run",
    "prepare",
    "read_run",
    "read_start",
    "save_dense",
    "to_graph",
]

_MODULE_OF = {
    "TaskShape": "build",
    "build_model": "build",
    "DeepR": "deep_r",
    "Matrix": "deep_r",
    "dale_signs": "deep_r",
    "DenseModel": "dense",
    "dense_of_run": "dense",
    "load_dense": "dense",
    "save_dense": "dense",
    "Score": "evaluation",
    "evaluate": "evaluation",
    "ExportReport": "export",
    "load_run": "export",
    "read_run": "export",
    "to_graph": "export",
    "Inference": "inference",
    "FitResult": "loop",
    "fit": "loop",
    "Group": "parallel",
    "joined": "parallel",
    "LSNN": "lsnn",
    "Output": "lsnn",
    "Start": "start",
    "prepare": "start",
    "read_start": "start",
    "QuantizedLSNN": "quantized",
    "Template": "quantized",
    "LSTMClassifier": "lstm",
    "RNNClassifier": "lstm",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name at its first use; say what to install where torch is missing."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'neuro.train' has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(f"neuro.train.{_MODULE_OF[name]}"), name)
        except ModuleNotFoundError as err:
            if err.name not in {"torch", "safetensors"}:
                raise
            raise UnsupportedError(
                f"train: package missing (got no module '{err.name}'; need the training extra). Install it with: pip install 'neuro[train]'"
            ) from err
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
