"""Build, run and end a network on Lava's runtime: the only module that deals with it. Needs lava."""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import multiprocessing.connection
import os
import shutil
import signal
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import resource_tracker
from typing import Any

from lava.magma.core.process.process import ProcessServer
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc

from neuro.errors import WorkerError
from neuro.graph import Graph
from neuro_lava import exchange
from neuro_lava.learning.eprop import Site
from neuro_lava.processes.eprop_network import LearningNetwork, LearningNetworkModel
from neuro_lava.processes.eprop_neurons import PyEPropALIF
from neuro_lava.processes.eprop_readout import PyEPropLI
from neuro_lava.processes.eprop_synapses import PyEPropSynapses
from neuro_lava.processes.integer_neurons import PyAHP, PyIntALIF
from neuro_lava.processes.integer_readout import PyIntLI
from neuro_lava.processes.network import Network, NetworkModel
from neuro_lava.processes.neurons import PyALIF
from neuro_lava.processes.readout import PyLI
from neuro_lava.processes.source import PyCurrentSource, PySpikeSource
from neuro_lava.processes.stock import PyProbe
from neuro_lava.processes.synapses import PyIntSynapses, PySynapses
from neuro_lava.sizing import CHANNEL_SIZE
from neuro_lava.stock import NOTHING_STOCK, Plan

_STEPS = 100
"""Lava steps to a command: progress is reported, and a failure noticed at the latest, after as many."""

_POLL_S, _END_S = 0.002, 5.0


class Simulation:
    """A network that Lava has built: an operating-system process for each of its Processes, until `close`.

    graph: what to build. batch: samples side by side. plan: what runs on stock Processes, and where. sites: what learns
    by e-prop; then batch is 1. folder: where the program and the models exchange data.
    """

    def __init__(
        self, graph: Graph, batch: int, plan: Plan = NOTHING_STOCK, sites: Mapping[str, Site] | None = None
    ) -> None:
        self.batch, self.folder = batch, tempfile.mkdtemp(prefix="neuro-lava-")
        with quiet(), _interrupts_held():
            before = len(ProcessServer().processes)
            self._network: Any = (
                Network(graph=graph, batch=batch, folder=self.folder, plan=plan)
                if sites is None
                else LearningNetwork(graph=graph, folder=self.folder, sites=sites)
            )
            self._end = weakref.finalize(self, _end, self._network, self.folder, os.getpid())
            try:
                self._network.create_runtime(
                    _run_config(graph, plan), compile_config={"pypy_channel_size": CHANNEL_SIZE}
                )
            except BaseException as err:
                self.close()
                if isinstance(err, Exception):
                    raise WorkerError(
                        f"backend 'lava': the network cannot be built (got {type(err).__name__}: {err}; need no exception). "
                        f"See below.\n{getattr(err, 'trace', '')}".rstrip()
                    ) from err
                raise
            finally:
                del ProcessServer().processes[before:]  # else Lava holds every network ever built
        _LIVING.add(self)

    def run(self, steps: int, progress: Callable[[int], None]) -> None:
        """Do a run of `steps` Lava steps that `exchange.write_run` described; call progress with the steps done.

        Raises: WorkerError with the model's traceback if one failed, or with the exit code of a process that died. The
        simulation is of no use then.
        """
        for done in range(0, steps, _STEPS):
            length = min(_STEPS, steps - done)
            self._network.run(condition=RunSteps(num_steps=length, blocking=False))
            self._wait()
            progress(done + length)

    def close(self) -> None:
        """End all processes of the network, give back its shared memory, remove its files. Twice is fine."""
        self._end()

    def _wait(self) -> None:
        """Wait for the end of a command, or of a process: Lava itself would then wait for ever."""
        runtime = self._network.runtime
        actors = {actor.sentinel: actor for actor in runtime._messaging_infrastructure.actors}
        while not all(port.probe() for port in runtime.service_to_runtime):
            ended = multiprocessing.connection.wait(list(actors), timeout=_POLL_S)
            if ended:
                self._fail([_exit_code(actors[sentinel]) for sentinel in ended])
        if exchange.read_traceback(self.folder):
            self._fail([])
        runtime.wait()

    def _fail(self, codes: list[int | None]) -> None:
        found = exchange.read_traceback(self.folder).strip()
        if found:
            raise WorkerError(
                f"backend 'lava': a process model failed (got {found.splitlines()[-1]}; need no exception). See below.\n{found}"
            )
        raise WorkerError(
            f"backend 'lava': a process of the simulation died (got exit code {', '.join(map(str, codes))}; need none to "
            "end). -9 often means that memory ran out, -7 that /dev/shm is full: run fewer samples side by side (option batch)."
        )


