"""Play a stimulus into a network, and delay spikes in it, as Nengo processes that count steps and never round a time.

Import this module only after `session.load()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nengo
import numpy as np
from numpy.typing import NDArray

from neuro.recording import Events

State = dict[str, NDArray[Any]]


class _Process(nengo.Process):  # type: ignore[misc]
    """A process that equals only itself: Nengo finds the signals of a process by the process."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at 0x{id(self):x}>"


class SpikePlayback(_Process):
    """Put out 1 in the steps and units of events, then 0 for ever; in a node with connections, add what arrives.

    Parameters: events, of `copies` samples of `size` units, which lie side by side; unit k of sample b is b * size + k.
    """

    def __init__(self, events: Events, size: int, copies: int = 1) -> None:
        super().__init__(default_size_in=size * copies, default_size_out=size * copies)
        unit = events.sample.astype(np.int64) * size + events.unit
        order = np.argsort(events.step, kind="stable")
        self.unit = unit[order]
        n_steps = int(events.step.max()) + 1 if len(events) else 0
        self.start = np.searchsorted(events.step[order], np.arange(n_steps + 1))

    def make_state(self, shape_in: Any, shape_out: Any, dt: float, dtype: Any = None) -> State:
        """Return the number of steps done, 0."""
        return {"step": np.zeros(1, np.int64)}

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: State) -> Callable[..., NDArray]:
        """Return what gives the spikes of the next step."""
        step, out = state["step"], np.zeros(shape_out)

        def play(t: float, x: NDArray | float = 0.0) -> NDArray:
            k = int(step[0])
            step[0] += 1
            out[...] = x
            if k + 1 < len(self.start):
                out[self.unit[self.start[k] : self.start[k + 1]]] += 1.0  # no unit twice in a step
            return out

        return play


class CurrentPlayback(_Process):
    """Put out currents, an array (samples, steps, size) whose samples lie side by side, then 0 for ever.

    In a node with connections, what arrives is added.
    """

    def __init__(self, currents: NDArray[np.float64]) -> None:
        n = currents.shape[0] * currents.shape[2]
        super().__init__(default_size_in=n, default_size_out=n)
        self.currents = currents

    def make_state(self, shape_in: Any, shape_out: Any, dt: float, dtype: Any = None) -> State:
        """Return the number of steps done, 0."""
        return {"step": np.zeros(1, np.int64)}

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: State) -> Callable[..., NDArray]:
        """Return what gives the currents of the next step."""
        step, silence = state["step"], np.zeros(shape_out)

        def play(t: float, x: NDArray | float = 0.0) -> NDArray:
            k = int(step[0])
            step[0] += 1
            return x + (self.currents[:, k].reshape(-1) if k < self.currents.shape[1] else silence)

        return play


class DelayLine(_Process):
    """Put out channel c at step t what came in at unit[c] at step t - lag[c]; 0 before step 0.

    Parameters: unit, lag, integers (channels,), lag >= 0 in steps; size_in, units. One line serves all projections that
    start at a population, and holds each pair of unit and lag once.
    """

    def __init__(self, unit: NDArray[np.integer], lag: NDArray[np.integer], size_in: int) -> None:
        super().__init__(default_size_in=size_in, default_size_out=len(unit))
        self.unit, self.lag = unit.astype(np.int64), lag.astype(np.int64)

    @property
    def depth(self) -> int:
        """Return the steps that are held, the present one included."""
        return int(self.lag.max()) + 1

    def make_state(self, shape_in: Any, shape_out: Any, dt: float, dtype: Any = None) -> State:
        """Return an empty ring of steps, and the place of the present one."""
        return {"ring": np.zeros((self.depth, *shape_in)), "at": np.zeros(1, np.int64)}

    def make_step(
        self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: State
    ) -> Callable[[float, NDArray], NDArray]:
        """Return what takes in a step and gives the channels."""
        ring, at, depth = state["ring"], state["at"], self.depth

        def delay(t: float, x: NDArray) -> NDArray:
            k = int(at[0])
            ring[k] = x
            at[0] = (k + 1) % depth
            return ring[(k - self.lag) % depth, self.unit]

        return delay
