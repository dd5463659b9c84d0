"""Measure what a job takes on this machine, in seconds and joules: never an estimate."""

from neuro.measure.file import Subject, as_json
from neuro.measure.measured import Drawn, Measured, Spread
from neuro.measure.meter import Absent, Meter, Window
from neuro.measure.nvml import Nvml, find_nvml
from neuro.measure.present import Found, meters
from neuro.measure.provenance import machine
from neuro.measure.rapl import Rapl, find_rapl
from neuro.measure.repeat import measure

__all__ = [
    "Absent",
    "Drawn",
    "Found",
    "Measured",
    "Meter",
    "Nvml",
    "Rapl",
    "Spread",
    "Subject",
    "Window",
    "as_json",
    "find_nvml",
    "find_rapl",
    "machine",
    "measure",
    "meters",
]
