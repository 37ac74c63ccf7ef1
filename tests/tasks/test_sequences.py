"""Classification of signals of variable length, on small networks and real signals."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from scipy.stats import binomtest

from mi203jax import UsageError
from mi203jax.configs import Sequences
from mi203jax.core.loop import Group, trial
from mi203jax.data import load
from mi203jax.data.buckets import Buckets
from mi203jax.sequences import Sequences as Signals
from mi203jax.tasks import sequences, sequences_figures
from mi203jax.tasks.supervised import predict
from tests.data.tiny import prepare
from tests.tasks.shown import draw, points, shown_in

VOWELS = Sequences(hidden=16, total_steps=6_400, eval_every=6_400, learning_rate=1e-2)
# Each bucket is a program: of one direction, they are half as long.
BUCKETS = replace(VOWELS, buckets=4, bidirectional=False)
ATTENTION = replace(VOWELS, cell="lstm", pooling="attention", bidirectional=False)
DIGITS = Sequences(
    data="digits/blocks", hidden=8, bidirectional=False, pooling="last", noise=0.0, total_steps=128,
    eval_every=128, batch_size=64, layers=2,
)  # fmt: skip


@functools.cache
def trained(config):
    """The final evaluation, state and data of one trial."""
    data = sequences.task.data(config)
    *_, end = Group(sequences.task, [config], data).run(lambda: 10**6)
    return {n: float(v[0]) for n, v in end.evaluation.items()}, trial(end.carry.state, 0), data


class TestVowels:
    @pytest.mark.parametrize("c", [BUCKETS, ATTENTION])
    def test_learns_who_speaks(self, c):
        measures, _, _ = trained(c)
        assert measures["eval/accuracy"] > 0.9  # by chance 0.24, the part of the most frequent

    def test_reports_the_waste(self):
        plain, buckets = (trained(c)[0] for c in (VOWELS, BUCKETS))
        lengths = load("japanese_vowels", "train").arrays["sequence_length"]
        assert plain["train/padding"] == pytest.approx(1 - lengths.mean() / 26, abs=0.01)
        assert buckets["train/padding"] < plain["train/padding"] / 3

    def test_statistics_are_of_what_is_no_padding(self):
        arrays = load("japanese_vowels", "train").arrays
        frames = np.concatenate(
            [s[:n] for s, n in zip(arrays["sequence"], arrays["sequence_length"], strict=True)]
        )
        statistics = sequences.task.data(VOWELS).statistics
        np.testing.assert_allclose(statistics.mean, frames.mean(0), rtol=1e-4)
        np.testing.assert_allclose(statistics.deviation, frames.std(0), rtol=1e-4)

    def test_buckets_hold_all_examples(self):
        data = sequences.task.data(replace(VOWELS, buckets=3))
        assert isinstance(data.train, Buckets)
        labels = np.concatenate([a["label"] for a in data.train.arrays])
        np.testing.assert_array_equal(np.bincount(labels), [30] * 9)
        assert all(a["sequence"].shape[1] == a["sequence_length"].max() for a in data.train.arrays)

    def test_a_streamed_set_has_no_one_length(self):
        with pytest.raises(
            UsageError, match="feed=stream: signals are read into memory: expected auto or memory"
        ):
            sequences.task.data(replace(VOWELS, feed="stream"))


BATCH = {
    "sequence": jnp.ones((2, 3, 12)), "sequence_length": jnp.array([3, 2]), "label": jnp.array([0, 1]),
}  # fmt: skip


class TestPrepare:
    def test_noise_is_for_training_alone(self):
        c, statistics = replace(VOWELS, noise=0.5), sequences.task.data(VOWELS).statistics
        judged = sequences.prepare(c, BATCH, statistics)["x"].values
        np.testing.assert_allclose(judged[0, 0], (1 - statistics.mean) / statistics.deviation, rtol=1e-5)
        many = {**BATCH, "sequence": jnp.ones((500, 3, 12))}
        noisy = sequences.prepare(c, many, statistics, jax.random.key(0))["x"].values
        np.testing.assert_allclose((noisy - judged[:1]).std(), 0.5, rtol=0.02)

    def test_images_are_read_row_after_row(self):
        image = jnp.arange(2 * 4 * 3).reshape(2, 4, 3, 1)
        data = sequences.task.data(replace(DIGITS, standardize="none"))
        batch = {"image": image, "label": jnp.zeros(2, jnp.int32)}
        values, lengths = sequences.prepare(DIGITS, batch, data.statistics)["x"]
        assert lengths is None
        np.testing.assert_array_equal(values[1, :, 0], np.arange(12, 24))


def signal_set(folder, signals, channels=2, classes=("a", "b")):
    kinds = {
        "sequence": tfds.features.Tensor(shape=(None, channels), dtype=np.float32),
        "label": tfds.features.ClassLabel(names=list(classes)),
    }
    examples = [
        {"sequence": np.asarray(s, np.float32), "label": i % len(classes)} for i, s in enumerate(signals)
    ]
    return prepare(folder, kinds, examples)


class TestBadInput:
    @pytest.mark.parametrize(
        ("signals", "message"),
        [
            (
                [np.ones((3, 2)), np.zeros((0, 2)), np.ones((1, 2))],
                "sequence of example 1 of train is empty: expected a length of 1 or more",
            ),
            ([np.ones((3, 2)), [[1.0, np.nan]]], "feature sequence holds NaN, first seen in example 1"),
        ],
    )
    def test_signals(self, tmp_path, signals, message):
        folder = signal_set(tmp_path, signals)
        c = replace(VOWELS, data="tiny", data_dir=str(folder), eval_split="train", batch_size=2)
        with pytest.raises(UsageError, match=message):
            sequences.task.data(c)

    def test_channels_of_training_and_evaluation(self, tmp_path, monkeypatch):
        folders = [signal_set(tmp_path / str(n), [np.ones((3, n))] * 2, n) for n in (2, 3)]
        opened = {
            name: sequences.split_source("tiny", "train", str(folder), ("sequence", "label"))
            for name, folder in zip(("train", "test"), folders, strict=True)
        }
        monkeypatch.setattr(sequences, "split_source", lambda data, split, *rest: opened[split])
        with pytest.raises(UsageError, match=r"sequence has shape \(None, 3\) in train, \(None, 2\) in"):
            sequences.task.data(replace(VOWELS, data="tiny", batch_size=1))

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (replace(VOWELS, data="breast_cancer"), "has features, label, and 0 named classes: expected sequence or image"),
            (replace(DIGITS, buckets=2), "buckets=2: images are all of one length"),
            (replace(VOWELS, buckets=9), "batch_size=32 is larger than a bucket, with buckets=9: expected at most 30"),
            (replace(VOWELS, batch_size=271), "batch_size=271 is larger than train of"),
        ],
    )  # fmt: skip
    def test_configurations(self, config, message):
        with pytest.raises(UsageError, match=message):
            sequences.task.data(config)


class TestFigures:
    def test_there_are_all_and_they_draw(self, monkeypatch):
        monkeypatch.setattr(sequences_figures, "MOMENTS", 6)
        _, state, data = trained(VOWELS)
        drawn = sequences.figures_of(VOWELS, state, data)
        gates = drawn["gates"]
        assert set(drawn) == {
            "confusion", "hidden_state", "gates", "gradient_norm", "accuracy_by_length", "lengths",
        }  # fmt: skip
        for name in set(drawn) - {"gates"}:
            draw(drawn[name])
        assert all(f.dtype == np.uint8 and f.shape == gates.frames[0].shape for f in gates.frames)
        assert (gates.frames[0] != gates.frames[5]).any()

    def test_accuracy_by_length_is_of_the_signals(self):
        right, lengths = np.arange(70) % 7 != 0, np.arange(70)
        figure = sequences_figures.accuracy_by_length(right, lengths)
        line = figure.axes[0].lines[0]
        x, y = points(line)
        np.testing.assert_allclose(x, np.arange(70).reshape(7, 10).mean(1))
        np.testing.assert_allclose(y, 100 * right.reshape(7, 10).mean(1))

    @pytest.mark.parametrize(("right", "number"), [(0, 5), (5, 5), (3, 7), (360, 370)])
    def test_intervals_are_wilsons(self, right, number):
        expected = binomtest(right, number).proportion_ci(0.95, "wilson")
        np.testing.assert_allclose(sequences_figures.wilson(right, number), expected, atol=1e-4)

    def test_beliefs_end_at_the_prediction(self):
        _, state, data = trained(VOWELS)
        x = sequences.prepare(VOWELS, data.test, state.statistics)["x"]
        signal = np.asarray(x.values[3, : x.lengths[3]])
        beliefs = sequences_figures.beliefs(sequences.problem, VOWELS, state, data, signal)
        assert beliefs.shape == (x.lengths[3], 9)
        np.testing.assert_allclose(beliefs.sum(1), 1, rtol=1e-5)
        scores = predict(sequences.problem, VOWELS, state, data, Signals(x.values[3:4], x.lengths[3:4]))
        np.testing.assert_allclose(beliefs[-1], jax.nn.softmax(scores[0]), rtol=1e-3, atol=1e-6)
        early = predict(sequences.problem, VOWELS, state, data, Signals(jnp.asarray(signal[None, :2]), None))
        np.testing.assert_allclose(beliefs[1], jax.nn.softmax(early[0]), rtol=1e-3, atol=1e-6)

    def test_the_gradient_of_padding_is_none(self):
        _, state, data = trained(VOWELS)
        some = {n: v[:8] for n, v in data.test.items()}
        batch = sequences.prepare(VOWELS, some, state.statistics)
        norms = np.asarray(sequences_figures.input_gradients(sequences.problem, VOWELS, state, data, batch))
        for row, n in zip(norms, np.asarray(batch["x"].lengths), strict=True):
            assert (row[:n] > 0).all()
            assert (row[n:] == 0).all()

    def test_units_are_shown_in_squares(self):
        shown = sequences_figures.squared(np.arange(2 * 5.0).reshape(2, 5))
        assert shown.shape == (2, 2, 3)
        np.testing.assert_array_equal(shown[1].ravel()[:5], np.arange(5, 10))
        assert np.isnan(shown[1, 1, 2])

    def test_of_images_and_of_another_cell(self, monkeypatch):
        monkeypatch.setattr(sequences_figures, "MOMENTS", 5)
        c = replace(DIGITS, cell="rnn")
        _, state, data = trained(c)
        drawn = sequences.figures_of(c, state, data)
        assert set(drawn) == {"confusion", "hidden_state", "gates", "gradient_norm"}
        units = shown_in(drawn["hidden_state"].axes[3])  # below the three signals
        assert units.shape == (8, 64)
        assert 0 < np.abs(units).max() <= 1
        assert len(drawn["gates"].frames) == 5 + 6
