"""docs/energy.md: the figure derived by hand, from its own numbers and from a run; the tables are those that the code gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from neuro import deploy
from neuro.backend import Record, run
from neuro.cli.options import task_of
from neuro.graph import load
from neuro.metrics import Energy, Range, Workload, device, devices, estimate, workload
from neuro.report import match

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "energy.md"
FAST_S = 1e-5
UNIT = {"pJ": 1e-12, "nJ": 1e-9, "uJ": 1e-6, "mJ": 1e-3, "mW": 1e-3, "ms": 1e-3}


@pytest.fixture(scope="module")
def digits() -> Workload:
    """Return what models/digits_loihi1 did on the 360 test digits, on one core of a Loihi."""
    graph = load(ROOT / "models" / "digits_loihi1" / "graph.h5")
    task = task_of(graph, None)
    stimulus = match(graph, task).stimulus(graph, task.fixed("test", 0, 360))
    recording = run(graph, stimulus, "engine", Record())
    return workload(graph, recording, placed=deploy.placement(graph, "loihi1"), mesh=device("loihi").mesh)


def by_hand() -> dict[str, list[float]]:
    """Return the numbers of the derivation: count, factors and product by line, as "part what"; the products in joules."""
    found = re.search(r"<!-- by hand -->\n```text\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    lines = {}
    for line in found[1].splitlines():
        made = re.match(r"(\w+) +(?:([\d,]+) (.+?) +x (.+?) += +)?([\d,.]+) (\wJ)$", line)
        if made is None:
            assert not line.strip(), line
            continue
        part, count, what, factors, product, unit = made.groups()
        numbers = [float(x) * UNIT[u] for x, u in re.findall(r"([\d.]+) (\w+)", factors or "")]
        count = [float(count.replace(",", ""))] if count else []
        lines[f"{part} {what or ''}".strip()] = [*count, *numbers, float(product.replace(",", "")) * UNIT[unit]]
    return lines


def test_the_derivation_by_hand_adds_up() -> None:
    lines = by_hand()
    assert len(lines) == 7
    dynamic = lines.pop("dynamic")[0]
    for line, (count, *factors, product) in lines.items():
        made = count
        for factor in factors:
            made *= factor
        assert made == pytest.approx(product, rel=2e-3 if product < 1e-9 else 1e-6), line
    parts = [product for line, (*_, product) in lines.items() if line.split()[0] in ("synaptic", "neuron", "routing")]
    assert sum(parts) == pytest.approx(dynamic, rel=1e-6)


def test_the_derivation_has_the_counts_of_the_run_and_the_prices_of_the_table(digits: Workload) -> None:
    lines = by_hand()
    active = sum(int(u.active[0]) for u in digits.updates.values())
    idle = sum(int(u.idle[0]) for u in digits.updates.values())
    assert active + idle == 150 * 150
    assert digits.routing is not None
    counts = {
        "synaptic events": sum(int(n[0]) for n in digits.synaptic_events.values()),
        "neuron active updates": active,
        "neuron idle updates": idle,
        "routing messages": int(digits.routing.within_core[0]),
    }
    assert {line: lines[line][0] for line in counts} == counts
    assert min(counts.values()) > 0
    price = device("loihi").price
    prices = {
        "synaptic events": price["synaptic"]["event"],
        "neuron active updates": price["neuron"]["active"],
        "neuron idle updates": price["neuron"]["idle"],
        "routing messages": price["routing"]["within_core"],
        "static core": price["static"]["core"],
        "host chip": price["host"]["chip"],
    }
    for line, figure in prices.items():
        assert lines[line][1] == pytest.approx(figure.si.value), line


def test_the_estimate_is_the_derivation(digits: Workload) -> None:
    lines = by_hand()
    energy = estimate(digits, "loihi")
    assert energy.dynamic_per_sample[0] == pytest.approx(lines["dynamic"][0], rel=1e-6)
    static, host = energy.parts["static"].energy, energy.parts["host"].energy
    assert static is not None
    assert host is not None
    assert (static.value, host.value) == pytest.approx((lines["static core"][-1], lines["host chip"][-1]))


def test_what_the_page_says_of_the_first_digit(digits: Workload) -> None:
    text = " ".join(PAGE.read_text().split())
    (events, _, _), (active, _, _), (idle, _, _), (spikes, _, _) = (
        by_hand()[line] for line in ("synaptic events", "neuron active updates", "neuron idle updates", "routing messages")
    )  # fmt: skip
    assert spikes == sum(int(digits.spikes[name][0]) for name in ("lif", "alif"))
    low = (events * 23.6 + active * 72.8 + idle * 51.2) * 1e-6
    high = (events * 35.5 + active * 81 + idle * 52 + spikes * (69.3 + 1.7)) * 1e-6
    value = by_hand()["dynamic"][0] * 1e6
    assert f"The range is {low:.3f} to {high:.3f} uJ" in text
    assert f"neuron updates are {100 * (active * 81 + idle * 52) * 1e-6 / value:.0f} %" in text
    static = by_hand()["static core"][-1] * 1e6
    assert f"({value:.3f} uJ + {static:.3f} uJ) x 150 ms = {(value + static) * 0.15:.3f} uJ s" in text
    energy = estimate(digits, "loihi")
    static_j, host_j = energy.parts["static"].energy, energy.parts["host"].energy
    assert static_j is not None
    assert host_j is not None
    assert f"leakage is {static_j.value / energy.dynamic.value:.0f} times the dynamic energy" in text
    assert f"x86 cores on the chip are {host_j.value / static_j.value:.0f} times that" in text


def test_the_check_against_a_measured_board_follows_from_the_table() -> None:
    price = device("loihi").price
    event, idle = price["synaptic"]["event"].value, price["neuron"]["idle"].value
    least, most = ((n * 76_800 * event + 76_800 * 60 * idle) * 1e-9 for n in (667, 750))
    text = " ".join(PAGE.read_text().split())
    assert f"the table's prices give {least:.2f} to {most:.2f} mJ" in text
    assert f"{100 * (least / 1.33 - 1):.0f} to {100 * (most / 1.33 - 1):.0f} % too much" in text


def shown(energy: Range | None, status: str) -> str:
    """Return an energy with its range in a unit that fits, or the status of a part that has none."""
    if energy is None:
        return status
    unit = next(u for u in ("mJ", "uJ", "nJ", "pJ") if energy.value >= UNIT[u])
    low, value, high = (f"{float(f'{x / UNIT[unit]:.3g}'):g}" for x in (energy.low, energy.value, energy.high))
    return f"{value} {unit}" if low == high else f"{value} ({low} to {high}) {unit}"


def table(work: Workload) -> str:
    """Return the page's table of devices."""
    rows = ["| device | dynamic | static, 1 ms | host, 1 ms | static, 10 us |", "| --- | --- | --- | --- | --- |"]
    for name in devices():
        slow, fast = estimate(work, name), estimate(work, name, step_time_s=FAST_S)

        def cell(of: Energy, part: str) -> str:
            return shown(of.parts[part].energy, of.parts[part].status)

        cells = (name, shown(slow.dynamic, ""), cell(slow, "static"), cell(slow, "host"), cell(fast, "static"))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def test_the_table_of_devices_is_what_the_estimates_give(digits: Workload) -> None:
    found = re.search(r"<!-- devices -->\n\n(.*?)\n\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == table(digits)


def test_the_list_of_devices_is_what_the_command_prints() -> None:
    found = re.search(
        r"<!-- output of: neuro devices -->\n```text\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found is not None
    done = subprocess.run(
        [sys.executable, "-c", "from neuro.cli import app; app()", "devices"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert [line.rstrip() for line in done.stdout.splitlines()] == found[1].splitlines()
