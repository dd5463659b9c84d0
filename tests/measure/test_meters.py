"""RAPL from a folder as powercap has it, NVML from a module with pynvml's names: what is counted, what is not, and why."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuro.errors import UnsupportedError
from neuro.measure import Nvml, Rapl, find_nvml, find_rapl, measure, meters
from tests.measure.machines import COUNTED, FakeGpu, FakeNvml, Powercap


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    return Powercap(tmp_path / "powercap")


def found(powercap: Powercap, watch_s: float = 60.0) -> Rapl:
    rapl, absent = find_rapl(powercap.root, watch_s)
    assert rapl is not None
    assert absent == ()
    return rapl


def test_packages_and_their_memories_are_counted_once(powercap: Powercap) -> None:
    rapl = found(powercap)
    assert rapl.domains == COUNTED
    assert (
        rapl.covers == "all that runs on package-0, package-0/dram, package-1, package-1/dram (RAPL through powercap)"
    )
    window = rapl.start()
    for k, zone in enumerate(powercap.zones):  # core, psys and mmio count too, and must not be added
        powercap.add(zone, 1000 * (k + 1))
    assert window.stop() == pytest.approx(
        {"package-0": 1e-3, "package-0/dram": 3e-3, "package-1": 4e-3, "package-1/dram": 5e-3}
    )


def test_a_counter_that_starts_again_goes_on_counting(powercap: Powercap) -> None:
    powercap.set("intel-rapl:0", 999_000)
    window = found(powercap).start()
    powercap.add("intel-rapl:0", 5000)
    assert powercap.get("intel-rapl:0") == 4000
    assert window.stop()["package-0"] == pytest.approx(5e-3)


def test_a_counter_that_starts_again_twice_is_watched_meanwhile(powercap: Powercap) -> None:
    window = found(powercap, watch_s=0.005).start()
    for _ in range(5):  # 3 J over a counter that holds 1 J
        powercap.add("intel-rapl:1", 600_000)
        time.sleep(0.1)
    assert window.stop()["package-1"] == pytest.approx(3.0)
    unwatched = found(powercap).start()
    powercap.add("intel-rapl:1", 600_000)
    powercap.add("intel-rapl:1", 600_000)
    assert unwatched.stop()["package-1"] == pytest.approx(0.2)  # what the watching is for


def test_without_powercap_the_reason_says_what_is_needed(tmp_path: Path) -> None:
    rapl, absent = find_rapl(tmp_path / "nothing")
    assert rapl is None
    assert [a.meter for a in absent] == ["rapl"]
    assert "no RAPL counters (got no package in" in absent[0].reason
    assert "Containers and virtual machines mostly hide them" in absent[0].reason


@pytest.fixture
def as_a_stranger() -> Iterator[Path]:
    """Give a folder that every user can enter, to a process without root's rights, which pass every file."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    user = os.geteuid()
    try:
        yield folder
    finally:
        if os.geteuid() != user:
            os.seteuid(user)
        shutil.rmtree(folder)


def test_counters_for_root_alone_are_explained(as_a_stranger: Path) -> None:
    powercap = Powercap(as_a_stranger / "powercap", {"intel-rapl:0": ("package-0", 10), "intel-rapl:0:0": ("dram", 10)})
    (powercap.root / "intel-rapl:0" / "energy_uj").chmod(0o400 if os.geteuid() == 0 else 0o000)
    if os.geteuid() == 0:
        os.seteuid(65534)
    rapl, absent = find_rapl(powercap.root)
    assert rapl is not None
    assert rapl.domains == ("package-0/dram",)
    assert [a.meter for a in absent] == ["rapl package-0"]
    assert "not to be read (got permission denied; need the right to read)" in absent[0].reason
    assert "CVE-2020-8694" in absent[0].reason
    assert f"chmod a+r {powercap.root}/intel-rapl:*/energy_uj" in absent[0].reason


def test_a_counter_that_is_no_number_is_absent(powercap: Powercap) -> None:
    (powercap.root / "intel-rapl:1" / "energy_uj").write_text("unknown\n")
    rapl, absent = find_rapl(powercap.root)
    assert rapl is not None
    assert "package-1" not in rapl.domains
    assert "no counter (got 'unknown'; need a whole number)" in absent[0].reason


def test_a_folder_that_is_not_as_the_kernel_has_it_is_a_reason(powercap: Powercap) -> None:
    (powercap.root / "intel-rapl:1" / "name").unlink()
    rapl, absent = find_rapl(powercap.root)
    assert rapl is None
    assert "intel-rapl:1/name: not to be read (got" in absent[0].reason


