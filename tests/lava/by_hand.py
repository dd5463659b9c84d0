"""Run one net written by hand against Lava's own API, and say what it did: python by_hand.py CASE FOUND.json

Run by test_by_hand.py in Lava's interpreter; not a test by itself. Nothing of neuro_lava is imported: the nets are Lava's stock
Processes in bit_accurate_loihi mode, and the golden model is what they are compared with.

Times, as Lava 0.10 has them: each connection adds a step, so a graph's delay d between neurons is a lag of d - 1 in DelaySparse, and
an input's delay d is a lag of d; the source sends s(t) in Lava step t + 1, and neurons compute step t in Lava step t + 2. Lava step 1
is a lead-in, in which a LIF integrates its bias once: v starts where that leaves 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.models import PyDenseModelBitAcc
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuro.graph import Builder, Graph, reference

STEPS = 150
BIT_ACCURATE = (PyLifModelBitAcc, PyDenseModelBitAcc, PySparseModelBitAcc, PyDelaySparseModelBitAcc)
Traces = dict[str, dict[str, NDArray[np.int64]]]


def run_on_lava(source: RingBuffer, neurons: dict[str, LIF], steps: int) -> Traces:
    """Run a net and return spikes z and states u, v of every LIF at every step of the graph, (steps, size)."""
    assert all("bit_accurate_loihi" in model.tags for model in BIT_ACCURATE)
    monitors: dict[tuple[str, str], Monitor] = {}
    for name, lif in neurons.items():
        for state, target in (("z", lif.s_out), ("u", lif.u), ("v", lif.v)):
            monitors[name, state] = Monitor()
            monitors[name, state].probe(target, steps + 1)
    models = {model.implements_process: model for model in BIT_ACCURATE}
    source.run(RunSteps(steps + 1), Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models))
    found: Traces = {name: {} for name in neurons}
    for (name, state), monitor in monitors.items():
        (values,) = next(iter(monitor.get_data().values())).values()
        found[name][state] = np.asarray(values[1:]).astype(np.int64)
    source.stop()
    return found


def spikes_of(size: int, rate: float, steps: int) -> NDArray[np.int64]:
    """Return random spikes, (steps, size)."""
    return (np.random.default_rng(5).random((steps, size)) < rate).astype(np.int64)


def source_of(spikes: NDArray[np.int64]) -> RingBuffer:
    """Return a Process that sends row t in Lava step t + 1, and nothing in the last."""
    return RingBuffer(data=np.concatenate([spikes, np.zeros_like(spikes[:1])]).T)


def golden(graph: Graph, spikes: NDArray[np.int64]) -> Traces:
    """Return the golden model's states, (steps, size)."""
    return {
        name: {state: values[0] for state, values in states.items()}
        for name, states in reference.simulate(graph, {"in": spikes[None]}).items()
    }


def compared(got: Traces, expected: Traces) -> dict[str, Any]:
    """Say in how many places each state differs, and that there was something to compare."""
    return {
        "differ": {f"{n} {s}": int((v != expected[n][s]).sum()) for n, t in got.items() for s, v in t.items()},
        "spikes": {n: int(t["z"].sum()) for n, t in got.items()},
        "largest": {f"{n} {s}": int(np.abs(t[s]).max()) for n, t in got.items() for s in ("u", "v")},
        "shape": {n: list(t["v"].shape) for n, t in got.items()},
    }


