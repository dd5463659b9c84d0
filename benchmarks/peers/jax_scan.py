"""Train in JAX: lax.scan over time, jit of value_and_grad; the equations of ours.

Of the forms tried (products of the inputs before or in the scan, unrolled by 1 or 4) this was the fastest.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from .case import TARGET_HZ, Case
from .worker import Outcome, serve

CHECKED_STEPS = 200


class JaxScan:
    """The network of a case in dense matrices. Threads: JAX takes one for each core this process may use."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.gain = case, 1.0
        self.versions = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
        self.weights = {name: jnp.asarray(w) for name, w in case.weights.items()}
        self.n_parameters = sum(w.size for w in self.weights.values())
        self.inputs = jnp.asarray(np.ascontiguousarray(case.inputs.transpose(1, 0, 2)), dtype=jnp.float32)
        self.labels, self.beta = jnp.asarray(case.labels), jnp.asarray(case.betas)
        self.spike = spike_function(case.v_th, case.dampening)
        graded = jax.jit(jax.value_and_grad(self.loss))
        self.graded = graded.lower(self.weights, self.inputs).compile()

    def cell(self, weights: dict[str, Any], state: tuple, x: Any) -> tuple[tuple, tuple]:
        """Return the state of step t from that of t - 1, and (readout, spikes) of step t."""
        c = self.case
        v, a, z, y, n_spikes = state
        y = c.kappa * y + z @ weights["w_out"]
        a = c.rho * a + z
        v = c.alpha * v + (x @ weights["w_in"] + z @ weights["w_rec"]) - c.v_th * z
        z = self.spike(v - (c.v_th + self.beta * a))
        return (v, a, z, y, n_spikes + z), (y, z)

    def rest(self) -> tuple:
        """Return the state before step 0."""
        zero = jnp.zeros((self.case.batch, self.case.n))
        return zero, zero, zero, jnp.zeros((self.case.batch, self.case.n_out)), zero

    def loss(self, weights: dict[str, Any], inputs: Any) -> Any:
        """Return cross-entropy of the mean readouts plus the distance of the rates from the target."""

        def step(state: tuple, x: Any) -> tuple[tuple, Any]:
            state, (y, _) = self.cell(weights, state, x)
            return state, y

        state, ys = jax.lax.scan(step, self.rest(), inputs)
        log_p = jax.nn.log_softmax(ys.mean(0))
        entropy = -jnp.take_along_axis(log_p, self.labels[:, None], 1).mean()
        rate = state[-1].sum(0) / (self.case.batch * self.case.steps)
        return entropy + ((rate - TARGET_HZ / 1000) ** 2).sum()

    def step(self) -> None:
        """Do one training step."""
        jax.block_until_ready(self.graded(self.weights, self.inputs))

    def check(self) -> Outcome:
        """Do one training step and show what came out; spikes of the first steps and the rate from a forward run."""
        total, gradients = self.graded(self.weights, self.inputs)

        def step(state: tuple, x: Any) -> tuple[tuple, Any]:
            state, (_, z) = self.cell(self.weights, state, x)
            return state, z > 0

        state, z = jax.jit(lambda x: jax.lax.scan(step, self.rest(), x))(self.inputs)
        steps = np.arange(min(CHECKED_STEPS, self.case.steps))
        spikes = np.asarray(z)[: len(steps)].transpose(1, 0, 2)
        rate = 1000 * float(state[-1].sum()) / (self.case.batch * self.case.steps * self.case.n)
        return Outcome(float(total), rate, {k: np.asarray(g) for k, g in gradients.items()}, steps, spikes)


def spike_function(v_th: float, dampening: float) -> Any:
    """Return z(x) = [x > 0] with derivative gamma / v_th max(0, 1 - |x / v_th|)."""

    @jax.custom_jvp
    def spike(x: Any) -> Any:
        return (x > 0).astype(x.dtype)

    @spike.defjvp
    def derivative(primals: tuple, tangents: tuple) -> tuple:
        (x,), (dx,) = primals, tangents
        return spike(x), dx * (dampening / v_th * jnp.maximum(0, 1 - jnp.abs(x / v_th)))

    return spike


if __name__ == "__main__":
    serve(JaxScan)
