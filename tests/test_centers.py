"""Targets against loops over the paper's definition, boxes that come back, radii by brute force."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.boxes import intersection_over_union
from mi203jax.centers import center_targets, decode_centers, gaussian_radius

pytestmark = pytest.mark.usefixtures("strict")

SHAPE, STRIDE, CLASSES, MOST = (12, 16), 4, 3, 6


@jax.jit
def targets_of(boxes, labels, mask, overlap=0.7):
    return center_targets(boxes, labels, mask, SHAPE, STRIDE, CLASSES, overlap)


decode = jax.jit(decode_centers, static_argnames=("stride", "k"))
radius_of = jax.jit(gaussian_radius)
iou = jax.jit(intersection_over_union)
targets_of_batch = jax.jit(jax.vmap(targets_of, (0, 0, 0, None)))


def some_images(images=40):
    """Boxes about different cells, sides from 1 to 40 pixels; from no object to MOST; absent ones are nonsense."""
    rng = np.random.default_rng(0)
    height, width = SHAPE
    cells = np.stack([rng.permutation(height * width)[:MOST] for _ in range(images)])
    centre = STRIDE * (np.stack([cells // width, cells % width], -1) + rng.random((images, MOST, 2)))
    half = rng.uniform(0.5, 20, (images, MOST, 2))
    boxes = np.concatenate([centre - half, centre + half], -1).astype(np.float32)
    labels = rng.integers(0, CLASSES, (images, MOST)).astype(np.int32)
    mask = rng.random((images, MOST)) < np.linspace(0, 1, images)[:, None]
    boxes[~mask], labels[~mask] = np.nan, 99
    return boxes, labels, mask


def one_object(box, label=1):
    return jnp.asarray([box], jnp.float32), jnp.asarray([label]), jnp.asarray([True])


class TestGaussianRadius:
    sizes = np.asarray([(1.0, 1.0), (10.0, 10.0), (3.0, 40.0), (25.0, 14.0)])

    @pytest.mark.parametrize("overlap", [0.1, 0.3, 0.7, 0.95])
    def test_corners_within_it_keep_the_overlap(self, overlap):
        """All ways to shift four coordinates by −r … r, in steps; at one of them the overlap is reached."""
        shifts = np.asarray(list(itertools.product(np.linspace(-1, 1, 9), repeat=4)))
        heights, widths = jnp.asarray(self.sizes, jnp.float32).T
        radii = radius_of(heights, widths, overlap)
        for (height, width), radius in zip(self.sizes, radii, strict=True):
            true = np.asarray([0, 0, height, width], np.float32)
            moved = jnp.asarray(true + float(radius) * shifts, jnp.float32)
            least = iou(moved, jnp.asarray(true[None])).min()
            assert least == pytest.approx(overlap, rel=1e-4)

    @pytest.mark.parametrize("overlap", [0.3, 0.7])
    def test_is_the_least_of_the_three_cases(self, overlap):
        """Both corners outwards, both inwards, both in one direction: quadratics for numpy."""
        for h, w in self.sizes:
            cases = [
                (4 * overlap, 2 * overlap * (h + w), (overlap - 1) * h * w),
                (4, -2 * (h + w), (1 - overlap) * h * w),
                (1, -(h + w), h * w * (1 - overlap) / (1 + overlap)),
            ]
            roots = np.concatenate([np.roots(case) for case in cases])
            radius = radius_of(jnp.float32(h), jnp.float32(w), overlap)
            np.testing.assert_allclose(radius, roots[roots > 0].min(), rtol=1e-5)

    def test_limits(self):
        sides = jnp.float32([0, 3, -2, -1, 4, 1e-3])
        others = jnp.float32([0, 0, -5, 2, 4, 1e3])
        np.testing.assert_allclose(radius_of(sides, others, 0.25), [0, 0, 0, 0, 1, 3.75e-4], rtol=1e-5)
        np.testing.assert_array_equal(radius_of(sides, others, 1.0), jnp.zeros(6))
        assert jnp.isfinite(jax.vmap(jax.grad(radius_of))(sides[4:], others[4:])).all()

    def test_bad_input(self):
        with pytest.raises(ValueError, match="gaussian_radius: expected height and width of one shape"):
            gaussian_radius(jnp.zeros(3), jnp.zeros(2))
        with pytest.raises(ValueError, match="gaussian_radius: expected floating sizes"):
            gaussian_radius(jnp.zeros(3, jnp.int32), jnp.zeros(3, jnp.int32))
        with pytest.raises(ValueError, match="gaussian_radius: expected overlap to be a scalar"):
            gaussian_radius(jnp.zeros(3), jnp.zeros(3), jnp.zeros(3))


def heat_by_a_loop(boxes, labels, mask, overlap):
    """The radius is found by bisection."""
    heat = np.zeros((*SHAPE, CLASSES))
    rows, columns = np.indices(SHAPE)
    for y0, x0, y1, x1, label in np.column_stack([boxes, labels]).astype(np.float64)[mask]:
        row, column = (int((low + high) / 2 // STRIDE) for low, high in ((y0, y1), (x0, x1)))
        h, w = (y1 - y0) / STRIDE, (x1 - x0) / STRIDE
        low, high = 0.0, min(h, w) / 2
        for _ in range(60):
            r = (low + high) / 2
            low, high = (r, high) if (h - 2 * r) * (w - 2 * r) > overlap * h * w else (low, r)
        sigma = (2 * int(low) + 1) / 6
        gaussian = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
        heat[..., int(label)] = np.maximum(heat[..., int(label)], gaussian)
    return heat


class TestCenterTargets:
    @pytest.mark.parametrize("overlap", [0.1, 0.7])
    def test_heat_equals_a_loop_and_is_one_at_each_object(self, overlap):
        boxes, labels, mask = some_images()
        heat = np.asarray(targets_of_batch(boxes, labels, mask, overlap).heat)
        expected = [heat_by_a_loop(*image, overlap) for image in zip(boxes, labels, mask, strict=True)]
        np.testing.assert_allclose(heat, expected, atol=1e-6)
        cells = (boxes[mask].reshape(-1, 2, 2).mean(1) // STRIDE).astype(int)
        np.testing.assert_array_equal(heat[np.nonzero(mask)[0], *cells.T, labels[mask]], 1)
        assert (heat == 1).sum() == mask.sum()

    def test_offsets_sizes_and_mask(self):
        targets = targets_of(*one_object([3, 9, 14, 43]))  # its centre (8.5, 26) is in cell (2, 6)
        np.testing.assert_array_equal(np.argwhere(targets.mask), [[2, 6]])
        np.testing.assert_array_equal(targets.offset[2, 6], [0.125, 0.5])
        np.testing.assert_array_equal(targets.size[2, 6], [11, 34])
        for a in (targets.offset, targets.size):
            assert (a.at[2, 6].set(0) == 0).all()

    @pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
    def test_of_boxes_about_one_cell_the_smallest_wins(self, order):
        order = np.asarray(order)
        boxes = jnp.asarray([[0, 0, 10, 10], [3, 2, 7, 9], [3, 3, 9, 9], [20, 20, 30, 30]], jnp.float32)[
            order
        ]
        labels = jnp.asarray([0, 1, 2, 2])[order]
        targets = targets_of(boxes, labels, jnp.ones(4, bool))
        np.testing.assert_array_equal(np.argwhere(targets.mask), [[1, 1], [6, 6]])
        np.testing.assert_array_equal(targets.size[1, 1], [4, 7])
        np.testing.assert_array_equal(targets.offset[1, 1], [0.25, 0.375])
        np.testing.assert_array_equal(targets.heat[1, 1], [1, 1, 1])
        without = targets_of(boxes, labels, jnp.asarray(order != 1))
        np.testing.assert_array_equal(without.size[1, 1], [6, 6])

    @pytest.mark.parametrize("first", [0, 1])
    def test_of_boxes_of_one_size_the_first_wins(self, first):
        boxes = jnp.asarray([[4, 4, 7, 8], [4, 4, 8, 7]], jnp.float32)
        targets = targets_of(boxes[np.asarray([first, 1 - first])], jnp.zeros(2, int), jnp.ones(2, bool))
        np.testing.assert_array_equal(targets.size[1, 1], [[3, 4], [4, 3]][first])

    @pytest.mark.parametrize(
        ("box", "label"),
        [
            ([5, 5, 5, 9], 1),
            ([9, 5, 5, 9], 1),
            ([9, 9, 5, 5], 1),
            ([-9, 4, 8, 8], 1),
            ([4, -9, 8, 8], 1),
            ([44, 4, 52, 8], 1),
            ([4, 60, 8, 68], 1),
            ([4, 4, 8, 8], CLASSES),
            ([4, 4, 8, 8], -1),
        ],
    )
    def test_an_object_without_a_place_has_no_target(self, box, label):
        assert not any(a.any() for a in targets_of(*one_object(box, label)))

    def test_partly_outside_is_there(self):
        assert targets_of(*one_object([-6, 40, 8, 80])).mask[0, 15]
        assert targets_of(*one_object([40, -6, 55, 8])).mask[11, 0]

    def test_labels_of_few_bits(self):
        boxes, labels, mask = one_object([4, 4, 8, 8], 200)
        many = jax.jit(center_targets, static_argnums=(3, 4, 5))
        heat = many(boxes, labels.astype(jnp.uint8), mask, (2, 2), 4, 300).heat
        np.testing.assert_array_equal(np.argwhere(heat == 1), [[1, 1, 200]])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"boxes": jnp.zeros((2, 3, 4))}, r"floating boxes \[n, 4\]"),
            ({"boxes": jnp.zeros((3, 4), jnp.int32)}, r"floating boxes \[n, 4\], got int32"),
            ({"labels": jnp.zeros(3)}, r"integer labels of shape \(3,\), got float32"),
            ({"labels": jnp.zeros(2, jnp.int32)}, r"integer labels of shape \(3,\), got int32 \(2,\)"),
            ({"mask": jnp.zeros(3)}, r"a bool mask of shape \(3,\), got float32"),
            ({"mask": jnp.zeros(4, bool)}, r"a bool mask of shape \(3,\), got bool \(4,\)"),
            ({"shape": (4,)}, r"shape \(height, width\)"),
            ({"shape": (4, 0)}, "width to be a positive int"),
            ({"stride": 2.5}, "stride to be a positive int, got 2.5"),
            ({"num_classes": 0}, "num_classes to be a positive int"),
        ],
    )
    def test_bad_input(self, arguments, message):
        good: dict[str, Any] = {"boxes": jnp.zeros((3, 4)), "labels": jnp.zeros(3, jnp.int32)}
        good |= {"mask": jnp.zeros(3, bool), "shape": SHAPE, "stride": STRIDE, "num_classes": CLASSES}
        with pytest.raises(ValueError, match=f"^center_targets: expected {message}"):
            center_targets(**good | arguments)


def some_maps(shape=(5, 6), classes=2):
    rng = np.random.default_rng(1)
    return tuple(jnp.asarray(rng.random((*shape, n)), jnp.float32) for n in (classes, 2, 2))


def decode_by_a_loop(maps, stride, k):
    heat, offset, size = map(np.asarray, maps)
    peaks = []
    for (i, j, label), score in np.ndenumerate(heat):
        around = heat[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2, label]
        if score >= around.max():
            y, x = ((i, j) + offset[i, j]) * stride
            h, w = size[i, j]
            peaks.append((score, label, (y - h / 2, x - w / 2, y + h / 2, x + w / 2)))
    scores, labels, boxes = zip(*sorted(peaks, key=lambda peak: -peak[0])[:k], strict=True)
    return np.asarray(boxes), np.asarray(labels), np.asarray(scores)


class TestDecodeCenters:
    def test_gives_the_boxes_of_targets_back(self):
        boxes, labels, mask = some_images()
        *maps, _ = targets_of_batch(boxes, labels, mask, 0.3)
        decode_batch = jax.jit(jax.vmap(functools.partial(decode_centers, stride=STRIDE, k=MOST + 2)))
        images = zip(*decode_batch(*maps), boxes, labels, mask, strict=True)
        for found, found_labels, scores, true, true_labels, there in images:
            n, order = there.sum(), np.lexsort(true[there].T)
            np.testing.assert_array_equal(scores, [1] * n + [0] * (MOST + 2 - n))
            back = np.lexsort(np.asarray(found[:n]).T)
            np.testing.assert_allclose(found[:n][back], true[there][order], atol=2e-5)
            np.testing.assert_array_equal(found_labels[:n][back], true_labels[there][order])

    @pytest.mark.parametrize("k", [1, 3, 11])
    def test_the_k_highest_peaks(self, k):
        heat, offset, size = maps = some_maps()
        expected = decode_by_a_loop(maps, 4, k)
        assert len(decode_by_a_loop(maps, 4, 60)[0]) == 11
        for ours, theirs in zip(decode(heat, offset, size, 4, k), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    def test_of_equal_peaks_the_first_cells(self):
        """Equal neighbours are both peaks, as in the paper."""
        _, offset, size = some_maps()
        heat = (
            jnp.zeros((5, 6, 2))
            .at[jnp.asarray([4, 0, 0]), jnp.asarray([2, 3, 4]), jnp.asarray([0, 1, 1])]
            .set(0.5)
        )
        _, labels, scores = decode(heat, 0 * offset, size, 4, 4)
        np.testing.assert_array_equal(labels[:3], [1, 1, 0])
        np.testing.assert_array_equal(scores, [0.5, 0.5, 0.5, 0])

    def test_a_negative_size_counts_as_zero(self):
        heat, offset, size = some_maps()
        boxes, _, _ = decode(heat, offset, -size, 4, 5)
        np.testing.assert_array_equal(boxes[:, :2], boxes[:, 2:])

    def test_all_of_a_map_of_one_cell(self):
        boxes, labels, scores = decode(
            jnp.asarray([[[0.25, 0.5]]]), jnp.full((1, 1, 2), 0.5), jnp.full((1, 1, 2), 6.0), 8, 2
        )
        np.testing.assert_array_equal(boxes, [[1, 1, 7, 7]] * 2)
        np.testing.assert_array_equal(labels, [1, 0])
        np.testing.assert_array_equal(scores, [0.5, 0.25])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"heat": jnp.zeros((5, 6))}, r"heat \[height, width, classes\]"),
            ({"offset": jnp.zeros((5, 6, 3))}, r"heat .*\(5, 6, 3\)"),
            ({"size": jnp.zeros((6, 5, 2))}, r"heat .*\(6, 5, 2\)"),
            ({"heat": jnp.zeros((5, 6, 2), jnp.bfloat16)}, "one floating dtype, got bfloat16"),
            ({"k": 61}, "k of at most 60, the map's size, got 61"),
            ({"k": 0}, "k to be a positive int"),
            ({"stride": 0}, "stride to be a positive int"),
        ],
    )
    def test_bad_input(self, arguments, message):
        heat, offset, size = some_maps()
        good: dict[str, Any] = {"heat": heat, "offset": offset, "size": size, "stride": 4, "k": 5}
        with pytest.raises(ValueError, match=f"^decode_centers: expected {message}"):
            decode_centers(**good | arguments)
