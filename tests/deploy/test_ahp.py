"""The AHP pass: the current it fits does to v what the threshold did, and the note says how well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import neuro
from neuro.deploy import to_ahp
from neuro.deploy.ahp import fit, fit_error
from neuro.errors import QuantizationError
from neuro.graph import AHP, IntALIF, integer_decay, reference


def _alone(**changes: object) -> neuro.Graph:
    """Return one input, one IntALIF neuron."""
    settings = {"d_v": 200, "v_th": 8000, "d_a": 2, "bump": 60_000, "n_ref": 2, **changes}
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.int_alif("alif", 1, **settings)  # type: ignore[arg-type]
    b.connect("in", "alif", weight=255, exponent=4)
    return b.build()


def test_the_membrane_falls_as_the_fit_says() -> None:
    # One spike at step 0, then nothing: v is the shift alone, in a simulation that knows nothing of the fit.
    graph, _ = to_ahp(_alone(d_a=20, v_th=1000))
    spikes = np.zeros((1, 400, 1))
    spikes[0, 0, 0] = 1
    found = reference.simulate(graph, {"in": spikes})["alif"]
    assert found["z"][0].sum() == 1
    w, d_x = fit(200, 20, 2)
    alpha, rho_x = 1 - 200 / 4096, 1 - d_x / 4096
    shift = [0.0]
    for k in range(1, 400):
        shift.append(alpha * shift[-1] + 60_000 * w * rho_x ** (k - 1) if k > 2 else 0.0)
    # x and v lose at most 1 a step to truncation: x / 2 of it a time constant, which is less than 4 % of the peak
    error = np.abs(found["v"][0, :, 0] - np.array(shift)).max()
    assert min(shift) < -40_000
    assert error < 0.04 * 60_000


def test_slow_adaptation_fits_well_and_fast_adaptation_badly() -> None:
    d_v = int(integer_decay(np.exp(-1 / 20)))
    errors = {}
    for tau_a in (30, 200, 700, 2000, 8000):
        d_a = int(integer_decay(np.exp(-1 / tau_a)))
        w, d_x = fit(d_v, d_a, 0)
        errors[tau_a] = fit_error(1.0, w, d_v, d_a, d_x, 0)
    values = list(errors.values())
    assert values == sorted(values, reverse=True)
    assert errors[8000] < 0.07  # what is left is the rise of the membrane, sqrt(tau_m / tau_a) in size
    assert errors[30] > 0.4


def test_no_other_current_fits_better() -> None:
    w, d_x = fit(200, 20, 3)
    best = fit_error(1.0, w, 200, 20, d_x, 3)
    for other_d in range(1, 80):
        for factor in (0.9, 0.97, 1.0, 1.03, 1.1):
            assert fit_error(1.0, w * factor, 200, 20, other_d, 3) >= best - 1e-12


def test_a_slow_neuron_fires_as_before() -> None:
    # d_a = 2: 2 s at 1 ms a step; v_th 8000 * 64 with 100,000 a step: fast at first, then slowed down by both kinds alike.
    graph = _alone(reset="zero", bias=100_000, bump=100_000)
    converted, note = to_ahp(graph)
    assert isinstance(converted.population("alif"), AHP)
    silence = {"in": np.zeros((1, 2000, 1))}
    before = reference.simulate(graph, silence)["alif"]["z"][0].sum()
    after = reference.simulate(converted, silence)["alif"]["z"][0].sum()
    free = reference.simulate(_alone(reset="zero", bias=100_000, bump=0), silence)["alif"]["z"][0].sum()
    assert free > 2 * before > 40
    assert abs(int(after) - int(before)) <= 0.1 * before
    assert note.fits["alif"].error < 0.12
    assert "two compartments a neuron" in str(note)


def test_w_x_is_a_synaptic_weight() -> None:
    b = neuro.Builder()
    b.int_alif("alif", 4, d_v=200, v_th=8000, d_a=10, bump=[0, 500, 60_000, 900_000])
    made, note = to_ahp(b.build())
    w_x = made.population("alif").w_x  # type: ignore[union-attr]
    unit = 2 ** (6 + note.fits["alif"].exponent)
    assert (w_x % unit == 0).all()
    assert w_x.min() // unit >= -255
    assert w_x[0] == 0
    assert note.fits["alif"].lost == 1
    assert "1 neurons lost their adaptation (w_x rounds to 0)" in str(note)


def test_a_coarse_current_scales_the_population_up() -> None:
    graph = _alone(v_th=100, bump=100)
    made, note = to_ahp(graph)
    shift = note.fits["alif"].shift
    assert shift > 0
    assert f"times 2**{shift}" in str(note)
    assert made.population("alif").v_th[0] == 100 << shift  # type: ignore[union-attr]
    assert made.projections[0].exponent == 4 + shift  # type: ignore[attr-defined]
    assert to_ahp(graph, rescale=False)[1].fits["alif"].shift == 0


def test_scaling_up_stops_where_the_sum_of_weights_or_the_width_of_states_does() -> None:
    b = neuro.Builder()
    b.spike_input("in", 2000)
    b.int_alif("alif", 1, d_v=200, v_th=1, d_a=20, bump=2)
    b.connect("in", "alif", weight=255, exponent=5)  # 2000 * 255 * 2**11 is 0.49 of 2**31
    made, note = to_ahp(b.build())
    assert note.fits["alif"].shift == 1
    assert made.projections[0].exponent == 6  # type: ignore[attr-defined]
    (p,) = _alone(v_th=1, bump=2).receivers
    narrow = neuro.Graph(populations=(replace(p, state_bits=10),))
    made, note = to_ahp(narrow)
    assert note.fits["alif"].shift == 1
    assert made.population("alif").v_th[0] << 6 == 2**7  # type: ignore[union-attr]


def test_resets_are_noted_and_other_populations_stay() -> None:
    b = neuro.Builder()
    b.int_alif("alif", 2, d_v=200, v_th=8000, d_a=10, bump=500, reset="threshold")
    b.int_lif("lif", 2, d_v=200, v_th=8000)
    graph = b.build()
    made, note = to_ahp(graph)
    assert "reset 'threshold' became 'zero'" in str(note)
    assert made.population("lif") == graph.population("lif")
    assert not any(isinstance(p, IntALIF) for p in made.populations)


def test_what_has_no_current_is_refused() -> None:
    b = neuro.Builder()
    b.int_alif("alif", 2, d_v=200, v_th=8000, d_a=10, bump=[5, -7])
    with pytest.raises(
        QuantizationError, match=r"population 'alif': bump cannot become a current \(got -7 at neuron 1; need >= 0\)"
    ):
        to_ahp(b.build())
    b = neuro.Builder()
    b.lif("lif", 1)
    with pytest.raises(QuantizationError, match=r"to_ahp: float graph .* Quantize it first"):
        to_ahp(b.build())
