"""Energies that can be computed on paper: sums, units, ranges, power in time, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuro.errors import DataError, UnsupportedError
from neuro.metrics import PARTS, Energy, Range, devices, estimate
from neuro.metrics.device_rules import COUNTS
from neuro.metrics.energy import DYNAMIC
from neuro.metrics.estimate import _COUNT, memory_of, n_chips
from neuro.metrics.workload import Updates, Workload
from tests.metrics.workloads import dense, ints, operations, routing, spiking

REL = 1e-12
"""Sums of a few products of doubles, in another order than here."""


def of(energy: Energy, part: str) -> Range:
    found = energy.parts[part].energy
    assert found is not None, (part, energy.parts[part])
    return found


def close(a: Range, low: float, value: float, high: float) -> None:
    assert (a.low, a.value, a.high) == pytest.approx((low, value, high), rel=REL)


def test_loihi_by_hand() -> None:
    found = estimate(spiking(), "loihi")
    # means of the two samples: 165 events; 87 active, 613 idle updates; 6 spikes of neurons
    close(of(found, "synaptic"), 165 * 23.6e-12, 165 * 23.6e-12, 165 * 35.5e-12)
    close(
        of(found, "neuron"),
        (87 * 72.8 + 613 * 51.2) * 1e-12,
        (87 * 81 + 613 * 52) * 1e-12,
        (87 * 81 + 613 * 52 + 6 * 69.3) * 1e-12,
    )
    # 6 messages within a core, 3 within a tile, 2 between tiles, 1.5 hops east-west, 3.5 north-south
    close(
        of(found, "routing"),
        (3 * 1.7 + 1.5 * 3 + 3.5 * 4) * 1e-12,
        ((6 + 3 + 2) * 1.7 + 1.5 * 3 + 3.5 * 4) * 1e-12,
        ((6 + 3 + 2) * 1.7 + 1.5 * 3 + 3.5 * 4.2 + 5 * 111) * 1e-12,
    )
    # 0.1 s: 3 cores; at most the whole chip
    close(of(found, "static"), 3 * 0.2266e-3 * 0.1, 3 * 0.8154e-3 * 0.1, 104.4e-3 * 0.1)
    close(of(found, "host"), 65.3e-3 * 0.1, 65.3e-3 * 0.1, 66.9e-3 * 0.1)
    assert found.parts["learning"].status == "not applicable"
    assert found.step_time_s == 1e-3
    assert found.latency_s == pytest.approx(0.1)
    assert found.edp is not None
    assert found.edp.value == pytest.approx((found.dynamic.value + of(found, "static").value) * 0.1, rel=REL)


def test_dynamic_is_the_sum_of_its_parts_and_the_mean_of_the_samples() -> None:
    for name in devices():
        found = estimate(spiking(), name)
        priced = [of(found, part) for part in DYNAMIC if found.parts[part].status == "priced"]
        assert priced
        assert found.dynamic.value > 0
        total = sum(priced, Range(0.0, 0.0, 0.0))
        close(found.dynamic, total.low, total.value, total.high)
        assert found.dynamic_per_sample.shape == (2,)
        assert found.dynamic_per_sample.mean() == pytest.approx(found.dynamic.value, rel=REL)
        assert found.dynamic_per_sample[1] > found.dynamic_per_sample[0], name  # the second sample did more
        assert tuple(found.parts) == PARTS
        for part in found.parts.values():
            assert (part.energy is not None) == (part.status == "priced")
            assert part.note
            if part.energy is not None:
                assert 0 <= part.energy.low <= part.energy.value <= part.energy.high


def test_step_time_scales_static_and_host_alone() -> None:
    slow, fast = estimate(spiking(), "loihi"), estimate(spiking(), "loihi", step_time_s=1e-5)
    assert fast.dynamic == slow.dynamic
    assert fast.latency_s == pytest.approx(1e-3)
    for part in ("static", "host"):
        assert of(fast, part).value == pytest.approx(of(slow, part).value / 100, rel=REL)
    assert of(slow, "static").value > 1000 * slow.dynamic.value  # in real time leakage is nearly all
    assert any("a step of 1 us is faster" in note for note in estimate(spiking(), "loihi", step_time_s=1e-6).notes)
    assert not any("is faster" in note for note in slow.notes)


def test_learning_is_priced_where_it_ran() -> None:
    learned = spiking(learning_updates={"in>lif": ints(10, 30)})
    found = estimate(learned, "loihi")
    close(of(found, "learning"), 20 * 120e-12, 20 * 120e-12, 20 * 120e-12)
    assert found.dynamic.value == pytest.approx(estimate(spiking(), "loihi").dynamic.value + 20 * 120e-12, rel=REL)
    assert estimate(learned, "odin").parts["learning"].status == "not published"


def test_truenorth_is_affine_and_not_26_pj_an_event() -> None:
    # the network of the published fit: 2**20 neurons at 20 Hz with 128 synapses, 1 s of steps of 1 ms
    events = ints(2**20 * 20 * 128)
    n = 2**20 * 1000
    one = operations(1)
    work = spiking(
        n_samples=1, steps=1000, spikes={"lif": ints(2**20 * 20)}, synaptic_events={"rec": events}, routing=None,
        updates={"lif": Updates(active=ints(n), idle=ints(0))}, synaptic=one, neuron=one, dense_mac=ints(0),
    )  # fmt: skip
    found = estimate(work, "truenorth")
    watts = found.dynamic.value + of(found, "static").value
    assert watts == pytest.approx(0.07060, abs=5e-5)  # measured at 20.07 Hz: 71 mW
    assert found.parts["neuron"].status == "included"
    assert found.edp is not None
    quiet = estimate(replace(work, synaptic_events={"rec": events // 20}), "truenorth")
    assert quiet.dynamic.value + of(quiet, "static").value > 0.9 * watts


def test_odin_takes_a_row_of_the_crossbar_for_a_spike() -> None:
    found = estimate(spiking(), "odin")
    # 36 spikes a sample, inputs with them; 165 stored synapses saw one
    close(of(found, "synaptic"), 165 * 8.43e-12, 36 * 256 * 8.43e-12, 36 * 256 * 8.43e-12)
    close(of(found, "static"), 27.3e-6 * 0.1, 29.6e-6 * 0.1, 160.8e-6 * 0.1)


def test_chips_are_as_many_as_hold_the_compartments() -> None:
    wide = spiking(updates={"lif": Updates(active=ints(100, 100), idle=ints(59_900, 59_900))})  # 600 compartments
    found = estimate(wide, "odin")
    assert n_chips(wide, devices()["odin"]) == 3
    assert of(found, "static").value == pytest.approx(3 * 29.6e-6 * 0.1, rel=REL)
    assert any("600 compartments do not fit a chip of 256: priced as 3 chips" in note for note in found.notes)
    assert of(estimate(spiking(n_chips=2), "loihi"), "host").value == pytest.approx(2 * 65.3e-3 * 0.1, rel=REL)


def test_digital_reference_by_hand() -> None:
    found = estimate(dense(), "digital45")
    # mean: 1500 mac, 50 ac, 1600 words read, 400 written; 4,080 bytes lie in 8 KB: 5 pJ a word
    close(of(found, "synaptic"), *[(1550 * 0.9 + 1500 * 3.7 + 2000 * 5) * 1e-12] * 3)
    close(of(found, "neuron"), *[(40 * 0.9 + 80 * 3.7 + 120 * 5) * 1e-12] * 3)
    assert found.edp is None
    assert found.parts["static"].status == "not published"
    assert found.latency_s == pytest.approx(0.02)
    assert any("200 sigmoids, tanhs and exps an inference are not priced" in note for note in found.notes)


@pytest.mark.parametrize(
    ("n_bytes", "low", "value", "high"),
    [(8192, 5, 5, 5), (8193, 5, 10, 10), (32 * 1024 + 1, 5, 50, 50), (2**20 + 1, 5, 975, 1300)],
)
def test_words_come_from_the_smallest_memory_that_holds_the_model(
    n_bytes: int, low: float, value: float, high: float
) -> None:
    work = dense(synaptic=operations(read=ints(1, 1)), parameter_bytes=n_bytes - 80)
    close(of(estimate(work, "digital45"), "synaptic"), low * 1e-12, value * 1e-12, high * 1e-12)
    assert memory_of(work, devices()["digital45"]).read.si.value == pytest.approx(value * 1e-12)


def test_integer_arithmetic_has_its_own_prices() -> None:
    found = estimate(spiking(synaptic=operations(mac=ints(2, 2), ac=ints(1, 1))), "digital45")
    close(of(found, "synaptic"), (3 * 0.03 + 2 * 0.2) * 1e-12, (3 * 0.1 + 2 * 3.1) * 1e-12, (3 * 0.1 + 2 * 3.1) * 1e-12)


def test_seneca_prices_updates_by_instruction() -> None:
    found = estimate(spiking(semantics="float"), "seneca")
    # mean: 700 mac, 6 ac, 1400 words each way
    close(of(found, "neuron"), *[(706 * 1.4 + 700 * 1.4 + 1400 * 3.7 + 1400 * 3.9) * 1e-12] * 3)
    close(of(found, "routing"), *[6 * 2e-12] * 3)
    assert any("a float graph" in note for note in found.notes)


def test_every_count_that_can_be_priced_is_counted() -> None:
    in_time = {("static", "core"), ("static", "chip"), ("host", "chip")}
    assert {(part, name) for part, names in COUNTS.items() for name in names} == set(_COUNT) | in_time
    for count in _COUNT.values():
        assert count(spiking(learning_updates={"in>lif": ints(1, 1)})).shape == (2,)


def test_messages_without_a_price_are_told() -> None:
    work = spiking(routing=routing(between_chips=ints(3, 4), from_outside=ints(10, 10)))
    notes = estimate(work, "loihi").notes
    assert "7 messages between chips in all samples have no published price" in notes
    assert "20 messages from outside in all samples have no published price" in notes


def test_parts_say_which_figures_they_rest_on() -> None:
    parts = estimate(spiking(), "loihi").parts
    assert parts["synaptic"].note == "event 23.6 [23.6..35.5] pJ (secondary)"
    assert parts["static"].note.startswith(
        "3 cores on 1 chip, 100 steps of 1000 us: core 0.8154 [0.2266..0.8154] mW (derived)"
    )
    still = estimate(spiking(routing=routing()), "loihi").parts["routing"]
    assert (still.energy, still.note) == (Range(0.0, 0.0, 0.0), "nothing was counted")
    assert "dynamic is without routing: not published" in estimate(spiking(), "spinnaker2").notes


def test_sources_of_the_figures_used_are_told_once() -> None:
    found = [note for note in estimate(spiking(), "loihi").notes if note.startswith("source: ")]
    assert any("Davies et al. 2018" in note for note in found)
    assert any("Frady et al. 2020" in note for note in found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (spiking(routing=None, n_cores=0), UnsupportedError, "energy on 'loihi': no placement .*need one, for routing and static"),
        (spiking(n_chips=0), UnsupportedError, "energy on 'loihi': no placement"),
        (dense(), UnsupportedError, r"Intel Loihi runs spiking models alone \(got kind 'lstm'; need 'spiking'\). Price dense models on digital45"),
        (spiking(n_samples=0), DataError, r"nothing was run \(got 0 samples of 100 steps"),
        (spiking(steps=0), DataError, r"nothing was run \(got 2 samples of 0 steps"),
    ],
)  # fmt: skip
def test_what_cannot_be_estimated_is_refused(work: Workload, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        estimate(work, "loihi")


@pytest.mark.parametrize("step_time_s", [0.0, -1e-3, np.nan, np.inf])
def test_step_time_has_to_be_positive(step_time_s: float) -> None:
    with pytest.raises(DataError, match=r"step time: out of range \(got .* s; need more than 0 and at most 1e\+06\)"):
        estimate(spiking(), "loihi", step_time_s=step_time_s)
