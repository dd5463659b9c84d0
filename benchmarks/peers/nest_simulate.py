"""The net of benchmarks/simulate.py in NEST, as its documentation has it: fixed in-degree, delta synapses, Prepare and Run.

NEST has no cheap neuron with an adaptive threshold and a subtractive reset: all are iaf_psc_delta, reset to 0, without
adaptation, which is less work. Run by benchmarks/simulate.py in an environment of its own: `python nest_simulate.py SETTINGS`,
JSON; prints JSON, a line a run.
"""

from __future__ import annotations

import json
import sys
import time

import nest


def build(s: dict) -> nest.NodeCollection:
    """Make the net, and return its neurons."""
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.SetKernelStatus({"resolution": 1.0, "local_num_threads": s["threads"], "rng_seed": 1})
    low, high = s["drive"]
    neurons = nest.Create(
        "iaf_psc_delta",
        s["n"],
        {
            "tau_m": s["tau_m_ms"],
            "C_m": s["tau_m_ms"],  # pF: so that a current of 1 pA drives the membrane to 1 mV
            "E_L": 0.0,
            "V_m": 0.0,
            "V_reset": 0.0,
            "V_th": 1.0,
            "t_ref": float(s["n_ref"]),
            "I_e": nest.random.uniform(low, high),
        },
    )
    longest = s["max_delay"]
    delay = 1.0 + nest.random.uniform_int(longest) if longest > 1 else 1.0
    synapse = {"synapse_model": "static_synapse", "weight": nest.random.normal(0.0, s["weight"]), "delay": delay}
    nest.Connect(neurons, neurons, {"rule": "fixed_indegree", "indegree": s["fan_in"]}, synapse)
    return neurons


def main() -> None:
    """Build once, run as often as a line on stdin asks, from rest each time."""
    s = json.loads(sys.argv[1])
    started = time.perf_counter()
    neurons = build(s)
    print(json.dumps({"build_s": time.perf_counter() - started, "version": nest.__version__}), flush=True)
    for _ in sys.stdin:
        neurons.V_m = 0.0
        whole = time.perf_counter()
        nest.Prepare()
        started = time.perf_counter()
        nest.Run(float(s["steps"]))
        run_s = time.perf_counter() - started
        nest.Cleanup()
        spikes = nest.GetKernelStatus("local_spike_counter")  # of the last Run
        line = {
            "run_s": run_s,
            "whole_s": time.perf_counter() - whole,
            "rate_hz": spikes / (s["n"] * s["steps"] / 1000),
            "synapses": nest.num_connections,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
