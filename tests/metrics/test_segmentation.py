"""Metrics of segmentation against scikit-learn, closed forms, and loops over pixels by definition."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.metrics.classification import confusion_matrix
from mi203jax.metrics.segmentation import (
    boundary_f_score,
    intersection_over_union,
    mean_iou,
    mean_iou_per_image,
    pixel_accuracy,
)

sklearn_metrics = pytest.importorskip("sklearn.metrics")

pytestmark = pytest.mark.usefixtures("strict")

CLASSES = 5  # class 3 is absent from the first image, and 4 from all
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, (3, 4, 4)).repeat(3, 1).repeat(3, 2)
LABELS[0][LABELS[0] == 3] = 1
PREDICTIONS = np.where(RNG.random(LABELS.shape) < 0.7, LABELS, RNG.integers(0, 4, LABELS.shape))
PREDICTIONS[0][PREDICTIONS[0] == 3] = 2
MASK = RNG.random(LABELS.shape) < 0.6
P, T, M = jnp.asarray(PREDICTIONS, jnp.int32), jnp.asarray(LABELS, jnp.uint8), jnp.asarray(MASK)
matrix_of = jax.jit(partial(confusion_matrix, num_classes=CLASSES))


def jaccard(labels, predictions):
    """scikit-learn's, without the classes that are in neither."""
    present = np.union1d(labels, predictions)
    return sklearn_metrics.jaccard_score(labels.ravel(), predictions.ravel(), labels=present, average=None)


class TestPixelAccuracy:
    def test_equals_scikit_learn(self):
        value = jax.jit(pixel_accuracy)(matrix_of(P, T, mask=M))
        assert value.dtype == jnp.float32
        assert value == pytest.approx(sklearn_metrics.accuracy_score(LABELS[MASK], PREDICTIONS[MASK]))

    def test_nothing_to_measure(self):
        assert jnp.isnan(pixel_accuracy(jnp.zeros((3, 3), jnp.int32)))


class TestIntersectionOverUnion:
    def test_equals_scikit_learn(self):
        for mask in (None, MASK):
            kept = slice(None) if mask is None else mask
            iou = jax.jit(intersection_over_union)(matrix_of(P, T, mask=None if mask is None else M))
            np.testing.assert_allclose(iou[:4], jaccard(LABELS[kept], PREDICTIONS[kept]), rtol=1e-6)
            assert jnp.isnan(iou[4])

    def test_matrices_of_batches_add_up(self):
        batches = jax.vmap(matrix_of)(P, T)
        theirs = sklearn_metrics.confusion_matrix(LABELS.ravel(), PREDICTIONS.ravel(), labels=range(CLASSES))
        np.testing.assert_array_equal(batches.sum(0), theirs)
        np.testing.assert_array_equal(
            intersection_over_union(batches)[1], intersection_over_union(batches[1])
        )

    def test_a_class_in_one_of_them_is_zero(self):
        iou = intersection_over_union(matrix_of(jnp.int32([[0, 1]]), jnp.int32([[0, 2]])))
        np.testing.assert_array_equal(iou, [1, 0, 0, np.nan, np.nan])

    def test_counts_beyond_32_bits_together(self):
        matrix = jnp.full((2, 2), 2**31 - 1, jnp.int32)
        np.testing.assert_allclose(intersection_over_union(matrix), [1 / 3, 1 / 3], rtol=1e-6)
        assert pixel_accuracy(matrix) == pytest.approx(0.5)


class TestMeanIou:
    def test_equals_scikit_learn(self):
        value = jax.jit(mean_iou)(matrix_of(P, T))
        assert value == pytest.approx(jaccard(LABELS, PREDICTIONS).mean())

    def test_nothing_to_measure(self):
        assert jnp.isnan(mean_iou(jnp.zeros((3, 3))))


@pytest.mark.parametrize("metric", [pixel_accuracy, intersection_over_union, mean_iou])
@pytest.mark.parametrize(
    "matrix", [jnp.zeros(3), jnp.zeros((2, 3)), jnp.zeros((0, 0)), jnp.ones((2, 2), bool)]
)
def test_no_matrix(metric, matrix):
    name = "intersection_over_union" if metric is mean_iou else metric.__name__
    with pytest.raises(ValueError, match=f"{name}: expected a matrix"):
        metric(matrix)


class TestMeanIouPerImage:
    ours = staticmethod(jax.jit(mean_iou_per_image, static_argnums=2))

    def test_equals_scikit_learn(self):
        expected = [jaccard(t, p).mean() for t, p in zip(LABELS, PREDICTIONS, strict=True)]
        np.testing.assert_allclose(self.ours(P, T, CLASSES), expected, rtol=1e-6)
        masked = [jaccard(t[m], p[m]).mean() for t, p, m in zip(LABELS, PREDICTIONS, MASK, strict=True)]
        np.testing.assert_allclose(self.ours(P, T, CLASSES, M), masked, rtol=1e-6)

    def test_any_leading_axes(self):
        values = self.ours(P[None], T[None], CLASSES)
        np.testing.assert_array_equal(values, self.ours(P, T, CLASSES)[None])
        np.testing.assert_array_equal(self.ours(P[1], T[1], CLASSES), values[0, 1])

    def test_labels_that_are_no_class_do_not_count(self):
        ignored = jnp.where(M, T, jnp.uint8(255))
        np.testing.assert_array_equal(self.ours(P, ignored, CLASSES), self.ours(P, T, CLASSES, M))

    def test_nothing_to_measure(self):
        values = self.ours(P, T, CLASSES, M.at[1].set(False))
        np.testing.assert_array_equal(jnp.isnan(values), [False, True, False])


