"""Lava's own LIF, Sparse and DelaySparse, set up for a graph, and a probe that records what they do."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix, identity, kron  # type: ignore[import-untyped]

from neuro.graph import INPUTS, Graph, IntLIF, IntProjection
from neuro_lava import exchange
from neuro_lava.processes.integers import IntegerModel, Integers, decay
from neuro_lava.stock import bias_parts, start_of_v

_SIGN_MODES = {"mixed": SignMode.MIXED, "excitatory": SignMode.EXCITATORY, "inhibitory": SignMode.INHIBITORY}


def stock_lif(p: IntLIF, batch: int) -> LIF:
    """Return a population as a stock LIF of shape (size, batch): its arithmetic is one neuron's, whatever the shape.

    v starts where the lead-in step, which adds the bias to it, leaves 0.
    """
    parts = np.array([bias_parts(b) for b in p.bias.tolist()])
    mantissa, exponent, start = (
        np.repeat(x.reshape(-1, 1), batch, axis=1) for x in (parts[:, 0], parts[:, 1], start_of_v(p.bias, p.d_v))
    )
    return LIF(
        name=p.name, shape=(p.size, batch), du=int(p.d_u[0]), dv=int(p.d_v[0]), vth=int(p.v_th[0]), v=start,
        bias_mant=mantissa, bias_exp=exponent,
    )  # fmt: skip


def stock_connection(graph: Graph, c: IntProjection, batch: int) -> Sparse:
    """Return a projection as a stock Sparse, or as a DelaySparse if its synapses have lags; samples are blocks of its matrix.

    Synapses of weight 0 send nothing and are left out: Lava's model would keep their delays without their weights.
    """
    source, target = graph.population(c.source), graph.population(c.target)
    lag = (c.delay - (0 if isinstance(source, INPUTS) else 1)).astype(int)
    kept = c.weight != 0

    def side_by_side(values: Any) -> Any:
        matrix = csr_matrix((values[kept], (c.post[kept], c.pre[kept])), shape=(target.size, source.size))
        return kron(matrix, identity(batch, format="csr", dtype=int), format="csr").astype(int)

    settings: dict[str, Any] = {"weight_exp": c.exponent, "num_weight_bits": 8, "sign_mode": _SIGN_MODES[c.sign_mode]}
    if not lag[kept].any():
        return Sparse(name=c.name, weights=side_by_side(c.weight), **settings)
    return DelaySparse(name=c.name, weights=side_by_side(c.weight), delays=side_by_side(lag), **settings)


class Probe(AbstractProcess):  # type: ignore[misc]
    """Record the spikes of a stock LIF, and its u and v after every step.

    Ports, all (size, batch): s_in, the spikes; u_ref and v_ref, which read the Vars. states: whether these two are connected.
    d_v, bias: (size,), to tell where v was clipped; u never is.
    """

    def __init__(
        self,
        *,
        name: str,
        index: int,
        folder: str,
        batch: int,
        d_v: Integers,
        bias: Integers,
        state_bits: int,
        states: bool,
    ) -> None:
        super().__init__(
            name=name, index=index, folder=folder, state_bits=state_bits, clipped=("v",), d_v=d_v, bias=bias, states=states,
            shape=(len(d_v), batch),
        )  # fmt: skip
        self.s_in = InPort(shape=(len(d_v), batch))
        self.u_ref, self.v_ref = RefPort(shape=(len(d_v), batch)), RefPort(shape=(len(d_v), batch))


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyProbe(IntegerModel):
    """Receive spikes with each step, and read the states in the phase after it."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    u_ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    v_ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    STATES = ("z", "u", "v")

    def begin(self, run: exchange.Run) -> None:
        """Start from zero state."""
        p = self.proc_params
        self.z, self.u, self.v = (np.zeros(p["shape"], np.int64) for _ in range(3))
        self._d_v, self._bias = (np.reshape(p[key], (-1, 1)) for key in ("d_v", "bias"))
        super().begin(run)

    def step(self, k: int) -> None:
        """Receive the spikes of step t = k - 1."""
        self.z = self.s_in.recv().astype(np.int64)
        if not self.proc_params["states"] and k > 0:
            self.write_rows(k - 1)

    def post_guard(self) -> bool:
        """Ask for the phase in which Vars can be read."""
        return bool(self.proc_params["states"])

    def run_post_mgmt(self) -> None:
        """Read u and v as they are after the step, and count where the sum that became v was wider than it."""
        with self.reported():
            u, v = self.u_ref.read().astype(np.int64), self.v_ref.read().astype(np.int64)
            if self.k == 0:
                assert not u.any() and not v.any(), "the lead-in step must end at zero state"
                return
            self.clip("v", decay(self.v, self._d_v) + u + self._bias)
            self.u, self.v = u, v
            self.write_rows(self.k - 1)
