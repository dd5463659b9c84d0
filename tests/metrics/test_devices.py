"""The table of devices: every figure is sourced and in order, derived ones follow from their notes, and bad tables are refused."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

from neuro.errors import DataError, UnsupportedError
from neuro.metrics import PARTS, Device, Mesh, device, devices, refused
from neuro.metrics.device_rules import FAULTS, SURE, UNITS
from neuro.metrics.devices import read_devices

NAMES = ("loihi", "truenorth", "odin", "reckon", "spinnaker2", "seneca", "digital45")

TABLE = """\
[sources]
paper = "A paper 2020, table 1"
[refused]
secret = "nothing is published"
[chip]
title = "A chip"
prices = "spiking"
needs_placement = false
node = "28 nm"
operating_point = "0.8 V"
[chip.price.synaptic]
event = { value = 2.0, low = 1.0, high = 3.0, unit = "pJ", sources = ["paper"], sure = "verified", basis = "measured" }
[chip.price.static]
chip = { value = 5.0, unit = "mW", sources = ["paper"], sure = "secondary", basis = "measured", operating_point = "1 V" }
[chip.without]
neuron = { status = "included", note = "in synaptic" }
routing = { status = "not published", note = "none found" }
learning = { status = "not published", note = "none found" }
host = { status = "not published", note = "none found" }
"""


def test_the_table_holds_the_devices_and_their_figures() -> None:
    assert tuple(devices()) == NAMES
    for name, each in devices().items():
        assert each.name == name
        assert set(each.price) | set(each.without) | set(each.by_operations) == set(PARTS)
        for place, f in each.figures().items():
            assert f.source, place
            assert f.sure in SURE, place
            assert 0 <= f.low <= f.value <= f.high, place
            assert f.node, place
            assert f.operating_point, place
            assert f.si.value == f.value * UNITS[f.unit]
    assert sum(len(each.figures()) for each in devices().values()) > 50


def test_published_figures_stand_as_published() -> None:
    loihi, odin, digital = device("loihi"), device("odin"), device("digital45")
    assert loihi.price["synaptic"]["event"].si.value == pytest.approx(23.6e-12)
    assert (loihi.price["neuron"]["active"].value, loihi.price["neuron"]["idle"].value) == (81.0, 52.0)
    assert loihi.mesh == Mesh(cores_per_tile=4, columns=8, rows=4)
    assert odin.mesh is None
    assert odin.price["synaptic"]["event"].value == 8.43
    add, multiply = (digital.operations["float"][name] for name in ("add", "multiply"))
    assert (add.value, multiply.value) == (0.9, 3.7)
    assert digital.memory[0].read.si.value == pytest.approx(5e-12)  # 10 pJ for 64 bits


def test_derived_figures_follow_from_what_their_notes_say() -> None:
    static = device("loihi").price["static"]
    assert static["core"].value == pytest.approx(3.34 / 32 / 128 * 1e3, rel=1e-4)
    assert static["core"].low == pytest.approx(29 / 128, rel=1e-3)
    assert static["chip"].value == pytest.approx(3.34 / 32 * 1e3, rel=1e-3)
    assert static["chip"].low == pytest.approx(53.4 / 512 * 1e3, rel=1e-3)
    host = device("loihi").price["host"]["chip"]
    assert (host.value, host.high) == pytest.approx((2.09 / 32 * 1e3, 2.14 / 32 * 1e3), rel=1e-3)
    watts, hertz = (0.068, 0.071, 0.094), (11.58, 20.07, 95.93)
    event, chip = device("truenorth").price["synaptic"]["event"], device("truenorth").price["static"]["chip"]
    fits = {}
    for name, (i, k) in {"value": (0, 2), "high": (0, 1), "low": (1, 2)}.items():
        slope = (watts[k] - watts[i]) / (2**20 * 128 * (hertz[k] - hertz[i]))
        fits[name] = (slope * 1e12, (watts[i] - slope * 2**20 * 128 * hertz[i]) * 1e3)
    assert [fits[k][0] for k in ("low", "value", "high")] == pytest.approx(
        [event.low, event.value, event.high], rel=1e-3
    )
    assert sorted(x for _, x in fits.values()) == pytest.approx([chip.low, chip.value, chip.high], rel=2e-4)
    leak = device("odin").price["static"]["chip"]
    assert (leak.low, leak.value, leak.high) == pytest.approx((27.3, 27.3 + 1.78 * 1.3, 27.3 + 1.78 * 75), rel=1e-3)
    seneca = device("seneca")
    reused = seneca.operations["float"]["add"].value + 2 * seneca.memory[0].read.value + seneca.memory[0].write.value
    assert seneca.price["synaptic"]["event"].high == pytest.approx(reused)


def test_odin_model_gives_both_of_its_measured_powers() -> None:
    # Frenkel et al. 2019: 477 uW at 75 MHz and 37.5 million operations a second, 35 uW at 1.3 MHz and 650,000
    odin = device("odin")
    event, leak = odin.price["synaptic"]["event"].si.value, odin.price["static"]["chip"].si
    assert leak.high + 37.5e6 * event == pytest.approx(477e-6, rel=2e-3)
    assert leak.value + 650e3 * event == pytest.approx(35e-6, rel=5e-3)


def test_unknown_and_unpublished_devices_are_refused() -> None:
    with pytest.raises(
        UnsupportedError, match=r"device 'lohi': not known .*need one of loihi, .*Did you mean 'loihi'\?"
    ):
        device("lohi")
    with pytest.raises(
        UnsupportedError, match=r"device 'loihi2': cannot be priced .*no energy of its operations is published"
    ):
        device("loihi2")
    assert "loihi2" in refused()
    assert device(device("odin")) is device("odin")


def test_a_table_is_read() -> None:
    found, without = read_devices(TABLE)
    assert without == {"secret": "nothing is published"}
    chip = found["chip"]
    assert isinstance(chip, Device)
    event = chip.price["synaptic"]["event"]
    assert (event.low, event.value, event.high, event.node, event.operating_point) == (1.0, 2.0, 3.0, "28 nm", "0.8 V")
    static = chip.price["static"]["chip"]
    assert (static.low, static.high, static.operating_point) == (5.0, 5.0, "1 V")
    assert static.si.value == pytest.approx(5e-3)
    assert chip.without["neuron"] == ("included", "in synaptic")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "pJ"', 'unit = "fJ"', r"chip.price.synaptic.event: wrong unit \(got 'fJ'; need pJ or nJ\)"),
        ('unit = "mW"', 'unit = "pJ"', r"chip.price.static.chip: wrong unit \(got 'pJ'; need uW or mW\)"),
        ("low = 1.0", "low = 2.5", r"event: out of order \(got low 2.5, value 2.0, high 3.0"),
        ("value = 2.0", "value = nan", r"event: not a number \(got \(1.0, nan, 3.0\)"),
        ('sources = ["paper"], sure = "verified"', 'sources = [], sure = "verified"', "event: no sources .*No figure without a source"),
        ('sources = ["paper"], sure = "verified"', 'sources = ["papr"], sure = "verified"', r"unknown source \(got 'papr'.*Did you mean 'paper'\?"),
        ('sure = "verified"', 'sure = "certain"', r"sure is not known \(got 'certain'; need verified, secondary, derived\)"),
        ('sure = "verified"', 'sure = "derived"', "event: derived without a note"),
        ('basis = "measured" }\n[chip.price.static]', 'basis = "guessed" }\n[chip.price.static]', "basis is not known"),
        ("event = {", "evnt = {", r"chip.price.synaptic: unknown key \(got 'evnt'.*Did you mean 'event'\?"),
        ("node =", "nodes =", "chip: unknown key .*Did you mean 'node'"),
        ('prices = "spiking"', 'prices = "all"', r"chip: prices is not known \(got 'all'"),
        ("needs_placement = false", "", "chip: needs_placement is not said"),
        ('host = { status = "not published", note = "none found" }', "", r"chip: part 'host' \(got nothing; need one of price, without"),
        ('neuron = { status = "included"', 'static = { status = "included"', r"chip: part 'static' \(got price, without"),
        ('note = "in synaptic"', 'note = ""', "chip.without.neuron: not explained"),
        ('paper = "A paper 2020, table 1"', 'paper = "A"\nother = "B"', r"sources.other: no figure names it"),
        ('secret = "nothing is published"', 'secret = ""', "refused.secret: no reason"),
        ("[sources]", "[sources", "not TOML"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_by_name(old: str, new: str, message: str) -> None:
    assert old in TABLE
    with pytest.raises(DataError, match=message):
        read_devices(TABLE.replace(old, new, 1), "table")


def test_parts_by_operations_need_the_prices_of_operations() -> None:
    by = TABLE.replace('operating_point = "0.8 V"', 'operating_point = "0.8 V"\nby_operations = ["neuron"]', 1)
    bad = by.replace('neuron = { status = "included", note = "in synaptic" }\n', "")
    with pytest.raises(
        DataError, match=r"chip: by_operations without prices .*need operations.float, operations.integer, memory"
    ):
        read_devices(bad, "table")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("active = { value = 81", r"loihi.price.neuron: figures missing \(got idle, spike; need active, idle\)"),
        ("rows = {", r"loihi.mesh: figures missing \(got columns, cores_per_tile; need columns, cores_per_tile, rows\)"),
        ("chip = { value = 104.4", r"loihi.price.static: figures missing \(got core; need chip\)"),
        ("multiply = { value = 3.7", r"digital45.operations.float: figures missing \(got add; need add, multiply\)"),
        ("write = { value = 3.9", r"seneca.memory.0: figures missing \(got read; need read, write\)"),
        ("holds = { value = 8,", r"digital45.memory: not from small to large \(got \[inf, 32, 1024, inf\]; need sizes that grow"),
    ],
)  # fmt: skip
def test_figures_that_are_of_use_together_alone_stand_together(start: str, message: str) -> None:
    text = (files("neuro.metrics") / "devices.toml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith(start)]
    assert len(kept) == len(text.splitlines()) - 1
    with pytest.raises(DataError, match=message):
        read_devices("\n".join(kept))


def test_all_faults_are_told_at_once() -> None:
    bad = (
        TABLE.replace('unit = "mW"', 'unit = "fW"').replace("low = 1.0", "low = 9.0").replace('title = "A chip"\n', "")
    )
    with pytest.raises(DataError) as caught:
        read_devices(bad, "table")
    text = str(caught.value)
    for part in ("no title", "out of order", "wrong unit"):
        assert part in text
    assert len(text.splitlines()) == 3
    assert len(FAULTS) == 7


def test_neuro_metrics_stays_light() -> None:
    code = "import sys, neuro.metrics; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "neuro" in loaded
    assert not loaded & {"torch", "scipy", "pandas", "matplotlib", "plotly", "neurobench", "elephant"}
