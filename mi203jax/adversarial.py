"""What makes a generator and a discriminator opponents (slide "Classification → génération").

One value for each example: means and weights are the caller's. A score is the discriminator's logit, so that
sigmoid(score) is its probability of "real" where the loss knows one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from mi203jax.arguments import scalar


def logistic_discriminator(real: jax.Array, fake: jax.Array, smoothing: float | jax.Array = 0.0) -> jax.Array:
    """−log D(real) − log(1 − D(fake)), D = sigmoid(score): the classifier of real and fake.

    With smoothing s the real ones' term is −(1 − s) log D − s log(1 − D): one side only (Salimans et al.
    2016), and the optimum is D = (1 − s) p / (p + q) where the data have density p and the samples q.

    Args:
        real: scores of real examples, `[...]`, floating.
        fake: scores of as many generated ones, of the shape and dtype of `real`.
        smoothing: s in [0, 1), a scalar, which may be traced.

    Returns:
        `[...]`, of the dtype of `real`.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Goodfellow et al. 2014.
    """
    _check("logistic_discriminator", real, fake)
    target = 1 - scalar("logistic_discriminator", "smoothing", smoothing, real.dtype)
    return optax.sigmoid_binary_cross_entropy(real, target) + jax.nn.softplus(fake)


def minimax_generator(real: jax.Array, fake: jax.Array) -> jax.Array:
    """log(1 − D(fake)), D = sigmoid(score): exactly the opposite of what the discriminator minimises.

    Args:
        real: scores of real examples, `[...]`, floating; not used.
        fake: scores of as many generated ones, of the shape and dtype of `real`.

    Returns:
        `[...]`, of the dtype of `real`, with slope −D(fake): nothing to learn from a discriminator that is
        sure.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Goodfellow et al. 2014.
    """
    _check("minimax_generator", real, fake)
    return -jax.nn.softplus(fake)


def non_saturating_generator(real: jax.Array, fake: jax.Array) -> jax.Array:
    """−log D(fake), D = sigmoid(score): forces the discriminator to help where it is sure.

    Args:
        real: scores of real examples, `[...]`, floating; not used.
        fake: scores of as many generated ones, of the shape and dtype of `real`.

    Returns:
        `[...]`, of the dtype of `real`, with slope −(1 − D(fake)).

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Goodfellow et al. 2014, section 3.
    """
    _check("non_saturating_generator", real, fake)
    return jax.nn.softplus(-fake)


def hinge_discriminator(real: jax.Array, fake: jax.Array) -> jax.Array:
    """max(0, 1 − real) + max(0, 1 + fake): nothing to gain beyond a margin of 1.

    Args:
        real: scores of real examples, `[...]`, floating.
        fake: scores of as many generated ones, of the shape and dtype of `real`.

    Returns:
        `[...]`, of the dtype of `real`. The gradient at the margin is 0.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Lim & Ye 2017, Miyato et al. 2018.
    """
    _check("hinge_discriminator", real, fake)
    return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


def wasserstein_discriminator(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Fake − real: minus the distance of the two means, for scores of Lipschitz constant 1 a bound of W₁.

    Without such a constant it has no minimum.

    Args:
        real: scores of real examples, `[...]`, floating.
        fake: scores of as many generated ones, of the shape and dtype of `real`.

    Returns:
        `[...]`, of the dtype of `real`.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Arjovsky et al. 2017.
    """
    _check("wasserstein_discriminator", real, fake)
    return fake - real


def linear_generator(real: jax.Array, fake: jax.Array) -> jax.Array:
    """−fake: the generator's side of the hinge and the Wasserstein loss.

    Args:
        real: scores of real examples, `[...]`, floating; not used.
        fake: scores of as many generated ones, of the shape and dtype of `real`.

    Returns:
        `[...]`, of the dtype of `real`, with slope −1 whatever the discriminator thinks.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Lim & Ye 2017, Arjovsky et al. 2017.
    """
    _check("linear_generator", real, fake)
    return -fake


def relativistic_discriminator(real: jax.Array, fake: jax.Array) -> jax.Array:
    """log(1 + exp(fake − real)): each real example shall look more real than the generated one of its pair.

    Args:
        real: scores of real examples, `[...]`, floating.
        fake: scores of as many generated ones, of the shape and dtype of `real`.

    Returns:
        `[...]`, of the dtype of `real`.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Jolicoeur-Martineau 2018 (RpGAN), as in Huang et al. 2024.
    """
    _check("relativistic_discriminator", real, fake)
    return jax.nn.softplus(fake - real)


def relativistic_generator(real: jax.Array, fake: jax.Array) -> jax.Array:
    """log(1 + exp(real − fake)): each generated example shall look more real than the real one of its pair.

    Args:
        real: scores of real examples, `[...]`, floating.
        fake: scores of as many generated ones, of the shape and dtype of `real`.

    Returns:
        `[...]`, of the dtype of `real`, with slope −sigmoid(real − fake) in `fake`.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Jolicoeur-Martineau 2018 (RpGAN), as in Huang et al. 2024.
    """
    _check("relativistic_generator", real, fake)
    return jax.nn.softplus(real - fake)


