"""Fit, print and draw how the cost of a training step grows with the net."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np


def slope(n: list[int], seconds: list[float]) -> float:
    """Return the exponent k of seconds ~ n^k, by least squares on logarithms."""
    return float(np.polyfit(np.log(n), np.log(seconds), 1)[0])


def result(sizes: list[Any], dense: dict[int, list[float]], sample_steps: int) -> dict[str, Any]:
    """Return times, exponents and the verdict.

    Parameters: sizes, with n, n_synapses, rate_hz and seconds (one a round); dense, seconds by n of plain PyTorch;
    sample_steps, samples x time steps of a training step.
    Growth is no faster than linear if the exponent of the medians is at most 1 within the standard deviation that the
    exponents of single rounds have.
    """
    n = [s.n for s in sizes]
    rows = [
        {
            "n": s.n, "n_synapses": s.n_synapses, "rate_hz": s.rate_hz, "rounds": s.seconds,
            "seconds": statistics.median(s.seconds),
            "seconds_per_synapse_step": statistics.median(s.seconds) / (s.n_synapses * sample_steps),
            "dense_rounds": dense.get(s.n, []), "dense_seconds": statistics.median(dense[s.n]) if s.n in dense else None,
        }
        for s in sizes
    ]  # fmt: skip
    rounds = [slope(n, list(times)) for times in zip(*(s.seconds for s in sizes), strict=True)]
    fitted, spread = slope(n, [r["seconds"] for r in rows]), float(np.std(rounds))
    return {"sizes": rows, "slope": fitted, "slope_sd": spread, "linear_or_better": fitted - spread <= 1}


def show(found: dict[str, Any]) -> None:
    """Print the table and the verdict."""
    print(
        f"\n  {'neurons':>8s}{'synapses':>10s}{'rate Hz':>9s}{'s a step':>10s}{'min - max':>17s}{'ps / synapse-step':>19s}{'dense torch':>13s}{'ratio':>7s}"
    )
    for r in found["sizes"]:
        span = f"{min(r['rounds']):.3f} - {max(r['rounds']):.3f}"
        other = f"{r['dense_seconds']:13.3f}{r['dense_seconds'] / r['seconds']:7.1f}" if r["dense_seconds"] else ""
        per = 1e12 * r["seconds_per_synapse_step"]
        print(f"  {r['n']:8d}{r['n_synapses']:10d}{r['rate_hz']:9.1f}{r['seconds']:10.4f}{span:>17s}{per:19.2f}{other}")
    verdict = "grows no faster than linearly" if found["linear_or_better"] else "GROWS FASTER THAN LINEARLY"
    print(f"\n  s ~ N^{found['slope']:.2f} +- {found['slope_sd']:.2f}: {verdict}")


def plot(found: dict[str, Any], caption: str, path: Path) -> None:
    """Draw seconds a step against N on logarithmic axes, ours, dense torch, and a line of slope 1."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "neuro"  # the same figures give the same file
    from matplotlib import pyplot

    rows = found["sizes"]
    n, seconds = np.array([r["n"] for r in rows]), np.array([r["seconds"] for r in rows])
    figure, axes = pyplot.subplots(figsize=(5.6, 4))
    spread = [seconds - [min(r["rounds"]) for r in rows], [max(r["rounds"]) for r in rows] - seconds]
    axes.errorbar(n, seconds, yerr=spread, marker="o", color="#c44e52", label=f"ours: N^{found['slope']:.2f}")
    dense = [r for r in rows if r["dense_seconds"]]
    if dense:
        axes.plot([r["n"] for r in dense], [r["dense_seconds"] for r in dense], marker="s", color="#8c8c8c",
                  label="torch eager, dense matrices")  # fmt: skip
    axes.plot(n, seconds[0] * n / n[0], "--", color="#8c8c8c", linewidth=1, label="linear")
    axes.set(xscale="log", yscale="log", xlabel="neurons, 50 synapses each", ylabel="s a training step")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.5, 0.005, caption, ha="center", fontsize=6)
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
