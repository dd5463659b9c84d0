"""Learn one case in NEST and write what came of it: python in_nest.py CASE.npz FOUND.npz

Run by test_eprop.py in a process of its own; not a test by itself. It needs NEST and numpy, nothing of neuro: the oracle must not lean on what
it judges. NEST's time, as far as it matters here (dt 1, every delay 1): a generator's spike at time 1 + s leaves the parrot in update 1 + s and
reaches a recurrent neuron in update 2 + s, which is step s of an interval; the readout's interval begins one update later, and its output is
compared with the target one update after that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nest
import numpy as np

# NEST's updates that are step 0 of the first sample: of the generators, of the recurrent neurons, of the readout's error.
FIRST_IN, FIRST_REC, FIRST_ERROR = 1, 2, 4
PLASTIC = {"in": ("in", "rec"), "rec": ("rec", "rec"), "out": ("rec", "out")}
AFTER = 10  # steps that are simulated after the last sample


def build(case: dict[str, np.ndarray], settings: dict[str, Any]) -> dict[str, Any]:
    """Make the neurons, and the devices that drive and read them; return them by name."""
    n_samples, steps, n_in = case["inputs"].shape
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(
        resolution=1.0,
        total_num_virtual_procs=1,
        eprop_update_interval=float(steps),
        eprop_learning_window=float(settings["window"]),
        eprop_reset_neurons_on_update=True,
    )
    made = {"generator": nest.Create("spike_generator", n_in), "in": nest.Create("parrot_neuron", n_in)}
    made |= {"rec": recurrent(case, settings), "spikes": nest.Create("spike_recorder")}
    n_out = case["targets"].shape[2]
    loss = {"regression": "mean_squared_error", "softmax": "cross_entropy"}[settings["loss"]]
    out = {"C_m": 1.0, "E_L": 0.0, "I_e": 0.0, "V_m": 0.0, "loss": loss, "tau_m": settings["tau_out_ms"]}
    made["out"] = nest.Create("eprop_readout_bsshslm_2020", n_out, {**out, "regular_spike_arrival": True})
    made["target"] = nest.Create("step_rate_generator", n_out)
    made["read"] = nest.Create("multimeter", {"interval": 1.0, "record_from": ["readout_signal"]})
    # A synapse changes its weight when it next carries a spike: all get one at this step of the interval after the last.
    last = float(n_samples * steps + FIRST_IN + settings["flush"])
    made["flush"] = nest.Create("spike_generator", params={"spike_times": [last]})
    drive(made, case)
    return made


def drive(made: dict[str, Any], case: dict[str, np.ndarray]) -> None:
    """Tell the generators what the inputs send and what the readout should say, all samples in a row."""
    for i in range(case["inputs"].shape[2]):
        fired = np.flatnonzero(case["inputs"][:, :, i].ravel()) + float(FIRST_IN)
        made["generator"][i].set({"spike_times": fired})
    for k in range(case["targets"].shape[2]):
        values = case["targets"][:, :, k].ravel()
        made["target"][k].set(
            {"amplitude_times": np.arange(values.size) + float(FIRST_ERROR), "amplitude_values": values}
        )


def recurrent(case: dict[str, np.ndarray], settings: dict[str, Any]) -> Any:
    """Make the recurrent neurons in their order: a neuron that does not adapt is NEST's model without adaptation."""
    neurons = None
    for j, beta in enumerate(case["beta"]):
        v_th = float(case["v_th"][j])
        params = {
            "C_m": 1.0,
            "E_L": 0.0,
            "I_e": 0.0,
            "V_m": 0.0,
            "V_th": v_th,
            "tau_m": float(case["tau_m_ms"][j]),
            # NEST counts from the spike's own step, neuro from the next: t_ref 1 forbids nothing
            "t_ref": float(case["n_ref"][j] + 1),
            "regular_spike_arrival": True,
            "surrogate_gradient_function": "piecewise_linear",
            "surrogate_gradient_height": settings["gamma"] / v_th,
            "surrogate_gradient_width": v_th,
            "c_reg": settings["c_reg"],
            "f_target": settings["f_target_hz"],
        }
        model = "eprop_iaf_bsshslm_2020"
        if beta > 0:
            model = "eprop_iaf_adapt_bsshslm_2020"
            params |= {"adapt_beta": float(beta), "adapt_tau": float(case["tau_a_ms"][j])}
        node = nest.Create(model, 1, params)
        neurons = node if neurons is None else neurons + node
    return neurons


