"""Crops against PIL and torch, the rest against plain loops and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.windows import class_shapes, crop, decode_windows, square, window_grid, window_targets

torch = pytest.importorskip("torch")
pil = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.usefixtures("strict")

crops = {size: jax.jit(jax.vmap(partial(crop, size=size), (None, 0))) for size in (6, 16)}
targets = jax.jit(window_targets, static_argnames="num_classes")
targets_of_batch = jax.jit(
    jax.vmap(window_targets, (None, 0, 0, 0, None, None, None, None)), static_argnums=4
)
shapes_of = jax.jit(class_shapes, static_argnums=3)
decode = jax.jit(decode_windows, static_argnames="k")


def iou(a, b):
    """Of two boxes, in 64 bits."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common)


def random_boxes(rng, *shape, extent=20.0):
    corner = rng.uniform(-2, 30, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(3, extent, (*shape, 2))], -1).astype(np.float32)


class TestWindowGrid:
    @pytest.mark.parametrize(
        ("shape", "side", "step"), [((9, 12), 4, 0.45), ((8, 8), 8, 0.3), ((7, 6), 1, 0.1)]
    )
    def test_equals_a_loop(self, shape, side, step):
        stride = max(1, round(step * side))
        starts = []
        for n in shape:
            start, along = 0, []
            while start + side < n:
                along.append(start)
                start += stride
            starts.append([*along, n - side])
        expected = [(y, x, y + side, x + side) for y in starts[0] for x in starts[1]]
        grid = window_grid(shape, (side,), step)
        assert grid.dtype == jnp.float32
        np.testing.assert_array_equal(grid, expected)

    def test_reaches_the_border_without_a_longer_step_or_a_window_twice(self):
        for n in range(5, 14):
            rows = np.unique(window_grid((n, 5), (5,), 0.6)[:, 0])
            assert (rows[0], rows[-1], len(rows)) == (0, n - 5, len(window_grid((n, 5), (5,), 0.6)))
            assert (np.diff(rows) <= 3).all()

    def test_sides_follow_each_other(self):
        both = window_grid((9, 12), (3, 7))
        np.testing.assert_array_equal(
            both, np.concatenate([window_grid((9, 12), (3,)), window_grid((9, 12), (7,))])
        )

    @pytest.mark.parametrize(
        ("shape", "sides", "step", "message"),
        [
            ((9,), (3,), 0.5, "expected shape .height, width."),
            ((9, 0), (3,), 0.5, "expected height and width to be a positive int, got 0"),
            ((9, 8), (), 0.5, "one side or more"),
            ((9, 8), (4, 9), 0.5, "expected each side to be an int from 1 to 8, got 9"),
            ((9, 8), (4.0,), 0.5, "expected each side to be an int from 1 to 8, got 4.0"),
            ((9, 8), (4,), 0.0, "a positive step"),
            ((9, 8), (4,), float("nan"), "a positive step"),
        ],
    )
    def test_bad_input(self, shape, sides, step, message):
        with pytest.raises(ValueError, match=f"window_grid: .*{message}"):
            window_grid(shape, sides, step)


