"""Print what a step costs on Lava: our connection Process against the stock DelaySparse, and what each Process adds.

    python benchmarks/lava_step.py

120 ALIF neurons at 10-20 Hz, 80 inputs, 12 % of all pairs connected, delays of 1..10 steps, 50 samples side by side. The
first two nets differ only in their connections; DelaySparse takes one sample, so that side by side each is a block of its
matrix. Their spikes must be equal. The third net has the same neurons in four populations. Runs itself in Lava's environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
N, N_IN, BATCH, STEPS, REPEATS = 120, 80, 50, 200, 5


def main() -> None:
    """Measure each net in turn and print the table."""
    from neuro.graph import Graph
    from neuro_lava.processes.network import Network, NetworkModel
    from neuro_lava.simulation import _FLOATING_PT

    single: Graph = net(1)
    own = measure(single)
    four = measure(net(4))
    _FLOATING_PT.update(stock_models())
    stock = measure(single)
    _FLOATING_PT[Network] = NetworkModel
    assert own["spikes"] == stock["spikes"], "both nets must send the same spikes"
    print(
        f"lava: {N} neurons at {own['rate_hz']:.0f} Hz, {single.n_synapses} synapses, {BATCH} samples side by side, best of "
        f"{REPEATS} runs of {STEPS} steps"
    )
    for name, found in (("own Synapses", own), ("stock DelaySparse", stock), ("own, four populations", four)):
        print(f"  {name:22}{found['ms']:7.2f} ms a step{found['n_processes']:5d} Processes")
    added = (four["ms"] - own["ms"]) / (four["n_processes"] - own["n_processes"])
    print(f"  stock / own {stock['ms'] / own['ms']:.1f};  a Process more costs {added:.2f} ms a step")


def measure(graph: Any) -> dict[str, Any]:
    """Run a net several times; return ms a step of the best run, the number of Processes, rate and first spikes."""
    import numpy as np

    from neuro.backend import Stimulus
    from neuro_lava import LavaBackend

    rng = np.random.default_rng(1)
    stimulus = Stimulus.dense({"in": (rng.random((BATCH, STEPS, N_IN)) < 0.02).astype(np.uint8)})
    program = LavaBackend().compile(graph)
    try:
        first = program.run(stimulus)  # also builds; DelaySparse does not empty itself for the runs after it
        best = min(program.run(stimulus).wall_time_s for _ in range(REPEATS))
        assert program._simulation is not None
        actors = program._simulation._network.runtime._messaging_infrastructure.actors
    finally:
        program.close()
    spikes = [first.spikes[p.name] for p in graph.neurons]
    return {
        "ms": 1000 * best / (STEPS + 1),
        "n_processes": len(actors) - 1,  # the runtime's own
        "rate_hz": 1000 * sum(map(len, spikes)) / (N * BATCH * STEPS),
        "spikes": spikes,
    }


def net(n_populations: int) -> Any:
    """Return a recurrent net of adaptive neurons, one synapse a pair as DelaySparse demands."""
    import numpy as np

    from neuro.graph import Builder

    rng = np.random.default_rng(3)
    b = Builder(name="step", seed=3)
    b.spike_input("in", N_IN)
    names = [b.alif(f"alif{k}", N // n_populations, tau_a_ms=200.0, beta=0.1, n_ref=5) for k in range(n_populations)]
    for target in names:
        for source, n in (("in", N_IN), *((name, N // n_populations) for name in names)):
            pairs = rng.random((n, N // n_populations)) < 0.12
            weight = rng.normal(0.16 if source == "in" else 0.0, 0.25, pairs.shape) * pairs
            b.connect(source, target, weight=weight, delay=(1, 10))
    return b.build()


def stock_models() -> dict[type, type]:
    """Return models that connect a network with DelaySparse, by the Process they implement."""
    import numpy as np
    from lava.magma.core.decorator import implements, tag
    from lava.magma.core.model.sub.model import AbstractSubProcessModel
    from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
    from lava.proc.sparse.models import PyDelaySparseModelFloat
    from lava.proc.sparse.process import DelaySparse
    from scipy.sparse import csr_matrix, identity, kron

    from neuro_lava.processes.network import Network, _population

    @implements(proc=Network, protocol=LoihiProtocol)
    @tag("floating_pt")
    class StockModel(AbstractSubProcessModel):  # type: ignore[misc]
        """The same sources and neurons, one DelaySparse for each projection."""

        def __init__(self, process: Any) -> None:
            graph, batch, folder = (process.proc_params[key] for key in ("graph", "batch", "folder"))
            made = {p.name: _population(p, k, batch, folder) for k, p in enumerate(graph.populations)}
            for k, c in enumerate(graph.projections):
                shape = [graph.population(name).size for name in (c.target, c.source)]
                lag = c.delay - (0 if c.source == "in" else 1)
                side_by_side = identity(batch, format="csr", dtype=int)
                weights = kron(csr_matrix((c.weight, (c.post, c.pre)), shape=shape), side_by_side, format="csr")
                delays = kron(csr_matrix((lag, (c.post, c.pre)), shape=shape), side_by_side, format="csr")
                synapses = DelaySparse(weights=weights, delays=delays.astype(int), max_delay=10)
                made[c.source].s_out.reshape((int(np.prod(made[c.source].s_out.shape)),)).connect(synapses.s_in)
                synapses.a_out.reshape(made[c.target].a_in.shape).connect(made[c.target].a_in)
                setattr(self, f"synapses_{k}", synapses)
            for k, population in enumerate(made.values()):
                setattr(self, f"population_{k}", population)

    return {Network: StockModel, DelaySparse: PyDelaySparseModelFloat}


def run_in_lavas_environment() -> int:
    """Run this file again in the interpreter that has Lava, and return its exit code."""
    sys.path[:0] = [str(ROOT), str(ROOT / "backends")]
    from neuro_lava import LavaBackend

    python = LavaBackend.environment.interpreter()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "backends")))}
    return subprocess.run([str(python), __file__], env=env, check=False).returncode


if __name__ == "__main__":
    try:
        import lava.magma  # noqa: F401
    except ImportError:
        sys.exit(run_in_lavas_environment())
    main()
