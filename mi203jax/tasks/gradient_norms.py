"""How the loss's gradient grows or fades from layer to layer (slide "Batch normalisation")."""

import math

import jax
import jax.numpy as jnp

from mi203jax.configs import Deep
from mi203jax.data.feed import Arrays, Data
from mi203jax.nn.initializers import STDDEV
from mi203jax.tasks.supervised import Problem, State

BATCH_NORM_GROWTH = math.sqrt(math.pi / (math.pi - 1))
"""√(π / (π − 1)) ≈ 1.211: by which batch normalisation before each relu makes gradients grow a layer.

Of wide layers of independent weights without skips, for large batches, once the layers' inputs have settled:
Yang et al. 2019, "A Mean Field Theory of Batch Normalization", who give the square, π / (π − 1).
"""


def gradient_norms(
    problem: Problem, c: Deep, state: State, data: Data, raw: Arrays, key: jax.Array
) -> jax.Array:
    """The norm of the loss's gradient with respect to the output of each of the `depth` layers.

    As in a step of training, by the batch's own statistics; but of the network itself, where a problem trains
    on a function of it.

    Args:
        problem: what is learnt.
        c: its configuration, with a `depth` of at least 1.
        state: before or after training.
        data: what the problem learns from; none of its examples are used.
        raw: the batch, as it is in the data.
        key: from which augmentation and dropout draw.

    Returns:
        `[depth]`, the first layer first: the root mean square over the batch's examples of the norm of
        ∂ (sum of all costs) / ∂ (the layer's output for this example), so that the batch's size cancels. It
        is 0 where the gradient itself is too small for its dtype, and inf or nan where it is too large.

    Raises:
        ValueError: if the network has no such layers.
    """
    if not c.depth:
        raise ValueError("gradient_norms: expected a configuration with a depth of at least 1, got 0.")
    prepare_key, dropout_key = jax.random.split(key)
    batch = problem.prepare(c, raw, state.statistics, prepare_key)
    network, variables = problem.network(c, data), {"params": state.params, **state.layers}

    def total(nudges):
        scores, _ = network.apply(
            {**variables, "perturbations": nudges},
            batch["x"],
            train=True,
            mutable=list(state.layers),
            rngs={"dropout": dropout_key},
        )
        return problem.loss(c, scores, batch).sum()

    shapes = jax.eval_shape(lambda: network.apply(variables, batch["x"], mutable=["perturbations"])[1])
    nudges = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes["perturbations"])
    (by_output,) = jax.tree.leaves(jax.grad(total)(nudges))  # [depth, batch, width]
    return root_mean_square(by_output)


def root_mean_square(gradients: jax.Array) -> jax.Array:
    """Of the norms over the last axis, over the last but one: `[..., examples, width]` -> `[...]`.

    Without squares that are too small or too large for floats.
    """
    largest = jnp.abs(gradients).max((-2, -1), keepdims=True)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    squares = ((gradients / scale) ** 2).sum(-1).mean(-1)
    return scale[..., 0, 0] * jnp.sqrt(squares)


def growth(norms: jax.Array) -> jax.Array:
    """The factor by which norms grow a layer on their way back, from the last layer to the first.

    It is the geometric mean of norms[l] / norms[l + 1], which is (norms[0] / norms[-1]) to the power of
    1 / (depth − 1). So it is 0 if the gradient has vanished before the first layer, however far it came; inf
    if it is too large there; nan if both norms are 0 or both inf, one is nan, or there is only one layer.

    Args:
        norms: `[..., depth]`, the first layer first.

    Returns:
        `[...]`.
    """
    return jnp.exp((jnp.log(norms[..., 0]) - jnp.log(norms[..., -1])) / jnp.float32(norms.shape[-1] - 1))


def expected_growth(c: Deep) -> float | None:
    """What theory says of `growth` in wide networks before training; None where it is not drawn here.

    With batch normalisation, `BATCH_NORM_GROWTH`, whatever the weights' variance. Without any, half of the
    units pass a gradient on, so it is √(width · Var(w) / 2) (He et al. 2015).
    """
    if c.residual or c.use_dropout or not c.depth or c.normalization == "layer":
        return None
    if c.normalization == "batch":
        return BATCH_NORM_GROWTH
    if c.spectral_norm:
        return None
    width = c.hidden[-1]
    naive, fitted = {"uniform": STDDEV, "gaussian": STDDEV}, {"he": math.sqrt(2 / width)}
    deviation = (naive | fitted).get(c.initializer, 1 / math.sqrt(width))  # Xavier's, and orthogonal ones
    return float(c.init_scale) * deviation * math.sqrt(width / 2)
