"""Run a model on inputs and return its readout, and nothing else: what a measurement of inference repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neuro.errors import UnsupportedError


class Inference:
    """A model on a device, ready to answer.

    Parameters: model, one of this package, which is moved to the device; device, "cpu", "cuda" or "cuda:1".
    Raises: UnsupportedError if torch has no such device here.
    """

    def __init__(self, model: nn.Module, device: str = "cpu") -> None:
        n = torch.cuda.device_count() if torch.cuda.is_available() else 0
        able = ("cpu", *(["cuda"] if n else []), *(f"cuda:{k}" for k in range(n)))
        if device not in able:
            raise UnsupportedError(
                f"device '{device}': not here (got torch {torch.__version__} with {n} GPUs; need one of {', '.join(able)}). Choose another."
            )
        self._device = torch.device(device)
        self._model = model.to(self._device)

    @torch.no_grad()
    def __call__(self, batches: Sequence[Any]) -> list[NDArray[np.floating]]:
        """Return the readout y, (batch, steps, n_out), of each batch of inputs, (batch, steps, n_in); they come from and go to the CPU."""
        return [
            self._model(torch.as_tensor(inputs).to(self._device), spikes=False).y.cpu().numpy() for inputs in batches
        ]

    @property
    def options(self) -> dict[str, str | int]:
        """Return what decides its speed: the device, and the threads that torch uses on the CPU."""
        return {"device": str(self._device), "threads": torch.get_num_threads()}

    @property
    def versions(self) -> dict[str, str]:
        """Return the version of torch."""
        return {"torch": torch.__version__}
