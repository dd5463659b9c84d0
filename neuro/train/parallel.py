"""Train in several processes as if in one: what they exchange, how they fail together, and how they stay the same.

Every process holds the whole network and takes its share of each global batch. All traffic is one operation, a sum over the
processes (`torch.distributed.all_reduce`), so that a process that fails inside its part of the work can still take part, and say so.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # now, see below
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from neuro.errors import NeuroError
from neuro.tasks import Batch

# Functions of torch.distributed.nn have the process group that there is when they are imported as a default argument, and a group that
# is still held when Python ends aborts the process. Optimisers import them, so that has to come before there is a group.

T = TypeVar("T")

TIMEOUT_S = 600.0
"""How long a process waits for the others, seconds: longer than any step, validation or checkpoint takes."""
_NOTICE_S = 5.0
"""How long the ones that are left wait for each other's notice before they say who is gone."""


@dataclass(frozen=True)
class Group:
    """The processes of a run: this one's rank, how many there are.

    `Group()` is a process by itself: then nothing is exchanged, and no method costs anything. store: of torch.distributed, through which
    the ones that are left find out who is gone.
    """

    rank: int = 0
    size: int = 1
    store: Store | None = field(default=None, repr=False)

    @classmethod
    def current(cls) -> Group:
        """Return the default process group of torch.distributed, or a process by itself where there is none."""
        if dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def chief(self) -> bool:
        """Say whether this process writes files and speaks: rank 0."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """Return this process's share of n samples; shares differ by at most one."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def share(self, batch: Batch) -> Batch:
        """Return this process's share of a batch."""
        own = self.part(len(batch))
        return (
            batch
            if self.size == 1
            else Batch(inputs=batch.inputs[own], window=batch.window[own], targets=batch.targets[own])
        )

    def total(
        self,
        where: str,
        size: int,
        work: Callable[[], Tensor],
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
    ) -> Tensor:
        """Sum over the processes what the work of each returns, (size,) of a dtype, on a device.

        The same bits on all of them. Where the work of one raises, all raise: that one its own error, the others a NeuroError that
        names it. `where` starts messages about a process that is gone.
        Raises: NeuroError.
        """
        if self.size == 1:
            return work()
        failure: Exception | None = None
        values = torch.zeros(size + 1, dtype=dtype, device=device)
        try:
            values[:size] = work().detach()
        except Exception as err:  # told to all the others, then raised
            failure = err
            values.zero_()
            values[size] = 1
        self._sum(where, values)
        if values[size]:
            self._raise(where, failure)
        return values[:size]

    def together(self, where: str, work: Callable[[], T]) -> T:
        """Do work that may fail on one process alone, and return what it gives here. Raises: as `total`."""
        if self.size == 1:
            return work()
        found: list[T] = []

        def run() -> Tensor:
            found.append(work())
            return torch.zeros(0)

        self.total(where, 0, run)
        return found[0]

    def hand_out(self, where: str, data: bytes) -> bytes:
        """Return the bytes that the chief has, on every process."""
        if self.size == 1:
            return data
        length = torch.tensor([len(data) if self.chief else 0])
        self._sum(where, length)
        values = torch.zeros(int(length), dtype=torch.uint8)
        if self.chief:
            values[:] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        self._sum(where, values)
        return values.numpy().tobytes()

    def check_same(self, where: str, named: Mapping[str, Tensor | bytes]) -> None:
        """Refuse to go on where a process holds other numbers than rank 0. The names must be the same on all of them.

        Raises: NeuroError with the first name and the ranks.
        """
        if self.size == 1:
            return
        # the same order on all, weights before what follows from them
        names = sorted(named, key=lambda name: (not name.startswith("model/"), name))
        prints = torch.zeros(self.size, len(names), dtype=torch.int64)
        prints[self.rank] = torch.tensor([_print(named[name]) for name in names])
        self._sum(where, prints)
        for name, column in zip(names, prints.T, strict=True):
            others = torch.nonzero(column != column[0]).view(-1).tolist()
            if others:
                raise NeuroError(
                    f"{where}: processes are no longer the same (got other numbers in '{name}' on rank {_list(others)} than on rank 0; need "
                    f"equal ones on all {self.size}). Give all the same recipe and start, the same versions and the same kind of machine."
                )

    def _sum(self, where: str, values: Tensor) -> None:
        """Sum a tensor over the processes, in place."""
        there = values.cuda() if dist.get_backend() == "nccl" and not values.is_cuda else values
        try:
            dist.all_reduce(there)
        except RuntimeError as err:
            who, last = self._gone(), str(err).splitlines()[0].split("] ", 1)[-1].split(". ")[0]
            raise NeuroError(
                f"{where}: lost {who} of {self.size} (rank {self.rank} got '{last}'; need all of them to answer within the time limit). "
                "Look at what that process said last. The last checkpoint is kept: resume the run."
            ) from err
        if there is not values:
            values.copy_(there)

    def _raise(self, where: str, failure: Exception | None) -> None:
        """Raise on every process, since one of them failed."""
        said = str(failure) if isinstance(failure, NeuroError) else repr(failure)
        texts = self._texts(where, "" if failure is None else said)
        if failure is not None:
            raise failure
        rank, text = next((rank, text) for rank, text in enumerate(texts) if text)
        raise NeuroError(f"rank {rank} of {self.size}: {text}")

    def _texts(self, where: str, text: str) -> list[str]:
        """Return the text of every process."""
        data = text.encode()
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(data)
        self._sum(where, lengths)
        values = torch.zeros(self.size, int(lengths.max()), dtype=torch.uint8)
        values[self.rank, : len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else 0
        self._sum(where, values)
        return [bytes(row[:n].tolist()).decode() for row, n in zip(values, lengths.tolist(), strict=True)]

    def _gone(self) -> str:
        """Find out which processes are gone, after a sum that failed: those that do not notice it as well."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        if self.size == 2:
            return f"rank {others[0]}"
        if self.store is None:
            return f"one of ranks {_list(others)}"
        try:
            self.store.set(f"noticed/{self.rank}", "")
            self._hang_up(others)
            end = time.monotonic() + _NOTICE_S
            while others and time.monotonic() < end:
                others = [rank for rank in others if not self.store.check([f"noticed/{rank}"])]
                time.sleep(0.05)
        except RuntimeError:
            return "rank 0, which kept the list of all"
        return f"rank {_list(others)}" if others else "a connection"

    def _hang_up(self, others: list[int]) -> None:
        """Close the connections to the others, which may be waiting for this process in the sum that failed."""
        for rank in others:
            try:  # gloo closes every connection of a process whose receive runs out of time
                work = dist.irecv(torch.zeros(1), src=rank)
                assert work is not None
                work.wait(timedelta(milliseconds=1))
            except RuntimeError:
                continue


ALONE = Group()
"""A process by itself."""


@contextmanager
def joined(timeout_s: float = TIMEOUT_S) -> Iterator[Group]:
    """Join the processes that torchrun started, and leave them at the end; a process by itself where it started none.

    Reads RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. CPU tensors go through gloo, CUDA tensors through NCCL. A process group
    that exists already is used, and kept.
    Parameters: timeout_s, how long a process waits for the others before it gives up.
    Raises: NeuroError if the environment is incomplete, or the others do not come in time.
    """
    if dist.is_initialized():
        yield Group.current()
        return
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield Group()
        return
    limit = timedelta(seconds=timeout_s)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=limit)))
        dist.init_process_group(backend, store=PrefixStore("sums", store), rank=rank, world_size=size, timeout=limit)
    except (ValueError, RuntimeError) as err:
        raise NeuroError(
            f"processes: could not find each other (got {str(err).splitlines()[0]}; need {os.environ['WORLD_SIZE']} of them). Start them with "
            "torchrun, or unset WORLD_SIZE."
        ) from err
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        yield Group(rank, size, PrefixStore("group", store))
    finally:
        dist.destroy_process_group()


def flat_gradient(parameters: list[torch.nn.Parameter]) -> Tensor:
    """Return the gradients of all parameters side by side, (n,), 0 where there is none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])


def set_gradient(parameters: list[torch.nn.Parameter], flat: Tensor) -> None:
    """Put back what `flat_gradient` returns."""
    for p, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p)


def _print(value: Tensor | bytes) -> int:
    """Return 64 bits that differ where the bytes do."""
    data = (
        value
        if isinstance(value, bytes)
        else value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    )
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def _list(ranks: list[int]) -> str:
    return ", ".join(map(str, ranks))
