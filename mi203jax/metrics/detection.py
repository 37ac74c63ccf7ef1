"""How well boxes are found (slide "Classification → détection"): average precision by COCO's rules.

Boxes are (y0, x0, y1, x1), y1 and x1 exclusive. Detections and ground truth of an image are padded to a
fixed number, and a mask says which are there, so that all of it runs under `jit` and `vmap`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
MAX_DETECTIONS = (1, 10, 100)
_LARGEST = 1e10  # pixels: COCO counts nothing above
_AT_ONCE = 64  # images that are matched at a time: a bound to memory, and no slower
_RECALLS = 101
# In pycocotools' float64 some r / 100 are larger than that, and a recall of r / 100 does not reach them.
_ROUNDED_UP = np.linspace(0, 1, _RECALLS) > np.arange(_RECALLS) / 100


class Detections(NamedTuple):
    """Boxes found in some images.

    Attributes:
        boxes: `[images, d, 4]`, floating.
        scores: `[images, d]`, floating: larger is surer.
        labels: `[images, d]`, integer. Labels that are no class do not count.
        mask: which are there, `[images, d]`, bool.
    """

    boxes: jax.Array
    scores: jax.Array
    labels: jax.Array
    mask: jax.Array


class GroundTruth(NamedTuple):
    """Boxes that should be found in some images.

    Attributes:
        boxes: `[images, g, 4]`, floating.
        labels: `[images, g]`, integer. Labels that are no class do not count.
        mask: which are there, `[images, g]`, bool.
        crowd: which stand for many objects, `[images, g]`, bool: they need not be found, and detections on
            them are not held against anyone. None: none.
        area: in pixels (of an object's mask, say), `[images, g]`, floating. None: the box's.
    """

    boxes: jax.Array
    labels: jax.Array
    mask: jax.Array
    crowd: jax.Array | None = None
    area: jax.Array | None = None


class AveragePrecision(NamedTuple):
    """Precision and recall in every setting of COCO, nan for a class without ground truth (COCO: −1).

    The areas are all, small, medium, large; the maxima 1, 10 and 100 detections an image and class. So the
    average precision of each threshold, class and area is `precision[..., -1].mean(1)`.

    Attributes:
        precision: the best at recall r / 100 or more, `[10 thresholds, 101 recalls, classes, 4 areas,
            3 maxima]`, float32.
        recall: with all detections, `[10 thresholds, classes, 4 areas, 3 maxima]`, float32.
    """

    precision: jax.Array
    recall: jax.Array

    def summary(self) -> dict[str, jax.Array]:
        """COCO's twelve numbers, in its order; the mean over what is not nan, nan if all is.

        After a `vmap` each has the leading axes of `precision`.
        """
        precision, recall = self.precision[..., -1], self.recall[..., -1]
        over_all, sizes = jnp.nanmean(precision, (-4, -3, -2)), ("small", "medium", "large")
        best_at = jnp.nanmean(precision[..., 0], (-2, -1))
        by_maximum = jnp.nanmean(self.recall[..., 0, :], (-3, -2))
        by_area = jnp.nanmean(recall, (-3, -2))
        return {
            "ap": over_all[..., 0],
            "ap50": best_at[..., THRESHOLDS.index(0.5)],
            "ap75": best_at[..., THRESHOLDS.index(0.75)],
            **{f"ap_{size}": over_all[..., i] for i, size in enumerate(sizes, 1)},
            **{f"ar{most}": by_maximum[..., i] for i, most in enumerate(MAX_DETECTIONS)},
            **{f"ar_{size}": by_area[..., i] for i, size in enumerate(sizes, 1)},
        }


def average_precision(
    detections: Detections, truth: GroundTruth, num_classes: int, *, borders=(32.0**2, 96.0**2)
) -> AveragePrecision:
    """Precision and recall of detections by COCO's rules (Lin et al. 2014), as pycocotools computes them.

    In each image and class, detections in order of score take the ground truth of largest intersection
    over union (IoU) among those that reach the threshold and are free; of equal ones the last. A crowd is
    always free, and IoU with it is intersection over the *detection's* area. Ground truth that is crowd
    or outside of the range of areas is to be ignored: it is taken only for want of another, and then the
    detection is ignored too, as is one that took nothing and is itself outside of the range.

    Areas from 0 to the first border are small, to the second medium, above large. A range holds its
    ends: an area of 32² is both small and medium. Equal scores count in order of image, then position.

    Decisions are those of float64 where boxes are of integers and unions of at most 2²⁴ pixels: IoU is
    kept in two float32 parts, so that 11/20 reaches 0.55, and recall is compared in integers, with
    pycocotools' rounding (ten of its 101 recalls are rounded up, so that 7 of 20 do not reach 0.35). Areas of
    other boxes are rounded to float32, which may decide otherwise within 10⁻⁶ of a threshold or border.

    Args:
        detections: of which only the 100 best of an image and class are looked at.
        truth: of as many images.
        num_classes: static; classes are 0, 1, …, `num_classes` − 1.
        borders: areas in pixels between small, medium and large, two scalars.

    Returns:
        `AveragePrecision`.

    Raises:
        ValueError: if shapes, dtypes or `num_classes` do not fit.
    """
    _check("average_precision", detections, truth)
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise ValueError(
            f"average_precision: expected num_classes to be a positive int, got {num_classes!r}."
        )
    low, high = (jnp.asarray(border, jnp.float32) for border in borders)
    least, most = jnp.float32(0), jnp.float32(_LARGEST)
    ranges = jnp.stack([least, least, low, high]), jnp.stack([most, low, high, most])
    judged = _judge(detections, truth, num_classes, THRESHOLDS, ranges)
    shape = (len(THRESHOLDS), 4, len(MAX_DETECTIONS))

    def of_setting(i):
        t, a, m = jnp.unravel_index(i, shape)
        considered = judged.rank < jnp.array(MAX_DETECTIONS)[m]
        true, false = (considered & x[t, a] for x in (judged.true, judged.false))
        return _interpolated(true, false, judged, judged.positives[a])

    # One after the other: on a CPU each stays in the cache.
    precision, recall = lax.map(of_setting, jnp.arange(np.prod(shape)))
    precision, recall = (x.reshape(*shape, *x.shape[1:]) for x in (precision, recall))
    return AveragePrecision(precision.transpose(0, 4, 3, 1, 2), recall.transpose(0, 3, 1, 2))


def precision_recall(
    detections: Detections, truth: GroundTruth, label, threshold: float = 0.5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The precision–recall curve of a class: a point for each of its detections, in order of score.

    Its points are those that `average_precision` (all areas, 100 detections) makes descending and reads
    off at 101 recalls.

    Args:
        detections: as in `average_precision`.
        truth: as in `average_precision`.
        label: the class, an integer scalar.
        threshold: of IoU, in (0, 1], static.

    Returns:
        (recall, precision, score), each `[images · d]`, float32: of detections of at least that score. The
        n detections of the class are the first n; the rest is nan, as is precision before the first
        detection that is not to be ignored, and recall without ground truth.

    Raises:
        ValueError: if shapes or dtypes do not fit, or the threshold is not in (0, 1].
    """
    _check("precision_recall", detections, truth)
    if not 0 < threshold <= 1:
        raise ValueError(f"precision_recall: expected a threshold in (0, 1], got {threshold}.")

    def alone(labels):
        """The labels of a problem of one class, 0."""
        return jnp.where(labels == jnp.asarray(label, labels.dtype), 0, 1)

    detections = detections._replace(labels=alone(detections.labels))
    truth = truth._replace(labels=alone(truth.labels))
    judged = _judge(detections, truth, 1, (threshold,), (jnp.zeros(1), jnp.full(1, _LARGEST)))
    (true, false), _ = zip(*(_running(x[0, 0], judged) for x in (judged.true, judged.false)), strict=True)
    curve = true / judged.positives[0], true / (true + false), judged.scores.astype(jnp.float32)
    recall, precision, score = (jnp.where(judged.labels == 0, x, jnp.nan) for x in curve)
    return recall, precision, score


class _Judged(NamedTuple):
    """All detections, by class and then by score; those that do not count have no class and are last."""

    labels: jax.Array  # [n]
    starts: jax.Array  # where each class begins and the last ends, [classes + 1]
    scores: jax.Array  # [n]
    rank: jax.Array  # how many of its image and class come before, [n]
    true: jax.Array  # [thresholds, areas, n]
    false: jax.Array  # likewise
    positives: jax.Array  # what is to be found, [areas, classes]


def _judge(detections: Detections, truth: GroundTruth, num_classes: int, thresholds, ranges) -> _Judged:
    def classes(boxes):
        valid = boxes.mask & (boxes.labels >= 0) & (boxes.labels < num_classes)
        return jnp.where(valid, boxes.labels.astype(jnp.int32), num_classes)

    found, wanted = detections.boxes.astype(jnp.float32), truth.boxes.astype(jnp.float32)
    order = jnp.argsort(-detections.scores, axis=1, stable=True)
    scores, labels = (jnp.take_along_axis(x, order, 1) for x in (detections.scores, classes(detections)))
    found = jnp.take_along_axis(found, order[..., None], 1)
    true_labels = classes(truth)
    crowd = jnp.zeros(true_labels.shape, bool) if truth.crowd is None else truth.crowd
    area = _area(wanted) if truth.area is None else truth.area.astype(jnp.float32)
    ignored = _outside(area, ranges) | crowd[:, None]
    images = found, labels, wanted, true_labels, crowd, ignored
    rank, true, free = lax.map(lambda image: _match(thresholds, *image), images, batch_size=_AT_ONCE)
    false = free & ~_outside(_area(found), ranges).swapaxes(1, 2)[:, :, None]
    labels = jnp.where(rank < MAX_DETECTIONS[-1], labels, num_classes).ravel()
    scores, rank = scores.ravel(), rank.ravel()
    order = jnp.lexsort((-scores, labels))
    labels = labels[order]
    true, false = (x.reshape(-1, *x.shape[2:])[order].transpose(1, 2, 0) for x in (true, false))
    counts = (~ignored).swapaxes(1, 2).reshape(-1, ignored.shape[1]).astype(jnp.int32)
    positives = jax.ops.segment_sum(counts, true_labels.ravel(), num_classes + 1)[:-1].T
    starts = jnp.searchsorted(labels, jnp.arange(num_classes + 1))
    return _Judged(labels, starts, scores[order], rank[order], true, false, positives)


def _match(thresholds, boxes, labels, true_boxes, true_labels, crowd, ignored):
    """Matches one image's detections, in order of score.

    Returns:
        How many of the class come before each, `[d]`; whether it took what should be found, and whether it
        took nothing, `[d, thresholds, areas]`.
    """
    g = len(true_boxes)
    rank = jnp.tril(labels[:, None] == labels[None], -1).sum(1, dtype=jnp.int32)
    high, low = _iou(boxes, true_boxes, crowd)
    high = jnp.where(labels[:, None] == true_labels[None], high, 0.0)

    def beats(other_high, other_low, ties):
        """How many of the others, along the last axis, the IoU exceeds, or equals where ties count."""
        equal = (high[..., None] == other_high) & (
            (low[..., None] > other_low) | (ties & (low[..., None] == other_low))
        )
        return ((high[..., None] > other_high) | equal).sum(-1, dtype=jnp.int32)

    # From 1, all different: so the largest among those that are free is one.
    later = (jnp.arange(g)[:, None] > jnp.arange(g)[None])[None]
    place = 1 + beats(high[:, None], low[:, None], later)
    reached = beats(*_parts(thresholds), True)
    preference = jnp.where(ignored, 0, g)[None]

    def step(free, detection):
        place, reached = detection
        open_to = free & (reached[None] > jnp.arange(len(thresholds))[:, None])[:, None]
        value = jnp.where(open_to, place[None, None] + preference, 0)
        best = value.max(-1, initial=0)
        return free & ~(open_to & (value == best[..., None]) & ~crowd[None, None]), best

    free = jnp.ones((len(thresholds), *ignored.shape), bool)
    _, best = lax.scan(step, free, (place, reached))
    return rank, best > g, best == 0


def _iou(boxes: jax.Array, true_boxes: jax.Array, crowd: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Intersection over union as the sum of two float32, each `[d, g]`."""
    top_left = jnp.maximum(boxes[:, None, :2], true_boxes[None, :, :2])
    bottom_right = jnp.minimum(boxes[:, None, 2:], true_boxes[None, :, 2:])
    intersection = jnp.maximum(bottom_right - top_left, 0).prod(-1)
    area, true_area = _area(boxes)[:, None], _area(true_boxes)[None]
    union = area + jnp.where(crowd[None], 0.0, true_area - intersection)
    return _divide(intersection, jnp.where(intersection > 0, union, 1.0))


def _divide(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rounded quotient and what it lacks, to about 48 bits; the remainder is Dekker's (1971), exact."""

    def halves(x):
        high = lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.int32) & ~0xFFF, jnp.float32)
        return high, x - high

    quotient = a / b
    (q1, q2), (b1, b2) = halves(quotient), halves(b)
    return quotient, ((((a - q1 * b1) - q1 * b2) - q2 * b1) - q2 * b2) / b


