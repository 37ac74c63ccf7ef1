import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds

from mi203jax import UsageError
from mi203jax.data import load, splits
from mi203jax.data.feed import Streamed, order_key
from mi203jax.data.located import open_boxed, open_masked
from mi203jax.data.splits import data_of, supervised_data
from tests.data.tiny import png, prepare


def digits(**kwargs):
    return supervised_data(
        "digits/blocks", "image", **{"batch_size": 10, "standardization": "channel", **kwargs}
    )


class TestSupervisedData:
    def test_is_what_load_gives(self):
        data = digits(train_split="train[:50%]")
        train, test = load("digits/blocks", "train[:50%]").arrays, load("digits/blocks", "test").arrays
        for name in ("image", "label"):
            np.testing.assert_array_equal(data.train.arrays[name], train[name])
            np.testing.assert_array_equal(data.test[name], test[name])
        np.testing.assert_allclose(data.statistics.mean, [train["image"].mean()], rtol=1e-5)

    def test_a_stream_has_the_same_statistics_and_keeps_no_training_example(self):
        memory, stream = digits(feed="memory"), digits(feed="stream")
        assert isinstance(stream, Streamed)
        assert stream.shared.train is None
        jax.tree.map(np.testing.assert_array_equal, memory.statistics, stream.shared.statistics)
        first = next(stream.batches(jax.random.split(jax.random.key(0), 2), 0, 1))
        assert {n: a.shape for n, a in first.items()} == {"image": (2, 10, 8, 8, 1), "label": (2, 10)}

    def test_large_sets_are_streamed(self, monkeypatch):
        size = 1437 * (64 + 4)  # a label has four bytes
        for limit, streams in ((size, False), (size - 1, True)):
            monkeypatch.setattr(splits, "MEMORY", limit)
            assert isinstance(digits(), Streamed) == streams

    def test_statistics_of_large_sets_are_of_some_examples(self, monkeypatch):
        splits.source_statistics.cache_clear()
        monkeypatch.setattr(splits, "FITTED", 3)
        images = load("digits/blocks", "train").arrays["image"][[0, 718, 1436]]
        np.testing.assert_allclose(digits().statistics.mean, [images.mean()], rtol=1e-5)
        splits.source_statistics.cache_clear()

    @pytest.mark.parametrize(
        ("name", "inputs", "message"),
        [
            ("japanese_vowels", "features", "has no 'features'|is a sequence of any length"),
            (
                "breast_cancer",
                "image",
                "breast_cancer/1.0.0 has no 'image': expected a set with image and label",
            ),
        ],
    )
    def test_other_sets(self, name, inputs, message):
        with pytest.raises(UsageError, match=message):
            supervised_data(name, inputs, batch_size=1)

    def test_sequences_have_no_one_shape(self):
        (name,) = set(load("japanese_vowels").shapes) - {"label"}
        with pytest.raises(UsageError, match="is a sequence of any length"):
            supervised_data("japanese_vowels", name, batch_size=1)


class TestDataOf:
    @pytest.fixture
    def located(self, tmp_path):
        """A set with masks and boxes, of images of unequal sizes."""
        rng = np.random.default_rng(0)
        features = tfds.features
        objects = features.Sequence(
            {"bbox": features.BBoxFeature(), "label": features.ClassLabel(num_classes=4)}
        )
        kinds = {
            "image": features.Image(),
            "segmentation_mask": features.Image(shape=(None, None, 1)),
            "objects": objects,
        }
        examples = []
        for shape in rng.integers(3, 20, (9, 2)):
            y0, x0, y1, x1 = rng.uniform(size=4) / 2 + [0, 0, 0.5, 0.5]
            found = {"bbox": features.BBox(y0, x0, y1, x1), "label": rng.integers(4)}
            images = {"image": (*shape, 3), "segmentation_mask": shape}
            files = {k: png(rng.integers(0, 3, s, dtype=np.uint8)) for k, s in images.items()}
            examples.append({**files, "objects": [found] * rng.integers(3)})
        folder = str(prepare(tmp_path, kinds, examples))

        def opened(kind, split, size=8):
            given = (open_masked, 3) if kind == "masks" else (open_boxed, 2)
            return given[0]("tiny", split, folder, size, given[1])

        return opened

    @pytest.mark.parametrize("kind", ["masks", "boxes"])
    def test_a_stream_has_the_batches_that_memory_has(self, kind, located):
        train, test = located(kind, "train[:7]"), located(kind, "train[7:]")
        options = {"standardization": "channel", "batch_size": 3}
        memory, stream = (data_of(train, test, "image", feed=f, **options) for f in ("memory", "stream"))
        jax.tree.map(np.testing.assert_allclose, memory.statistics, stream.shared.statistics)
        images = np.stack([e["image"] for e in train[0]])
        np.testing.assert_allclose(memory.statistics.mean, images.mean((0, 1, 2)), rtol=1e-5)
        keys = jax.random.split(jax.random.key(0), 2)
        for t, batch in enumerate(stream.batches(keys, 0, 5)):
            assert batch.keys() == train[0].shapes.keys()
            for i, key in enumerate(keys):
                expected = memory.train.batch(order_key(key), t, 3)
                for name, values in batch.items():
                    np.testing.assert_array_equal(values[i], expected[name], err_msg=name)
                    assert values.dtype == expected[name].dtype == train[0].shapes[name][1]
        for name, values in memory.test.items():
            np.testing.assert_array_equal(values, [e[name] for e in test[0]])
        assert memory.test is stream.shared.test  # read once

    def test_what_counts_is_the_size_of_all_arrays(self, located, monkeypatch):
        train = located("masks", "train[:7]")
        size = 7 * 8 * 8 * (3 + 4)
        for limit, streams in ((size, False), (size - 1, True)):
            monkeypatch.setattr(splits, "MEMORY", limit)
            data = data_of(train, train, "image", standardization="none", batch_size=3)
            assert isinstance(data, Streamed) == streams

    def test_refusals(self, located):
        train, other = located("masks", "train[:7]"), located("masks", "train[7:]", size=9)
        options = {"standardization": "none"}
        with pytest.raises(
            UsageError, match=r"^data=tiny/1.0.0: image has shape \(9, 9, 3\) in train\[7:\], \(8, 8, 3\) in"
        ):
            data_of(train, other, "image", batch_size=3, **options)
        with pytest.raises(
            UsageError, match=r"^batch_size=8 is larger than train\[:7\] of tiny/1.0.0: expected at most 7"
        ):
            data_of(train, train, "image", batch_size=8, **options)


def test_by_name_of_a_split():
    arrays = splits.split_arrays("digits/blocks", "test", "", ("image", "label"))
    expected = load("digits/blocks", "test").arrays
    assert list(arrays) == ["image", "label"]
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, expected[name])
    assert splits.split_arrays("digits/blocks", "test", "", ("image", "label")) is arrays
    assert list(splits.split_arrays("digits/blocks", "test", "", ("label",))) == ["label"]
    source, _ = splits.split_source("digits/blocks", "test", "", ("image", "label"))
    statistics = splits.source_statistics(source, "image", "channel", True)
    np.testing.assert_allclose(statistics.mean, [expected["image"].mean()], rtol=1e-5)
