"""Several models on one task: counts, answers and energies are those of the parts, and what cannot be asked says why."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neuro
from neuro.backend import get
from neuro.errors import DataError, GraphError, UnsupportedError
from neuro.graph import Builder
from neuro.metrics import Energy, Workload, device, estimate, neurobench, neurobench_dense, workload
from neuro.metrics.workload import Operations
from neuro.report import Candidate, Entry, Model, Models, Refused, compare_models, match, write_models
from neuro.report import dense as dense_module
from neuro.tasks import Batch, Task, make
from tests.report.folder import dense_model, entries
from tests.report.nets import digits_graph, digits_task
from tests.report.strangers import offer

N = 7


@pytest.fixture(scope="module")
def compared() -> Models:
    return compare_models(entries(), digits_task(), n_samples=N, sample=2)


def model(models: Models, name: str) -> Model:
    return next(m for m in models.models if m.name == name)


def energy(models: Models, name: str, on: str) -> Energy:
    found = model(models, name).energy[on]
    assert isinstance(found, Energy)
    return found


def reason(models: Models, name: str, on: str) -> str:
    found = model(models, name).energy[on]
    assert isinstance(found, Refused)
    return found.reason


def same_operations(a: Workload, b: Workload) -> bool:
    pairs = [
        (getattr(getattr(w, part), f.name) for w in (a, b))
        for part in ("synaptic", "neuron")
        for f in fields(Operations)
    ]
    return all(np.array_equal(x, y) for x, y in pairs)


def test_graph_is_counted_and_priced_from_its_recording(compared: Models) -> None:
    graph, task = digits_graph(), digits_task()
    fit, batch = match(graph, task), task.fixed("test", 0, N)
    recording = neuro.run(graph, fit.stimulus(graph, batch))
    found, work = model(compared, "float"), workload(graph, recording)
    assert found.workload is not None
    assert recording.counts.spikes["lif"].min() > 5
    assert same_operations(found.workload, work)
    assert found.kind == "spiking"
    assert found.sha256 == graph.sha256
    assert [r.backend for r in found.rows] == ["engine", "reference"]
    assert found.base == "reference"
    assert found.neurobench == neurobench(graph, recording)
    assert found.neurobench.effective_acs > 1000
    assert energy(compared, "float", "digital45").dynamic == estimate(work, "digital45").dynamic
    assert energy(compared, "float", "digital45").dynamic.value > 1e-9
    assert found.result is not None
    assert (found.answers is not None, found.result.n_decisions) == (True, N)


def test_integer_graph_is_placed_on_the_chip_that_holds_it(compared: Models) -> None:
    found = energy(compared, "integer", "loihi")
    assert found.parts["routing"].status == "priced"
    assert found.parts["static"].energy is not None
    assert found.parts["static"].energy.value > found.dynamic.value > 0
    assert len(model(compared, "integer").placements["loihi"].cores) == 1
    assert model(compared, "integer").semantics == "integer"


def test_dense_model_answers_and_is_counted_by_the_same_rules(compared: Models) -> None:
    net, batch = dense_model(), digits_task().fixed("test", 0, N)
    y, found = net.run(batch.inputs).y, model(compared, "lstm")
    answers = np.array([y[k, batch.window[k] == 0].mean(axis=0).argmax() for k in range(N)])
    assert found.answers is not None
    assert np.array_equal(found.answers.predictions, answers)
    assert np.array_equal(found.answers.labels, batch.targets[:, 0])
    assert found.answers.n_classes == 10
    assert found.result is not None
    assert found.result.n_right == (answers == batch.targets[:, 0]).sum()
    assert (found.base, found.activity, found.comparison) == ("torch", None, None)
    assert found.workload is not None
    assert found.workload.synaptic.mac.min() > 1000
    assert found.neurobench == neurobench_dense("lstm", net.weights, batch.inputs, net.run(batch.inputs).hidden)
    assert energy(compared, "lstm", "digital45").dynamic == estimate(found.workload, "digital45").dynamic


def test_dense_model_in_groups_gives_what_one_batch_gives(monkeypatch: pytest.MonkeyPatch, compared: Models) -> None:
    monkeypatch.setattr(dense_module, "_GROUP_BYTES", 2 * 8 * 72 * (17 + 24 + 20))
    told: list[str] = []
    found = compare_models(
        [entries()[2]], digits_task(), n_samples=N, progress=lambda done, total, what: told.append(what)
    ).models[0]
    whole = model(compared, "lstm")
    assert told == ["samples 0 to 1", "samples 2 to 3", "samples 4 to 5", "samples 6 to 6"]
    assert found.workload is not None
    assert whole.workload is not None
    assert same_operations(found.workload, whole.workload)
    assert found.neurobench is not None
    assert whole.neurobench is not None
    assert found.neurobench.effective_macs == pytest.approx(whole.neurobench.effective_macs, rel=1e-12)
    assert found.neurobench.dense == whole.neurobench.dense
    assert found.answers is not None
    assert whole.answers is not None
    assert np.array_equal(found.answers.predictions, whole.answers.predictions)


def test_devices_that_cannot_be_asked_say_why(compared: Models) -> None:
    assert (
        "needs a placement on the chip's cores, and holds integers (got a float graph; need an integer one)"
        in reason(compared, "float", "loihi")
    )
    assert "neuro quantize GRAPH --profile loihi1" in reason(compared, "float", "loihi")
    assert "runs spiking models alone (got kind 'lstm'" in reason(compared, "lstm", "loihi")


def test_graph_that_the_chip_cannot_hold_is_refused_there_alone() -> None:
    from tests.report.nets import integer_digits_graph

    found = compare_models([Entry(name="big", model=integer_digits_graph())], digits_task(), n_samples=2)
    text = reason(found, "big", "loihi")
    assert (
        "cannot hold this graph (got broken limits of loihi1: 1; need none, 'neuro check GRAPH --profile loihi1' lists"
        in text
    )
    assert energy(found, "big", "digital45").dynamic.value > 0


def test_step_time_is_that_of_static_power_and_latency(compared: Models) -> None:
    quick = compare_models([entries()[1]], digits_task(), n_samples=N, step_time_s=1e-5)
    slow_e, quick_e = energy(compared, "integer", "loihi"), energy(quick, "integer", "loihi")
    assert (compared.step_time_s, quick.step_time_s) == (1e-3, 1e-5)
    assert slow_e.dynamic == quick_e.dynamic
    assert slow_e.latency_s == pytest.approx(100 * quick_e.latency_s, rel=1e-12)
    static = [e.parts["static"].energy for e in (slow_e, quick_e)]
    assert static[0] is not None
    assert static[1] is not None
    assert static[0].value == pytest.approx(100 * static[1].value, rel=1e-12)
    assert quick_e.edp is not None
    assert quick_e.edp.value == pytest.approx((quick_e.dynamic.value + static[1].value) * quick_e.latency_s, rel=1e-12)


def test_order_name_and_split_are_kept(compared: Models) -> None:
    assert [m.name for m in compared.models] == ["float", "integer", "lstm"]
    assert (compared.task, compared.split, compared.n_samples, compared.sample, compared.steps) == (
        "digits",
        "test",
        N,
        2,
        72,
    )
    assert compared.params["steps_per_pixel"] == 1
    assert not compared.failed
    assert compared.missing == ()


# ------------------------------------------------------------------------------------------- mistakes, before anything runs


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"devices": ["lohi"]}, UnsupportedError, "device 'lohi': not known.*Did you mean 'loihi'"),
        ({"devices": ["loihi2"]}, UnsupportedError, "device 'loihi2': cannot be priced"),
        ({"devices": ["loihi", "loihi"]}, DataError, r"devices: given twice \(got loihi; need each name once\)"),
        ({"step_time_s": 0.0}, DataError, r"step time: out of range \(got 0 s; need more than 0 and at most"),
        ({"step_time_s": float("nan")}, DataError, r"step time: out of range \(got nan s"),
        ({"sample": 3}, DataError, r"sample is not among those that run \(got 3; need 0..2\)"),
    ],
)
def test_mistakes_in_the_call(changes: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        compare_models([Entry(name="x", model=unrunnable())], digits_task(), **{"n_samples": 3, **changes})


def unrunnable() -> Any:
    """Return a dense model that fits and fails the test if it runs."""

    class Unrunnable:
        def __getattr__(self, name: str) -> Any:
            if name == "run":
                pytest.fail("ran before the call was checked")
            return getattr(dense_model(), name)

    return Unrunnable()


def test_models_that_do_not_fit_are_all_named() -> None:
    given = [
        Entry(name="other", model=digits_graph(n_out=7)),
        Entry(name="dense", model=replace(dense_model(), shape=replace(dense_model().shape, n_in=5, dt_ms=2.0))),
    ]
    with pytest.raises(DataError) as caught:
        compare_models(given, digits_task())
    text = str(caught.value)
    assert "readouts do not fit (got LI 'out' of size 7; need one LI of size 10)" in text
    assert "task 'digits' on model 'dense': inputs do not fit (got 5; need 17)" in text
    assert "milliseconds of a step do not fit (got 2; need 1)" in text


def test_no_model_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match=r"no model \(got none; need one or more\)"):
        compare_models([], digits_task())
    with pytest.raises(DataError, match=r"two models of one name \(got 'x' twice"):
        compare_models([Entry(name="x", model=digits_graph()), Entry(name="x", model=dense_model())], digits_task())


@pytest.mark.parametrize("n", [0, 361])
def test_more_samples_than_there_are(n: int) -> None:
    with pytest.raises(DataError, match="sample is not among" if n == 0 else rf"out of range \(got {n}; need 1..360\)"):
        compare_models([Entry(name="x", model=dense_model())], digits_task(), n_samples=n)


# ------------------------------------------------------------------------------------------------------- other kinds of runs


@pytest.mark.usefixtures("_strangers")
def test_backend_that_differs_or_is_missing_is_told_of_all_models() -> None:
    given = [
        replace(e, candidates=(Candidate(name="engine"), Candidate(name=other)))
        for e, other in zip(entries()[:2], ("differs", "absent"), strict=True)
    ]
    found = compare_models(given, digits_task(), n_samples=5)
    assert found.failed
    assert found.missing == ("absent",)
    assert model(found, "integer").workload is not None


@pytest.fixture
def _strangers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch)


def test_graph_that_no_backend_runs_has_no_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(self: Any, graph: Any) -> Any:
        raise GraphError("broken")

    monkeypatch.setattr(type(get("engine")), "compile", fail)
    found = compare_models(
        [Entry(name="x", model=digits_graph()), Entry(name="lstm", model=dense_model())], digits_task(), n_samples=2
    )
    x = model(found, "x")
    assert (x.result, x.workload, x.answers, x.activity, x.energy) == (None, None, None, None, {})
    assert x.rows[0].status == "unavailable"
    assert found.missing == ("engine",)
    assert model(found, "lstm").workload is not None
    write_models(found, tmp_path, rasters=False)
    assert {p.name for p in (tmp_path / "x").iterdir()} == {"graph.h5", "comparison.json", "comparison.md"}
    data = json.loads((tmp_path / "models.json").read_text())["models"][0]
    assert (data["accuracy"], data["operations"], data["mean_rate_hz"], data["energy"]) == (None, None, None, {})
    assert data["backends"]["engine"]["parity"] == "none"
    assert "broken" in data["backends"]["engine"]["reason"]
    assert "| x | spiking, float | - |" in (tmp_path / "models.md").read_text()


def test_regression_has_an_error_and_no_answers() -> None:
    b = Builder(name="readout")
    b.spike_input("in", 5)
    b.li("out", 1)
    b.connect("in", "out", weight=1.0)
    task = make("pattern_generation", duration_ms=50, n_clock=5, rate_hz=200.0)
    found = compare_models([Entry(name="x", model=b.build())], task, n_samples=1, devices=["digital45"]).models[0]
    assert found.result is not None
    assert found.result.nmse > 0
    assert found.answers is not None
    assert (found.answers.n_classes, len(found.answers.labels)) == (0, 0)


class Greys(Task):  # type: ignore[misc]
    """Two channels of currents and a class, for graphs with current inputs."""

    name, n_in, n_out, steps, dt_ms, input_kind, u_max, u_step = "greys", 2, 3, 20, 1.0, "current", 1.0, 2.0**-8

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"test": 4}

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        rng = np.random.default_rng(0)
        inputs = rng.integers(0, 3, (4, 20, 2)) / 4
        window = np.full((4, 20), -1, np.int16)
        window[:, -5:] = 0
        return Batch(inputs, window, rng.integers(0, 3, (4, 1))).select(start, stop)


def test_currents_are_counted_as_multiplications() -> None:
    b = Builder(name="greys")
    b.current_input("in", 2, u_max=1.0, u_step=2.0**-8)
    b.lif("lif", 4)
    b.li("out", 3)
    b.connect("in", "lif", weight=1.0)
    b.connect("lif", "out", weight=0.5)
    found = compare_models([Entry(name="x", model=b.build())], Greys(), n_samples=4, devices=["digital45"]).models[0]
    inputs = Greys().fixed("test", 0, 4).inputs
    assert found.workload is not None
    assert found.workload.synaptic.mac.tolist() == (4 * (inputs != 0).sum(axis=(1, 2))).tolist()
    assert found.workload.synaptic.ac.sum() > 0


def test_default_devices_are_known() -> None:
    from neuro.report import DEVICES

    assert [device(name).name for name in DEVICES] == list(DEVICES)
