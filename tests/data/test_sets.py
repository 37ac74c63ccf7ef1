"""The embedded sets against what their authors say of them, and what is refused."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mi203jax.core.errors import UsageError
from mi203jax.data import load, names
from mi203jax.data.sets import EMBEDDED, open_source


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


def test_never_imports_tensorflow(tmp_path):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise RuntimeError('imported')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from mi203jax.data import load; load('digits/blocks')"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_open_source():
    source, info = open_source("japanese_vowels", "test")
    data = load("japanese_vowels", "test")
    assert info == data[1:]
    assert info.shapes == {"label": ((), np.int32), "sequence": ((None, 12), np.float32)}
    assert len(source) == data.num_examples
    example = source[7]
    assert example["label"] == data.arrays["label"][7]
    length = data.arrays["sequence_length"][7]
    np.testing.assert_array_equal(example["sequence"], data.arrays["sequence"][7, :length])


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
        assert load("mine/1.2.0", data_dir=folder).name.endswith("/1.2.0")

    def test_a_half_prepared_set_is_none(self, folder):
        (folder / "mine" / "1.0.0").rename(folder / "mine" / "incomplete.A1B2C3_1.0.0")  # TFDS's name for it
        assert names(folder) == []
        with pytest.raises(UsageError, match="Unknown data=mine"):
            load("mine", data_dir=folder)

    @pytest.fixture
    def describe(self, folder):
        def change(**fields):
            file = folder / "mine" / "1.0.0" / "dataset_info.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | fields))

        return change

    def test_tfrecord_is_refused_with_the_way_to_convert_it(self, folder, describe):
        describe(fileFormat="tfrecord")
        with pytest.raises(
            UsageError, match="stored as tfrecord.*convert_format --dataset_version_dir="
        ) as e:
            load("mine", data_dir=folder)
        flags = [word for word in str(e.value).split() if word.startswith("--")]
        assert flags == [
            f"--dataset_version_dir={folder / 'mine' / '1.0.0'}",
            "--out_file_format=array_record",
        ]

    def test_what_that_way_leaves_is_read(self, folder, describe):
        describe(fileFormat="tfrecord", alternativeFileFormats=["array_record"])
        assert load("mine", "test", data_dir=folder).num_examples == 113

    def test_a_missing_shard(self, folder):
        next((folder / "mine" / "1.0.0").glob("*train*")).unlink()
        with pytest.raises(UsageError, match="lacks a file: breast_cancer-train.array_record-00000-of-00001"):
            load("mine", data_dir=folder)
        assert load("mine", "test", data_dir=folder).num_examples == 113

    @pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
    @pytest.mark.parametrize("content", ["", "{", "[]", '{"name": 1}', None])
    def test_a_damaged_description(self, folder, file, content):
        path = folder / "mine" / "1.0.0" / file
        if content is not None:
            path.write_text(content)
        elif file == "dataset_info.json":
            pytest.skip("without it, there is no set")
        else:
            path.unlink()
        with pytest.raises(UsageError, match="^mine: the description in .* cannot be read: .") as e:
            load("mine", data_dir=folder)
        assert "\n" not in str(e.value)

    def test_a_file_for_a_folder(self, folder):
        (folder / "file").touch()
        with pytest.raises(UsageError, match="file is a file: expected the folder that holds NAME/VERSION/"):
            load("mine", data_dir=folder / "file")

    def test_an_unreadable_folder(self, folder, monkeypatch):
        monkeypatch.setattr(os, "access", lambda *a: False)  # root may read everything
        with pytest.raises(UsageError, match="may not be read"):
            load("mine", data_dir=folder)

    def test_an_embedded_set(self, folder):
        with pytest.raises(
            UsageError, match="mnist_5k is not in data_dir=.*, but found if no data_dir is given"
        ):
            load("mnist_5k", data_dir=folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnist_5",), "Unknown data=mnist_5: .*Did you mean 'mnist_5k'?"),
        (("digits",), "data=digits comes in several forms: expected one of digits/blocks, digits/shuffled"),
        (("mnist_5k", "tst"), "mnist_5k has no split 'tst': expected one of train, test"),
        (("mnist_5k", "train[:"), r"mnist_5k has no split 'train\[:': expected one of train, test"),
        (("mnist_5k", "train[:9999]"), r"no split 'train\[:9999\]'.*incompatible with 4000 examples"),
        (("mnist_5k", ""), "mnist_5k has no split '': expected one of train, test"),
        (("mnist_5k", "train[:0]"), r"mnist_5k: split 'train\[:0\]' holds no example"),
        (("mnist_5k", "train[9:5]"), r"mnist_5k: split 'train\[9:5\]' holds no example"),
        (("digits/block",), "Unknown data=digits/block: .*Did you mean 'digits/blocks'"),
        (("",), "data='': expected NAME, NAME/CONFIGURATION or NAME:VERSION"),
        (("../mnist_5k",), "data='../mnist_5k': expected NAME"),
        (("mnist_5k:newest",), "data='mnist_5k:newest': expected NAME"),
        (("mnist_5k:2.0.0",), "mnist_5k is there in version 1.0.0, not 2.0.0"),
        (("mnist_5k", "train", "/nowhere"), "data_dir=/nowhere: there is no such folder"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(UsageError, match=message) as e:
        load(*arguments)
    assert "\n" not in str(e.value)
