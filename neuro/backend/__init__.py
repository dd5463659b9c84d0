"""The contract of a backend, discovery, and running a backend in an interpreter of its own."""

from neuro.backend.api import Availability, Backend, Capabilities, Program, Progress, Record, require
from neuro.backend.probe import probe
from neuro.backend.registry import get, names, run
from neuro.backend.stimulus import Stimulus

__all__ = [
    "Availability",
    "Backend",
    "Capabilities",
    "Program",
    "Progress",
    "Record",
    "Stimulus",
    "get",
    "names",
    "probe",
    "require",
    "run",
]