class TestCrop:
    image = np.random.default_rng(0).normal(size=(24, 30, 2)).astype(np.float32)

    def test_equals_pil(self):
        """Boxes within the image, larger and smaller than the crop, of any proportions."""
        rng = np.random.default_rng(1)
        ends = np.sort(rng.uniform(0, (24, 30), (40, 2, 2)), 1).reshape(40, 4)
        boxes = np.concatenate([ends, [[0, 0, 24, 30], [0, 7, 1, 8]]]).astype(np.float32)
        for size, crop_all in crops.items():
            ours = crop_all(self.image, boxes)
            for shown, (y0, x0, y1, x1) in zip(ours, boxes.tolist(), strict=True):
                layers = [
                    pil.fromarray(c).resize((size, size), pil.Resampling.BILINEAR, (x0, y0, x1, y1))
                    for c in np.moveaxis(self.image, -1, 0)
                ]
                np.testing.assert_allclose(shown, np.stack(layers, -1), atol=2e-5)

    @pytest.mark.parametrize("size", crops)
    def test_of_the_whole_image_equals_torch_with_gradients(self, size):
        ours, pull = jax.vjp(lambda x: crops[size](x, jnp.asarray([[0.0, 0.0, 24.0, 30.0]]))[0], self.image)
        cotangent = np.cos(np.arange(ours.size, dtype=np.float32)).reshape(ours.shape)
        x = torch.tensor(self.image, requires_grad=True)
        theirs = torch.nn.functional.interpolate(
            x.permute(2, 0, 1)[None], (size, size), mode="bilinear", antialias=True
        )[0].permute(1, 2, 0)
        theirs.backward(torch.tensor(cotangent))
        np.testing.assert_allclose(ours, theirs.detach(), atol=1e-5)
        np.testing.assert_allclose(pull(cotangent)[0], x.grad, atol=1e-5)

    def test_of_whole_pixels_is_exact_and_zero_outside(self):
        corners = [(3, 5), (-4, 2), (-2, -3), (15, 25), (40, 0)]
        padded = np.pad(self.image, ((40, 40), (40, 40), (0, 0)))
        boxes = jnp.asarray([(y, x, y + 16, x + 16) for y, x in corners], jnp.float32)
        expected = [padded[y + 40 : y + 56, x + 40 : x + 56] for y, x in corners]
        np.testing.assert_array_equal(crops[16](self.image, boxes), expected)

    def test_at_the_border_the_outside_takes_no_part(self):
        """Of an image of ones, points are 1 or 0, however it is shrunk or enlarged."""
        rng = np.random.default_rng(2)
        boxes = random_boxes(rng, 30, extent=40)
        for size, crop_all in crops.items():
            points = (np.arange(size) + 0.5) / size
            for shown, box in zip(crop_all(jnp.ones((24, 30, 2)), boxes), boxes, strict=True):
                y, x = box[:2, None] + (box[2:] - box[:2])[:, None] * points
                inside = ((y > 0) & (y < 24))[:, None] & ((x > 0) & (x < 30))
                np.testing.assert_allclose(shown, np.broadcast_to(inside[..., None], shown.shape), atol=1e-5)

    def test_of_a_box_without_area_is_zero(self):
        empty = jnp.asarray([[0, 0, 0, 0], [2, 3, 2, 9], [9, 3, 4, 8]], jnp.float32)
        np.testing.assert_array_equal(crops[6](self.image, empty), jnp.zeros((3, 6, 6, 2)))
        slope = jax.grad(lambda boxes: crops[6](self.image, boxes).sum())(empty)
        assert jnp.isfinite(slope).all()

    def test_keeps_half_precision(self):
        assert crop(jnp.ones((5, 5, 1), jnp.bfloat16), jnp.asarray([0.0, 0, 5, 5]), 3).dtype == jnp.bfloat16

    def test_bad_input(self):
        image, box = jnp.zeros((5, 6, 1)), jnp.zeros(4)
        for wrong in (jnp.zeros((5, 6)), jnp.zeros((5, 6, 1), jnp.uint8)):
            with pytest.raises(
                ValueError, match=r"crop: expected floating image \[height, width, channels\]"
            ):
                crop(wrong, box, 3)
        for wrong in (jnp.zeros((1, 4)), jnp.zeros(4, jnp.int32), jnp.zeros(3)):
            with pytest.raises(ValueError, match=r"crop: expected floating box \[4\], got"):
                crop(image, wrong, 3)
        with pytest.raises(ValueError, match="crop: expected size to be a positive int, got 3.0"):
            crop(image, box, 3.0)  # type: ignore[arg-type]


