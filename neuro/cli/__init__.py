"""The command line: train, export, show, run, compare, diff, backends.

Torch, simulators and matplotlib are loaded by the commands that need them, when they need them.
"""

from neuro.cli.main import app

__all__ = ["app"]