def _parts(thresholds: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds in two float32, lowered by less than any IoU differs from them that is not equal."""
    exact = np.asarray(thresholds, np.float64)
    high = exact.astype(np.float32)
    return high[None, None], (exact - high - 2.0**-40).astype(np.float32)[None, None]


def _area(boxes: jax.Array) -> jax.Array:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def _outside(area: jax.Array, ranges: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Whether areas `[images, n]` are in none of the ranges, `[images, ranges, n]`."""
    least, most = (x[None, :, None] for x in ranges)
    return (area[:, None] < least) | (area[:, None] > most)


def _running(hits: jax.Array, judged: _Judged) -> tuple[jax.Array, jax.Array]:
    """Number of hits of the class so far, `[n]`, and in all, `[classes]`."""
    total = jnp.cumsum(hits, dtype=jnp.int32)
    before = jnp.concatenate([jnp.zeros(1, jnp.int32), total])[judged.starts]
    return total - before[judged.labels], jnp.diff(before)


def _interpolated(true, false, judged: _Judged, positives: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Best precision at each recall or more, `[classes, recalls]`, and recall with all, `[classes]`."""
    (true_so_far, found), (false_so_far, _) = (_running(hits, judged) for hits in (true, false))
    precision = true_so_far / jnp.maximum(true_so_far + false_so_far, 1)
    of = jnp.append(positives, 0)[judged.labels]
    reached = 100 * true_so_far // jnp.maximum(of, 1)
    exactly = reached * of == 100 * true_so_far
    reached = reached - (exactly & jnp.asarray(_ROUNDED_UP)[reached]).astype(jnp.int32)
    best = jnp.zeros((len(positives) + 1, _RECALLS))
    best = lax.cummax(best.at[judged.labels, reached].max(precision)[:-1], axis=1, reverse=True)
    return jnp.where(positives[:, None] > 0, best, jnp.nan), found / positives


def _check(function: str, detections: Detections, truth: GroundTruth) -> None:
    kinds = {"boxes": jnp.floating, "scores": jnp.floating, "labels": jnp.integer, "mask": jnp.bool_}
    kinds |= {"crowd": jnp.bool_, "area": jnp.floating}
    for name, arrays in (("detections", detections), ("truth", truth)):
        shape = arrays.mask.shape
        if len(shape) != 2 or len(arrays.mask) != len(detections.mask):
            raise ValueError(
                f"{function}: expected masks [images, n] of as many images, got {detections.mask.shape} and "
                f"{truth.mask.shape}."
            )
        for field, x in arrays._asdict().items():
            if x is None:
                continue
            expected = (*shape, 4) if field == "boxes" else shape
            if x.shape != expected or not jnp.issubdtype(x.dtype, kinds[field]):
                raise ValueError(
                    f"{function}: expected {kinds[field].__name__} {name}.{field} of shape {expected}, got "
                    f"{x.dtype} {x.shape}."
                )
