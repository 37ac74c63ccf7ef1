"""What training makes small (slides "Rappel" and "Mais aussi: fonction de coût").

One value for each example: means, weights and masks are the caller's.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax


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
    logits: jax.Array, labels: jax.Array, smoothing: float | jax.Array = 0.0
) -> jax.Array:
    """−Σ_k t_k log p_k, where p = softmax(logits) and t is smoothed towards the uniform distribution.

    t = (1 − smoothing) · labels + smoothing / classes (Szegedy et al. 2016).

    Args:
        logits: `[..., classes]`, floating, two classes or more; −∞ leaves a class out, if its t is 0.
        labels: by dtype: the class, `[...]`, integer; or the probability of each class,
            `[..., classes]`, floating (of mix-up or of a teacher).
        smoothing: in [0, 1], a scalar, which may be traced.

    Returns:
        `[...]`, of the dtype of `logits`; nan where an integer label is not one of the classes.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    targets = _targets("softmax_cross_entropy", logits, labels)
    smoothing = _scalar("softmax_cross_entropy", "smoothing", smoothing, logits.dtype)
    return optax.safe_softmax_cross_entropy(logits, optax.smooth_labels(targets, smoothing))


def focal(logits: jax.Array, labels: jax.Array, gamma: float | jax.Array = 2.0) -> jax.Array:
    """−Σ_k t_k (1 − p_k)^γ log p_k, where p = softmax(logits): easy examples count less (Lin et al. 2017).

    γ = 0 is cross-entropy. (The paper's p is a sigmoid for each class; its α is the caller's weight.)

    Args:
        logits: `[..., classes]`, floating, finite, two classes or more.
        labels: by dtype: the class, `[...]`, integer; or the probability t_k of each class,
            `[..., classes]`, floating.
        gamma: γ ≥ 0, a scalar, which may be traced.

    Returns:
        `[...]`, of the dtype of `logits`; nan where an integer label is not one of the classes.
        Gradients are finite for every γ ≥ 0, also where p_k rounds to 1.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    targets = _targets("focal", logits, labels)
    gamma = _scalar("focal", "gamma", gamma, logits.dtype)
    # −log p = softplus(−m) and −log(1 − p) = softplus(m): a power of 1 − p itself would have an infinite
    # slope at p = 1 for γ < 1, and no correct digit long before that.
    margin = logits - _logsumexp_of_others(logits)
    return (targets * jnp.exp(-gamma * jax.nn.softplus(margin)) * jax.nn.softplus(-margin)).sum(-1)


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


def _scalar(name: str, argument: str, value: float | jax.Array, dtype) -> jax.Array:
    if jnp.ndim(value) != 0:
        raise ValueError(f"{name}: expected {argument} to be a scalar, got shape {jnp.shape(value)}.")
    return jnp.asarray(value, dtype)
