"""Move images by whole pixels, to train on more than there are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def draw_shifts(far: int, rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    """Draw n shifts down and right, (n, 2), each uniform in -far..far."""
    return rng.integers(-far, far, size=(n, 2), endpoint=True)


def shifted(images: npt.NDArray[np.uint8], side: int, shift: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Move each image, (n, side * side), down and right by its shift, (n, 2) pixels of either sign; black comes in at the edge."""
    moved = np.zeros_like(images).reshape(-1, side, side)
    for to, image, (down, right) in zip(moved, images.reshape(-1, side, side), shift.tolist(), strict=True):
        rows, columns = slice(max(down, 0), side + min(down, 0)), slice(max(right, 0), side + min(right, 0))
        to[rows, columns] = image[max(-down, 0) : side - max(down, 0), max(-right, 0) : side - max(right, 0)]
    return moved.reshape(images.shape)
