"""Test the way to a board as far as it goes without one: what it needs, what it refuses, what it would run."""

from __future__ import annotations

from typing import Any

import pytest

from neuro.backend import Record, Stimulus, get
from neuro.errors import UnsupportedError
from neuro.graph import Builder, Graph
from neuro_lava import LavaBackend, LavaProgram, hardware, plan_stock
from neuro_lava.backend import require_board

from .conftest import Inside


def net(**changes: Any) -> Graph:
    b = Builder(seed=2)
    b.spike_input("in", 4)
    b.int_lif("a", 5, **{"d_v": 300, "v_th": 900, "bias": 320, **changes})
    b.int_li("out", 2, d_y=200)
    b.connect("in", "a", weight=20, exponent=2)
    b.connect("a", "a", weight=-3, delay=(1, 5), name="rec")
    b.connect("a", "out", weight=7)
    return b.build()


def test_without_a_board_the_refusal_says_what_is_missing() -> None:
    backend = get("lava", target="hardware")
    with pytest.raises(UnsupportedError) as error:
        backend.compile(net())
    text = str(error.value)
    assert "target 'hardware' cannot be reached (got no lava-loihi in " in text
    assert "python" in text.split("lava-loihi in ")[1].split(";")[0]
    assert "no board: NXSDKHOST and SLURM are not set" in text
    assert "need lava-loihi, Intel's extension of lava-nc" in text
    assert "leave out the target: the simulation computes the same bits." in text


def test_an_installed_extension_and_a_named_board_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_is_installed", lambda: True)
    monkeypatch.setattr(hardware.shutil, "which", lambda name: None)
    for name in ("NXSDKHOST", "SLURM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnsupportedError, match=r"\(got no board: NXSDKHOST and SLURM are not set"):
        require_board()
    monkeypatch.setenv("NXSDKHOST", "10.0.0.1")
    require_board()


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(
        UnsupportedError, match=r"unknown target \(got 'hardwar'; need one of simulation, hardware\)\. Did you"
    ):
        LavaBackend(target="hardwar")
    with pytest.raises(UnsupportedError, match=r"stock not understood \(got 'yes'; need true or false\)"):
        LavaBackend(stock="yes")  # type: ignore[arg-type]


def test_on_a_board_neurons_are_stock_and_readouts_stay_on_the_host() -> None:
    plan = plan_stock(net(), hardware=True)
    assert plan.populations == {"a"}
    assert plan.projections == {"in->a", "rec"}
    assert plan.off_board(net()) == []
    assert "a->out" in plan_stock(net()).projections


@pytest.mark.parametrize(
    ("weight", "bias", "v_th", "fits"),
    [
        (-31, 0, 1, True),  # v falls to -31 * 2**6 * 4096 at most
        (-32, 0, 1, False),  # to -2**23
        (-16, -960, 1, True),
        (-16, -1024, 1, False),
        (31, 127, 131071, True),  # from the threshold, 8386496 after a step, v rises to 2**23 - 1
        (31, 128, 131071, False),
        (32, 127, 131071, False),
    ],
)
def test_a_v_that_can_just_not_clip_fits_a_board(weight: int, bias: int, v_th: int, fits: bool) -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.int_lif("n", 1, d_v=1, v_th=v_th, bias=bias)
    b.connect("in", "n", weight=weight)
    plan = plan_stock(b.build(), hardware=True)
    assert (plan.populations == {"n"}) is fits
    assert fits or "v can clip" in plan.reasons[0]


def test_what_does_not_fit_a_board_is_refused_with_every_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuro_lava.backend.require_board", lambda: None)
    with pytest.raises(UnsupportedError) as error:
        LavaBackend(target="hardware").compile(net(d_v=0))
    assert "v can clip, and a board does not count clips (on a board: v within 8388607)" in str(error.value)
    assert "out" not in str(error.value).replace("without", "").split("(got")[1].split("need none")[0]
    b = Builder()
    b.spike_input("in", 1)
    b.int_lif("a", 1, d_v=1, v_th=5, n_ref=3)
    b.int_lif("lonely", 1, d_v=1, v_th=5)
    b.connect("in", "a", weight=1, pre=[0, 0], post=[0, 0], delay=[0, 1])
    with pytest.raises(UnsupportedError) as error:
        LavaBackend(target="hardware").compile(b.build())
    for text in ("'a': n_ref 3", "several synapses a pair, 1 too many", "graph: 2 parts without a connection"):
        assert text in str(error.value)


def test_the_run_configuration_is_switched(inside: Inside) -> None:
    found = inside("configurations")
    assert found["simulation"] == {"kind": "Loihi2SimCfg", "tag": "fixed_pt", "named": ["LIF", "SpikeSource"]}
    # Lava chooses LIF's model, one for the chip; ours are named, and stay on the host.
    assert found["hardware"] == {"kind": "Loihi2HwCfg", "tag": "fixed_pt", "named": ["SpikeSource"]}


def test_states_on_a_board_are_left_out_of_all_and_refused_by_name() -> None:
    graph = net()
    program = LavaProgram(graph, no_build, plan_stock(graph, hardware=True), None, None)
    stimulus = Stimulus(batch=1, steps=5)
    with pytest.raises(
        UnsupportedError, match=r"record 'a': states cannot be read on a board \(got v; need spikes alone\)"
    ):
        program.run(stimulus, Record(traces={"a": ("v",)}))
    assert program._readable(Record(traces="all")) == {"out": ("u", "y")}
    assert program._readable(Record(traces={"out": ("y",)})) == {"out": ("y",)}


def no_build(samples: int) -> Any:
    raise AssertionError("nothing is to be built for this")
