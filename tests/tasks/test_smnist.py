"""Sequential MNIST on small files that the tests write, and on the real ones where they are at hand."""

from __future__ import annotations

import gzip
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from neuro import seeds, tasks
from neuro.errors import DataError, RecipeError
from neuro.tasks.smnist import SequentialMnist

N_TRAIN, N_TEST = 12, 5
REAL = Path(os.environ.get("NEURO_DATA", Path(__file__).parents[2].parent / "shared" / "data")).resolve()


def write(path: Path, array: np.ndarray) -> None:
    raw = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(raw))
    else:
        path.write_bytes(raw)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four small IDX files, two of them gzipped; sample k has pixel 0 = k and label k % 10."""
    rng = np.random.default_rng(0)
    for part, n, ending in (("train", N_TRAIN, ".gz"), ("t10k", N_TEST, "")):
        images = np.where(rng.random((n, 28, 28)) < 0.3, rng.integers(0, 256, (n, 28, 28)), 0)
        images[:, 5, 5:8] = 255
        images[:, 0, 0] = np.arange(n)
        write(tmp_path / f"{part}-images-idx3-ubyte{ending}", images)
        write(tmp_path / f"{part}-labels-idx1-ubyte{ending}", np.arange(n) % 10)
    return tmp_path


def make(folder: Path, **params: object) -> SequentialMnist:
    task = tasks.make("smnist", folder, **{"validation_size": 4, **params})
    assert isinstance(task, SequentialMnist)
    return task


def test_shapes_sizes_and_splits(folder: Path) -> None:
    task = make(folder)
    assert task.sizes == {"train": 8, "validation": 4, "test": 5}
    assert (task.n_in, task.n_out, task.steps, task.dt_ms, task.input_kind) == (80, 10, 840, 1.0, "spikes")
    assert task.fixed("train", 0, 8).targets[:, 0].tolist() == list(range(8))
    assert task.fixed("validation", 0, 4).targets[:, 0].tolist() == [8, 9, 0, 1]
    assert task.fixed("test", 1, 3).targets[:, 0].tolist() == [1, 2]
    batch = task.sample("validation", np.random.default_rng(0), 4)
    assert sorted(batch.targets[:, 0]) == [0, 1, 8, 9]
    assert (batch.inputs.shape, batch.inputs.dtype) == ((4, 840, 80), np.uint8)


@pytest.mark.parametrize("ms", [1, 3])
def test_cue_and_decision_window_stretch_with_the_pixels(folder: Path, ms: int) -> None:
    batch = make(folder, ms_per_pixel=ms).fixed("test", 0, 5)
    assert batch.inputs.shape[1] == 840 * ms
    assert (batch.inputs[:, : 784 * ms, 79] == 0).all()
    assert (batch.inputs[:, 784 * ms :, 79] == 1).all()
    assert not batch.inputs[:, 784 * ms :, :79].any()
    assert (batch.window[:, : 812 * ms] == -1).all()
    assert (batch.window[:, 812 * ms :] == 0).all()


@pytest.mark.parametrize("ms", [1, 2])
def test_spikes_are_the_published_code_one_step_later(folder: Path, ms: int) -> None:
    """Thresholds k / 39 of white: crossings upward and downward, and a neuron for white itself."""
    task = make(folder, ms_per_pixel=ms)
    assert task.steps == 840 * ms
    spikes = task.fixed("test", 0, 5).inputs
    assert not spikes[:, :, :2].any()  # every value has reached level 0
    x = np.repeat(task.test_images.astype(float) / 255, ms, axis=1)
    before = np.concatenate([np.zeros((5, 1)), x[:, :-1]], axis=1)
    for k in range(39):
        threshold = k / 39 - 1e-9
        onset = (before < threshold) & (x >= threshold)
        offset = (before >= threshold) & (x < threshold)
        np.testing.assert_array_equal(spikes[:, : 784 * ms, 2 * k], onset, err_msg=f"onset {k}")
        np.testing.assert_array_equal(spikes[:, : 784 * ms, 2 * k + 1], offset, err_msg=f"offset {k}")
        assert k == 0 or (onset.any() and offset.any())
    np.testing.assert_array_equal(spikes[:, : 784 * ms, 78], x == 1)
    assert (x == 1).sum() >= 15 * ms


@given(grey=st.integers(0, 255))
def test_levels_in_integers_are_the_thresholds_in_fractions(grey: int) -> None:
    assert grey * 39 // 255 == max(k for k in range(40) if 255 * k <= 39 * grey)


@pytest.mark.parametrize("ms", [1, 3])
def test_grey_values_as_currents_lie_on_their_grid(folder: Path, ms: int) -> None:
    task = make(folder, encoding="current", ms_per_pixel=ms)
    assert (task.n_in, task.input_kind, task.u_max, task.u_step) == (2, "current", 1.0, 2.0**-8)
    inputs = task.fixed("test", 0, 5).inputs
    assert inputs.dtype == np.float64
    assert (inputs * 256 == np.round(inputs * 256)).all()
    assert 0.9 < inputs[:, :, 0].max() < task.u_max
    np.testing.assert_array_equal(inputs[:, : 784 * ms : ms, 0], task.test_images / 256)
    np.testing.assert_array_equal(inputs[:, ms - 1 : 784 * ms : ms, 0], task.test_images / 256)
    assert not inputs[:, 784 * ms :, 0].any()
    np.testing.assert_array_equal(inputs[:, :, 1], np.tile(np.arange(840 * ms) >= 784 * ms, (5, 1)))


def test_permutation_is_one_for_all_splits_and_seeds(folder: Path) -> None:
    plain, permuted = make(folder), make(folder, permuted=True)
    again = make(folder, permuted=True, ms_per_pixel=2)
    order = [int(np.flatnonzero((row == plain.train_images.T).all(axis=1))[0]) for row in permuted.train_images.T]
    assert len(set(order)) > 700  # some pixels are alike in all twelve images
    assert order != sorted(order)
    np.testing.assert_array_equal(permuted.train_images, again.train_images)
    rows = np.array([np.concatenate([task.train_images, task.test_images]).T for task in (plain, permuted)])
    assert sorted(map(bytes, rows[0])) == sorted(map(bytes, rows[1]))


def test_training_images_alone_are_shifted_and_black_comes_in(folder: Path) -> None:
    still, moved = (make(folder, encoding="current", max_shift=far) for far in (0, 2))
    image = {k: still.fixed("train", k, k + 1).inputs[0, :784, 0].reshape(28, 28) for k in range(8)}
    found = set()
    for draw in range(20):
        batch = moved.sample("train", np.random.default_rng(draw), 8)
        for inputs, label in zip(batch.inputs, batch.targets[:, 0].tolist(), strict=True):
            padded = np.pad(image[label], 2)
            shown = inputs[:784, 0].reshape(28, 28)
            at = [(d, r) for d in range(5) for r in range(5) if np.array_equal(padded[d : d + 28, r : r + 28], shown)]
            assert len(at) == 1, "a training image, moved by at most two pixels each way"
            found.update(at)
            assert inputs[784:, 1].all(), "the cue stays"
    assert len(found) == 25, "every shift is drawn"
    for split in ("validation", "test"):
        assert np.array_equal(moved.fixed(split, 0, 4).inputs, still.fixed(split, 0, 4).inputs)
    drawn = [task.sample("validation", np.random.default_rng(0), 4).inputs for task in (still, moved)]
    assert np.array_equal(*drawn)


def test_shifted_images_are_permuted_after_the_shift(folder: Path) -> None:
    plain, permuted = (make(folder, encoding="current", max_shift=2, permuted=p) for p in (False, True))
    a, b = (task.sample("train", np.random.default_rng(5), 8).inputs[:, :784, 0] for task in (plain, permuted))
    order = seeds.stream(0, "smnist.permutation").permutation(784)
    assert np.array_equal(a[:, order], b)
    assert not np.array_equal(a, b)


def test_data_folder_may_be_named_by_the_environment_and_have_a_subfolder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "mnist").mkdir()
    for path in folder.glob("*ubyte*"):
        path.rename(folder / "data" / "mnist" / path.name)
    monkeypatch.setenv("NEURO_DATA", str(folder / "data"))
    assert tasks.make("smnist", validation_size=4).sizes["test"] == N_TEST
    monkeypatch.delenv("NEURO_DATA")
    with pytest.raises(
        DataError, match=r"no data folder .*--data DIR or the environment variable NEURO_DATA.* https://"
    ):
        tasks.make("smnist")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "t10k-labels-idx1-ubyte").unlink(), "t10k-labels-idx1-ubyte: file not found"),
        (
            lambda f: write(f / "t10k-labels-idx1-ubyte", np.arange(4)),
            "t10k images and labels do not match (got 5 images, 4",
        ),
        (
            lambda f: write(f / "t10k-labels-idx1-ubyte", np.arange(5) + 6),
            "t10k labels out of range (got 10; need 0..9)",
        ),
        (
            lambda f: write(f / "t10k-images-idx3-ubyte", np.zeros((5, 27, 28))),
            "t10k images of the wrong size (got 27x28 pixels; need 28x28)",
        ),
        (
            lambda f: (
                write(f / "t10k-images-idx3-ubyte", np.zeros((0, 28, 28))),
                write(f / "t10k-labels-idx1-ubyte", np.zeros(0)),
            ),
            "t10k files are empty (got 0 images",
        ),
    ],
)
def test_files_that_do_not_fit_are_named_with_where_to_get_them(
    folder: Path, change: Callable[[Path], object], message: str
) -> None:
    change(folder)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        make(folder)
    assert str(folder) in str(caught.value)
    assert "https://" in str(caught.value)


def test_a_validation_set_that_leaves_no_training_image_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"too few training images \(got 12; need more than validation_size = 12"):
        make(folder, validation_size=12)
    with pytest.raises(RecipeError, match=r"validation_size: out of range \(got 0; need a whole number, 1\.\.30000\)"):
        make(folder, validation_size=0)


def handwriting(folder: Path) -> Path:
    """Write scikit-learn's 1797 real digits in the form of MNIST: each pixel three wide, a black margin of two."""
    digits = load_digits()
    images = np.pad(np.kron(digits.images * 15, np.ones((3, 3))), ((0, 0), (2, 2), (2, 2)))
    for part, here in (("train", slice(0, 1437)), ("t10k", slice(1437, None))):
        write(folder / f"{part}-images-idx3-ubyte.gz", images[here])
        write(folder / f"{part}-labels-idx1-ubyte.gz", digits.target[here])
    return folder


@pytest.mark.parametrize("source", ["scikit-learn", *(["MNIST"] if (REAL / "mnist").is_dir() else [])])
def test_real_handwriting(source: str, tmp_path: Path) -> None:
    """The files of MNIST itself are read where they are at hand (NEURO_DATA, or a folder shared/data beside the checkout)."""
    task = tasks.make("smnist", REAL if source == "MNIST" else handwriting(tmp_path), validation_size=200)
    assert isinstance(task, SequentialMnist)
    assert task.sizes["train"] == len(task.train_labels) - 200 > 1200
    if source == "MNIST":
        assert np.bincount(task.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    else:
        assert np.array_equal(task.test_labels, load_digits().target[1437:])
    batch = task.sample("train", np.random.default_rng(0), 256)
    crossings = batch.inputs[:, :784, 2:78].reshape(256, 784, 38, 2).sum(axis=(1, 2)).astype(int)
    np.testing.assert_array_equal(crossings[:, 0], crossings[:, 1])  # every digit ends on black: as many up as down
    assert 500 < crossings[:, 0].mean() < 2500
