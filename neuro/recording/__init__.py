"""What a run gave: spikes as events, traces, counts, provenance; its file and its conversions."""

from neuro.recording.convert import to_csv, to_neo, to_nir, to_pandas
from neuro.recording.counts import Counter, Counts, Looks, count
from neuro.recording.events import Events
from neuro.recording.hdf5 import get_events, load, put_events, save
from neuro.recording.recording import Recording, make, spiking
from neuro.recording.writer import Writer, writing

__all__ = [
    "Counter",
    "Counts",
    "Events",
    "Looks",
    "Recording",
    "Writer",
    "count",
    "get_events",
    "load",
    "make",
    "put_events",
    "save",
    "spiking",
    "to_csv",
    "to_neo",
    "to_nir",
    "to_pandas",
    "writing",
]