def _exit_code(actor: Any) -> int | None:
    """Return how a process ended; its sentinel may tell of the end a moment before the system does."""
    multiprocessing.Process.join(actor, timeout=_END_S)
    code: int | None = actor.exitcode
    return code


_LIVING: weakref.WeakSet[Simulation] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """End what was left open: multiprocessing, registered earlier and so run later, waits for all processes at exit."""
    for simulation in list(_LIVING):
        simulation.close()


def _end(network: Any, folder: str, owner: int) -> None:
    """End a network. Its processes are killed: they hold nothing, and Lava's own stop waits for ever for one that died.

    Lava has no public way to its processes and shared memory; these are the names of version 0.10.0.
    """
    if os.getpid() != owner:
        return  # a process of another network, forked while this one lived
    runtime = network.runtime
    infrastructure = None if runtime is None else runtime._messaging_infrastructure
    if infrastructure is not None:
        for actor in infrastructure.actors:
            if not actor._is_done:
                actor.kill()
        runtime._is_started = runtime._is_running = False  # else its __del__ would talk to the dead
        runtime.join()
        infrastructure.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _run_config(graph: Graph, plan: Plan) -> Any:
    """Return a configuration that names the model of every Process; on a board, of our own, which stay on the host.

    Lava need not look for models then. To find one, it executes every file beside the Process, once for each of these files:
    0.3 s for 11 Processes.
    """
    if plan.hardware:
        return Loihi2HwCfg(select_tag="fixed_pt", exception_proc_model_map=Models(_FIXED_PT))
    if graph.semantics == "integer":
        return Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=Models({**_FIXED_PT, **_STOCK}))
    return Loihi2SimCfg(select_tag="floating_pt", exception_proc_model_map=Models(_FLOATING_PT))


class Models:
    """Answer what Lava asks of its map of exceptions: `process in map` and `map[process]`."""

    def __init__(self, models: Mapping[type, type]) -> None:
        self._models = models

    def __contains__(self, process: object) -> bool:
        return type(process) in self._models

    def __getitem__(self, process: Any) -> type:
        model: Any = self._models[type(process)]
        made: type = model.for_process(process) if hasattr(model, "for_process") else model
        return made


_FLOAT_MODELS: tuple[Any, ...] = (NetworkModel, PyALIF, PyLI, PySynapses, PySpikeSource, PyCurrentSource)
_LEARNING_MODELS: tuple[Any, ...] = (LearningNetworkModel, PyEPropALIF, PyEPropLI, PyEPropSynapses)
_FLOATING_PT: dict[type, type] = {model.implements_process: model for model in (*_FLOAT_MODELS, *_LEARNING_MODELS)}
_FIXED_PT: dict[type, type] = {
    model.implements_process: model
    for model in (NetworkModel, PyIntALIF, PyAHP, PyIntLI, PyIntSynapses, PySpikeSource, PyProbe)
}
_STOCK: dict[type, type] = {
    model.implements_process: model for model in (PyLifModelBitAcc, PySparseModelBitAcc, PyDelaySparseModelBitAcc)
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what Lava prints off the terminal, and take back the log handlers that each of its Processes adds."""
    loggers = [logging.getLogger(), *(logging.getLogger(n) for n in list(logging.Logger.manager.loggerDict))]
    before = {logger: list(logger.handlers) for logger in loggers}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for name in ["", *logging.Logger.manager.loggerDict]:
            logger = logging.getLogger(name)
            if not name or name.split(".")[0] == "lava":
                logger.handlers[:] = before.get(logger, [])


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back; it comes at the end. What is forked here never hears it: ending that is the program's part."""
    resource_tracker.ensure_running()  # else it would be started in here, and lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
