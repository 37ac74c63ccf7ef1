"""How good maps of classes are (slide "Classification → segmentation").

Those of areas come from a `confusion_matrix` of pixels: the sum of the matrices of batches is the data set's.
A class that is in neither map (in no prediction and no truth) has no score, nan, and means leave it out.
Pixels whose label is none of the classes (255, by custom) do not count, nor do those that a mask leaves out.
"""

import functools
import math
from itertools import product

import jax
import jax.numpy as jnp

from mi203jax.metrics.classification import confusion_matrix


def pixel_accuracy(matrix: jax.Array) -> jax.Array:
    """Share of pixels of the right class, Σ_k n_kk / Σ_ij n_ij.

    Args:
        matrix: n, how many pixels of class i (row) were taken for class j, `[..., classes, classes]`.

    Returns:
        `[...]`, float32 in [0, 1]; nan where no pixel counts.

    Raises:
        ValueError: if `matrix` is no such array.
    """
    hits, _, _ = _counts("pixel_accuracy", matrix)
    return hits.sum(-1) / matrix.astype(jnp.float32).sum((-2, -1))


def intersection_over_union(matrix: jax.Array) -> jax.Array:
    """For each class k, n_kk / (Σ_j n_kj + Σ_i n_ik − n_kk): the Jaccard index.

    Args:
        matrix: n, how many pixels of class i (row) were taken for class j, `[..., classes, classes]`.

    Returns:
        `[..., classes]`, float32 in [0, 1]; nan for a class that is in neither map.

    Raises:
        ValueError: if `matrix` is no such array.
    """
    hits, true, predicted = _counts("intersection_over_union", matrix)
    return hits / (true + predicted - hits)


def mean_iou(matrix: jax.Array) -> jax.Array:
    """Mean of `intersection_over_union` over the classes that are in either map.

    Of the matrix of a whole set, it is the usual one, where large objects count more than small ones.

    Args:
        matrix: n, how many pixels of class i (row) were taken for class j, `[..., classes, classes]`.

    Returns:
        `[...]`, float32 in [0, 1]; nan where no pixel counts.

    Raises:
        ValueError: if `matrix` is no such array.
    """
    return jnp.nanmean(intersection_over_union(matrix), -1)


def mean_iou_per_image(
    predictions: jax.Array, labels: jax.Array, num_classes: int, mask: jax.Array | None = None
) -> jax.Array:
    """`mean_iou` of each image by itself, so that none weighs more than another (Csurka et al. 2013).

    Args:
        predictions: `[..., height, width]`, integer.
        labels: `[..., height, width]`, integer.
        num_classes: static.
        mask: which pixels count, `[..., height, width]`, bool; None: all.

    Returns:
        `[...]`, float32 in [0, 1]; nan where no pixel of an image counts.

    Raises:
        ValueError: if shapes, dtypes or `num_classes` do not fit.
    """
    _check("mean_iou_per_image", predictions, labels, num_classes, mask)
    mask = jnp.ones(labels.shape, bool) if mask is None else mask
    images = [a.reshape(math.prod(a.shape[:-2]), -1) for a in (predictions, labels, mask)]
    matrices = jax.vmap(lambda p, t, m: confusion_matrix(p, t, num_classes, m))(*images)
    return mean_iou(matrices).reshape(labels.shape[:-2])


