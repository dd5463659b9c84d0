"""From a float graph to what a chip holds: profiles of chips, quantisation, the AHP pass, placement."""

from neuro.deploy.ahp import AhpFit, AhpNote, to_ahp
from neuro.deploy.behaviour import Behaviour, distance, observe
from neuro.deploy.cores import Core, Placement, placement
from neuro.deploy.limits import Broken
from neuro.deploy.note import PopulationChange, ProjectionChange, QuantizeNote
from neuro.deploy.profiles import PROFILES, Profile, Source, profile
from neuro.deploy.quantization import quantize

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
    "Source",
    "distance",
    "observe",
    "placement",
    "profile",
    "quantize",
    "to_ahp",
]
