"""The contract of a backend, discovery, and running a backend in an interpreter of its own."""

from neuro.backend.api import (
    Availability,
    Backend,
    Capabilities,
    Program,
    Progress,
    Record,
    RunInterrupted,
    StreamingProgram,
    require,
)
from neuro.backend.environment import Environment
from neuro.backend.ieee import ieee_doubles
from neuro.backend.isolated import IsolatedBackend
from neuro.backend.learning import LOSSES, Learned, LearningProgram, Teacher
from neuro.backend.probe import probe
from neuro.backend.registry import get, install, names, run
from neuro.backend.stimulus import Stimulus
from neuro.backend.stream import StimulusStream, constant, poisson

__all__ = [
    "LOSSES",
    "Availability",
    "Backend",
    "Capabilities",
    "Environment",
    "IsolatedBackend",
    "Learned",
    "LearningProgram",
    "Program",
    "Progress",
    "Record",
    "RunInterrupted",
    "Stimulus",
    "StimulusStream",
    "StreamingProgram",
    "Teacher",
    "constant",
    "get",
    "ieee_doubles",
    "install",
    "names",
    "poisson",
    "probe",
    "require",
    "run",
]
