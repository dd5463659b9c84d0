"""Draw named, independent random streams from one run seed."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["stream"]


def stream(run_seed: int, name: str) -> np.random.Generator:
    """Return the random stream called `name` of the run with seed `run_seed`.

    The PCG64 generator is seeded with the 256-bit integer sha256("<run_seed>:<name>"), so two streams of one run are
    independent, and adding a stream changes no other one. Equal arguments give equal numbers on every machine.

    Raises
    ------
    TypeError
        `run_seed` is not an integer.
    """
    if isinstance(run_seed, bool) or not isinstance(run_seed, (int, np.integer)):
        raise TypeError(f"stream '{name}': the run seed is no integer (got {run_seed!r}; need an int)")
    digest = hashlib.sha256(f"{int(run_seed)}:{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