class AdversarialLoss(NamedTuple):
    """The two sides of a game.

    What reaches the generator is `jax.grad` of its side in `fake` times the gradient of the score. When the
    discriminator is perfect, fake → −∞ and real → ∞, that first factor tends to 0 for "minimax" and is, or
    tends to, −1 for all others.

    Attributes:
        discriminator: (real, fake) -> `[...]`, and a third argument, the smoothing, where `smooths`.
        generator: (real, fake) -> `[...]`.
        smooths: whether one-sided label smoothing is defined.
        needs_lipschitz: whether the discriminator's side has no minimum unless the discriminator's slope is
            bounded, by a gradient penalty or spectral norm.
    """

    discriminator: Callable[..., jax.Array]
    generator: Callable[[jax.Array, jax.Array], jax.Array]
    smooths: bool = False
    needs_lipschitz: bool = False


LOSSES: dict[str, AdversarialLoss] = {
    "minimax": AdversarialLoss(logistic_discriminator, minimax_generator, smooths=True),
    "non_saturating": AdversarialLoss(logistic_discriminator, non_saturating_generator, smooths=True),
    "hinge": AdversarialLoss(hinge_discriminator, linear_generator),
    "wasserstein": AdversarialLoss(wasserstein_discriminator, linear_generator, needs_lipschitz=True),
    "relativistic": AdversarialLoss(relativistic_discriminator, relativistic_generator),
}
"""The games, by name."""


def r1(f: Callable[[jax.Array], jax.Array], real: jax.Array) -> jax.Array:
    """‖∇f(x)‖² at each real example, without the factor γ/2 of the paper.

    Args:
        f: scores of one batch, `[batch, ...]` -> `[batch]`. Each score must depend on its own example only:
            batch normalisation over the batch breaks that, and the result then mixes examples.
        real: x, `[batch, ...]`, floating.

    Returns:
        `[batch]`, of the dtype of `real`. It can be differentiated in what f closes over.

    Raises:
        ValueError: if `real` is not floating with a batch axis, or f does not return `[batch]`.

    Source: Mescheder et al. 2018, section 4.1.
    """
    return _squared_slopes("r1", f, real)


def r2(f: Callable[[jax.Array], jax.Array], fake: jax.Array) -> jax.Array:
    """‖∇f(x)‖² at each generated example, without the factor γ/2 of the paper.

    Args:
        f: scores of one batch, `[batch, ...]` -> `[batch]`, each of its own example only, as in `r1`.
        fake: x, `[batch, ...]`, floating. Where only the discriminator learns, stop the gradient here.

    Returns:
        `[batch]`, of the dtype of `fake`. It can be differentiated in what f closes over.

    Raises:
        ValueError: if `fake` is not floating with a batch axis, or f does not return `[batch]`.

    Source: Mescheder et al. 2018, section 4.1.
    """
    return _squared_slopes("r2", f, fake)


def gradient_penalty(
    f: Callable[[jax.Array], jax.Array],
    real: jax.Array,
    fake: jax.Array,
    key: jax.Array,
    target: float | jax.Array = 1.0,
) -> jax.Array:
    """(‖∇f(x̂)‖ − target)² at x̂ = ε real + (1 − ε) fake, with one ε, uniform in [0, 1), for each pair.

    Without the paper's factor λ = 10.

    Args:
        f: scores of one batch, `[batch, ...]` -> `[batch]`, each of its own example only, as in `r1`.
        real: `[batch, ...]`, floating.
        fake: of the shape and dtype of `real`.
        key: random key.
        target: the slope that costs nothing, a scalar, which may be traced.

    Returns:
        `[batch]`, of the dtype of `real`. Its gradient is 0 where ∇f(x̂) is 0, and so always finite.

    Raises:
        ValueError: if shapes or dtypes do not fit, or f does not return `[batch]`.

    Source: Gulrajani et al. 2017 (WGAN-GP).
    """
    _check("gradient_penalty", real, fake)
    target = scalar("gradient_penalty", "target", target, real.dtype)
    epsilon = jax.random.uniform(key, real.shape[:1], real.dtype)
    epsilon = epsilon.reshape(*real.shape[:1], *[1] * (real.ndim - 1))
    squared = _squared_slopes("gradient_penalty", f, fake + epsilon * (real - fake))
    # The root's slope at 0 is infinite, and 0 · ∞ is nan: both branches must be safe.
    steep = squared > 0
    slope = jnp.where(steep, jnp.sqrt(jnp.where(steep, squared, 1)), 0)
    return jnp.square(slope - target)


def _squared_slopes(name: str, f: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """‖∇f(x)‖² of each example, `[batch]`."""
    if x.ndim < 1 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{name}: expected floating examples [batch, ...], got {x.dtype} {x.shape}.")
    scores, pull = jax.vjp(f, x)
    if scores.shape != x.shape[:1]:
        raise ValueError(f"{name}: expected f to return {x.shape[:1]}, got {scores.shape}.")
    # A score of its own example only: the gradient of the sum is that of each.
    (slopes,) = pull(jnp.ones_like(scores))
    return jnp.square(slopes).sum(tuple(range(1, x.ndim)))


def _check(name: str, real: jax.Array, fake: jax.Array) -> None:
    if real.shape != fake.shape or real.dtype != fake.dtype:
        raise ValueError(
            f"{name}: expected real and fake of one shape and dtype, got {real.dtype} {real.shape} and "
            f"{fake.dtype} {fake.shape}."
        )
    if not jnp.issubdtype(real.dtype, jnp.floating):
        raise ValueError(f"{name}: expected floating real and fake, got {real.dtype}.")