def test_joules_over_time_are_power(powercap: Powercap) -> None:
    """Files that change while a job runs: 2 W idle, 6 W while it works. Real time, so that the tolerance is that of a busy machine."""
    working, end = threading.Event(), threading.Event()

    def burn() -> None:
        last = time.perf_counter()
        while not end.wait(0.001):
            now = time.perf_counter()
            powercap.add("intel-rapl:0", round((6e6 if working.is_set() else 2e6) * (now - last)))
            last = now

    def job() -> None:
        working.set()
        time.sleep(0.05)
        working.clear()

    thread = threading.Thread(target=burn)
    thread.start()
    try:
        measured = measure(job, meters=[found(powercap, watch_s=0.02)], repeats=4, warmup=1, idle_s=0.3, least_s=0.2)
    finally:
        end.set()
        thread.join()
    drawn = measured.drawn["rapl"]
    assert measured.n_calls >= 4
    assert drawn.idle_w["package-0"] == pytest.approx(2.0, rel=0.3)
    assert sorted(drawn.net_j["package-0"] / measured.seconds)[1:3] == pytest.approx([4.0, 4.0], rel=0.3)
    assert drawn.gross_j["package-1"].tolist() == [0.0] * 4


# ------------------------------------------------------------------------------------------------------------ NVML


def test_energy_counters_of_gpus_are_read_in_millijoules() -> None:
    nvml = FakeNvml([FakeGpu("A", 5000), FakeGpu(b"B", 70_000)])
    meter, absent = find_nvml(nvml)
    assert meter is not None
    assert absent == ()
    assert meter.domains == ("gpu 0 A", "gpu 1 B")
    assert meter.covers == "all that runs on gpu 0 A by energy counter, gpu 1 B by energy counter (NVML)"
    window = meter.start()
    nvml.gpus[0].energy_mj, nvml.gpus[1].energy_mj = 7500, 70_001
    assert window.stop() == {"gpu 0 A": 2.5, "gpu 1 B": 0.001}
    assert nvml.running == 1
    meter.close()
    assert nvml.running == 0


def test_power_of_a_gpu_without_a_counter_is_integrated() -> None:
    now = 0.0
    gpu = FakeGpu("old", None, 100_000)
    nvml = FakeNvml([gpu])
    plain, _ = find_nvml(nvml)
    assert plain is not None
    assert "gpu 0 old by power samples" in plain.covers
    meter = Nvml(nvml, plain.gpus, period_s=60.0, clock=lambda: now)
    window = meter.start()
    window._take()
    now, gpu.power_mw = 2.0, 300_000  # a ramp from 100 W to 300 W in 2 s
    assert window.stop() == {"gpu 0 old": pytest.approx(400.0)}


def test_power_is_sampled_while_the_job_runs() -> None:
    gpu = FakeGpu("old", None, 0)
    meter, _ = find_nvml(FakeNvml([gpu]), period_s=0.005)
    assert meter is not None
    window = meter.start()
    begin = time.perf_counter()
    gpu.power_mw = 100_000
    time.sleep(0.3)
    seconds = time.perf_counter() - begin
    gpu.power_mw = 0  # the first and the last reading alone would say 0 J
    assert window.stop()["gpu 0 old"] == pytest.approx(100 * seconds, rel=0.3)


@pytest.mark.parametrize(
    ("nvml", "reason"),
    [
        (FakeNvml(starts=False), r"NVML does not start \(got Driver Not Loaded; need an NVIDIA GPU and its driver\)"),
        (FakeNvml(), r"no GPU \(got a driver that sees none; need one\)"),
        (FakeNvml([FakeGpu("dumb", None, None)]), r"neither energy nor power can be read \(got Not Supported"),
    ],
)
def test_absent_gpus_are_explained_and_nvml_is_given_back(nvml: FakeNvml, reason: str) -> None:
    meter, absent = find_nvml(nvml)
    assert meter is None
    assert len(absent) == 1
    with pytest.raises(UnsupportedError, match=reason):
        raise UnsupportedError(absent[0].reason)
    assert nvml.running == 0


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    meter, absent = find_nvml()
    assert meter is None
    assert "pip install 'neuro[measure]'" in absent[0].reason


def test_counter_that_goes_back_is_refused() -> None:
    nvml = FakeNvml([FakeGpu("A", 5000)])
    meter, _ = find_nvml(nvml)
    assert meter is not None
    window = meter.start()
    nvml.gpus[0].energy_mj = 10
    with pytest.raises(UnsupportedError, match=r"energy counter went back \(got 10 mJ after 5000 mJ"):
        window.stop()


def test_a_gpu_that_is_lost_while_it_is_sampled_is_told() -> None:
    gpu = FakeGpu("old", None, 1000)
    meter, _ = find_nvml(FakeNvml([gpu]), period_s=0.001)
    assert meter is not None
    window = meter.start()
    gpu.power_mw = None
    time.sleep(0.05)
    with pytest.raises(UnsupportedError, match="nvmlDeviceGetPowerUsage failed"):
        window.stop()


def test_this_machine_has_a_meter_or_a_reason(powercap: Powercap) -> None:
    """With the real files and the real pynvml: each of the two is there, or said to be absent."""
    with meters() as here:
        named = {m.name for m in here.meters} | {a.meter.split()[0] for a in here.absent}
        assert named == {"rapl", "nvml"}
        assert all(a.reason for a in here.absent)
    nvml = FakeNvml([FakeGpu()])
    with meters(powercap.root, nvml) as both:
        assert [m.name for m in both.meters] == ["rapl", "nvml"]
        assert nvml.running == 1
    assert nvml.running == 0