def recurrent_net() -> dict[str, Any]:
    """Two populations with biases, a Dense, a Sparse and a DelaySparse with delays to 62, in all sign modes."""
    rng = np.random.default_rng(1)
    w_in = rng.integers(0, 256, (8, 5))
    w_ab, lag = rng.integers(-128, 128, (6, 8)) * 2, rng.integers(0, 62, (6, 8))
    w_ba = -rng.integers(1, 256, (8, 6))
    bias_a, bias_b = np.array([0, 640, -640, 100, 7, 0, 3000, -1]), np.array([0, 0, 12, -5, 4095, 1])
    spikes = spikes_of(5, 0.2, STEPS)

    source = source_of(spikes)
    into_a = Dense(weights=w_in, weight_exp=3, num_weight_bits=8, sign_mode=SignMode.EXCITATORY)
    a = LIF(shape=(8,), du=1000, dv=2048, vth=4000, bias_mant=bias_a, bias_exp=3, v=-2 * bias_a * 8)
    into_b = DelaySparse(
        weights=csr_matrix(w_ab), delays=csr_matrix(lag), weight_exp=5, num_weight_bits=8, sign_mode=SignMode.MIXED
    )
    b = LIF(shape=(6,), du=4095, dv=0, vth=9000, bias_mant=bias_b, bias_exp=0, v=-bias_b)
    back = Sparse(weights=csr_matrix(w_ba), weight_exp=0, num_weight_bits=8, sign_mode=SignMode.INHIBITORY)
    source.s_out.connect(into_a.s_in)
    into_a.a_out.connect(a.a_in)
    a.s_out.connect(into_b.s_in)
    into_b.a_out.connect(b.a_in)
    b.s_out.connect(back.s_in)
    back.a_out.connect(a.a_in)

    net = Builder()
    net.spike_input("in", 5)
    net.int_lif("a", 8, d_u=1000, d_v=2048, v_th=4000, bias=8 * bias_a)
    net.int_lif("b", 6, d_u=4095, d_v=0, v_th=9000, bias=bias_b)
    net.connect("in", "a", weight=w_in.T, exponent=3, sign_mode="excitatory")
    net.connect("a", "b", weight=w_ab.T, delay=lag.T + 1, exponent=5, sign_mode="mixed")
    net.connect("b", "a", weight=w_ba.T, delay=1, exponent=0, sign_mode="inhibitory")
    return compared(run_on_lava(source, {"a": a, "b": b}, STEPS), golden(net.build(), spikes))


def one_neuron(weights: list[int], exponent: int, spikes: NDArray[np.int64], d_u: int) -> tuple[Traces, Traces]:
    """Run one neuron, whose threshold is out of reach of negative currents, on Lava and by the golden model."""
    settings: dict[str, Any] = {"weight_exp": exponent, "num_weight_bits": 8, "sign_mode": SignMode.EXCITATORY}
    mode = "excitatory"
    if min(weights) < 0:
        settings["sign_mode"], mode = SignMode.INHIBITORY, "inhibitory"
    source, synapses = source_of(spikes), Dense(weights=np.array([weights]), **settings)
    n = LIF(shape=(1,), du=d_u, dv=4095, vth=131071)
    source.s_out.connect(synapses.s_in)
    synapses.a_out.connect(n.a_in)
    net = Builder()
    net.spike_input("in", len(weights))
    net.int_lif("n", 1, d_u=d_u, d_v=4095, v_th=131071)
    net.connect("in", "n", weight=np.array(weights)[:, None], exponent=exponent, sign_mode=mode)
    return run_on_lava(source, {"n": n}, len(spikes)), golden(net.build(), spikes)


def wrap() -> dict[str, Any]:
    """Drive u beyond 24 bits: step by step, and exactly to the edge on both sides."""
    found: dict[str, Any] = {}
    for name, weights, d_u, steps in (
        ("up", [255], 0, 8),
        ("down", [-255], 0, 8),
        ("upper edge", [255, 255, 255, 255, 4], 4095, 1),
        ("lower edge", [-255, -255, -255, -255, -4], 4095, 1),
    ):
        lava, ours = one_neuron(weights, 7, np.ones((steps, len(weights)), np.int64), d_u)
        found[name] = {
            "lava": lava["n"]["u"][:, 0].tolist(),
            "ours": ours["n"]["u"][:, 0].tolist(),
            "clips": ours["n"]["clipped u"][:, 0].tolist(),
        }
    return found


def clipped_v() -> dict[str, Any]:
    """Drive v beyond 24 bits with u within: there both clip."""
    spikes = np.ones((40, 1), np.int64)
    source = source_of(spikes)
    synapses = Sparse(weights=csr_matrix([[-255]]), weight_exp=6, num_weight_bits=8, sign_mode=SignMode.INHIBITORY)
    n = LIF(shape=(1,), du=4095, dv=0, vth=100)
    source.s_out.connect(synapses.s_in)
    synapses.a_out.connect(n.a_in)
    net = Builder()
    net.spike_input("in", 1)
    net.int_lif("n", 1, d_v=0, v_th=100)
    net.connect("in", "n", weight=-255, exponent=6)
    expected = golden(net.build(), spikes)
    return {
        **compared(run_on_lava(source, {"n": n}, 40), expected), "clips": int(expected["n"]["clipped v"].sum())
    }  # fmt: skip


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(globals()[sys.argv[1]]()))
