"""Test what needs no Lava: the package itself, the wiring, the sizes, the files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neuro.backend import Stimulus
from neuro.errors import UnsupportedError
from neuro.graph import Builder, Graph
from neuro_lava import LavaBackend, exchange, plan_stock, sizing
from neuro_lava.wiring import wire

ROOT = Path(__file__).resolve().parents[2]


def net() -> Graph:
    b = Builder(seed=1)
    b.spike_input("in", 3)
    b.lif("a", 2)
    b.lif("b", 4, bias=0.1)
    b.li("out", 1)
    b.connect("in", "a", weight=0.5, pre=[0, 2], post=[1, 0], delay=[0, 4])
    b.connect("a", "a", weight=0.25, pre=[1], post=[0], delay=[3])
    b.connect("a", "out", weight=0.0, pre=[], post=[], delay=[])
    return b.build()


def test_the_package_imports_without_lava_and_says_what_it_can_do() -> None:
    code = (
        "import sys, neuro_lava as n; b = n.LavaBackend; "
        "print(b.name, b.environment.python, b.capabilities.exact, {'lava', 'scipy', 'multiprocessing'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}"},
    )  # fmt: skip
    assert done.stdout.split(" ", 3) == ["lava", "3.10", "True", "set()\n"]


def test_compiling_without_lava_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neuro_lava.simulation", None)  # as where Lava is not: it does not import
    with pytest.raises(UnsupportedError, match=r"need Python 3\.10 with lava-nc 0\.10\.0.*neuro backends install lava"):
        LavaBackend().compile(net())
    available = LavaBackend().is_available()
    assert not available
    assert "neuro backends install lava" in available.reason


def test_wiring_counts_sources_through_and_takes_the_connections_own_step_off() -> None:
    w = wire(net())["a"]
    assert (w.sources, w.sizes) == (("in", "a"), (3, 2))
    assert w.pre.tolist() == [0, 2, 4]
    assert w.post.tolist() == [1, 0, 0]
    assert w.lag.tolist() == [0, 4, 2]  # delays 0 and 4 from the input, 3 between neurons
    assert w.weight.tolist() == [0.5, 0.5, 0.25]


def test_wiring_ties_parts_together_without_a_synapse() -> None:
    found = wire(net())
    for name in ("b", "out"):
        assert found[name].sources == ("a",), "the first part's first population"
        assert found[name].sizes == (2,)
        assert found[name].pre.size == 0


def test_groups_are_as_few_as_allowed_and_equal() -> None:
    graph = net()
    sizes = {b: sizing.group(graph, Stimulus(batch=b, steps=5), {}, 4) for b in (1, 4, 5, 8, 9, 10)}
    assert sizes == {1: 1, 4: 4, 5: 3, 8: 4, 9: 3, 10: 4}
    assert sizing.group(graph, Stimulus(batch=1000, steps=5), {}, None) == 1000


def test_groups_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, stimulus = net(), Stimulus(batch=100, steps=1000)
    traced = {"a": ("z", "v"), "b": ("z", "v")}
    a_sample = sizing.bytes_per_sample(graph, 1000, traced)
    assert a_sample > 1000 * (3 + 9 * 6)  # a byte an input spike, 1 + 8 bytes for z and v of six neurons
    monkeypatch.setattr(sizing, "MEMORY", 30 * a_sample)
    assert sizing.group(graph, stimulus, traced, None) == 25
    monkeypatch.setattr(sizing, "MEMORY", 1)
    assert sizing.group(graph, stimulus, traced, None) == 1


def test_groups_fit_in_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = net()
    free = 2 * 20 * sizing.message_bytes_per_sample(graph)
    monkeypatch.setattr(sizing.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert sizing.group(graph, Stimulus(batch=100, steps=5), {}, None) == 20


def test_stock_processes_count_towards_memory() -> None:
    b = Builder()
    b.spike_input("in", 3)
    b.int_lif("a", 2, d_v=1, v_th=1)
    b.connect("in", "a", weight=1)
    graph = b.build()
    plan = plan_stock(graph)
    assert plan.projections == {"in->a"}
    assert sizing.stock_bytes_per_sample(graph, plan) == 4 * 12 * 6
    more = sizing.message_bytes_per_sample(graph, plan) - sizing.message_bytes_per_sample(graph)
    through_sparse, through_probe = 3 + 2, 5 * 2  # in and out; spikes, and two Vars asked for and received
    assert more == 8 * sizing.CHANNEL_SIZE * (through_sparse + through_probe)


def test_clips_are_counted_in_a_file(tmp_path: Path) -> None:
    exchange.create_clips(str(tmp_path), 2, "u", 3)
    exchange.open_clips(str(tmp_path), 2, "u")[1] += 5
    assert exchange.open_clips(str(tmp_path), 2, "u").tolist() == [0, 5, 0]


def test_files_bring_back_what_was_written(tmp_path: Path) -> None:
    folder = str(tmp_path)
    run = exchange.Run(steps=3, samples=2, record={"1": ["z", "v"]})  # type: ignore[dict-item]
    exchange.write_run(folder, run)
    assert exchange.read_run(folder) == run
    exchange.create_signal(folder, 0, (3, 4, 2), np.uint8)[1, 2, 0] = 1
    assert np.argwhere(exchange.open_signal(folder, 0)).tolist() == [[1, 2, 0]]
    exchange.create_rows(folder, 1, "v", (3, 4, 2))
    exchange.open_rows(folder, 1, "v")[2] = 0.5
    assert (exchange.open_rows(folder, 1, "v")[2] == 0.5).all()
    exchange.clear(folder)
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_traceback_is_kept(tmp_path: Path) -> None:
    assert exchange.read_traceback(str(tmp_path)) == ""
    for word in ("cause", "consequence"):
        try:
            raise ValueError(word)
        except ValueError:
            exchange.write_traceback(str(tmp_path), "here")
    assert exchange.read_traceback(str(tmp_path)).startswith("in here:\nTraceback")
    assert exchange.read_traceback(str(tmp_path)).endswith("ValueError: cause\n")