def boundary_f_score(
    predictions: jax.Array,
    labels: jax.Array,
    num_classes: int,
    tolerance: float,
    mask: jax.Array | None = None,
) -> jax.Array:
    """2 P R / (P + R) of the boundaries of each class in each image (Csurka et al. 2013).

    P is the share of the predicted boundary that is not farther than `tolerance` from the true one, and R
    the share of the true one that is not farther from the predicted one. A boundary are those pixels of a
    class of whose four neighbours one is of another class; the border of the image is none. The paper's
    score of an image is the mean over its classes, `jnp.nanmean(…, -1)`, and of a set, the mean over images.

    Args:
        predictions: `[..., height, width]`, integer.
        labels: `[..., height, width]`, integer.
        num_classes: static.
        tolerance: Euclidean distance in pixels, from 0, static; in the paper 0.75 % of the diagonal.
        mask: which pixels count, `[..., height, width]`, bool; None: all. Others are no one's neighbours.

    Returns:
        `[..., classes]`, float32 in [0, 1]; nan for a class without boundary in either map, 0 for one with
        a boundary in only one of them.

    Raises:
        ValueError: if shapes, dtypes, `num_classes` or `tolerance` do not fit.
    """
    _check("boundary_f_score", predictions, labels, num_classes, mask)
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise ValueError(f"boundary_f_score: expected tolerance of at least 0 pixels, got {tolerance!r}.")
    predictions, labels = predictions.astype(jnp.int32), labels.astype(jnp.int32)
    counts = (labels >= 0) & (labels < num_classes)
    counts = counts if mask is None else counts & mask
    predicted, true = (_boundaries(a, num_classes, counts) for a in (predictions, labels))
    precise, found = predicted & _near(true, tolerance), true & _near(predicted, tolerance)
    lengths = [b.sum((-3, -2)).astype(jnp.float32) for b in (predicted, true, precise, found)]
    of_predicted, of_true, hits_of_predicted, hits_of_true = lengths
    # 2 P R / (P + R) without quotients that are 0 / 0.
    products = hits_of_predicted * of_true + hits_of_true * of_predicted
    score = 2 * hits_of_predicted * hits_of_true / jnp.maximum(products, 1)
    return jnp.where(of_predicted + of_true > 0, score, jnp.nan)


def _boundaries(classes: jax.Array, num_classes: int, counts: jax.Array) -> jax.Array:
    """Pixels of each class beside another, `[..., height, width, num_classes]`, bool."""
    own = jax.nn.one_hot(classes, num_classes, dtype=bool)
    counts = counts[..., None]
    beside = functools.reduce(jnp.logical_or, _moved(~own & counts, [(0, 1), (0, -1), (1, 0), (-1, 0)]))
    return own & counts & beside


def _near(inside: jax.Array, distance: float) -> jax.Array:
    """Pixels not farther than a distance from what is true: dilation by a disc."""
    reach = range(-math.floor(distance), math.floor(distance) + 1)
    disc = [(i, j) for i, j in product(reach, reach) if i * i + j * j <= distance * distance]
    return functools.reduce(jnp.logical_or, _moved(inside, disc))


def _moved(inside: jax.Array, steps: list[tuple[int, int]]) -> list[jax.Array]:
    """`[..., height, width, classes]` moved by each step; false comes in from outside."""
    height, width = inside.shape[-3:-1]
    most = max(abs(n) for step in steps for n in step)
    border = [(0, 0)] * (inside.ndim - 3) + [(most, most), (most, most), (0, 0)]
    wide = jnp.pad(inside, border)
    return [wide[..., most - i : most - i + height, most - j : most - j + width, :] for i, j in steps]


def _counts(name: str, matrix: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Pixels of each class that are right, true and predicted, each `[..., classes]`, float32."""
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or not matrix.shape[-1]:
        raise ValueError(f"{name}: expected a matrix [..., classes, classes], got {matrix.shape}.")
    if not any(jnp.issubdtype(matrix.dtype, kind) for kind in (jnp.integer, jnp.floating)):
        raise ValueError(f"{name}: expected a matrix of counts, got {matrix.dtype}.")
    counts = matrix.astype(jnp.float32)
    return jnp.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2)


def _check(name: str, predictions: jax.Array, labels: jax.Array, num_classes, mask) -> None:
    if labels.ndim < 2 or predictions.shape != labels.shape:
        raise ValueError(
            f"{name}: expected predictions and labels [..., height, width], got {predictions.shape} and "
            f"{labels.shape}."
        )
    for argument, classes in (("predictions", predictions), ("labels", labels)):
        if not jnp.issubdtype(classes.dtype, jnp.integer):
            raise ValueError(f"{name}: expected integer {argument}, got {classes.dtype}.")
    if mask is not None and (mask.dtype != bool or mask.shape != labels.shape):
        raise ValueError(
            f"{name}: expected a bool mask of shape {labels.shape}, got {mask.dtype} {mask.shape}."
        )
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise ValueError(f"{name}: expected num_classes to be a positive int, got {num_classes!r}.")
