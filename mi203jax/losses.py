"""What training makes small (slides "Rappel" and "Mais aussi: fonction de coût").

One value for each example: means, weights and masks are the caller's. In segmentation each pixel is an
example, and `softmax_cross_entropy` and `focal` take logits `[..., height, width, classes]`: give pixels that
do not count any class, and no weight.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from mi203jax.arguments import scalar


def hinge(score: jax.Array, y: jax.Array) -> jax.Array:
    """max(0, 1 − y s): nothing to gain beyond a margin of 1 (Cortes and Vapnik 1995).

    Args:
        score: s, `[...]`, floating; its sign is the prediction.
        y: true class, -1 or 1, `[...]`, floating or signed integer.

    Returns:
        `[...]`, of the dtype of `score`. The gradient where y s = 1 is 0.

    Raises:
        ValueError: if the shapes differ or a dtype does not fit.
    """
    return jax.nn.relu(1 - score * _signs("hinge", score, y))


def logistic(score: jax.Array, y: jax.Array) -> jax.Array:
    """log(1 + exp(−y s)): −log of the probability of y, if s is the log-odds of class 1.

    Args:
        score: s, `[...]`, floating; its sign is the prediction.
        y: true class, -1 or 1, `[...]`, floating or signed integer.

    Returns:
        `[...]`, of the dtype of `score`.

    Raises:
        ValueError: if the shapes differ or a dtype does not fit.
    """
    return jax.nn.softplus(-score * _signs("logistic", score, y))


def squared(score: jax.Array, y: jax.Array) -> jax.Array:
    """(s − y)²: least squares, which also punishes examples that are right by more than 1.

    Args:
        score: s, `[...]`, floating; its sign is the prediction.
        y: true class, -1 or 1, `[...]`, floating or signed integer.

    Returns:
        `[...]`, of the dtype of `score`.

    Raises:
        ValueError: if the shapes differ or a dtype does not fit.
    """
    return jnp.square(score - _signs("squared", score, y))


def exponential(score: jax.Array, y: jax.Array) -> jax.Array:
    """exp(−y s): the loss of AdaBoost (Friedman et al. 2000). It is infinite in float32 from y s < −88.7 on.

    Args:
        score: s, `[...]`, floating; its sign is the prediction.
        y: true class, -1 or 1, `[...]`, floating or signed integer.

    Returns:
        `[...]`, of the dtype of `score`.

    Raises:
        ValueError: if the shapes differ or a dtype does not fit.
    """
    return jnp.exp(-score * _signs("exponential", score, y))


MARGIN_LOSSES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "hinge": hinge,
    "logistic": logistic,
    "squared": squared,
    "exponential": exponential,
}
"""The losses of a score and a class in {-1, 1}, by name."""


def softmax_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    smoothing: float | jax.Array = 0.0,
    weights: jax.Array | None = None,
) -> jax.Array:
    """−Σ_k w_k t_k log p_k, where p = softmax(logits) and t is smoothed towards the uniform distribution.

    t = (1 − smoothing) · labels + smoothing / classes (Szegedy et al. 2016).

    Args:
        logits: `[..., classes]`, floating, two classes or more; −∞ leaves a class out, if its t is 0.
        labels: by dtype: the class, `[...]`, integer; or the probability of each class,
            `[..., classes]`, floating (of mix-up or of a teacher).
        smoothing: in [0, 1], a scalar, which may be traced.
        weights: w, of each class, `[classes]`, floating, as rare classes may need; None: 1. (PyTorch's mean
            divides by the sum of the examples' weights, which is the caller's.)

    Returns:
        `[...]`, of the dtype of `logits`; nan where an integer label is not one of the classes.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    targets = _targets("softmax_cross_entropy", logits, labels)
    smoothing = scalar("softmax_cross_entropy", "smoothing", smoothing, logits.dtype)
    targets = _weighted("softmax_cross_entropy", optax.smooth_labels(targets, smoothing), weights)
    return optax.safe_softmax_cross_entropy(logits, targets)


