"""Tiny sets that TFDS prepares here, read back: what comes out, and what is refused."""

import functools
import io
import json
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mi203jax.core.errors import UsageError
from mi203jax.data import load
from mi203jax.data.sets import open_source
from mi203jax.data.source import Source, stack
from tests.data import tiny
from tests.data.tiny import prepare

features = tfds.features


@pytest.fixture
def prepared(tmp_path):
    return functools.partial(prepare, tmp_path)


def png(*shape):
    return tiny.png(np.full(shape, 7, np.uint8))


class TestStack:
    def test_sequences_are_padded(self, prepared):
        lists = [[1.0], [2.0, 3.0, 4.0], []]
        data = load(
            "tiny",
            data_dir=prepared(
                {"x": features.Sequence(np.float32)}, [{"x": np.array(x, np.float32)} for x in lists]
            ),
        )
        assert data.shapes == {"x": ((None,), np.float32)}
        np.testing.assert_array_equal(data.arrays["x"], [[1, 0, 0], [2, 3, 4], [0, 0, 0]])
        np.testing.assert_array_equal(data.arrays["x_length"], [1, 3, 0])

    def test_images_of_one_size_which_the_set_does_not_state(self, prepared):
        folder = prepared(
            {"image": features.Image(shape=(None, None, 1))}, [{"image": png(4, 3)} for _ in range(3)]
        )
        data = load("tiny", data_dir=folder)
        assert list(data.arrays) == ["image"]
        np.testing.assert_array_equal(data.arrays["image"], np.full((3, 4, 3, 1), 7))
        assert data.shapes == {"image": ((4, 3, 1), np.uint8)}

    def test_texts(self, prepared):
        folder = prepared({"text": features.Text()}, [{"text": "a"}, {"text": "été"}])
        assert load("tiny", data_dir=folder).arrays["text"].tolist() == [b"a", "été".encode()]

    @pytest.mark.parametrize("slice_size", [1, 77, 10_000])
    def test_by_slices_of_any_size(self, slice_size):
        source, _ = open_source("digits/blocks", "test")
        arrays = stack(source, "digits/blocks", slice_size)
        for i in (0, 76, 77, len(source) - 1):
            for name, value in source[i].items():
                np.testing.assert_array_equal(arrays[name][i], value)

    @pytest.mark.parametrize("terminal", [True, False])
    def test_progress_on_a_terminal_if_it_takes_long(self, terminal, monkeypatch, capsys):
        source, _ = open_source("digits/blocks", "test")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
        clock = iter(range(0, 1000, 2))
        monkeypatch.setattr(time, "monotonic", lambda: next(clock))
        stack(source, "digits/blocks", slice_size=len(source) // 4)
        shown = capsys.readouterr().err
        assert ("reading digits/blocks: 25 %" in shown) == terminal
        assert " 0 %" not in shown

    def test_what_does_not_fit_into_memory_is_refused(self, monkeypatch):
        source, _ = open_source("digits/blocks", "test")
        monkeypatch.setattr("mi203jax.data.source.LARGE", 1_000)
        monkeypatch.setattr("mi203jax.core.memory.available_to_host", lambda: 1_000_000)
        assert len(stack(source, "digits/blocks")["label"]) == len(source)
        monkeypatch.setattr("mi203jax.core.memory.available_to_host", lambda: 20_000)
        with pytest.raises(
            UsageError, match="^digits/blocks: 360 examples take 2.45e-05 gigabytes, 2e-05 are"
        ):
            stack(source, "digits/blocks")


class TestSource:
    @pytest.fixture
    def source(self):
        return open_source("mnist_5k", "test")[0]

    def test_is_a_sequence(self, source):
        assert len(source) == 1000
        assert len(list(source)) == 1000
        assert source[np.int64(3)]["label"] == source.__getitems__([5, 3])[1]["label"]
        for index in (-1, 1000):
            with pytest.raises(IndexError, match="below 1000"):
                source[index]

    def test_may_be_pickled(self, source):
        again = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(again[17]["image"], source[17]["image"])

    def test_may_be_read_by_several_threads(self):
        source = open_source("mnist_5k", "test")[0]  # one whose file is not open yet
        expected = load("mnist_5k", "test").arrays["image"]
        with ThreadPoolExecutor(4) as pool:
            images = list(pool.map(lambda i: source[i]["image"], range(1000)))
        np.testing.assert_array_equal(images, expected)

    def test_only_some_features(self, prepared):
        kinds = {"x": features.Scalar(np.float32), "y": features.Scalar(np.float32)}
        folder = prepared(kinds, [{"x": 1.0, "y": np.nan}, {"x": 2.0, "y": np.nan}])
        source, _ = open_source("tiny", data_dir=folder)
        chosen = source.only(["x"])
        assert chosen.shapes == {"x": ((), np.float32)}
        assert chosen.__getitems__([1, 0]) == [{"x": 2.0}, {"x": 1.0}]
        with pytest.raises(UsageError, match="y holds NaN"):
            source[0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("kinds", "values", "message"),
        [
            (
                {"x": features.Tensor(shape=(2,), dtype=np.float32)},
                [[0, 1], [2, 3], [4, np.nan], [np.nan, 5]],
                "x holds NaN, first seen in example 2",
            ),
            ({"x": features.Scalar(np.float64)}, [0.0, -np.inf], "x holds infinity, first seen in example 1"),
            (
                {"x": features.Image(shape=(None, None, 1))},
                [(4, 3), (4, 3), (5, 3)],
                r"x has unequal shapes: \(5, 3, 1\) in example 2, others \(4, 3, 1\)",
            ),
            ({"x": features.Scalar(np.int64)}, [1, 2**31], "x of example 1 is no int32 array: .*2147483648"),
            (
                {"x": features.ClassLabel(num_classes=3)},
                [2, 0, -1],
                "x is -1 in example 2: its 3 classes begin at 0",
            ),
            (
                {"x": features.Sequence({"y": np.int32})},
                [{"y": [1]}],
                "x is nested or ragged, which makes no array",
            ),
        ],
    )
    def test_arrays_that_cannot_be_trained_on(self, kinds, values, message, prepared):
        image = isinstance(kinds["x"], features.Image)
        folder = prepared(kinds, [{"x": png(*v) if image else v} for v in values])
        with pytest.raises(UsageError, match=f"^tiny: feature {message}"):
            load("tiny", data_dir=folder)

    def test_ragged(self):
        class Records(list):
            def __getitems__(self, indices):
                return [self[i] for i in indices]

        kinds = {"x": features.Sequence(features.Sequence(np.int32))}
        with pytest.raises(UsageError, match="x is nested or ragged"):
            Source(Records([{"x": [[1], [2, 3]]}]), "tiny", kinds)

    def test_a_label_beyond_the_classes(self, prepared):
        folder = prepared({"label": features.ClassLabel(num_classes=3)}, [{"label": y} for y in (0, 1, 2)])
        file = folder / "tiny/1.0.0/features.json"
        changed = json.loads(file.read_text().replace('"3"', '"2"'))
        file.write_text(json.dumps(changed))
        with pytest.raises(UsageError, match="label is 2 in example 2: its 2 classes begin at 0"):
            load("tiny", data_dir=folder)

    def test_a_damaged_image(self, prepared):
        whole = png(8, 8).getvalue()
        images = [whole, whole, whole[:40], whole]
        kinds = {"image": features.Image(shape=(8, 8, 1))}
        folder = prepared(kinds, [{"image": io.BytesIO(i)} for i in images])
        with pytest.raises(UsageError, match="^tiny: example 2 cannot be read: .+ prepare the set again"):
            load("tiny", data_dir=folder)

    @pytest.mark.parametrize("keep", [0, 1000, 70_000])
    def test_a_file_that_is_cut(self, keep, prepared):
        kinds = {"x": features.Tensor(shape=(100,), dtype=np.float32)}
        noise = np.random.default_rng(0).normal(size=(500, 100)).astype(np.float32)
        folder = prepared(kinds, [{"x": x} for x in noise])
        file = next(folder.glob("tiny/*/*.array_record*"))
        file.write_bytes(file.read_bytes()[:keep])
        with pytest.raises(UsageError, match=r"^tiny: example 0 cannot be read: .+ prepare the set again"):
            load("tiny", data_dir=folder)
