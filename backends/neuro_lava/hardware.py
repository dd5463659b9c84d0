"""Tell whether a Loihi board can be reached from this interpreter."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys

from neuro.errors import UnsupportedError

_EXTENSION = "lava.utils.loihi2_profiler"
"""What `lava.utils.loihi.is_installed` of lava-nc 0.10.0 looks for."""

_HOSTS = ("NXSDKHOST", "SLURM")
"""Variables that Lava's `use_ethernet_host` and `use_slurm_host` set, and the extension reads."""


def require_board() -> None:
    """Raise UnsupportedError that says what is missing, unless lava-loihi is installed and a board is named."""
    missing = []
    if not _is_installed():
        missing.append(f"no lava-loihi in {sys.executable}")
    if not any(os.environ.get(name) for name in _HOSTS) and shutil.which("sinfo") is None:
        missing.append(f"no board: {' and '.join(_HOSTS)} are not set, and there is no sinfo")
    if missing:
        raise UnsupportedError(
            f"backend 'lava': target 'hardware' cannot be reached (got {'; '.join(missing)}; need lava-loihi, Intel's "
            "extension of lava-nc for the members of its research community INRC, and a Loihi 2 board). Install it into that "
            "interpreter on a host with a board, or leave out the target: the simulation computes the same bits."
        )


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec(_EXTENSION) is not None
    except ModuleNotFoundError:  # not even lava-nc
        return False