class TestSquare:
    def test_closed_forms(self):
        boxes = jnp.asarray([[1, 2, 5, 4], [0, 0, 2, 6], [3, 3, 3, 3]], jnp.float32)
        np.testing.assert_array_equal(square(boxes, 1.0), [[1, 1, 5, 5], [-2, 0, 4, 6], [3, 3, 3, 3]])
        np.testing.assert_array_equal(
            square(boxes, 1.5), [[0, 0, 6, 6], [-3.5, -1.5, 5.5, 7.5], [3, 3, 3, 3]]
        )
        assert square(boxes.reshape(3, 1, 4)).shape == (3, 1, 4)

    def test_bad_input(self):
        for wrong in (jnp.zeros(()), jnp.zeros((2, 5)), jnp.zeros((2, 4), jnp.int32)):
            with pytest.raises(ValueError, match=r"square: expected floating boxes \[\.\.\., 4\], got"):
                square(wrong)
        with pytest.raises(ValueError, match="square: expected margin to be a scalar"):
            square(jnp.zeros((2, 4)), jnp.ones(2))


def target_by_a_loop(window, objects, positive, negative, margin):
    best, target = 0.0, 0
    for (y0, x0, y1, x1), label in objects:
        side = margin * max(y1 - y0, x1 - x0)
        y, x = (y0 + y1) / 2, (x0 + x1) / 2
        overlap = iou(window, (y - side / 2, x - side / 2, y + side / 2, x + side / 2))
        if overlap > best:
            best, target = overlap, 1 + label
    return (target, True) if best >= positive else (0, best < negative)


class TestWindowTargets:
    @pytest.mark.parametrize(("positive", "negative", "margin"), [(0.5, 0.3, 1.2), (0.6, 0.6, 1.0)])
    def test_equals_a_loop(self, positive, negative, margin):
        """From no object to five; absent ones are nan, and some have no area or a label that is none."""
        rng = np.random.default_rng(3)
        windows = window_grid((32, 32), (8, 12, 18), 0.25)
        boxes, labels = random_boxes(rng, 12, 5), rng.integers(0, 3, (12, 5)).astype(np.int32)
        mask = rng.random((12, 5)) < np.linspace(0, 1, 12)[:, None]
        there = mask.copy()
        boxes[-1, 0, 2:], there[-1, 0] = boxes[-1, 0, :2], False
        labels[-1, 1:3], there[-1, 1:3] = (-1, 3), False
        boxes[~mask] = np.nan
        label, counts = targets_of_batch(windows, boxes, labels, mask, 3, positive, negative, margin)
        assert (label.dtype, counts.dtype) == (jnp.int32, bool)
        expected = [
            [target_by_a_loop(w, objects, positive, negative, margin) for w in windows]
            for objects in (
                [(b[i], k[i]) for i in np.flatnonzero(t)]
                for b, k, t in zip(boxes, labels, there, strict=True)
            )
        ]
        assert set(label.ravel().tolist()) == {0, 1, 2, 3}
        np.testing.assert_array_equal(np.stack([label, counts], -1), expected)
        assert bool(counts.all()) == (positive == negative)

    def test_limits_and_ties(self):
        """Overlaps with the object's square of 1, of 1/2, of 1/4, none; equal objects: the first one."""
        windows = jnp.asarray([[0, 0, 4, 4], [0, 0, 2, 4], [0, 0, 2, 2], [9, 9, 11, 11]], jnp.float32)
        boxes, labels = jnp.asarray([[0, 1, 4, 2.9], [0, 0, 4, 4], [0, 0, 4, 4]]), jnp.asarray([0, 4, 2])
        both = targets(windows, boxes, labels, jnp.asarray([False, True, True]), 5, 0.5, 0.25, 1.0)
        np.testing.assert_array_equal(both, [[5, 5, 0, 0], [True, True, False, True]])

    def test_without_any_object(self):
        nothing = jnp.zeros((0, 4)), jnp.zeros(0, jnp.int32), jnp.zeros(0, bool)
        label, counts = targets(jnp.ones((3, 4)), *nothing, 2)
        np.testing.assert_array_equal(label, [0, 0, 0])
        assert counts.all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"windows": jnp.zeros(4)}, r"floating windows \[n, 4\]"),
            ({"boxes": jnp.zeros((1, 2, 4))}, r"float32 boxes \[m, 4\]"),
            ({"boxes": jnp.zeros((2, 4), jnp.bfloat16)}, r"float32 boxes \[m, 4\], got bfloat16"),
            ({"labels": jnp.zeros(2)}, r"integer labels \[2\], got float32"),
            ({"labels": jnp.zeros(3, jnp.int32)}, r"integer labels \[2\]"),
            ({"mask": jnp.zeros(2)}, r"bool mask \[2\], got float32"),
            ({"num_classes": 0}, "num_classes to be a positive int"),
            ({"positive": jnp.zeros(2)}, "positive to be a scalar"),
        ],
    )
    def test_bad_input(self, arguments, message):
        good = {"windows": jnp.zeros((5, 4)), "boxes": jnp.zeros((2, 4)), "num_classes": 3}
        good |= {"labels": jnp.zeros(2, jnp.int32), "mask": jnp.zeros(2, bool)}
        with pytest.raises(ValueError, match=f"^window_targets: expected {message}"):
            window_targets(**{**good, **arguments})


