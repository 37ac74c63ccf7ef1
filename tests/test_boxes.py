"""Overlaps against pycocotools and the paper's definition, suppression against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import boxes

coco = pytest.importorskip("pycocotools.mask")

pytestmark = pytest.mark.usefixtures("strict")

iou = jax.jit(boxes.intersection_over_union)
nms = jax.jit(boxes.non_maximum_suppression)
soft_nms = jax.jit(boxes.soft_non_maximum_suppression, static_argnames="method")

CASES, MOST = 300, 14
# Inclusion, a shared edge, a shared corner, apart, equal, without height, a point, exchanged corners.
UNIT = (0.0, 0.0, 2.0, 4.0)
OTHERS = {
    "inside": ((0.5, 1.0, 1.5, 2.0), 1 / 8, 1 / 8),
    "edge": ((2.0, 0.0, 4.0, 4.0), 0.0, 0.0),
    "corner": ((2.0, 4.0, 4.0, 8.0), 0.0, 16 / 32 - 1),
    "apart": ((6.0, 0.0, 8.0, 4.0), 0.0, 16 / 32 - 1),
    "equal": (UNIT, 1.0, 1.0),
    "flat": ((1.0, 0.0, 1.0, 4.0), 0.0, 0.0),
    "point apart": ((4.0, 4.0, 4.0, 4.0), 0.0, 8 / 16 - 1),
}


def random_boxes(rng, *shape, whole=True):
    """Boxes of a small grid, so that sides, areas and overlaps often coincide, or in general position."""
    corner = rng.integers(0, 8, (*shape, 2)) if whole else rng.uniform(0, 8, (*shape, 2))
    size = rng.integers(1, 7, (*shape, 2)) if whole else rng.uniform(1, 7, (*shape, 2))
    return np.concatenate([corner, corner + size], -1).astype(np.float32)


def by_coco(a, b):
    a, b = ([[x, y, x1 - x, y1 - y] for y, x, y1, x1 in np.asarray(c, np.float64)] for c in (a, b))
    return coco.iou(a, b, [False] * len(b))


def random_scored(whole=True):
    """Many cases with equal scores, absent boxes and, in some, no box at all; absent ones are nonsense."""
    rng = np.random.default_rng(1)
    many = random_boxes(rng, CASES, MOST, whole=whole)
    scores = (rng.integers(0, 5, (CASES, MOST)) / 4).astype(np.float32)
    mask = rng.random((CASES, MOST)) < rng.choice([0.0, 0.5, 1.0], (CASES, 1), p=[0.1, 0.3, 0.6])
    many[~mask] = 0, 0, 99, 99
    scores[~mask] = 7
    return many, scores, mask


class TestArea:
    def test_values(self):
        many = jnp.asarray(
            [[1, 2, 4, 4], [3, 1, 3, 5], [4, 4, 1, 2], [0, 0, 1, 1], [4, 0, 1, 2]], jnp.float32
        )
        np.testing.assert_array_equal(boxes.area(many), [6, 0, 0, 1, 0])
        assert boxes.area(many.reshape(5, 1, 4)).shape == (5, 1)

    def test_bad_input(self):
        for wrong in (jnp.zeros((3, 5)), jnp.zeros(()), jnp.zeros((3, 4), jnp.int32)):
            with pytest.raises(ValueError, match="area: expected floating boxes"):
                boxes.area(wrong)


class TestIntersectionOverUnion:
    def test_equals_pycocotools(self):
        rng = np.random.default_rng(0)
        for whole in (True, False):
            a, b = random_boxes(rng, 5, 20, whole=whole), random_boxes(rng, 5, 30, whole=whole)
            values = iou(a, b)
            expected = np.stack([by_coco(*pair) for pair in zip(a, b, strict=True)])
            assert (expected == 0).any()
            np.testing.assert_allclose(values, expected, rtol=2e-6)

    @pytest.mark.parametrize(("other", "expected", "_"), OTHERS.values(), ids=OTHERS)
    def test_closed_forms(self, other, expected, _):
        for a, b in ((UNIT, other), (other, UNIT)):
            value = iou(jnp.asarray([a]), jnp.asarray([b]))
            np.testing.assert_allclose(value, [[expected]], rtol=1e-6)

    def test_without_area_is_zero_also_with_itself(self):
        empty = jnp.asarray([[1, 1, 1, 1], [1, 1, 1, 3], [3, 3, 1, 1], [3, 1, 1, 3]], jnp.float32)
        around = jnp.asarray([[0, 0, 9, 9]], jnp.float32)
        everything = jnp.concatenate([empty, around])
        np.testing.assert_array_equal(iou(empty, everything), jnp.zeros((4, 5)))
        slope = jax.jit(jax.grad(lambda b: iou(b, everything).sum()))(empty)
        assert jnp.isfinite(slope).all()

    def test_bad_input(self):
        name = "intersection_over_union: expected"
        for a, b in (((2, 3, 4), (3, 3, 4)), ((4,), (4,)), ((2, 3, 4), (3, 4))):
            with pytest.raises(ValueError, match=rf"{name} \[\.\.\., n, 4\]"):
                boxes.intersection_over_union(jnp.zeros(a), jnp.zeros(b))
        with pytest.raises(ValueError, match=f"{name} one dtype, got float32 and bfloat16"):
            boxes.intersection_over_union(jnp.zeros((1, 4)), jnp.zeros((1, 4), jnp.bfloat16))
        with pytest.raises(ValueError, match=f"{name} floating boxes"):
            boxes.intersection_over_union(jnp.zeros((1, 4)), jnp.zeros((1, 3)))


def giou_of_the_paper(a, b):
    """Algorithm 2 of Rezatofighi et al. (2019), one pair in 64 bits; denominators of 0 aside."""
    (ya, xa, za, wa), (yb, xb, zb, wb) = np.asarray(a, np.float64), np.asarray(b, np.float64)
    ya, za, xa, wa = min(ya, za), max(ya, za), min(xa, wa), max(xa, wa)
    yb, zb, xb, wb = min(yb, zb), max(yb, zb), min(xb, wb), max(xb, wb)
    intersection = 0.0
    if min(za, zb) > max(ya, yb) and min(wa, wb) > max(xa, xb):
        intersection = (min(za, zb) - max(ya, yb)) * (min(wa, wb) - max(xa, xb))
    union = (za - ya) * (wa - xa) + (zb - yb) * (wb - xb) - intersection
    around = (max(za, zb) - min(ya, yb)) * (max(wa, wb) - min(xa, xb))
    return intersection / union - (around - union) / around


class TestGeneralizedIou:
    value_and_grad = staticmethod(jax.jit(jax.vmap(jax.value_and_grad(boxes.generalized_iou, (0, 1)))))

    def test_equals_the_paper_with_gradients(self):
        rng = np.random.default_rng(2)
        a, b = random_boxes(rng, 60, whole=False), random_boxes(rng, 60, whole=False)
        a[::4] = a[::4][:, [2, 1, 0, 3]]  # exchanged corners
        value, slopes = self.value_and_grad(a, b)
        np.testing.assert_allclose(value, list(map(giou_of_the_paper, a, b)), atol=1e-6)
        assert (iou(a[:, None], b[:, None]) == 0).any()
        both, slopes = np.concatenate([a, b], -1).astype(np.float64), np.concatenate(slopes, -1)
        for x, slope in zip(both, slopes, strict=True):
            up, down = (
                [giou_of_the_paper(*np.split(x + nudge, 2)) for nudge in sign * 1e-6 * np.eye(8)]
                for sign in (1, -1)
            )
            np.testing.assert_allclose(slope, np.subtract(up, down) / 2e-6, atol=1e-5)

    @pytest.mark.parametrize(("other", "_", "expected"), OTHERS.values(), ids=OTHERS)
    def test_closed_forms_with_finite_gradients(self, other, _, expected):
        a, b = jnp.asarray([UNIT, other]), jnp.asarray([other, UNIT])
        value, slopes = self.value_and_grad(a, b)
        np.testing.assert_allclose(value, [expected] * 2, atol=1e-6)
        assert all(jnp.isfinite(slope).all() for slope in slopes)

    def test_of_two_boxes_without_area(self):
        point, line = (1.0, 1.0, 1.0, 1.0), (1.0, 5.0, 1.0, 9.0)
        a, b = jnp.asarray([point, point, point]), jnp.asarray([point, line, (2.0, 2.0, 2.0, 2.0)])
        value, slopes = self.value_and_grad(a, b)
        np.testing.assert_array_equal(value, [0, 0, -1])
        assert all(jnp.isfinite(slope).all() for slope in slopes)

    def test_descending_draws_boxes_together_that_are_apart(self):
        target = jnp.asarray([20.0, 30.0, 28.0, 34.0])

        def overlap(box):
            return iou(box[None], target[None])[0, 0]

        def step(_, box):
            return box + 5 * jax.grad(boxes.generalized_iou)(box, target)

        start = jnp.asarray([0.0, 0.0, 6.0, 6.0])
        end = jax.lax.fori_loop(0, 2000, step, start)
        assert (overlap(start), (jax.grad(overlap)(start) == 0).all()) == (0, True)
        assert overlap(end) > 0

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"generalized_iou: expected boxes of one shape, got \(2, 4\)"):
            boxes.generalized_iou(jnp.zeros((2, 4)), jnp.zeros((1, 4)))
        with pytest.raises(ValueError, match="generalized_iou: expected floating boxes"):
            boxes.generalized_iou(jnp.zeros((2, 4)), jnp.zeros((2, 4), jnp.int32))


class TestClip:
    def test_is_the_part_within_the_image(self):
        many = jnp.asarray([[-2, -3, 4, 5], [1, 2, 3, 4], [5, 1, 99, 99], [-9, 12, -5, 14]], jnp.float32)
        expected = [[0, 0, 4, 5], [1, 2, 3, 4], [5, 1, 6, 9], [0, 9, 0, 9]]
        np.testing.assert_array_equal(boxes.clip(many, (6, 9)), expected)
        np.testing.assert_array_equal(jax.vmap(lambda b: boxes.clip(b, (6, 9)))(many), expected)

    @pytest.mark.parametrize("shape", [(6,), (6, 0), (6, 9.0), (6, 9, 3)])
    def test_bad_input(self, shape):
        with pytest.raises(ValueError, match="clip: expected shape to be two positive ints"):
            boxes.clip(jnp.zeros(4), shape)
        with pytest.raises(ValueError, match="clip: expected floating boxes"):
            boxes.clip(jnp.zeros(3), (6, 9))


def kept_by_a_loop(many, scores, threshold, mask):
    kept: list[np.intp] = []
    for i in sorted(np.flatnonzero(mask), key=lambda i: (-scores[i], i)):
        if not kept or by_coco(many[[i]], many[kept]).max() <= threshold:
            kept.append(i)
    return np.isin(np.arange(len(scores)), kept)


class TestNonMaximumSuppression:
    batch = staticmethod(jax.jit(jax.vmap(boxes.non_maximum_suppression, (0, 0, None, 0))))

    @pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5])
    def test_equals_a_loop(self, threshold):
        many, scores, mask = random_scored()
        kept = self.batch(many, scores, threshold, mask)
        expected = np.stack(
            [kept_by_a_loop(*c[:2], threshold, c[2]) for c in zip(many, scores, mask, strict=True)]
        )
        assert kept.dtype == bool
        assert (expected != mask).any()
        np.testing.assert_array_equal(kept, expected)

    def test_a_dropped_box_drops_no_other(self):
        """A chain, each overlapping the next by 1/3: every second one stays."""
        start = jnp.arange(40, dtype=jnp.float32)
        chain = jnp.stack([start, 0 * start, start + 2, 0 * start + 1], -1)
        kept = nms(chain, 1 - start / 40, 0.3)
        np.testing.assert_array_equal(kept, np.arange(40) % 2 == 0)

    def test_drops_above_the_threshold_and_not_at_it(self):
        pair, scores = jnp.asarray([[0, 0, 2, 2], [0, 0, 1, 2]], jnp.float32), jnp.asarray([0.1, 0.9])
        np.testing.assert_array_equal(nms(pair, scores), [True, True])
        np.testing.assert_array_equal(nms(pair, scores, 0.49), [False, True])

    def test_equal_boxes_leave_the_first_and_empty_ones_stay(self):
        many = jnp.asarray([[1, 1, 1, 1]] * 2 + [[0, 0, 4, 4]] * 3, jnp.float32)
        kept = nms(many, jnp.full(5, 0.5))
        np.testing.assert_array_equal(kept, [True, True, True, False, False])
        assert nms(jnp.zeros((0, 4)), jnp.zeros(0)).shape == (0,)


def scores_by_the_paper(many, scores, mask, method, threshold, sigma):
    """Figure 2 of Bodla et al. (2017)."""
    scores, left = np.where(mask, scores.astype(np.float64), 0), list(np.flatnonzero(mask))
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        left.remove(best)
        for i in left:
            overlap = by_coco(many[[best]], many[[i]]).item()
            if method == "gaussian":
                scores[i] *= np.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                scores[i] *= 1 - overlap
    return scores


class TestSoftNonMaximumSuppression:
    @pytest.mark.parametrize("method", ["linear", "gaussian"])
    def test_equals_the_paper(self, method):
        many, scores, mask = random_scored(whole=False)
        soft = jax.jit(
            jax.vmap(
                lambda b, s, m, parameter: boxes.soft_non_maximum_suppression(
                    b, s, m, method=method, threshold=parameter, sigma=parameter
                ),
                (0, 0, 0, None),
            )
        )
        values = soft(many, scores, mask, 0.4)
        expected = [scores_by_the_paper(*c, method, 0.4, 0.4) for c in zip(many, scores, mask, strict=True)]
        assert (np.stack(expected) < scores * mask).any()
        np.testing.assert_allclose(values, expected, rtol=2e-5, atol=1e-9)

    def test_closed_forms(self):
        """Overlaps of 1/2 with the best box, and at the threshold."""
        pair, scores = jnp.asarray([[0, 0, 1, 2], [0, 0, 2, 2]], jnp.float32), jnp.asarray([0.4, 0.8])
        np.testing.assert_allclose(soft_nms(pair, scores), [0.4 * np.exp(-0.5), 0.8], rtol=1e-6)
        np.testing.assert_allclose(
            soft_nms(pair, scores, method="linear", threshold=0.5), [0.2, 0.8], rtol=1e-6
        )
        np.testing.assert_array_equal(soft_nms(pair, scores, method="linear", threshold=0.51), scores)

    def test_of_equal_scores_the_first_is_best_and_empty_boxes_keep_theirs(self):
        many = jnp.asarray([[1, 1, 1, 1]] * 2 + [[0, 0, 4, 4]] * 2, jnp.float32)
        values = soft_nms(many, jnp.full(4, 0.5), method="linear")
        np.testing.assert_array_equal(values, [0.5, 0.5, 0.5, 0])
        assert soft_nms(jnp.zeros((0, 4)), jnp.zeros(0)).shape == (0,)

    def test_another_method(self):
        with pytest.raises(ValueError, match="expected method 'linear' or 'gaussian', got 'hard'"):
            boxes.soft_non_maximum_suppression(jnp.zeros((1, 4)), jnp.zeros(1), method="hard")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["non_maximum_suppression", "soft_non_maximum_suppression"])
class TestBothSuppressions:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"boxes": jnp.zeros((2, 3, 4))}, r"boxes \[n, 4\] and scores \[n\]"),
            ({"scores": jnp.zeros((3, 1))}, r"boxes \[n, 4\] and scores \[n\]"),
            ({"boxes": jnp.zeros((3, 4), jnp.int32)}, "floating boxes"),
            ({"scores": jnp.zeros(3, jnp.int32)}, "floating scores"),
            ({"mask": jnp.zeros(3)}, r"a bool mask of shape \(3,\), got float32"),
            ({"mask": jnp.zeros(2, bool)}, r"a bool mask of shape \(3,\), got bool \(2,\)"),
            ({"threshold": jnp.zeros(3)}, "threshold to be a scalar"),
        ],
    )
    def test_bad_input(self, name, arguments, message):
        with pytest.raises(ValueError, match=f"^{name}: expected {message}"):
            getattr(boxes, name)(**{"boxes": jnp.zeros((3, 4)), "scores": jnp.zeros(3), **arguments})