def focal(
    logits: jax.Array,
    labels: jax.Array,
    gamma: float | jax.Array = 2.0,
    weights: jax.Array | None = None,
) -> jax.Array:
    """−Σ_k w_k t_k (1 − p_k)^γ log p_k, p = softmax(logits): easy examples count less (Lin et al. 2017).

    γ = 0 is cross-entropy. (The paper's p is a sigmoid for each class; its α are the weights.)

    Args:
        logits: `[..., classes]`, floating, finite, two classes or more.
        labels: by dtype: the class, `[...]`, integer; or the probability t_k of each class,
            `[..., classes]`, floating.
        gamma: γ ≥ 0, a scalar, which may be traced.
        weights: w, of each class, `[classes]`, floating; None: 1.

    Returns:
        `[...]`, of the dtype of `logits`; nan where an integer label is not one of the classes.
        Gradients are finite for every γ ≥ 0, also where p_k rounds to 1.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    targets = _weighted("focal", _targets("focal", logits, labels), weights)
    gamma = scalar("focal", "gamma", gamma, logits.dtype)
    # −log p = softplus(−m) and −log(1 − p) = softplus(m): a power of 1 − p itself would have an infinite
    # slope at p = 1 for γ < 1, and no correct digit long before that.
    margin = logits - _logsumexp_of_others(logits)
    return (targets * jnp.exp(-gamma * jax.nn.softplus(margin)) * jax.nn.softplus(-margin)).sum(-1)


def dice(
    logits: jax.Array,
    labels: jax.Array,
    smooth: float | jax.Array = 1.0,
    mask: jax.Array | None = None,
) -> jax.Array:
    """1 − (1/K) Σ_k (2 Σ p_k t_k + s) / (Σ p_k² + Σ t_k² + s), sums over pixels, p = softmax(logits).

    The soft Dice of Milletari et al. (2016) for each class, and its mean over the K classes: each counts
    alike, however few its pixels. They have one class and no s; with s, an image without a class draws its
    p_k to 0.

    Args:
        logits: `[..., height, width, classes]`, floating, two classes or more.
        labels: by dtype: the class, `[..., height, width]`, integer; or the probability t_k of each class,
            `[..., height, width, classes]`, floating.
        smooth: s > 0, in pixels, a scalar, which may be traced.
        mask: which pixels count, `[..., height, width]`, bool; None: all.

    Returns:
        `[...]`, one value for each image, in [0, 1], of the dtype of `logits`; nan where an integer label
        that counts is not one of the classes.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check_maps("dice", logits)
    targets = _targets("dice", logits, labels)
    smooth = scalar("dice", "smooth", smooth, logits.dtype)
    probabilities = jax.nn.softmax(logits)
    counts = _counts("dice", logits, mask)[..., None]
    probabilities, targets = (jnp.where(counts, a, 0) for a in (probabilities, targets))
    pixels = (-3, -2)
    common = (probabilities * targets).sum(pixels)
    total = (jnp.square(probabilities) + jnp.square(targets)).sum(pixels)
    return (1 - (2 * common + smooth) / (total + smooth)).mean(-1)


