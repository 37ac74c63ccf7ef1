"""How good predictions are, and how sure one can be of that.

Arguments `mask` say which examples count, so that a padded batch is measured as a whole one. Where none
counts, a share is nan: nothing was measured.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from mi203jax.arguments import check_int


def accuracy(predictions: jax.Array, labels: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Share of predictions that equal their label.

    Args:
        predictions: `[...]`, integer, or of the dtype of `labels` (signs, for example).
        labels: `[...]`.
        mask: which examples count, `[...]`, bool; None: all.

    Returns:
        float32 in [0, 1], a scalar; nan where no example counts.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check_shapes("accuracy", labels, predictions.shape, mask)
    integers = all(jnp.issubdtype(a.dtype, jnp.integer) for a in (predictions, labels))
    if not integers and predictions.dtype != labels.dtype:
        raise ValueError(f"accuracy: expected one dtype, got {predictions.dtype} and {labels.dtype}.")
    if integers:
        predictions, labels = predictions.astype(jnp.int32), labels.astype(jnp.int32)
    return jnp.mean(predictions == labels, where=mask)


def top_k_accuracy(logits: jax.Array, labels: jax.Array, k: int, mask: jax.Array | None = None) -> jax.Array:
    """Share of examples whose label is among the k largest logits; of equal ones the first go first.

    Args:
        logits: or probabilities, `[..., classes]`, floating.
        labels: `[...]`, integer.
        k: from 1 (accuracy of the arg max) to the number of classes, static.
        mask: which examples count, `[...]`, bool; None: all.

    Returns:
        float32 in [0, 1], a scalar; nan where no example counts.

    Raises:
        ValueError: if shapes, dtypes or `k` do not fit.
    """
    _check_classes("top_k_accuracy", logits, labels, mask)
    check_int("top_k_accuracy", "k", k, logits.shape[-1])
    _, top = lax.top_k(logits, k)
    hits = (top == jnp.expand_dims(labels.astype(top.dtype), -1)).any(-1)
    return jnp.mean(hits, where=mask)


def confusion_matrix(
    predictions: jax.Array, labels: jax.Array, num_classes: int, mask: jax.Array | None = None
) -> jax.Array:
    """How often class i (row) was taken for class j (column).

    Args:
        predictions: `[...]`, integer.
        labels: `[...]`, integer.
        num_classes: static.
        mask: which examples count, `[...]`, bool; None: all.

    Returns:
        `[num_classes, num_classes]`, int32. Examples whose label or prediction is none of the classes
        do not count (as in scikit-learn).

    Raises:
        ValueError: if shapes, dtypes or `num_classes` do not fit.
    """
    _check_shapes("confusion_matrix", labels, predictions.shape, mask)
    _check_integer("confusion_matrix", "predictions", predictions)
    _check_integer("confusion_matrix", "labels", labels)
    check_int("confusion_matrix", "num_classes", num_classes)
    counts = jnp.ones(labels.shape, jnp.int32) if mask is None else mask.astype(jnp.int32)
    matrix = jnp.zeros((num_classes, num_classes), jnp.int32)
    cells = matrix.at[labels.astype(jnp.int32), predictions.astype(jnp.int32)]
    return cells.add(counts, mode="drop", wrap_negative_indices=False)


def reliability(
    probabilities: jax.Array, labels: jax.Array, bins: int = 15, mask: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Confidence and accuracy in bins of equal width: the reliability diagram of Guo et al. (2017).

    The confidence of an example is its largest probability; bin m of M takes those in ((m − 1)/M, m/M].

    Args:
        probabilities: `[..., classes]`, floating, in [0, 1].
        labels: `[...]`, integer.
        bins: M, static.
        mask: which examples count, `[...]`, bool; None: all.

    Returns:
        (confidence, accuracy, count) of each bin, each `[bins]`: means (float32, nan in an empty bin) and
        number of examples (int32).

    Raises:
        ValueError: if shapes, dtypes or `bins` do not fit.
    """
    confidence, hits, count = _binned("reliability", probabilities, labels, bins, mask)
    number = count.astype(jnp.float32)
    return confidence / number, hits.astype(jnp.float32) / number, count


