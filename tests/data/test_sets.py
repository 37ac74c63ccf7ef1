"""The embedded sets against what their authors say of them, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mi203jax.core.errors import UsageError
from mi203jax.data import load, names
from mi203jax.data.sets import EMBEDDED, _stack


class TestEmbedded:
    def test_names(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        assert names() == ["breast_cancer", "digits/blocks", "digits/shuffled", "japanese_vowels", "mnist_5k"]

    @pytest.mark.parametrize(("split", "each"), [("train", 400), ("test", 100)])
    def test_mnist_5k(self, split, each):
        data = load("mnist_5k", split)
        assert data.num_examples == 10 * each
        assert (np.bincount(data.arrays["label"]) == each).all()
        assert data.classes == tuple("0123456789")
        images = data.arrays["image"]
        assert (images.shape[1:], images.dtype) == ((28, 28, 1), np.uint8)
        # MNIST's own mean and standard deviation, of all 60,000: 0.1307 and 0.3081.
        assert images.mean() / 255 == pytest.approx(0.1307, abs=0.005)
        assert images.std() / 255 == pytest.approx(0.3081, abs=0.005)

    def test_no_image_is_in_both_splits(self):
        train, test = ({i.tobytes() for i in load("mnist_5k", s).arrays["image"]} for s in ("train", "test"))
        assert not train & test

    @pytest.mark.parametrize("config", ["blocks", "shuffled"])
    def test_digits(self, config):
        train, test = (load(f"digits/{config}", s).arrays for s in ("train", "test"))
        assert len(train["label"]) + len(test["label"]) == 1797
        images = np.concatenate([train["image"], test["image"]])
        assert images.shape == (1797, 8, 8, 1)
        assert (images.min(), images.max()) == (0, 16)
        counts = np.bincount(np.concatenate([train["label"], test["label"]]))
        assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI's table

    def test_japanese_vowels(self):
        train, test = (load("japanese_vowels", s).arrays for s in ("train", "test"))
        assert np.bincount(train["label"]).tolist() == [30] * 9
        assert np.bincount(test["label"]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]  # UCI's table
        for arrays in (train, test):
            sequence, length = arrays["sequence"], arrays["sequence_length"]
            assert sequence.shape[2] == 12
            assert (length.min(), length.max()) in [(7, 26), (7, 29)]
            beyond = np.arange(sequence.shape[1]) >= length[:, None]
            assert (sequence[beyond] == 0).all()
            assert (sequence[~beyond] != 0).any(-1).all()

    def test_breast_cancer(self):
        train, test = (load("breast_cancer", s).arrays for s in ("train", "test"))
        labels = np.concatenate([train["label"], test["label"]])
        assert [(labels == y).sum() for y in (-1, 1)] == [357, 212]  # benign, malignant: UCI's table
        assert train["features"].shape == (456, 30)
        # Malignant tumours have the larger nuclei: the first feature is their mean radius.
        radius = train["features"][:, 0]
        assert radius[train["label"] == 1].mean() > radius[train["label"] == -1].mean() + 3

    @pytest.mark.parametrize("name", ["mnist_5k", "digits/blocks", "japanese_vowels", "breast_cancer"])
    def test_says_where_it_comes_from(self, name):
        data = load(name)
        assert "**Origin.**" in data.description
        assert "**Licence.**" in data.description
        assert data.citation.startswith("@")
        assert data.name == f"{name}/1.0.0"


def test_part_of_a_split():
    assert load("mnist_5k", "train[:10%]").num_examples == 400


def test_needs_no_tensorflow():
    code = "import sys; from mi203jax.data import load; load('digits/blocks'); assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


class TestElsewhere:
    @pytest.fixture
    def folder(self, tmp_path):
        shutil.copytree(EMBEDDED / "breast_cancer", tmp_path / "mine")
        return tmp_path

    def test_a_prepared_folder(self, folder):
        shutil.copytree(EMBEDDED / "breast_cancer", folder / "breast_cancer")
        here, there = load("breast_cancer", data_dir=folder), load("breast_cancer")
        np.testing.assert_array_equal(here.arrays["features"], there.arrays["features"])
        assert names(folder) == ["breast_cancer", "mine"]

    def test_the_newest_version(self, folder):
        for version in ("1.2.0", "1.10.0"):
            new = folder / "mine" / version
            shutil.copytree(folder / "mine" / "1.0.0", new)
            info = json.loads((new / "dataset_info.json").read_text())
            (new / "dataset_info.json").write_text(json.dumps(info | {"version": version}))
        assert load("mine", data_dir=folder).name.endswith("/1.10.0")
        assert load("mine:1.2.0", data_dir=folder).name.endswith("/1.2.0")

    def test_tfrecord_is_refused_with_the_way_to_convert_it(self, folder):
        file = folder / "mine" / "1.0.0" / "dataset_info.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"fileFormat": "tfrecord"}))
        with pytest.raises(UsageError, match="stored as tfrecord.*convert_format --root_data_dir="):
            load("mine", data_dir=folder)

    def test_a_missing_shard(self, folder):
        next((folder / "mine" / "1.0.0").glob("*train*")).unlink()
        with pytest.raises(UsageError, match="lacks a file"):
            load("mine", data_dir=folder)


def test_images_of_unequal_size():
    examples = [{"image": np.zeros((2, 3))}, {"image": np.zeros((2, 4))}]
    with pytest.raises(UsageError, match=r"image has unequal shapes, such as \(2, 3\) and \(2, 4\)"):
        _stack(examples)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnist_5",), "Unknown data=mnist_5: .*Did you mean 'mnist_5k'?"),
        (("digits",), "data=digits comes in several forms: expected one of digits/blocks, digits/shuffled"),
        (("mnist_5k", "tst"), "mnist_5k has no split 'tst': expected one of train, test"),
        (("mnist_5k:2.0.0",), "mnist_5k is there in version 1.0.0, not 2.0.0"),
        (("mnist_5k", "train", "/nowhere"), "data_dir=/nowhere: there is no such folder"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(UsageError, match=message):
        load(*arguments)
