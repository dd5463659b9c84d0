"""From a float graph to what a chip holds: profiles of chips, quantisation, the AHP pass, placement."""

from neuro.deploy.ahp import AhpFit, AhpNote, to_ahp
from neuro.deploy.behaviour import Behaviour, distance, observe, poisson
from neuro.deploy.cores import Core, Placement, placement
from neuro.deploy.limits import Broken
from neuro.deploy.note import PopulationChange, ProjectionChange, QuantizeNote
from neuro.deploy.profiles import PROFILES, Profile, Source, profile
from neuro.deploy.quantization import quantize
from neuro.deploy.silence import Silence, SilenceNote, silence
from neuro.deploy.soft_reset import SoftReset, SoftResetNote, keep_soft_reset

__all__ = [
    "PROFILES",
    "AhpFit",
    "AhpNote",
    "Behaviour",
    "Broken",
    "Core",
    "Placement",
    "PopulationChange",
    "Profile",
    "ProjectionChange",
    "QuantizeNote",
    "Silence",
    "SilenceNote",
    "SoftReset",
    "SoftResetNote",
    "Source",
    "distance",
    "keep_soft_reset",
    "observe",
    "placement",
    "poisson",
    "profile",
    "quantize",
    "silence",
    "to_ahp",
]