def calibration_error(
    probabilities: jax.Array, labels: jax.Array, bins: int = 15, mask: jax.Array | None = None
) -> jax.Array:
    """Expected calibration error: Σ_m (count_m / n) |accuracy_m − confidence_m| (Guo et al. 2017).

    Args:
        probabilities: `[..., classes]`, floating, in [0, 1].
        labels: `[...]`, integer.
        bins: number of bins of equal width, as in `reliability`, static.
        mask: which examples count, `[...]`, bool; None: all.

    Returns:
        float32 in [0, 1], a scalar; nan where no example counts.

    Raises:
        ValueError: if shapes, dtypes or `bins` do not fit.
    """
    # From the sums and not the means of each bin, so that an empty one is 0 and not 0 · nan.
    confidence, hits, count = _binned("calibration_error", probabilities, labels, bins, mask)
    return jnp.abs(hits.astype(jnp.float32) - confidence).sum() / count.sum().astype(jnp.float32)


def bootstrap_interval(
    key: jax.Array,
    values: jax.Array,
    confidence: float | jax.Array = 0.95,
    resamples: int = 2000,
    statistic: Callable[[jax.Array], jax.Array] = jnp.mean,
) -> tuple[jax.Array, jax.Array]:
    """Percentile bootstrap interval of a statistic over the first axis (Efron 1979).

    The interval lies between quantiles (1 ± confidence) / 2 of the statistic of resamples, drawn with
    replacement. For few values it is too narrow: of a mean it is about the normal interval with a variance
    of divisor n, and with ten normal values "95 %" holds in 90 % of cases.

    Args:
        key: a PRNG key.
        values: `[n, ...]`, one entry for each independent observation (seed, test example).
        confidence: in (0, 1), a scalar.
        resamples: number of resamples, static. One is held in memory at a time.
        statistic: from `[n, ...]` to a floating array; static.

    Returns:
        (low, high), each of the shape of the statistic.

    Raises:
        ValueError: if there are no values, or `resamples` is not a positive number.
    """
    if values.ndim < 1 or values.shape[0] < 1:
        raise ValueError(f"bootstrap_interval: expected values [n, ...] with n > 0, got {values.shape}.")
    check_int("bootstrap_interval", "resamples", resamples)

    def resampled(key):
        return statistic(jax.random.choice(key, values, values.shape[:1]))

    statistics = lax.map(resampled, jax.random.split(key, resamples))
    tail = (1 - jnp.asarray(confidence, statistics.dtype)) / 2
    low, high = jnp.quantile(statistics, jnp.stack([tail, 1 - tail]), axis=0)
    return low, high


def _binned(name, probabilities, labels, bins, mask) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sum of confidences, number of hits and count of each bin."""
    _check_classes(name, probabilities, labels, mask)
    check_int(name, "bins", bins)
    counts = jnp.ones(labels.shape, bool) if mask is None else mask
    confidence = jnp.where(counts, probabilities.max(-1), 0).astype(jnp.float32)
    hits = counts & (probabilities.argmax(-1).astype(jnp.int32) == labels.astype(jnp.int32))
    inner_edges = jnp.linspace(0, 1, bins + 1, dtype=jnp.float32)[1:-1]
    bin_of = jnp.searchsorted(inner_edges, confidence.ravel())

    def summed(x):
        return jax.ops.segment_sum(x.ravel(), bin_of, bins)

    return summed(confidence), summed(hits.astype(jnp.int32)), summed(counts.astype(jnp.int32))


def _check_classes(name: str, scores: jax.Array, labels: jax.Array, mask: jax.Array | None) -> None:
    if scores.ndim < 1 or not jnp.issubdtype(scores.dtype, jnp.floating):
        raise ValueError(f"{name}: expected floating [..., classes], got {scores.dtype} {scores.shape}.")
    _check_integer(name, "labels", labels)
    _check_shapes(name, labels, scores.shape[:-1], mask)


def _check_shapes(name: str, labels: jax.Array, shape: tuple[int, ...], mask: jax.Array | None) -> None:
    if labels.shape != shape:
        raise ValueError(f"{name}: expected labels of shape {shape}, got {labels.shape}.")
    if mask is not None and (mask.dtype != bool or mask.shape != shape):
        raise ValueError(f"{name}: expected a bool mask of shape {shape}, got {mask.dtype} {mask.shape}.")


def _check_integer(name: str, argument: str, x: jax.Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"{name}: expected integer {argument}, got {x.dtype}.")
