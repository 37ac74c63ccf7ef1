"""Boxes: overlap, and what is left of many that overlap (slide "Classification → détection").

A box is (y0, x0, y1, x1) in pixels, y1 and x1 exclusive: the pixel (0, 0) is (0, 0, 1, 1). One whose corners
coincide or are exchanged in a direction has area 0, overlaps nothing, and nowhere makes a nan.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from mi203jax.arguments import scalar


def area(boxes: jax.Array) -> jax.Array:
    """(y1 − y0)(x1 − x0), or 0 where one of the two is negative.

    Args:
        boxes: `[..., 4]`, floating.

    Returns:
        `[...]`, of the dtype of `boxes`.

    Raises:
        ValueError: if `boxes` are no boxes.
    """
    _check("area", boxes)
    return _area(boxes[..., :2], boxes[..., 2:])


def intersection_over_union(a: jax.Array, b: jax.Array) -> jax.Array:
    """|A ∩ B| / |A ∪ B| of each box of `a` with each of `b`, and 0 where neither has an area.

    Args:
        a: `[..., n, 4]`, floating.
        b: `[..., m, 4]`, of the dtype and the leading axes of `a`.

    Returns:
        `[..., n, m]`, in [0, 1], of the dtype of `a`.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check("intersection_over_union", a, b)
    if min(a.ndim, b.ndim) < 2 or a.shape[:-2] != b.shape[:-2]:
        raise ValueError(
            f"intersection_over_union: expected [..., n, 4] and [..., m, 4], got {a.shape} and {b.shape}."
        )
    intersection, union = _intersection_and_union(a[..., :, None, :], b[..., None, :, :])
    return _share(intersection, union)


def generalized_iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """|A ∩ B| / |A ∪ B| − (|C| − |A ∪ B|) / |C|, C being the smallest box around A and B.

    One minus this is a loss: unlike the first term, it also draws boxes together that are apart. Exchanged
    corners are put in order first, as in the paper. Gradients are finite, also where boxes are apart,
    touch, are equal or have no area.

    Args:
        a: `[..., 4]`, floating.
        b: `[..., 4]`, of the shape and dtype of `a`.

    Returns:
        `[...]`, in [−1, 1], of the dtype of `a`. A term whose denominator is 0 is 0: of two boxes without
        area the value is −1, or 0 if both lie on one horizontal or vertical line.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Rezatofighi et al. 2019.
    """
    _check("generalized_iou", a, b)
    if a.shape != b.shape:
        raise ValueError(f"generalized_iou: expected boxes of one shape, got {a.shape} and {b.shape}.")
    a, b = _ordered(a), _ordered(b)
    intersection, union = _intersection_and_union(a, b)
    around = _area(jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:]))
    return _share(intersection, union) - _share(around - union, around)


