"""Repetitions, idle power, spread and what is left out, in a world whose time and energy are known exactly."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuro.errors import DataError
from neuro.measure import Absent, Measured, Spread, Subject, as_json, machine, measure
from tests.measure.machines import Counter, World

RAPL_GONE = Absent("rapl", "no counters")


def measured(world: World, job: Any, **options: Any) -> Measured:
    options = {"meters": [Counter(world)], "repeats": 5, "idle_s": 4.0, "least_s": 1.0, **options}
    return measure(job, clock=world.clock, sleep=world.sleep, **options)


def test_idle_power_is_subtracted_from_what_a_call_takes() -> None:
    world = World(idle_w=10.0)
    found = measured(world, world.job(0.25, 3.0))
    assert found.n_calls == 4
    assert found.seconds.tolist() == [0.25] * 5
    drawn = found.drawn["counter"]
    assert drawn.total_gross_j.tolist() == [2.5 + 3.0] * 5
    assert drawn.total_net_j.tolist() == [3.0] * 5
    assert {k: v.tolist() for k, v in drawn.net_j.items()} == {"a": [2.25] * 5, "b": [0.75] * 5}
    assert drawn.idle_w == {"a": 7.5, "b": 2.5}
    assert drawn.drift_w == {"a": 0.0, "b": 0.0}
    assert drawn.resolved(0.25)
    assert world.now == 2 * 0.25 + 4.0 + 5 * 4 * 0.25 + 4.0  # warm-up, idle, repetitions, idle: nothing else


def test_spread_is_the_median_between_the_least_and_the_most() -> None:
    world, k = World(), count()

    def job() -> None:  # warm-up calls 0 and 1, then one call a repetition
        world.job(2.0, float([0, 0, 5, 1, 4, 2, 9][next(k)]))()

    found = measured(world, job)
    assert found.n_calls == 1
    assert found.drawn["counter"].total_net_j.tolist() == [5, 1, 4, 2, 9]
    assert Spread.of(found.drawn["counter"].total_net_j) == Spread(4.0, 1.0, 9.0)
    assert Spread(4.0, 1.0, 9.0) / 2 == Spread(2.0, 0.5, 4.5)


def test_idle_power_that_drifts_is_its_mean_and_the_drift_is_told() -> None:
    world, k = World(idle_w=10.0), count()

    def job() -> None:
        world.idle_w = 10.0 if next(k) < 6 else 14.0  # from the last repetition on
        world.sleep(1.0)

    found = measured(world, job)
    drawn = found.drawn["counter"]
    assert sum(drawn.idle_w.values()) == 12.0
    assert sum(drawn.drift_w.values()) == 4.0
    assert drawn.total_net_j.tolist() == [-2.0, -2.0, -2.0, -2.0, 2.0]  # noise below 0 is not clipped
    assert not drawn.resolved(1.0)


def test_without_a_meter_time_alone_is_measured_and_nobody_waits() -> None:
    world = World()
    found = measured(world, world.job(0.5, 1.0), meters=[], absent=[RAPL_GONE])
    assert found.drawn == {}
    assert found.absent == (RAPL_GONE,)
    assert found.seconds.tolist() == [0.5] * 5
    assert found.idle_s == 0.0
    assert world.now == (2 + 5 * 2) * 0.5
    assert "of joules: all, as no meter could be read" in found.left_out


@pytest.mark.parametrize("fails", [1, 2, 3, 8, 14], ids=["start", "idle", "first", "middle", "end"])
def test_a_meter_that_fails_on_the_way_is_left_out_and_the_others_go_on(fails: int) -> None:
    world = World()
    meters = [Counter(world), Counter(world, name="broken", fails=fails)]
    found = measured(world, world.job(0.5, 1.0), meters=meters)
    assert list(found.drawn) == ["counter"]
    assert found.drawn["counter"].total_net_j.tolist() == [1.0] * 5
    assert [a.meter for a in found.absent] == ["broken"]
    assert "could not be read to the end: counter: gone" in found.absent[0].reason


def test_a_counter_that_stands_still_is_no_meter() -> None:
    world = World(idle_w=0.0)
    found = measured(world, world.job(0.5, 0.0))
    assert found.drawn == {}
    assert "counters stand still (got 0 J in all repetitions" in found.absent[0].reason


def test_what_the_job_raises_ends_the_windows_and_is_raised() -> None:
    world, k = World(), count()
    counter = Counter(world)

    def job() -> None:
        world.sleep(1.0)
        if next(k) == 4:
            raise ZeroDivisionError("the job's own")

    with pytest.raises(ZeroDivisionError, match="the job's own"):
        measured(world, job, meters=[counter])
    assert counter.n_read == 2 + 2 * 3  # idle and three repetitions, each ended


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 1}, r"'repeats' out of range \(got 1; need at least 2: one has no spread\)"),
        ({"warmup": 0}, r"'warmup' out of range \(got 0; need at least 1"),
        ({"idle_s": 0.0}, r"'idle_s' out of range \(got 0.0; need a positive number"),
        ({"idle_s": float("inf")}, r"'idle_s' out of range \(got inf"),
        ({"least_s": -1.0}, r"'least_s' out of range \(got -1.0"),
        ({"repeats": 0, "warmup": 0}, r"(?s)'repeats' out of range.*'warmup' out of range"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(options: dict[str, Any], message: str) -> None:
    world = World()
    with pytest.raises(DataError, match=message):
        measured(world, world.job(1.0, 1.0), **options)
    assert world.now == 0.0


def test_progress_is_told_between_stretches() -> None:
    world, told = World(), []
    measured(world, world.job(0.5, 1.0), progress=lambda done, total, what: told.append((done, total, what)))
    assert told[0] == (0, 5, "warming up")
    assert [what for _, _, what in told[1:3]] == ["idle", "repetition 1 of 5, 2 calls"]
    assert told[-1] == (5, 5, "idle")


def subject() -> Subject:
    return Subject(
        model="n", about={"kind": "spiking"}, score={"n_right": 3}, backend="engine", options={"n_threads": 1}, task={"name": "digits"}, split="test",
        n_samples=10, batch=5, steps=150, dt_ms=1.0, command="neuro measure n", versions={"neuro": "0"}, machine=machine(),
    )  # fmt: skip


def test_file_holds_calls_and_inferences_and_every_repetition() -> None:
    world = World()
    meters = [Counter(world), Counter(world, name="other")]
    data = json.loads(as_json(subject(), measured(world, world.job(0.25, 3.0), meters=meters, absent=[RAPL_GONE])))
    assert (data["format"], data["schema_version"], data["model"]) == ("neuro-measured", 1, "n")
    assert data["seconds"] == {"median": 0.25, "low": 0.25, "high": 0.25}
    assert data["seconds_per_inference"]["median"] == 0.025
    joules = data["joules"]
    assert (joules["median"], joules["low"], joules["gross"]["median"]) == (6.0, 6.0, 11.0)  # of both meters
    assert joules["per_inference"]["high"] == 0.6
    assert joules["by_meter"]["other"]["median"] == 3.0
    assert joules["by_meter"]["counter"]["above_idle"] is True
    assert joules["by_meter"]["counter"]["domains"]["a"]["idle_w"] == 7.5
    assert joules["by_meter"]["counter"]["domains"]["b"]["high"] == 0.75
    assert data["idle_w"] == 20.0
    assert data["repetitions"]["net_j"]["counter"]["b"] == [0.75] * 5
    assert data["meters"][0] == {"name": "counter", "covers": "all of this world"}
    assert data["absent"] == [{"meter": "rapl", "reason": "no counters"}]
    assert {"backend", "machine", "n_samples", "repeats", "command", "versions"} <= set(data)


def test_file_of_time_alone_has_no_joules() -> None:
    world = World()
    data = json.loads(as_json(subject(), measured(world, world.job(0.25, 3.0), meters=[], absent=[RAPL_GONE])))
    assert data["joules"] is None
    assert data["idle_w"] is None
    assert data["seconds"]["median"] == 0.25


def test_machine_is_named_by_its_kernel_or_by_python(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: other\n")
    assert machine(tmp_path / "cpuinfo")["processor"] == "Some CPU @ 3 GHz"
    bare = machine(tmp_path / "absent")
    assert bare["processor"]
    assert int(bare["cores"]) >= 1


def test_real_time_is_measured() -> None:
    values = np.random.default_rng(0).random(200_000)
    found = measure(lambda: np.sort(values), repeats=3, least_s=0.02)
    assert found.n_calls > 1
    assert (found.seconds > 1e-5).all()