class TestClassShapes:
    def test_is_the_mean_of_each_class(self):
        rng = np.random.default_rng(4)
        boxes, labels = random_boxes(rng, 30, 4), rng.integers(0, 3, (30, 4)).astype(np.int32)
        mask = rng.random((30, 4)) < 0.6
        boxes[~mask] = np.nan
        boxes[0, 0, 2], labels[0, 1:] = boxes[0, 0, 0], (-1, 5, 9)
        mask[0] = True
        shapes = shapes_of(boxes, labels, mask, 5, 1.3)
        sides = (boxes[..., 2:] - boxes[..., :2])[1:][mask[1:]].astype(np.float64)
        shares, of = sides / (1.3 * sides.max(1, keepdims=True)), labels[1:][mask[1:]]
        expected = [shares[of == k].mean(0) if k < 3 else (1 / 1.3, 1 / 1.3) for k in range(5)]
        np.testing.assert_allclose(shapes, expected, rtol=1e-5)

    def test_gradient_of_absent_boxes_is_finite(self):
        boxes = jnp.asarray([[0, 0, 0, 0], [1, 1, 3, 7]], jnp.float32)
        labels, mask = jnp.asarray([0, 0]), jnp.asarray([False, True])
        slope = jax.grad(lambda b: shapes_of(b, labels, mask, 2)[0, 0])(boxes)
        np.testing.assert_allclose(slope, np.asarray([[0] * 4, [-6, 2, 6, -2]]) / 36 / 1.2, rtol=1e-5)

    def test_bad_input(self):
        boxes, labels, mask = jnp.zeros((3, 2, 4)), jnp.zeros((3, 2), jnp.int32), jnp.zeros((3, 2), bool)
        for wrong, message in (
            ((boxes[..., :3], labels, mask, 2), r"floating boxes \[\.\.\., 4\]"),
            ((boxes, labels[0], mask, 2), r"integer labels \[3, 2\]"),
            ((boxes, labels, mask[:, :1], 2), r"bool mask \[3, 2\]"),
            ((boxes, labels, mask, 2.0), "num_classes to be a positive int"),
            ((boxes, labels, mask, 2, jnp.ones(2)), "margin to be a scalar"),
        ):
            with pytest.raises(ValueError, match=f"^class_shapes: expected {message}"):
                class_shapes(*wrong)


def decode_by_a_loop(windows, scores, shapes, k, threshold):
    """(box, class, score) of what is kept and, with score 0, of what is suppressed."""
    pairs = sorted((-scores[i, 1 + c], i, c) for i in range(len(windows)) for c in range(len(shapes)))
    kept: list[tuple] = []
    dropped: list[tuple] = []
    for score, i, c in pairs[:k]:
        y0, x0, y1, x1 = windows[i].astype(np.float64)
        centre, half = np.asarray([y0 + y1, x0 + x1]) / 2, (y1 - y0) * shapes[c] / 2
        box = np.concatenate([centre - half, centre + half])
        if any(iou(box, other) > threshold for other, label, _ in kept if label == c):
            dropped.append((box, c, 0))
        else:
            kept.append((box, c, -score))
    return kept, dropped


