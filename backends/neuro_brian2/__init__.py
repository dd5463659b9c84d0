"""Brian2 as a backend of neuro: any graph, float or integer, bit for bit; float graphs learn by STDP and e-prop.

Importing this package is quick and does not import brian2; that happens when a graph is compiled.
"""

from neuro_brian2.backend import TARGETS, Brian2Backend, Brian2Program

__all__ = ["TARGETS", "Brian2Backend", "Brian2Program"]