def penalty_reduced_focal(
    logits: jax.Array,
    targets: jax.Array,
    alpha: float | jax.Array = 2.0,
    beta: float | jax.Array = 4.0,
    mask: jax.Array | None = None,
) -> jax.Array:
    """A heat map's loss: negatives near a peak count less (Law & Deng 2018, Zhou et al. 2019).

    −(1/N) Σ (1 − p)^α log p where t = 1, and (1 − t)^β p^α log(1 − p) elsewhere; p = sigmoid(logits), and N
    is the number of peaks, t = 1, of the image, or 1 if it has none. (The authors' code takes N of a batch.)

    Args:
        logits: `[..., height, width, classes]`, floating, finite.
        targets: t, in [0, 1], exactly 1 at peaks, of the shape and dtype of `logits`.
        alpha: α ≥ 0, a scalar, which may be traced.
        beta: β ≥ 0, a scalar, which may be traced.
        mask: which cells count, `[..., height, width]`, bool; None: all.

    Returns:
        `[...]`, one value for each image, of the dtype of `logits`. Gradients with respect to the logits
        are finite, also where p rounds to 0 or 1.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check_maps("penalty_reduced_focal", logits)
    if targets.shape != logits.shape or targets.dtype != logits.dtype:
        raise ValueError(
            f"penalty_reduced_focal: expected targets {logits.dtype} {logits.shape}, "
            f"got {targets.dtype} {targets.shape}."
        )
    alpha = scalar("penalty_reduced_focal", "alpha", alpha, logits.dtype)
    beta = scalar("penalty_reduced_focal", "beta", beta, logits.dtype)
    peak = targets == 1
    # Of what is right, the probability is sigmoid(−m): no power or logarithm of what rounds to 0 or 1.
    margin = jnp.where(peak, -logits, logits)
    right, wrong = jax.nn.softplus(margin), jax.nn.softplus(-margin)
    nearness = jnp.where(peak, 1, 1 - targets) ** beta
    maps = (-3, -2, -1)
    counts = _counts("penalty_reduced_focal", logits, mask)[..., None]
    peaks = jnp.maximum((peak & counts).sum(maps), 1).astype(logits.dtype)
    costs = nearness * jnp.exp(-alpha * wrong) * right
    return costs.sum(maps, where=jnp.broadcast_to(counts, costs.shape)) / peaks


def _logsumexp_of_others(logits: jax.Array) -> jax.Array:
    """For each k, log Σ_{j ≠ k} exp(z_j), `[..., classes]`."""
    top = jax.nn.one_hot(logits.argmax(-1), logits.shape[-1], dtype=bool)
    largest = jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    exponentials = jnp.exp(logits - largest)
    # The sum less one term is 1 or more, unless that term is the largest one, where it would cancel.
    rest = jnp.where(top, 1, exponentials.sum(-1, keepdims=True) - exponentials)
    rest_of_top = jax.nn.logsumexp(logits, axis=-1, keepdims=True, where=~top)
    return jnp.where(top, rest_of_top, largest + jnp.log(rest))


def _signs(name: str, score: jax.Array, y: jax.Array) -> jax.Array:
    """The classes y in the dtype of `score`."""
    if score.shape != y.shape:
        raise ValueError(f"{name}: expected score and y of one shape, got {score.shape} and {y.shape}.")
    if not jnp.issubdtype(score.dtype, jnp.floating):
        raise ValueError(f"{name}: expected a floating score, got {score.dtype}.")
    if not any(jnp.issubdtype(y.dtype, kind) for kind in (jnp.floating, jnp.signedinteger)):
        raise ValueError(f"{name}: expected y in {{-1, 1}}, floating or signed integer, got {y.dtype}.")
    return y.astype(score.dtype)


def _targets(name: str, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Labels of either kind as probabilities, `[..., classes]`, of the dtype of `logits`."""
    if not jnp.issubdtype(logits.dtype, jnp.floating) or logits.ndim < 1 or logits.shape[-1] < 2:
        raise ValueError(
            f"{name}: expected floating logits [..., classes], two classes or more, "
            f"got {logits.dtype} {logits.shape}."
        )
    if jnp.issubdtype(labels.dtype, jnp.floating) and labels.shape == logits.shape:
        return labels.astype(logits.dtype)
    if jnp.issubdtype(labels.dtype, jnp.integer) and labels.shape == logits.shape[:-1]:
        classes = logits.shape[-1]
        # Without this a label outside the classes would have no target and so a loss of 0.
        known = jnp.expand_dims((labels >= 0) & (labels < classes), -1)
        return jnp.where(known, jax.nn.one_hot(labels, classes, dtype=logits.dtype), jnp.nan)
    raise ValueError(
        f"{name}: expected labels, integer {logits.shape[:-1]} or floating {logits.shape}, "
        f"got {labels.dtype} {labels.shape}."
    )


def _weighted(name: str, targets: jax.Array, weights: jax.Array | None) -> jax.Array:
    """Targets times the weights of the classes."""
    if weights is None:
        return targets
    if weights.shape != targets.shape[-1:] or not jnp.issubdtype(weights.dtype, jnp.floating):
        raise ValueError(
            f"{name}: expected floating weights [{targets.shape[-1]}], got {weights.dtype} {weights.shape}."
        )
    return targets * jnp.broadcast_to(weights.astype(targets.dtype), targets.shape)


def _check_maps(name: str, logits: jax.Array) -> None:
    if logits.ndim < 3 or not jnp.issubdtype(logits.dtype, jnp.floating):
        raise ValueError(
            f"{name}: expected floating logits [..., height, width, classes], got {logits.dtype} "
            f"{logits.shape}."
        )


def _counts(name: str, logits: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Which places of `[..., height, width]` count: all where there is no mask."""
    if mask is None:
        return jnp.ones(logits.shape[:-1], bool)
    if mask.dtype != bool or mask.shape != logits.shape[:-1]:
        raise ValueError(f"{name}: expected a bool mask {logits.shape[:-1]}, got {mask.dtype} {mask.shape}.")
    return mask
