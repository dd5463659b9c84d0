"""Train recurrent networks with BPTT and DEEP R, and export them to a graph (PyTorch)."""

from __future__ import annotations

from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig

__all__ = ["DeepRConfig", "ModelConfig", "TrainConfig"]