class TestDecodeWindows:
    windows = window_grid((32, 40), (8, 14, 20), 0.25)
    shapes = jnp.asarray([(0.8, 0.31), (0.77, 0.83), (0.4, 0.8)], jnp.float32)

    @pytest.mark.parametrize("threshold", [0.2, 0.45])
    def test_equals_a_loop(self, threshold):
        """Coarse scores, so that there are ties."""
        rng = np.random.default_rng(5)
        for _ in range(4):
            scores = rng.dirichlet(np.full(4, 0.5), len(self.windows)).round(2).astype(np.float32)
            boxes, labels, values = decode(self.windows, scores, self.shapes, k=60, threshold=threshold)
            kept, dropped = decode_by_a_loop(
                np.asarray(self.windows), scores, np.asarray(self.shapes), 60, threshold
            )
            assert min(len(kept), len(dropped)) > 0
            everything = [*kept, *dropped]
            np.testing.assert_allclose(boxes, [box for box, _, _ in everything], atol=1e-4)
            np.testing.assert_array_equal(labels, [c for _, c, _ in everything])
            np.testing.assert_array_equal(values, [score for _, _, score in everything])
            assert labels.dtype == jnp.int32

    def test_finds_what_the_targets_say(self):
        """The targets as scores: the boxes' squares are found again, each once."""
        boxes = np.asarray([[4, 6, 12, 9], [10, 20, 24, 34]], np.float32)
        labels, mask = jnp.asarray([0, 1]), jnp.ones(2, bool)
        shapes = class_shapes(jnp.asarray(boxes), labels, mask, 3, 1.0)
        windows = jnp.concatenate([self.windows, square(jnp.asarray(boxes), 1.0)])
        label, _ = targets(windows, jnp.asarray(boxes), labels, mask, 3, 0.99, margin=1.0)
        scores = jax.nn.one_hot(label, 4)
        found, classes, values = decode(windows, scores, shapes, k=10, threshold=0.5)
        np.testing.assert_array_equal(values, [1, 1] + [0] * 8)
        np.testing.assert_array_equal(found[np.argsort(classes[:2])], boxes)

    def test_under_vmap_and_all_pairs(self):
        """Two images; with k = n · classes nothing is left out."""
        scores = np.random.default_rng(6).random((2, 5, 4), np.float32)
        all_pairs = jax.vmap(lambda s: decode(self.windows[:5], s, self.shapes, k=15, threshold=1.0))
        _, labels, values = all_pairs(scores)
        np.testing.assert_array_equal(values, -np.sort(-scores[..., 1:].reshape(2, 15)))
        np.testing.assert_array_equal([np.bincount(image) for image in labels], [[5, 5, 5]] * 2)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"windows": jnp.zeros((5, 3))}, r"floating windows \[n, 4\]"),
            ({"shapes": jnp.zeros((2, 3))}, r"float32 shapes \[classes, 2\]"),
            ({"shapes": jnp.zeros((2, 2), jnp.bfloat16)}, r"float32 shapes \[classes, 2\], got bfloat16"),
            ({"scores": jnp.zeros((5, 2))}, r"floating scores \[5, 3\]"),
            ({"scores": jnp.zeros((5, 3), jnp.int32)}, r"floating scores \[5, 3\], got int32"),
            ({"k": 11}, "k to be an int from 1 to 10, got 11"),
            ({"k": 0}, "k to be an int from 1 to 10, got 0"),
        ],
    )
    def test_bad_input(self, arguments, message):
        good = {
            "windows": jnp.zeros((5, 4)),
            "scores": jnp.zeros((5, 3)),
            "shapes": jnp.zeros((2, 2)),
            "k": 10,
        }
        with pytest.raises(ValueError, match=f"^decode_windows: expected {message}"):
            decode_windows(**{**good, **arguments})
