"""The contract of a backend, discovery, and running a backend in an interpreter of its own."""

from neuro.backend.api import Availability, Backend, Capabilities, Program, Progress, Record, require
from neuro.backend.environment import Environment
from neuro.backend.ieee import ieee_doubles
from neuro.backend.isolated import IsolatedBackend
from neuro.backend.probe import probe
from neuro.backend.registry import get, install, names, run
from neuro.backend.stimulus import Stimulus

__all__ = [
    "Availability",
    "Backend",
    "Capabilities",
    "Environment",
    "IsolatedBackend",
    "Program",
    "Progress",
    "Record",
    "Stimulus",
    "get",
    "ieee_doubles",
    "install",
    "names",
    "probe",
    "require",
    "run",
]
