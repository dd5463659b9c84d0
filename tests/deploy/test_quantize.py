"""Quantisation keeps a network's behaviour, says what it changed, and refuses what a chip cannot hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neuro
from neuro.backend import Stimulus
from neuro.deploy import observe, profile, quantize, silence
from neuro.deploy.convert import representable_bias
from neuro.errors import GraphError, QuantizationError, UnsupportedError

ROOT = Path(__file__).resolve().parents[2]


def _net(reset: str = "threshold", n_ref: int = 3) -> neuro.Graph:
    """Return a small recurrent net that spikes at some tens of Hz on random input."""
    b = neuro.Builder(seed=3, name="small")
    b.spike_input("in", 20)
    b.lif("lif", 24, tau_m_ms=20.0, n_ref=n_ref, reset=reset)
    b.alif("alif", 16, tau_m_ms=20.0, tau_a_ms=300.0, beta=0.1, n_ref=n_ref, reset=reset)
    b.li("out", 3, tau_out_ms=20.0)
    for source in ("in", "lif", "alif"):
        for target in ("lif", "alif"):
            mean = 0.12 if source == "in" else 0.0
            b.connect(source, target, weight=lambda rng, n, m=mean: rng.normal(m, 0.15, n), p=0.4, delay=(1, 8))
    b.connect("lif", "out", weight=lambda rng, n: rng.normal(0.0, 0.2, n))
    b.connect("alif", "out", weight=lambda rng, n: rng.normal(0.0, 0.2, n))
    return b.build()


def _stimulus(batch: int = 6, steps: int = 150, size: int = 20, rate: float = 0.06) -> Stimulus:
    rng = np.random.default_rng(1)
    return Stimulus.dense({"in": (rng.random((batch, steps, size)) < rate).astype(np.uint8)})


def test_a_small_net_behaves_nearly_as_before() -> None:
    graph, stimulus = _net(), _stimulus()
    integer, note = quantize(graph, "loihi2", stimulus, max_runs=12)
    before, after = observe(graph, stimulus), observe(integer, stimulus)
    assert integer.semantics == "integer"
    for name in ("lif", "alif"):
        assert before.counts[name].sum() > 300  # not vacuous
        # rounding moves single spikes: 2 % of the number of spikes is ten times what was seen
        assert abs(int(after.counts[name].sum()) - int(before.counts[name].sum())) < 0.02 * before.counts[name].sum()
    y, y_int = before.readouts["out"], after.readouts["out"] / note.scales["out"]
    assert np.corrcoef(y.ravel(), y_int.ravel())[0, 1] > 0.98
    assert not note.problems
    assert set(note.scales) == {"lif", "alif", "out"}


def test_the_zoo_quantises_for_both_profiles() -> None:
    graph = neuro.load(ROOT / "models" / "digits" / "graph.h5")
    for name, kinds in (("loihi1", {"IntLIF", "AHP", "IntLI"}), ("loihi2", {"IntLIF", "IntALIF", "IntLI"})):
        integer, note = quantize(graph, name, max_runs=1)
        assert {type(p).__name__ for p in integer.receivers} == kinds
        assert note.n_runs == 1
        assert "Poisson at 50 Hz" in note.calibration
        assert integer.notes["profile"] == name
        assert integer.notes["task"] == graph.notes["task"]


def _tight() -> neuro.Graph:
    """Return a graph that has to lose neurons: 2 need weights ten thousand times as large as the other 3, in one projection."""
    b = neuro.Builder(name="tight")
    b.spike_input("in", 5)
    b.lif("lif", 5, tau_m_ms=20.0, v_th=[1000.0, 1000.0, 0.1, 0.1, 0.1])
    b.li("out", 1)
    b.connect("in", "lif", weight=np.diag([1100.0, 1100.0, 0.07, 0.07, 0.07]))
    b.connect("lif", "out", weight=0.1)
    return b.build()


def test_neurons_that_fall_silent_are_named_with_the_fix() -> None:
    graph = _tight()
    _, note = quantize(graph, "loihi2")
    assert note.populations["lif"].went_silent == (2, 3, 4)
    assert note.silenced == ("lif",)
    (text,) = note.problems
    assert text.startswith(
        "population 'lif': 3 of 5 neurons that spiked are silent after quantisation (neurons 2, 3, 4): "
    )
    assert "weights into them are below one mantissa step at this threshold: raise these weights or lower v_th" in text
    assert 'fine-tune with quantize = "loihi2"' in text
    assert text in str(note)


def test_weights_that_are_lost_are_told_though_nothing_spikes() -> None:
    b = neuro.Builder()
    b.spike_input("in", 3)
    b.lif("lif", 2, v_th=1e12)
    b.connect("in", "lif", weight=1.0)
    _, note = quantize(b.build(), "loihi2")
    weights, silent = note.problems
    assert weights.startswith("projection 'in->lif': quantisation changed its weights by 100 % (rms)")
    assert "(6 of 6 became 0). Raise these weights, lower v_th, or fine-tune" in weights
    assert silent.startswith(
        "population 'lif': all its 2 neurons are silent on the calibration stimulus before quantisation, too"
    )
    assert note.silenced == ()


def test_weights_of_any_size_have_an_error() -> None:
    for size in (1e-200, 1e150):  # the square of the first is 0
        b = neuro.Builder()
        b.spike_input("in", 2)
        b.li("out", 1)
        b.connect("in", "out", weight=[[size], [size / 700]])
        change = quantize(b.build(), "loihi2", max_runs=1)[1].projections["in->out"]
        assert 0 < change.rms_error < 2e-3
        assert 0 < change.max_error < 2e-3


def test_inputs_alone_are_nothing_to_quantise() -> None:
    b = neuro.Builder()
    b.spike_input("in", 3)
    with pytest.raises(QuantizationError, match="quantize: nothing to quantise"):
        quantize(b.build(), "loihi2")


def test_a_graph_without_inputs_says_that_there_was_no_stimulus() -> None:
    b = neuro.Builder()
    b.lif("lif", 3, bias=0.1)
    _, note = quantize(b.build(), "loihi2", max_runs=1)
    assert note.populations["lif"].rate_after_hz > 10
    assert note.calibration == "8 samples of 200 steps, without a stimulus, as the graph has no inputs"
    assert "; 1 run)" in str(note)


def test_neurons_that_a_bias_drives_spike_on_loihi1_without_a_search() -> None:
    b = neuro.Builder()
    b.lif("lif", 3, tau_m_ms=20.0, bias=[0.1, 0.2, 0.0])  # the membrane is charged to 2 and 4 thresholds
    integer, note = quantize(b.build(), "loihi1", max_runs=1)
    p, s = integer.population("lif"), note.scales["lif"]
    held = np.array([0.1, 0.2, 0.0]) * 4096 / 200
    assert np.abs(p.bias / s - held).max() < 1e-3 * held.max()  # type: ignore[union-attr]
    change = note.populations["lif"]
    assert change.rate_before_hz > 50
    # in 200 steps: two spikes more at the start, where the bias acts at once, than the 16 before
    assert abs(change.rate_after_hz - change.rate_before_hz) < 0.15 * change.rate_before_hz


def test_decays_that_begin_or_end_are_told() -> None:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.lif("slow", 2, tau_m_ms=20_000.0)
    b.lif("endless", 2, tau_m_ms=np.inf)
    b.connect("in", "slow", weight=0.1)
    b.connect("in", "endless", weight=0.1)
    graph = b.build()
    loihi2 = quantize(graph, "loihi2", max_runs=1)[1].changes
    assert loihi2 == (
        "population 'slow': alpha of 2 neurons became 1, no decay at all: 12 bits a decay hold time constants of up to 4096 steps.",
    )
    loihi1 = quantize(graph, "loihi1", max_runs=1)[1].changes  # there u holds the membrane, and u always decays
    assert any("population 'endless': the time constant of alpha changed by up to 100 %" in text for text in loihi1)


def _outlier() -> tuple[neuro.Graph, Stimulus]:
    """Return a net in which one weight of 60, hardly ever used, stands among weights of 0.1 to 0.5."""
    rng = np.random.default_rng(2)
    b = neuro.Builder(name="outlier")
    b.spike_input("in", 13)
    b.lif("lif", 12, tau_m_ms=20.0, n_ref=2, reset="zero")  # a spike is a spike, however far v went
    b.li("out", 2)
    weight = np.vstack([rng.uniform(0.1, 0.5, (12, 12)) * (rng.random((12, 12)) < 0.5), np.eye(1, 12) * 60.0])
    b.connect("in", "lif", weight=weight)
    b.connect("lif", "out", weight=lambda r, n: r.normal(0.0, 0.3, n))
    spikes = rng.random((8, 150, 13)) < 0.06
    spikes[:, :, 12] = rng.random((8, 150)) < 0.005
    return b.build(), Stimulus.dense({"in": spikes.astype(np.uint8)})


def test_search_beats_the_naive_choice_where_a_weight_stands_out() -> None:
    graph, stimulus = _outlier()
    before = observe(graph, stimulus)
    assert before.counts["lif"].sum() > 500
    naive, first = quantize(graph, "loihi2", stimulus, max_runs=1)
    searched, note = quantize(graph, "loihi2", stimulus)
    assert first.distance == note.first_distance
    assert note.distance < 0.2 * first.distance
    assert note.projections["in->lif"].n_clipped == 1  # the outlier was clipped to give the others finer steps
    assert first.projections["in->lif"].n_clipped == 0
    (text,) = note.problems
    assert "1 of 84 are beyond the largest mantissa and were clipped, which suited the calibration samples" in text
    fresh = Stimulus.dense({"in": (np.random.default_rng(9).random((8, 150, 13)) < 0.05).astype(np.uint8)})
    target = observe(graph, fresh).counts["lif"].sum(axis=0)
    errors = [np.abs(observe(g, fresh).counts["lif"].sum(axis=0) - target).sum() for g in (naive, searched)]
    assert errors[1] < 0.5 * errors[0]


def test_the_search_is_deterministic_and_bounded() -> None:
    graph, stimulus = _outlier()
    results = [quantize(graph, "loihi2", stimulus, max_runs=7) for _ in range(2)]
    assert results[0][0].sha256 == results[1][0].sha256
    assert results[0][1].n_runs == 7


def test_numbers_are_scaled_as_the_note_says() -> None:
    b = neuro.Builder()
    b.spike_input("in", 2)
    b.alif("alif", 3, tau_m_ms=20.0, tau_a_ms=200.0, beta=0.3, v_th=[1.0, 0.5, 2.0], bias=[0.01, 0.0, -0.3], n_ref=4)
    b.connect("in", "alif", weight=[[0.5, 0.25, -1.0], [1.0, 0.0, -0.125]], delay=3)
    graph = b.build()
    integer, note = quantize(graph, "loihi2", max_runs=1)
    s, p = note.scales["alif"], integer.population("alif")
    assert p.v_th.tolist() == np.rint(s * np.array([1.0, 0.5, 2.0]) / 64).tolist()  # type: ignore[union-attr]
    assert p.bump.tolist() == [round(s * 0.3)] * 3  # type: ignore[union-attr]
    assert np.abs(p.bias - s * np.array([0.01, 0.0, -0.3])).max() <= 64  # type: ignore[union-attr]
    assert (p.n_ref.tolist(), p.d_v[0], p.d_a[0], p.d_u[0]) == ([4] * 3, 200, 20, 4095)  # type: ignore[union-attr]
    assert p.reset == "threshold"  # type: ignore[union-attr]
    assert {c.name: c.sign_mode for c in integer.projections} == {  # type: ignore[attr-defined]
        "in->alif.exc": "excitatory",
        "in->alif.inh": "inhibitory",
    }
    for c in integer.projections:
        near = dict(
            zip(zip([0, 0, 0, 1, 1], [0, 1, 2, 0, 2], strict=True), [0.5, 0.25, -1.0, 1.0, -0.125], strict=True)
        )
        for i, j, a, d in zip(c.pre, c.post, c.activation, c.delay, strict=True):  # type: ignore[attr-defined]
            assert abs(a / s - near[int(i), int(j)]) < 1 / 255
            assert d == 3


def test_mixed_signs_stay_one_projection_of_even_mantissas() -> None:
    integer, note = quantize(_net(), "loihi2", _stimulus(), max_runs=1, split_signs=False)
    names = [c.name for c in integer.projections]
    assert not any(name.endswith((".exc", ".inh")) for name in names)
    c = integer.projections[2]
    assert (c.sign_mode, int((c.weight % 2).sum())) == ("mixed", 0)  # type: ignore[attr-defined]
    split = quantize(_net(), "loihi2", _stimulus(), max_runs=1)[1]
    assert note.projections[c.name].rms_error > split.projections[f"{c.name}.exc"].rms_error


def test_loihi1_changes_a_hard_adaptive_reset_and_adaptation_and_says_so() -> None:
    integer, note = quantize(_net("adaptive"), "loihi1", _stimulus(), max_runs=1)
    assert integer.population("lif").reset == "zero"  # type: ignore[union-attr]
    text = str(note)
    assert "population 'lif': reset 'adaptive' became 'zero'" in text
    assert "'alif': fit error" in text
    assert note.ahp is not None
    assert note.ahp.fits["alif"].shift == 0
    assert not neuro.placement(integer, "loihi1").broken


def test_rounded_weights_that_vanish_are_dropped_and_counted() -> None:
    b = neuro.Builder()
    b.spike_input("in", 3)
    b.lif("lif", 1)
    b.connect("in", "lif", weight=[[1.0], [0.5], [1e-4]])
    integer, note = quantize(b.build(), "loihi2", max_runs=1)
    change = note.projections["in->lif"]
    assert (change.n_synapses, change.n_dropped, change.n_clipped) == (2, 1, 0)
    assert integer.n_synapses == 2
    assert 0 < change.rms_error < 0.01


def test_what_a_chip_cannot_hold_is_refused_with_every_reason() -> None:
    b = neuro.Builder()
    b.current_input("u", 2)
    b.alif("alif", 2, beta=[0.1, -0.2], n_ref=[3, 64])
    b.connect("u", "alif", weight=0.1, delay=63)
    with pytest.raises(QuantizationError) as caught:
        quantize(b.build(), "loihi1")
    lines = str(caught.value).splitlines()
    assert lines == [
        "population 'u': currents cannot enter a chip (got a CurrentInput; need SpikeInput). Code the values as spikes in the task, "
        "or with a population of neurons.",
        "population 'alif': refractory period too long (got 64 steps at neuron 1; need 0..63). Train with a shorter one, or a longer "
        "step dt.",
        "population 'alif': beta cannot become a current (got -0.2 at neuron 1; need >= 0 for loihi1, whose neurons adapt by a "
        "negative current). Train with beta >= 0, or use loihi2.",
        "projection 'u->alif': delay too long (got 63 steps at synapse 0; need at most 62). Train with shorter delays, or insert "
        "relay neurons.",
    ]


def test_an_integer_graph_and_an_unknown_profile_are_refused() -> None:
    graph = _net()
    integer, _ = quantize(graph, "loihi2", _stimulus(), max_runs=1)
    with pytest.raises(QuantizationError, match=r"quantize: integer graph .*It is quantised already"):
        quantize(integer, "loihi2")
    with pytest.raises(UnsupportedError, match=r"profile 'lohi2': not known .* Did you mean 'loihi2'\?"):
        quantize(graph, "lohi2")


def test_a_population_that_no_scale_fits_is_refused() -> None:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.lif("lif", 2, v_th=[1e-5, 1e5])
    b.connect("in", "lif", weight=1.0)
    with pytest.raises(
        QuantizationError, match=r"population 'lif': no scale fits .*for the largest threshold.*smallest threshold"
    ):
        quantize(b.build(), "loihi2")


def test_weights_beyond_the_mantissa_are_refused_by_the_graph() -> None:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.int_lif("lif", 1, d_v=0, v_th=1)
    b.connect("in", "lif", weight=256)
    with pytest.raises(
        GraphError, match=r"weight does not fit sign_mode 'excitatory' \(got 256 at synapse 0.*need 0..255"
    ):
        b.build()


def test_biases_are_rounded_to_mantissa_and_exponent() -> None:
    given = np.array([0.0, 4095.0, 4096.0, -4097.0, 100_001.0, -524_160.0, 1e7])
    found = representable_bias(given, profile("loihi1"))
    assert found.tolist() == [0, 4095, 4096, -4096, 100_000, -524_160, 524_160]


def test_clipped_states_are_told() -> None:
    b = neuro.Builder()
    b.spike_input("in", 40)
    b.lif("lif", 1, v_th=1.0)
    b.li("out", 1)
    b.connect("in", "lif", weight=1.0)
    b.connect("lif", "out", weight=1.0)
    quiet = np.zeros((2, 50, 40), np.uint8)
    quiet[:, ::10, :1] = 1
    integer, _ = quantize(b.build(), "loihi2", Stimulus.dense({"in": quiet}))
    loud = silence(integer, Stimulus.dense({"in": np.ones((1, 50, 40), np.uint8)}))
    assert loud.populations["lif"].saturations["v"] > 0
    assert "population 'lif': states were clipped to their width" in str(loud)
    assert "1 of 1 neurons fire at nearly every step" in str(loud)
    none = silence(integer, Stimulus(batch=1, steps=20))
    assert none.dead == ("lif",)
    assert "population 'lif': silent: none of its 1 neurons spiked in 1 samples of 20 steps" in str(none)
