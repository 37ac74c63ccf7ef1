"""Metrics against scikit-learn and scipy, a loop over the paper's definition, and simulated coverage."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.metrics import (
    accuracy,
    bootstrap_interval,
    calibration_error,
    confusion_matrix,
    reliability,
    top_k_accuracy,
)

sklearn_metrics = pytest.importorskip("sklearn.metrics")
stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.usefixtures("strict")

N, CLASSES = 203, 6
RNG = np.random.default_rng(0)
LABELS = jnp.asarray(RNG.integers(0, CLASSES, N), jnp.int32)
LOGITS = jnp.asarray(RNG.normal(0, 1, (N, CLASSES)) + 1.5 * np.eye(CLASSES)[LABELS], jnp.float32)
PREDICTIONS = LOGITS.argmax(-1)
PROBABILITIES = jax.nn.softmax(2 * LOGITS)
MASK = jnp.asarray(RNG.random(N) < 0.6)


class TestAccuracy:
    def test_equals_scikit_learn(self):
        value = jax.jit(accuracy)(PREDICTIONS, LABELS)
        assert value.dtype == jnp.float32
        assert value == pytest.approx(sklearn_metrics.accuracy_score(LABELS, PREDICTIONS))

    def test_only_what_the_mask_keeps(self):
        expected = sklearn_metrics.accuracy_score(LABELS[MASK], PREDICTIONS[MASK])
        assert jax.jit(accuracy)(PREDICTIONS, LABELS, MASK) == pytest.approx(expected)

    def test_vmap(self):
        values = jax.vmap(accuracy)(PREDICTIONS[:200].reshape(2, 100), LABELS[:200].reshape(2, 100))
        expected = [np.mean(PREDICTIONS[i : i + 100] == LABELS[i : i + 100]) for i in (0, 100)]
        np.testing.assert_allclose(values, expected, rtol=1e-6)

    def test_dtypes(self):
        assert accuracy(jnp.int32([0, 1]), jnp.uint8([0, 2])) == 0.5
        assert accuracy(jnp.float32([[-1, 1]]), jnp.float32([[-1, -1]])) == 0.5
        with pytest.raises(ValueError, match="accuracy: expected one dtype"):
            accuracy(jnp.float32([-1, 1]), jnp.int32([-1, 1]))


class TestTopKAccuracy:
    @pytest.mark.parametrize("k", [1, 2, CLASSES - 1])
    def test_equals_scikit_learn(self, k):
        ours = jax.jit(top_k_accuracy, static_argnames="k")
        for mask in (None, MASK):
            kept = slice(None) if mask is None else np.asarray(mask)
            # scikit-learn refuses labels of which some are absent unless it is told all of them.
            expected = sklearn_metrics.top_k_accuracy_score(
                LABELS[kept], LOGITS[kept], k=k, labels=np.arange(CLASSES)
            )
            assert ours(LOGITS, LABELS, k=k, mask=mask) == pytest.approx(expected)

    def test_of_equal_logits_the_first_go_first(self):
        """As in the arg max, so that top-1 accuracy is accuracy."""
        logits = jnp.zeros((3, 3))
        assert top_k_accuracy(logits, jnp.int32([0, 1, 2]), 1) == accuracy(
            logits.argmax(-1), jnp.int32([0, 1, 2])
        )
        assert top_k_accuracy(logits, jnp.int32([1, 1, 1]), 2) == 1
        assert top_k_accuracy(logits, jnp.int32([2, 2, 2]), 2) == 0

    @pytest.mark.parametrize("k", [0, 7, 1.0, True])
    def test_wrong_k(self, k):
        with pytest.raises(ValueError, match="top_k_accuracy: expected k to be an int from 1 to 6"):
            top_k_accuracy(LOGITS, LABELS, k)


class TestConfusionMatrix:
    def test_equals_scikit_learn(self):
        ours = jax.jit(confusion_matrix, static_argnums=2)
        matrix = ours(PREDICTIONS, LABELS, CLASSES)
        assert matrix.dtype == jnp.int32
        np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(LABELS, PREDICTIONS))
        np.testing.assert_array_equal(
            ours(PREDICTIONS, LABELS, CLASSES, MASK),
            sklearn_metrics.confusion_matrix(LABELS[MASK], PREDICTIONS[MASK]),
        )

    def test_ignores_what_is_no_class(self):
        predictions, labels = jnp.int32([-1, 0, 3, 1, 2]), jnp.int32([0, -1, 1, 5, 2])
        expected = sklearn_metrics.confusion_matrix(labels, predictions, labels=[0, 1, 2])
        np.testing.assert_array_equal(confusion_matrix(predictions, labels, 3), expected)

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="confusion_matrix: expected integer predictions"):
            confusion_matrix(LOGITS[:, 0], LABELS, CLASSES)
        with pytest.raises(ValueError, match="confusion_matrix: expected num_classes to be a positive int"):
            confusion_matrix(PREDICTIONS, LABELS, 0)


def reliability_by_definition(probabilities, labels, bins):
    """Section 2 of Guo et al. 2017: B_m holds the examples whose confidence is in ((m − 1)/M, m/M]."""
    confidence, predictions = probabilities.max(1), probabilities.argmax(1)
    rows = []
    for m in range(1, bins + 1):
        chosen = [i for i, c in enumerate(confidence) if (m - 1) / bins < c <= m / bins]
        rows.append(
            (
                np.mean([confidence[i] for i in chosen]) if chosen else np.nan,
                np.mean([predictions[i] == labels[i] for i in chosen]) if chosen else np.nan,
                len(chosen),
            )
        )
    error = sum(count / len(labels) * abs(acc - conf) for conf, acc, count in rows if count)
    return [np.array(column) for column in zip(*rows, strict=True)], error


class TestCalibration:
    @pytest.mark.parametrize("bins", [1, 15])
    def test_equals_the_definition(self, bins):
        for mask in (None, MASK):
            kept = slice(None) if mask is None else np.asarray(mask)
            diagram, error = reliability_by_definition(
                np.asarray(PROBABILITIES)[kept], np.asarray(LABELS)[kept], bins
            )
            ours = jax.jit(reliability, static_argnames="bins")(PROBABILITIES, LABELS, bins=bins, mask=mask)
            for column, expected in zip(ours, diagram, strict=True):
                np.testing.assert_allclose(column, expected, rtol=1e-5)
            value = jax.jit(calibration_error, static_argnames="bins")(
                PROBABILITIES, LABELS, bins=bins, mask=mask
            )
            assert value == pytest.approx(error, rel=1e-4)

    def test_a_bin_holds_its_upper_edge(self):
        # Powers of two, so that edges and confidences are exact.
        probabilities = jnp.float32([[0.5, 0.5], [0.75, 0.25], [1, 0], [0.5625, 0.4375]])
        np.testing.assert_array_equal(reliability(probabilities, jnp.zeros(4, int), 4)[2], [0, 1, 2, 1])

    def test_perfect_and_worst(self):
        sure = jnp.float32([[1, 0], [1, 0]])
        assert calibration_error(sure, jnp.int32([0, 0])) == 0
        assert calibration_error(sure, jnp.int32([1, 1])) == 1

    def test_nan_behind_the_mask_does_not_matter(self):
        spoilt = jnp.where(MASK[:, None], PROBABILITIES, np.nan)
        expected = calibration_error(PROBABILITIES[MASK], LABELS[MASK])
        np.testing.assert_allclose(calibration_error(spoilt, LABELS, mask=MASK), expected, rtol=1e-5)

    @pytest.mark.parametrize("function", [reliability, calibration_error])
    def test_wrong_bins(self, function):
        with pytest.raises(ValueError, match=f"{function.__name__}: expected bins to be a positive int"):
            function(PROBABILITIES, LABELS, 0)


PREDICTED: dict[str, tuple[Callable, jax.Array]] = {
    "accuracy": (accuracy, PREDICTIONS),
    "top_k_accuracy": (partial(top_k_accuracy, k=2), LOGITS),
    "confusion_matrix": (partial(confusion_matrix, num_classes=CLASSES), PREDICTIONS),
    "reliability": (reliability, PROBABILITIES),
    "calibration_error": (calibration_error, PROBABILITIES),
}


@pytest.mark.parametrize("name", PREDICTED)
class TestAll:
    def test_nothing_measured(self, name):
        function, predicted = PREDICTED[name]
        nothing = function(predicted, LABELS, mask=jnp.zeros(N, bool))
        if name == "confusion_matrix":
            np.testing.assert_array_equal(nothing, np.zeros((CLASSES, CLASSES)))
        elif name == "reliability":
            np.testing.assert_array_equal(nothing[2], np.zeros(15))
            np.testing.assert_array_equal(nothing[1], np.full(15, np.nan))
        else:
            assert np.isnan(nothing)

    def test_wrong_shapes(self, name):
        function, predicted = PREDICTED[name]
        with pytest.raises(ValueError, match=f"{name}: expected labels of shape"):
            function(predicted, LABELS[:, None])
        for mask in (jnp.ones((N, 1), bool), jnp.ones(N)):
            with pytest.raises(ValueError, match=f"{name}: expected a bool mask of shape"):
                function(predicted, LABELS, mask=mask)


class TestBootstrapInterval:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [(jnp.mean, np.mean), (partial(jnp.std, axis=0), np.std)],
        ids=["mean", "spread of each column"],
    )
    def test_equals_scipy(self, key, ours, theirs):
        values = jnp.asarray(RNG.exponential(1, (40, 3) if theirs is np.std else 40), jnp.float32)
        found = bootstrap_interval(key, values, 0.9, 4000, ours)
        expected = stats.bootstrap(
            (values,), theirs, n_resamples=4000, confidence_level=0.9, axis=0, method="percentile", rng=0
        )
        # The quantile of 4000 draws at 5 % has a standard error of √(0.05 · 0.95 / 4000) / density, which is
        # 0.033 standard deviations for a normal; both sides have it, and 5 of them are allowed.
        tolerance = 5 * np.sqrt(2) * 0.033 * expected.standard_error
        for bound, expected_bound in zip(found, expected.confidence_interval, strict=True):
            assert bound.shape == np.shape(expected_bound)
            assert (np.abs(bound - expected_bound) < tolerance).all()

    def test_covers_as_often_as_the_theory_says(self, key):
        """Of a normal's mean: ±z times the uncorrected standard error, so by Student's t below 95 %."""
        n, trials = 10, 2000
        values_key, keys_key = jax.random.split(key)
        values = 3 + jax.random.normal(values_key, (trials, n))
        intervals = jax.jit(jax.vmap(lambda k, v: bootstrap_interval(k, v, resamples=400)))
        low, high = intervals(jax.random.split(keys_key, trials), values)
        z = stats.norm.ppf(0.975)
        expected = 2 * stats.t.cdf(z * np.sqrt((n - 1) / n), n - 1) - 1
        covered = np.mean((low <= 3) & (high >= 3))
        # 4 standard deviations of the simulation, and 1 % for the few resamples, which are not quite normal.
        assert abs(covered - expected) < 4 * np.sqrt(expected * (1 - expected) / trials) + 0.01

    def test_of_hits(self, key):
        """Values may be of any dtype that the statistic takes: here an accuracy's hits."""
        low, high = bootstrap_interval(key, jnp.arange(100) < 80)
        spread = 1.96 * np.sqrt(0.8 * 0.2 / 100)
        np.testing.assert_allclose([low, high], [0.8 - spread, 0.8 + spread], atol=0.02)

    def test_confidence_may_be_traced(self, key):
        values = jnp.arange(30.0)
        widths = jax.vmap(lambda c: jnp.subtract(*bootstrap_interval(key, values, c)))(
            jnp.float32([0.95, 0.5])
        )
        ratio = stats.norm.ppf(0.975) / stats.norm.ppf(0.75)
        assert widths[0] / widths[1] == pytest.approx(ratio, rel=0.1)

    def test_wrong_arguments(self, key):
        for values in (jnp.zeros(0), jnp.zeros(())):
            with pytest.raises(ValueError, match="bootstrap_interval: expected values"):
                bootstrap_interval(key, values)
        with pytest.raises(ValueError, match="bootstrap_interval: expected resamples to be a positive int"):
            bootstrap_interval(key, jnp.zeros(3), resamples=0)
