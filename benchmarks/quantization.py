"""Score the zoo's networks on the chips' integers: float, after quantisation alone, after fine-tuning.

    python benchmarks/quantization.py digits                                 # 360 test samples
    python benchmarks/quantization.py smnist --data DIR --samples 2000       # of the 10,000 of MNIST

Reads models/NAME/graph.h5 (float) and, for each profile, models/NAME_PROFILE/graph.h5 (trained on with `quantize`); quantises the
float graph as `neuro train` does before its first step; runs all of them on the engine, on the same samples. Prints a table in
Markdown. The control is a float network that was trained on with the same recipe for as many steps (`neuro train models/NAME_PROFILE
--set quantize=off`): --control FILE.h5 adds its line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import neuro
from neuro import recipe, tasks
from neuro.cli.origin import CALIBRATION_SAMPLES
from neuro.deploy import quantize
from neuro.graph import Graph, kind
from neuro.metrics import activity
from neuro.seeds import stream
from neuro.tasks import Task

MODELS = Path(__file__).parents[1] / "models"
PROFILES = ("loihi1", "loihi2")
CHUNK = 500
"""Samples that are run at once."""


def score(graph: Graph, task: Task, samples: int) -> tuple[float, float, int]:
    """Return accuracy, mean rate (Hz) and clipped sums of a graph on the first test samples."""
    right = asked = clips = 0
    rate = 0.0
    (source,), (readout,) = graph.inputs, graph.readouts
    for first in range(0, samples, CHUNK):
        batch = task.fixed("test", first, min(first + CHUNK, samples))
        stimulus = neuro.Stimulus.dense({source.name: batch.inputs}, graph)
        found = neuro.run(graph, stimulus, record=neuro.Record(traces={readout.name: ("y",)}))
        more, decisions = tasks.score(found.traces[readout.name]["y"], batch)
        right, asked = right + more, asked + decisions
        rate += activity(found).mean_rate_hz * len(batch)
        clips += sum(int(n.sum()) for states in found.counts.saturations.values() for n in states.values())
    return right / asked, rate / samples, clips


def quantized(graph: Graph, task: Task, profile: str) -> Graph:
    """Return the integer graph of a float graph, calibrated on training samples."""
    batch = task.sample("train", stream(0, "quantize"), CALIBRATION_SAMPLES)
    stimulus = neuro.Stimulus.dense({graph.inputs[0].name: batch.inputs}, graph)
    return quantize(graph, profile, stimulus)[0]


def line(label: str, chip: str, graph: Graph, task: Task, samples: int) -> str:
    """Return a row of the table."""
    accuracy, rate, clips = score(graph, task, samples)
    clipped = "" if graph.semantics == "float" else f"{clips:,}"
    kinds = sorted({kind(p) for p in graph.neurons})
    return (
        f"| {label} | {chip} | {' + '.join(kinds)} | {100 * accuracy:.1f} % | {rate:.1f} Hz | {clipped} | {samples:,} |"
    )


def main() -> None:
    """Print the table of one network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="digits", help="of a model in models/: digits, smnist")
    parser.add_argument("--data", help="folder with the task's data files")
    parser.add_argument("--samples", type=int, help="test samples; default: all")
    parser.add_argument("--control", action="append", default=[], help="graph of a float network that was trained on")
    given = parser.parse_args()
    task = recipe.load(MODELS / given.name).make_task(given.data)
    whole = neuro.load(MODELS / given.name / "graph.h5")
    samples = min(given.samples or task.sizes["test"] or 0, task.sizes["test"] or 0)
    print(f"| {given.name} | chip | neurons | accuracy | rate | clipped sums | samples |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(line("float", "", whole, task, samples), flush=True)
    for path in given.control:
        print(line("float, trained on for as many steps", "", neuro.load(path), task, samples), flush=True)
    for profile in PROFILES:
        print(line("quantised alone", profile, quantized(whole, task, profile), task, samples), flush=True)
        tuned = MODELS / f"{given.name}_{profile}" / "graph.h5"
        if tuned.exists():
            print(line("fine-tuned", profile, neuro.load(tuned), task, samples), flush=True)


if __name__ == "__main__":
    main()
