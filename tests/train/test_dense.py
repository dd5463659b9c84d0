"""Dense models as files: what is written is read back, and what is damaged or of another kind is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from neuro.errors import DataError, UnsupportedError
from neuro.tasks import make
from neuro.train import DenseModel, ModelConfig, TrainConfig, dense_of_run, fit, load_dense, save_dense

TASK = make("digits", steps_per_pixel=1, cue_steps=8, decision_steps=4)


def trained(folder: Path, kind: str, dtype: str = "float32") -> Path:
    train = TrainConfig(iterations=2, batch=8, validate_every=1, validate_samples=16, threads=1, dtype=dtype)
    fit(
        TASK,
        folder / kind,
        model=ModelConfig(kind=kind, n_units=5, n_lif=4, n_alif=2),
        train=train,
        seed=2,
        notes={"name": "small"},
    )
    return folder / kind


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {"lstm": trained(folder, "lstm"), "rnn": trained(folder, "rnn", "float64"), "lsnn": trained(folder, "lsnn")}


@pytest.fixture
def file(runs: dict[str, Path], tmp_path: Path) -> Path:
    save_dense(dense_of_run(runs["lstm"]), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_file_gives_back_the_model_of_the_run(runs: dict[str, Path], tmp_path: Path, kind: str) -> None:
    model = dense_of_run(runs[kind])
    save_dense(model, tmp_path / "deep" / "model.safetensors")
    again = load_dense(tmp_path / "deep" / "model.safetensors")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["model.safetensors"]
    assert (again.name, again.kind, again.config, again.shape, again.dtype) == (
        "small",
        kind,
        model.config,
        model.shape,
        model.dtype,
    )
    assert again.notes == model.notes == {"name": "small"}
    assert again.sha256 == model.sha256
    batch = TASK.fixed("test", 0, 4)
    first, second = model.run(batch.inputs), again.run(batch.inputs)
    assert np.array_equal(first.y, second.y)
    with torch.no_grad():
        assert np.array_equal(first.y, model.module(batch.inputs).y.numpy())
    assert first.hidden.shape == (4, TASK.steps, 5)
    assert first.hidden.std() > 0.01
    assert again.weights["w_in"].shape == ({"lstm": 20, "rnn": 5}[kind], TASK.n_in)


def test_hidden_states_and_weights_give_the_readout(runs: dict[str, Path]) -> None:
    model = dense_of_run(runs["rnn"])
    inputs = TASK.fixed("test", 0, 2).inputs
    found, w = model.run(inputs), model.weights
    h = np.zeros((2, 5))
    for t in range(TASK.steps):
        h = np.tanh(inputs[:, t] @ w["w_in"].T + h @ w["w_rec"].T + w["bias"])
        assert np.allclose(h, found.hidden[:, t], rtol=0, atol=1e-12)  # float64, other order of sums
    assert np.allclose(found.hidden @ w["w_out"].T + w["bias_out"], found.y, rtol=0, atol=1e-12)


def test_hash_is_of_kind_and_weights_alone(file: Path) -> None:
    model = load_dense(file)
    changed = load_dense(file)
    with torch.no_grad():
        changed.module.readout.bias[0] += 1  # type: ignore[union-attr, index, operator]
    assert changed.sha256 != model.sha256
    assert DenseModel(**{**vars(model), "name": "other", "notes": {}}).sha256 == model.sha256


def test_spiking_run_is_no_dense_model(runs: dict[str, Path]) -> None:
    with pytest.raises(UnsupportedError, match=r"no dense model .got kind 'lsnn'; need lstm or rnn.*neuro export"):
        dense_of_run(runs["lsnn"])


def about(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as held:
        return dict(held.metadata())


def test_arrays_have_to_be_those_of_the_settings(file: Path) -> None:
    tensors, held = load_file(file), about(file)
    wide = {**json.loads(held["model"]), "n_units": 10**7}  # terabytes, were it built
    save_file(tensors, file, {**held, "model": json.dumps(wide)})
    with pytest.raises(
        DataError,
        match=r"array 'layer.weight_hh_l0' does not fit \(got \('F32', \(20, 5\)\); need \('F32', \(40000000, 10000000\)\)\)",
    ):
        load_dense(file)
    save_file({**tensors, "extra": torch.zeros(1)}, file, held)
    with pytest.raises(DataError, match=r"array 'extra' does not fit \(got \('F32', \(1,\)\); need none\)"):
        load_dense(file)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "neuro-dance"}, "another kind of file .got 'neuro-dance'; need 'neuro-dense'"),
        ({"schema_version": "2"}, "schema version not supported .got 2; need 1"),
        ({"extra": "x"}, "metadata differ from the schema"),
        ({"dtype": "float16"}, "no dense model .got kind 'lstm', dtype 'float16'"),
        ({"model": "{}"}, "no dense model .got kind 'lsnn'"),
        ({"model": "not JSON"}, "file cannot be read .got JSONDecodeError"),
    ],
)
def test_metadata_that_are_wrong_are_refused(file: Path, change: dict[str, str], text: str) -> None:
    tensors, held = load_file(file), about(file)
    save_file(tensors, file, {**held, **change})
    with pytest.raises(DataError, match=text):
        load_dense(file)


def test_files_that_are_no_models_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_dense(tmp_path / "none.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="file cannot be read"):
        load_dense(file)
    file.write_bytes(b"not a model")
    with pytest.raises(DataError, match="file cannot be read"):
        load_dense(file)