def boundary_f_by_definition(prediction, label, num_classes, tolerance, mask):
    """One image, by loops over pixels and distances between all pairs of boundary pixels."""
    height, width = label.shape
    mask = mask & (label >= 0) & (label < num_classes)

    def boundary(classes, k):
        found = []
        for y, x in zip(*np.nonzero((classes == k) & mask), strict=True):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(i, j) for i, j in around if 0 <= i < height and 0 <= j < width and mask[i, j]]
            if any(classes[i, j] != k for i, j in inside):
                found.append((y, x))
        return found

    def share_near(ours, others):
        near = [any(np.hypot(y - i, x - j) <= tolerance for i, j in others) for y, x in ours]
        return np.mean(near) if near else 0.0

    scores = []
    for k in range(num_classes):
        predicted, true = boundary(prediction, k), boundary(label, k)
        precision, recall = share_near(predicted, true), share_near(true, predicted)
        either = precision + recall > 0
        score = 2 * precision * recall / (precision + recall) if either else 0.0
        scores.append(score if predicted or true else np.nan)
    return scores


class TestBoundaryFScore:
    ours = staticmethod(jax.jit(boundary_f_score, static_argnums=(2, 3)))

    @pytest.mark.parametrize("tolerance", [0, 1, 1.5, 3.0])
    def test_equals_the_definition(self, tolerance):
        labels = LABELS.copy()
        labels[1, :2, 3:5] = 255
        masks = np.stack([np.ones_like(MASK[0]), MASK[1], MASK[2]])
        scores = self.ours(P, jnp.asarray(labels, jnp.uint8), CLASSES, tolerance, jnp.asarray(masks))
        expected = [
            boundary_f_by_definition(p, t, CLASSES, tolerance, m)
            for p, t, m in zip(PREDICTIONS, labels, masks, strict=True)
        ]
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
        assert np.nanstd(expected) > 0

    def test_a_line_moved(self):
        """By two columns: each class's side of the boundary is two pixels off."""
        labels = jnp.broadcast_to(jnp.arange(10) >= 4, (6, 10)).astype(jnp.int32)
        moved = jnp.broadcast_to(jnp.arange(10) >= 6, (6, 10)).astype(jnp.int32)
        np.testing.assert_array_equal(self.ours(labels, labels, 2, 0), [1, 1])
        np.testing.assert_array_equal(self.ours(moved, labels, 2, 1.99), [0, 0])
        np.testing.assert_array_equal(self.ours(moved, labels, 2, 2), [1, 1])

    def test_distance_is_euclidean(self):
        """Single pixels, (1, 1) apart."""
        one, other = (jnp.zeros((7, 7), jnp.int32).at[i, i].set(1) for i in (2, 3))
        assert self.ours(one, other, 2, 1.4)[1] == 0
        assert self.ours(one, other, 2, 1.5)[1] == 1

    def test_what_has_no_boundary(self):
        """Neither of an image of one class; the other one's in one map only is a failure."""
        empty = jnp.zeros((5, 5), jnp.int32)
        spot = empty.at[2, 2].set(1)
        np.testing.assert_array_equal(self.ours(empty, empty, 3, 1), [np.nan] * 3)
        np.testing.assert_array_equal(self.ours(spot, empty, 3, 1), [0, 0, np.nan])
        np.testing.assert_array_equal(self.ours(empty, spot, 3, 1), [0, 0, np.nan])

    def test_tolerance_larger_than_the_image(self):
        empty = jnp.zeros((4, 4), jnp.int32)
        score = boundary_f_score(empty.at[0, 0].set(1), empty.at[3, 3].set(1), 2, 6)
        np.testing.assert_array_equal(score, [1, 1])

    @pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf"), "1"])
    def test_wrong_tolerance(self, tolerance):
        with pytest.raises(ValueError, match="boundary_f_score: expected tolerance of at least 0 pixels"):
            boundary_f_score(P, T, CLASSES, tolerance)


@pytest.mark.parametrize("metric", [mean_iou_per_image, partial(boundary_f_score, tolerance=1)])
class TestWrongMaps:
    @pytest.mark.parametrize(
        ("predictions", "labels", "num_classes", "mask", "message"),
        [
            (P[0, 0], T[0, 0], CLASSES, None, "expected predictions and labels"),
            (P, T[:, 1:], CLASSES, None, "expected predictions and labels"),
            (P.astype(jnp.float32), T, CLASSES, None, "expected integer predictions"),
            (P, T > 0, CLASSES, None, "expected integer labels"),
            (P, T, CLASSES, M[0], "expected a bool mask"),
            (P, T, CLASSES, P, "expected a bool mask"),
            (P, T, 0, None, "expected num_classes to be a positive int"),
            (P, T, True, None, "expected num_classes to be a positive int"),
        ],
    )
    def test_message(self, metric, predictions, labels, num_classes, mask, message):
        with pytest.raises(ValueError, match=message):
            metric(predictions, labels, num_classes, mask=mask)
