"""Measure a job by repetition: time, and energy above that of the idle machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from neuro.errors import DataError, UnsupportedError
from neuro.measure.measured import Drawn, Measured
from neuro.measure.meter import Absent, Meter, Window

Tell = Callable[[int, int, str], None]
"""Called with (done, total, what is done now)."""


@dataclass(frozen=True)
class Stretch:
    """One stretch of time: its length with the readings, and the joules of each meter that could be read, by domain."""

    seconds: float
    joules: Mapping[str, Mapping[str, float]]


class Watch:
    """Read meters over stretches of time; a meter that fails once is left out from then on, with its reason."""

    def __init__(self, meters: Iterable[Meter], clock: Callable[[], float]) -> None:
        self.meters = {meter.name: meter for meter in meters}
        self.failed: list[Absent] = []
        self._clock = clock

    def over(self, body: Callable[[], None]) -> Stretch:
        """Run `body` and read all meters before and after it."""
        begin = self._clock()
        windows = dict(self._started())
        try:
            body()
        finally:  # also if it raises: a window may hold a thread
            joules = dict(self._stopped(windows))
        return Stretch(self._clock() - begin, joules)

    def _started(self) -> Iterator[tuple[str, Window]]:
        for name, meter in list(self.meters.items()):
            with self._or_left_out(name):
                yield name, meter.start()

    def _stopped(self, windows: Mapping[str, Window]) -> Iterator[tuple[str, Mapping[str, float]]]:
        for name, window in windows.items():
            with self._or_left_out(name):
                yield name, window.stop()

    @contextmanager
    def _or_left_out(self, name: str) -> Iterator[None]:
        try:
            yield
        except UnsupportedError as err:
            self.leave_out(name, f"could not be read to the end: {err}")

    def leave_out(self, name: str, reason: str) -> None:
        """Use a meter no more."""
        self.failed.append(Absent(name, reason))
        del self.meters[name]


def measure(
    job: Callable[[], object],
    *,
    meters: Sequence[Meter] = (),
    absent: Sequence[Absent] = (),
    repeats: int = 10,
    warmup: int = 2,
    idle_s: float = 5.0,
    least_s: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
    progress: Tell = lambda done, total, what: None,
) -> Measured:
    """Run a job again and again and return what one call takes.

    In order: `warmup` calls; idle_s of nothing; `repeats` repetitions, each of as many calls as fill least_s; idle_s of nothing. Per
    repetition, of n calls in T seconds with E joules,

        seconds = T / n;   gross_j = E / n;   net_j = (E - idle_w * T) / n

    with idle_w the mean power of the two idle stretches. Nothing is clipped or dropped: net_j may fall below 0.

    Parameters: job, called without arguments; it has to have ended its work when it returns. meters, absent: as `meters()` gives
    them. clock, sleep: those of the machine. progress: called before each stretch.
    Raises: DataError if repeats, warmup, idle_s or least_s are out of range; what the job raises.
    """
    _check(repeats, warmup, idle_s, least_s)
    watch = Watch(meters, clock)
    progress(0, repeats, "warming up")
    for _ in range(warmup):
        begin = clock()
        job()
        last_s = clock() - begin
    n_calls = max(1, math.ceil(least_s / max(last_s, 1e-6)))
    seconds: list[float] = []

    def calls() -> None:
        begin = clock()
        for _ in range(n_calls):
            job()
        seconds.append((clock() - begin) / n_calls)

    def idle() -> Stretch | None:
        if not watch.meters:
            return None
        progress(len(seconds), repeats, "idle")
        return watch.over(lambda: sleep(idle_s))

    before = idle()
    stretches = []
    for k in range(repeats):
        progress(k, repeats, f"repetition {k + 1} of {repeats}, {n_calls} calls")
        stretches.append(watch.over(calls))
    after = idle()
    _leave_out_still(watch, stretches)
    drawn = {}
    if before is not None and after is not None:
        drawn = {name: _drawn(meter, before, stretches, after, n_calls) for name, meter in watch.meters.items()}
    return Measured(
        seconds=np.array(seconds), n_calls=n_calls, warmup=warmup, repeats=repeats, idle_s=idle_s if drawn else 0.0, drawn=drawn,
        absent=(*absent, *watch.failed),
    )  # fmt: skip


def _drawn(meter: Meter, before: Stretch, stretches: list[Stretch], after: Stretch, n_calls: int) -> Drawn:
    first, last = (
        {domain: joules / s.seconds for domain, joules in s.joules[meter.name].items()} for s in (before, after)
    )
    idle_w = {domain: (first[domain] + last[domain]) / 2 for domain in meter.domains}
    length = np.array([s.seconds for s in stretches])
    gross = {domain: np.array([s.joules[meter.name][domain] for s in stretches]) for domain in meter.domains}
    return Drawn(
        covers=meter.covers,
        gross_j={domain: j / n_calls for domain, j in gross.items()},
        net_j={domain: (j - idle_w[domain] * length) / n_calls for domain, j in gross.items()},
        idle_w=idle_w,
        drift_w={domain: last[domain] - first[domain] for domain in meter.domains},
    )


def _leave_out_still(watch: Watch, stretches: list[Stretch]) -> None:
    """Leave out meters that counted nothing while the job ran: some virtual machines show counters that stand still."""
    for name in list(watch.meters):
        if sum(sum(s.joules[name].values()) for s in stretches) <= 0:
            watch.leave_out(
                name,
                "counters stand still (got 0 J in all repetitions; need joules). A virtual machine may show counters that it does not "
                "have: measure on the host.",
            )


def _check(repeats: int, warmup: int, idle_s: float, least_s: float) -> None:
    rules = (
        (repeats >= 2, "repeats", repeats, "at least 2: one has no spread"),
        (warmup >= 1, "warmup", warmup, "at least 1: its time says how many calls fill a repetition"),
        (0 < idle_s < math.inf, "idle_s", idle_s, "a positive number of seconds: idle power is subtracted"),
        (0 <= least_s < math.inf, "least_s", least_s, "a number of seconds, 0 or more"),
    )
    failures = [
        f"measure: '{name}' out of range (got {got}; need {need})." for holds, name, got, need in rules if not holds
    ]
    if failures:
        raise DataError("\n".join(failures) + " Change it.")