def connect(made: dict[str, Any], case: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
    """Join everything: plastic synapses by (pre, post, weight), the feedback, the target, the normalisation of softmax, the recorders."""
    descent = {"type": "gradient_descent", "batch_size": settings["batch"], "eta": settings["lr"]}
    optimizer = {**descent, "Wmin": -1e3, "Wmax": 1e3}
    nest.SetDefaults("eprop_synapse_bsshslm_2020", {"optimizer": optimizer, "average_gradient": False})
    nest.Connect(made["generator"], made["in"], "one_to_one", {"delay": 1.0})
    for name, (pre, post) in PLASTIC.items():
        sources = np.array(made[pre].tolist())[case[f"{name}_pre"]]
        targets = np.array(made[post].tolist())[case[f"{name}_post"]]
        plastic = {
            "synapse_model": "eprop_synapse_bsshslm_2020",
            "tau_m_readout": np.full(len(sources), settings["tau_out_ms"]),
        }
        synapses = {**plastic, "weight": case[f"{name}_weight"], "delay": np.ones(len(sources))}
        nest.Connect(sources, targets, "one_to_one", synapses)
    feedback = {
        "synapse_model": "eprop_learning_signal_connection_bsshslm_2020",
        "delay": 1.0,
        "weight": case["feedback"],
    }
    nest.Connect(made["out"], made["rec"], "all_to_all", feedback)
    rate = {"synapse_model": "rate_connection_delayed", "delay": 1.0}
    nest.Connect(made["target"], made["out"], "one_to_one", {**rate, "receptor_type": 2})
    if settings["loss"] == "softmax":
        nest.Connect(
            made["out"], made["out"], {"rule": "all_to_all", "allow_autapses": False}, {**rate, "receptor_type": 1}
        )
    nest.Connect(made["rec"], made["spikes"])
    nest.Connect(made["read"], made["out"])
    nest.Connect(made["flush"], made["in"] + made["rec"], "all_to_all", {"weight": 1e4, "delay": 1.0})


def weights(made: dict[str, Any], case: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Read the plastic weights, in the order in which they were given."""
    found = {}
    for name, (pre, post) in PLASTIC.items():
        synapses = nest.GetConnections(made[pre], made[post], "eprop_synapse_bsshslm_2020")
        got = synapses.get(["source", "target", "weight"])
        by_pair = {(i, j): w for i, j, w in zip(got["source"], got["target"], got["weight"], strict=True)}
        sources = case[f"{name}_pre"] + made[pre][0].global_id
        targets = case[f"{name}_post"] + made[post][0].global_id
        found[name] = np.array([by_pair[i, j] for i, j in zip(sources.tolist(), targets.tolist(), strict=True)])
    return found


def learn(case: dict[str, np.ndarray], settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Run every sample of the case one after the other; return spikes, outputs and the last weights."""
    n_samples, steps, _ = case["inputs"].shape
    made = build(case, settings)
    connect(made, case, settings)
    nest.Simulate(float(n_samples * steps + AFTER))
    spikes = np.zeros((n_samples * steps, len(made["rec"])), bool)
    events = made["spikes"].events
    at = np.round(events["times"]).astype(int) - 1 - FIRST_REC  # a spike of update t is stamped t + 1
    inside = (at >= 0) & (at < n_samples * steps)
    spikes[at[inside], events["senders"][inside] - made["rec"][0].global_id] = True
    read = made["read"].events
    at = np.round(read["times"]).astype(int) - 1 - FIRST_ERROR
    inside = (at >= 0) & (at < n_samples * steps)
    y = np.zeros((n_samples * steps, len(made["out"])))
    y[at[inside], read["senders"][inside] - made["out"][0].global_id] = read["readout_signal"][inside]
    shape = (n_samples, steps, -1)
    return {"spikes": spikes.reshape(shape), "y": y.reshape(shape), **weights(made, case)}


def learn_symmetric(case: dict[str, np.ndarray], settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Learn with the readout's present weights as feedback: NEST holds feedback fixed, so that each sample is a simulation of its own."""
    case = dict(case)
    filtered = 1 - np.exp(-1 / settings["tau_out_ms"])  # NEST's eligibility is this times ours
    found: list[dict[str, np.ndarray]] = []
    for k in range(len(case["inputs"])):
        case["feedback"] = np.zeros_like(case["feedback"])
        case["feedback"][case["out_pre"], case["out_post"]] = case["out_weight"] / filtered
        one = {"inputs": case["inputs"][k : k + 1], "targets": case["targets"][k : k + 1]}
        found.append(learn({**case, **one}, settings))
        case |= {f"{name}_weight": found[-1][name] for name in PLASTIC}
    together = {name: np.concatenate([f[name] for f in found]) for name in ("spikes", "y")}
    return {**found[-1], **together}


def main(case_file: Path, found_file: Path) -> None:
    """Read the case, learn it, write what was found."""
    with np.load(case_file) as held:
        case = {name: held[name] for name in held.files}
    settings = json.loads(str(case.pop("settings")))
    found = (learn_symmetric if settings["symmetric"] else learn)(case, settings)
    np.savez(found_file, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
