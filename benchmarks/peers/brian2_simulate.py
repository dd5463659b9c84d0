"""The net of benchmarks/simulate.py in Brian2, as its documentation has it: C++ standalone with OpenMP, build apart from run.

Run by benchmarks/simulate.py in an environment of its own: `python brian2_simulate.py SETTINGS`, JSON; prints JSON, a line a run.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time

import brian2
from brian2 import NeuronGroup, PopulationRateMonitor, Synapses, defaultclock, device, ms, prefs, seed, set_device


def build(s: dict) -> tuple[Synapses, PopulationRateMonitor]:
    """Describe the net; nothing is computed yet."""
    n = s["n"]
    defaultclock.dt = 1 * ms
    seed(1)
    space = {"tau_m": s["tau_m_ms"] * ms, "tau_a": s["tau_a_ms"] * ms, "weight": s["weight"]}
    neurons = NeuronGroup(
        n,
        """dv/dt = (drive - v) / tau_m : 1
           da/dt = -a / tau_a : 1
           drive : 1 (constant)
           beta : 1 (constant)""",
        threshold="v > 1 + beta * a",
        reset="v -= 1; a += 1",
        refractory=(s["n_ref"] + 0.5) * ms,
        method="exact",
        namespace=space,
    )
    low, high = s["drive"]
    neurons.drive = f"{low} + {high - low} * rand()"
    neurons.beta = f"{s['beta']} * int(i < {n // 10})"
    synapses = Synapses(neurons, neurons, "w : 1", on_pre="v_post += w", namespace=space)
    synapses.connect(i=f"k for k in sample(N_pre, size={s['fan_in']})")
    synapses.w = "weight * randn()"
    longest = s["max_delay"]
    synapses.delay = f"(1 + int({longest} * rand())) * ms" if longest > 1 else 1 * ms
    return synapses, PopulationRateMonitor(neurons)


def main() -> None:
    """Build once, run as often as a line on stdin asks."""
    s = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        set_device("cpp_standalone", build_on_run=False)
        prefs.devices.cpp_standalone.openmp_threads = s["threads"]
        synapses, rate = build(s)
        net = brian2.Network(*[synapses.source, synapses, rate])
        net.run(s["steps"] * ms)
        device.build(directory=folder, compile=True, run=False, debug=False)
        print(json.dumps({"build_s": time.perf_counter() - started, "version": brian2.__version__}), flush=True)
        for _ in sys.stdin:
            started = time.perf_counter()
            device.run(folder, with_output=False, run_args=[])
            whole_s = time.perf_counter() - started
            rate_hz = float((rate.rate / brian2.Hz).mean())
            line = {"run_s": device._last_run_time, "whole_s": whole_s, "rate_hz": rate_hz, "synapses": len(synapses)}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
