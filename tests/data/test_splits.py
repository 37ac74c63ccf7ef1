import jax
import numpy as np
import pytest

from mi203jax import UsageError
from mi203jax.data import load, splits
from mi203jax.data.feed import Streamed
from mi203jax.data.splits import supervised_data


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
        size = 1437 * 64
        for limit, streams in ((size, False), (size - 1, True)):
            monkeypatch.setattr(splits, "MEMORY", limit)
            assert isinstance(digits(), Streamed) == streams

    def test_statistics_of_large_sets_are_of_some_examples(self, monkeypatch):
        splits.split_statistics.cache_clear()
        monkeypatch.setattr(splits, "FITTED", 3)
        images = load("digits/blocks", "train").arrays["image"][[0, 718, 1436]]
        np.testing.assert_allclose(digits().statistics.mean, [images.mean()], rtol=1e-5)
        splits.split_statistics.cache_clear()

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
