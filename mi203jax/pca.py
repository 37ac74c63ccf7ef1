"""A linear auto-encoder, and a linear measure of codes (slide "Classification → autoencoder").

Principal components are the best linear auto-encoder by squared error. `linear_probe` says how much of the
classes a code keeps in a form that a linear classifier can read.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from mi203jax.arguments import check_int


class PCA(NamedTuple):
    """Principal components of some examples, by `fit_pca`.

    Attributes:
        mean: `[d]`.
        components: orthonormal rows of decreasing variance, `[k, d]`.
        variances: of the examples along each component, of divisor n − 1, `[k]`.
    """

    mean: jax.Array
    components: jax.Array
    variances: jax.Array

    def encode(self, x: jax.Array) -> jax.Array:
        """The code (x − mean) Cᵀ, `[..., k]`, of examples `[..., d]`."""
        return jnp.matmul(x - _wide(self.mean, x), self.components.T, precision="highest")

    def decode(self, codes: jax.Array) -> jax.Array:
        """The examples z C + mean, `[..., d]`, of codes `[..., k]`."""
        x = jnp.matmul(codes, self.components, precision="highest")
        return x + _wide(self.mean, x)

    def sample(self, key: jax.Array, n: int) -> jax.Array:
        """Draws of a Gaussian of these components and variances, `[n, d]`: a baseline of generation."""
        deviations = jnp.sqrt(self.variances)
        noise = jax.random.normal(key, (n, *deviations.shape), deviations.dtype)
        return self.decode(noise * _wide(deviations, noise))


def fit_pca(x: jax.Array, components: int) -> PCA:
    """Mean and principal components, by the singular value decomposition of the centred examples.

    The entry of largest absolute value in each component is positive, as in scikit-learn from 1.5 on.

    Args:
        x: training examples, `[n, d]`, floating, n ≥ 2.
        components: k, from 1 to min(n, d), static. (With k = n the last variance is 0.)

    Returns:
        `PCA`, of the dtype of `x`.

    Raises:
        ValueError: if shape, dtype or `components` do not fit.
    """
    _check_floating("fit_pca", "x", x)
    if len(x) < 2:
        raise ValueError(f"fit_pca: expected two examples or more, got {len(x)}.")
    check_int("fit_pca", "components", components, min(x.shape))
    mean = x.mean(0)
    _, singular, rows = jnp.linalg.svd(x - _wide(mean, x), full_matrices=False)
    rows, variances = rows[:components], jnp.square(singular[:components]) / (len(x) - 1)
    largest = jnp.take_along_axis(rows, jnp.abs(rows).argmax(1, keepdims=True), 1)
    return PCA(mean, jnp.where(largest < 0, -rows, rows), variances)


def logistic_regression(
    x: jax.Array, labels: jax.Array, num_classes: int, l2: float | jax.Array = 1e-3, iterations: int = 200
) -> tuple[jax.Array, jax.Array]:
    """Multinomial logistic regression: the minimum of the mean cross-entropy plus l2 / 2 · ‖W‖².

    By L-BFGS from 0. The objective is scikit-learn's with C = 1 / (n · l2).

    Args:
        x: `[n, d]`, floating, best standardised.
        labels: `[n]`, integer, in [0, num_classes).
        num_classes: static, at least 2.
        l2: positive, a scalar, which may be traced.
        iterations: of L-BFGS, static; of 30 standardised numbers, 100 reach the rounding error of the loss.

    Returns:
        The weights W, `[d, num_classes]`, and the biases, `[num_classes]`, of the dtype of `x`: the
        prediction is the arg max of x W + b.

    Raises:
        ValueError: if shapes, dtypes or static arguments do not fit.
    """
    _check_probe("logistic_regression", x, labels, num_classes, l2)
    check_int("logistic_regression", "iterations", iterations)
    targets, l2 = jax.nn.one_hot(labels, num_classes, dtype=x.dtype), jnp.asarray(l2, x.dtype)

    def loss(parameters):
        weights, _ = parameters
        cross_entropy = optax.softmax_cross_entropy(_logits(x, *parameters), targets).mean()
        return cross_entropy + l2 / 2 * jnp.square(weights).sum()

    optimizer = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(_, carry):
        parameters, state = carry
        value, gradient = value_and_grad(parameters, state=state)
        updates, state = optimizer.update(
            gradient, state, parameters, value=value, grad=gradient, value_fn=loss
        )
        return optax.apply_updates(parameters, updates), state

    start = jnp.zeros((x.shape[1], num_classes), x.dtype), jnp.zeros(num_classes, x.dtype)
    return lax.fori_loop(0, iterations, step, (start, optimizer.init(start)))[0]


def linear_probe(
    codes: jax.Array,
    labels: jax.Array,
    num_classes: int,
    test_codes: jax.Array,
    l2: float | jax.Array = 1e-3,
) -> jax.Array:
    """Classes that a linear classifier of codes predicts, trained by `logistic_regression`.

    Codes are standardised by mean and deviation of the training codes; numbers that are constant stay 0.

    Args:
        codes: of training examples, `[n, d]`, floating.
        labels: `[n]`, integer, in [0, num_classes).
        num_classes: static, at least 2.
        test_codes: `[m, d]`, of the dtype of `codes`.
        l2: positive, a scalar, which may be traced.

    Returns:
        `[m]`, int32.

    Raises:
        ValueError: if shapes, dtypes or `num_classes` do not fit.
    """
    _check_probe("linear_probe", codes, labels, num_classes, l2)
    if test_codes.ndim != 2 or test_codes.shape[1] != codes.shape[1] or test_codes.dtype != codes.dtype:
        raise ValueError(
            f"linear_probe: expected test_codes {codes.dtype} [m, {codes.shape[1]}], got {test_codes.dtype} "
            f"{test_codes.shape}."
        )
    varies = codes.max(0) > codes.min(0)  # rounding may leave a constant some deviation
    mean, deviation = codes.mean(0), jnp.where(varies, codes.std(0), jnp.inf)
    codes, test_codes = (
        (array - _wide(mean, array)) / _wide(deviation, array) for array in (codes, test_codes)
    )
    parameters = logistic_regression(codes, labels, num_classes, l2)
    return _logits(test_codes, *parameters).argmax(-1).astype(jnp.int32)


def _logits(x: jax.Array, weights: jax.Array, bias: jax.Array) -> jax.Array:
    products = jnp.matmul(x, weights, precision="highest")
    return products + _wide(bias, products)


def _wide(row: jax.Array, x: jax.Array) -> jax.Array:
    """`[d]` with the leading axes of `x`."""
    return lax.expand_dims(row, range(x.ndim - 1))


def _check_floating(name: str, argument: str, x: jax.Array) -> None:
    if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{name}: expected floating {argument} [n, d], got {x.dtype} {x.shape}.")


def _check_probe(name: str, x: jax.Array, labels: jax.Array, num_classes: int, l2) -> None:
    _check_floating(name, "codes", x)
    if labels.shape != x.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer) or not len(x):
        raise ValueError(f"{name}: expected integer labels [{len(x)}], got {labels.dtype} {labels.shape}.")
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 2:
        raise ValueError(f"{name}: expected num_classes to be an int of 2 or more, got {num_classes!r}.")
    if jnp.ndim(l2):
        raise ValueError(f"{name}: expected l2 to be a scalar, got shape {jnp.shape(l2)}.")
