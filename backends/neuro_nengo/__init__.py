"""Nengo as a backend of neuro, bit for bit, and a graph as a Nengo network that a user can extend.

Importing this package is quick and does not import nengo; that happens when a graph is compiled or converted.
"""

from neuro_nengo.backend import NengoBackend, NengoProgram
from neuro_nengo.convert import to_nengo

__all__ = ["NengoBackend", "NengoProgram", "to_nengo"]