def clip(boxes: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The part of each box that lies in the image; one outside becomes a box of area 0 on its border.

    Args:
        boxes: `[..., 4]`, floating.
        shape: (height, width) of the image, static.

    Returns:
        `[..., 4]`, of the dtype of `boxes`.

    Raises:
        ValueError: if `boxes` are no boxes, or `shape` is not two positive numbers.
    """
    _check("clip", boxes)
    if len(shape) != 2 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"clip: expected shape to be two positive ints, got {shape}.")
    limits = lax.expand_dims(jnp.asarray((*shape, *shape), boxes.dtype), range(boxes.ndim - 1))
    return jnp.clip(boxes, 0, limits)


def non_maximum_suppression(
    boxes: jax.Array, scores: jax.Array, threshold: float | jax.Array = 0.5, mask: jax.Array | None = None
) -> jax.Array:
    """Keeps the best box, drops those that overlap it by more than the threshold, and so on with the rest.

    Of equal scores the first is the better one. For suppression within each class, `vmap` over the masks
    of the classes.

    Args:
        boxes: `[n, 4]`, floating.
        scores: `[n]`, floating, not nan.
        threshold: intersection over union above which the worse box is dropped, a scalar.
        mask: which boxes are there, `[n]`, bool; None: all.

    Returns:
        Which boxes are kept, `[n]`, bool.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    mask = _check_scored("non_maximum_suppression", boxes, scores, mask)
    overlaps = intersection_over_union(boxes, boxes)
    threshold = scalar("non_maximum_suppression", "threshold", threshold, boxes.dtype)
    mine, other = scores[:, None], scores[None, :]
    first = jnp.tri(len(scores), k=-1, dtype=bool)
    drops = (overlaps > threshold) & ((other > mine) | ((other == mine) & first))

    # A box is right as soon as all better ones are, so this ends, at the greedy result, after as many
    # rounds as the longest chain of boxes that drop each other: far fewer than there are boxes.
    def again(state):
        _, kept = state
        return kept, mask & ~(drops & kept[None, :]).any(-1)

    def changed(state):
        before, kept = state
        return (before != kept).any()

    return lax.while_loop(changed, again, again((mask, mask)))[1]


def soft_non_maximum_suppression(
    boxes: jax.Array,
    scores: jax.Array,
    mask: jax.Array | None = None,
    *,
    method: Literal["linear", "gaussian"] = "gaussian",
    threshold: float | jax.Array = 0.3,
    sigma: float | jax.Array = 0.5,
) -> jax.Array:
    """Takes the best box, lowers the scores of those that overlap it, and so on with the rest.

    A score s of a box with intersection over union o becomes s (1 − o) if o ≥ threshold ("linear"), or
    s exp(−o² / σ) ("gaussian"). Of equal scores the first is the better one.

    Args:
        boxes: `[n, 4]`, floating.
        scores: `[n]`, floating, not negative, not nan.
        mask: which boxes are there, `[n]`, bool; None: all.
        method: "linear" or "gaussian", static.
        threshold: of the linear method, a scalar.
        sigma: σ > 0 of the Gaussian method, a scalar.

    Returns:
        The new scores, `[n]`, of the dtype of `scores`; 0 where no box is.

    Raises:
        ValueError: if shapes or dtypes do not fit, or the method is another.

    Source: Bodla et al. 2017.
    """
    name = "soft_non_maximum_suppression"
    mask = _check_scored(name, boxes, scores, mask)
    if method not in {"linear", "gaussian"}:
        raise ValueError(f"{name}: expected method 'linear' or 'gaussian', got {method!r}.")
    overlaps = intersection_over_union(boxes, boxes)
    threshold = scalar(name, "threshold", threshold, boxes.dtype)
    sigma = scalar(name, "sigma", sigma, boxes.dtype)
    linear = jnp.where(overlaps >= threshold, 1 - overlaps, 1)
    factors = (linear if method == "linear" else jnp.exp(-(overlaps**2) / sigma)).astype(scores.dtype)

    def take_best(_, state):
        scores, left = state
        best = jnp.where(left, scores, -1).argmax()
        left = left.at[best].set(False)
        return jnp.where(left, scores * factors[best], scores), left

    scores = jnp.where(mask, scores, 0)
    return lax.fori_loop(0, len(scores), take_best, (scores, mask))[0] if len(scores) else scores


def _area(low: jax.Array, high: jax.Array) -> jax.Array:
    extent = jax.nn.relu(high - low)
    return extent[..., 0] * extent[..., 1]


def _intersection_and_union(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    intersection = _area(jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:]))
    return intersection, area(a) + area(b) - intersection


def _ordered(boxes: jax.Array) -> jax.Array:
    low, high = boxes[..., :2], boxes[..., 2:]
    return jnp.concatenate([jnp.minimum(low, high), jnp.maximum(low, high)], -1)


def _share(part: jax.Array, whole: jax.Array) -> jax.Array:
    """Part / whole, or 0 of nothing. The inner `where` keeps 0 / 0 out of the gradient."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)


def _check(name: str, *boxes: jax.Array) -> None:
    for array in boxes:
        if array.ndim < 1 or array.shape[-1] != 4 or not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{name}: expected floating boxes [..., 4], got {array.dtype} {array.shape}.")
        if array.dtype != boxes[0].dtype:
            raise ValueError(f"{name}: expected one dtype, got {boxes[0].dtype} and {array.dtype}.")


def _check_scored(name: str, boxes: jax.Array, scores: jax.Array, mask: jax.Array | None) -> jax.Array:
    """The mask, all true where there is none."""
    _check(name, boxes)
    if boxes.ndim != 2 or scores.shape != boxes.shape[:1]:
        raise ValueError(f"{name}: expected boxes [n, 4] and scores [n], got {boxes.shape}, {scores.shape}.")
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise ValueError(f"{name}: expected floating scores, got {scores.dtype}.")
    if mask is None:
        return jnp.ones(scores.shape, bool)
    if mask.dtype != bool or mask.shape != scores.shape:
        raise ValueError(
            f"{name}: expected a bool mask of shape {scores.shape}, got {mask.dtype} {mask.shape}."
        )
    return mask
