"""Optimisers (slide "Optimisation", *Lissage du gradient*), and gradient clipping.

Everything is an `optax.GradientTransformation`. Hyperparameters are scalars that may be traced, and no
state depends on them: a transformation can be built anew in each step, from a configuration that is swept
under `jax.vmap`, while its state goes on.

In the formulas θ are the parameters, λ is the learning rate, and ∇ is the gradient of the cost I.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mi203jax.core.errors import did_you_mean

Scalar = jax.Array | float


def sgd(learning_rate: Scalar, *, weight_decay: Scalar | None = None) -> optax.GradientTransformation:
    """Stochastic gradient descent: θ ← θ − λ∇.

    Args:
        learning_rate: λ.
        weight_decay: see `decay_weights`; None: no such stage, and `update` does not need the parameters.
    """
    return _descend(optax.identity(), learning_rate, weight_decay)


def normalized_gradient(
    learning_rate: Scalar, epsilon: Scalar = 1e-8, *, weight_decay: Scalar | None = None
) -> optax.GradientTransformation:
    """Steps of one length: θ ← θ − λ ∇ / (‖∇‖ + ε), the norm being that of all parameters together.

    It is what the slide calls "adagrad"; see `adagrad` for what the literature calls so.

    Args:
        learning_rate: λ, the length of a step.
        epsilon: ε, positive.
        weight_decay: see `sgd`.
    """

    def direction(gradients, params):
        del params
        size = _sqrt(optax.tree.norm(gradients, squared=True)) + epsilon
        return jax.tree.map(lambda g: g / size, gradients)

    return _descend(optax.stateless(direction), learning_rate, weight_decay)


class AdagradState(NamedTuple):
    """The sum of squared gradients so far, a tree as the parameters."""

    sum_of_squares: Any


def adagrad(
    learning_rate: Scalar,
    epsilon: Scalar = 1e-10,
    initial_accumulator: Scalar = 0.0,
    *,
    weight_decay: Scalar | None = None,
) -> optax.GradientTransformation:
    """Each parameter by its own past: s ← s + ∇², θ ← θ − λ ∇ / (√s + ε) (Duchi et al. 2011).

    ε stands outside the root, as in the paper and in PyTorch; `optax.adagrad` has it inside.

    Args:
        learning_rate: λ.
        epsilon: ε.
        initial_accumulator: s at the start.
        weight_decay: see `sgd`.
    """

    def init(params):
        return AdagradState(jax.tree.map(jnp.zeros_like, params))

    def update(gradients, state, params=None):
        del params
        total = jax.tree.map(lambda s, g: s + g * g, state.sum_of_squares, gradients)
        # The initial value is added here, not in `init`, so that the state does not depend on it.
        steps = jax.tree.map(lambda s, g: g / (_sqrt(initial_accumulator + s) + epsilon), total, gradients)
        return steps, AdagradState(total)

    return _descend(optax.GradientTransformation(init, update), learning_rate, weight_decay)


def momentum_ema(
    learning_rate: Scalar, decay: Scalar = 0.9, *, weight_decay: Scalar | None = None
) -> optax.GradientTransformation:
    """The slide's momentum, an exponential moving average: ω ← γω + (1 − γ)∇, then θ ← θ − λω.

    The slide lists the step of θ first; here ω is updated first, so that the newest gradient counts at
    once. ω starts at 0 and is not corrected for it, so this equals `heavy_ball` with the rate λ(1 − γ).

    Args:
        learning_rate: λ.
        decay: γ in [0, 1).
        weight_decay: see `sgd`.
    """
    return _descend(optax.ema(decay, debias=False), learning_rate, weight_decay)


def heavy_ball(
    learning_rate: Scalar,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
    *,
    weight_decay: Scalar | None = None,
) -> optax.GradientTransformation:
    """What libraries call momentum (Polyak 1964): ω ← γω + ∇, θ ← θ − λω.

    Args:
        learning_rate: λ.
        momentum: γ in [0, 1).
        nesterov: whether to step by γω + ∇ with the new ω (Nesterov 1983, as in Sutskever et al. 2013).
        weight_decay: see `sgd`.
    """
    return _descend(optax.trace(momentum, nesterov), learning_rate, weight_decay)


def adam(
    learning_rate: Scalar,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    *,
    weight_decay: Scalar | None = None,
) -> optax.GradientTransformation:
    """θ ← θ − λ m̂ / (√v̂ + ε), m and v being averages of ∇ and ∇², freed from their start at 0.

    Where all gradients of a parameter were 0, the step is 0 but cannot be differentiated, as √ there.

    Args:
        learning_rate: λ.
        beta1: decay β₁ of m, in [0, 1).
        beta2: decay β₂ of v, in [0, 1).
        epsilon: ε.
        weight_decay: see `sgd`.

    Source: Kingma and Ba 2015.
    """
    direction = optax.scale_by_adam(beta1, beta2, epsilon)

    def update(gradients, state, params=None):
        # optax raises β to an integer's power, which strict promotion of dtypes refuses.
        with jax.numpy_dtype_promotion("standard"):
            return direction.update(gradients, state, params)

    return _descend(optax.GradientTransformation(direction.init, update), learning_rate, weight_decay)


def adamw(
    learning_rate: Scalar,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    weight_decay: Scalar = 1e-2,
) -> optax.GradientTransformation:
    """`adam` with decoupled weight decay (Loshchilov and Hutter 2019); see `decay_weights`."""
    return adam(learning_rate, beta1, beta2, epsilon, weight_decay=weight_decay)


def decay_weights(rate: Scalar) -> optax.GradientTransformation:
    """Adds rate · θ to the update of parameters with two axes or more: of weights, not of biases and scales.

    Between an optimiser's direction and its scaling by λ, where every optimiser here has it, a step takes
    off the part λ · rate of each weight, whatever its gradient: decoupled weight decay.

    Args:
        rate: part of the weights that a step of λ = 1 takes off.

    Source: Loshchilov and Hutter 2019.
    """
    return optax.add_decayed_weights(rate, mask=partial(jax.tree.map, lambda p: p.ndim >= 2))


def _descend(
    direction: optax.GradientTransformation, learning_rate: Scalar, weight_decay: Scalar | None
) -> optax.GradientTransformation:
    decay = optax.identity() if weight_decay is None else decay_weights(weight_decay)
    return optax.chain(direction, decay, optax.scale(-learning_rate))


def clip_by_value(limit: Scalar) -> optax.GradientTransformation:
    """Clips each number of the gradient to [−limit, limit] (slide "Mais aussi").

    Args:
        limit: positive; infinity: no clipping.
    """
    return optax.clip(limit)


def clip_by_norm(limit: Scalar) -> optax.GradientTransformation:
    """Shortens the gradient to a norm of at most `limit`: ∇ · min(1, limit / ‖∇‖) (slide "Mais aussi").

    The norm is that of all parameters together. Unlike through `optax.clip_by_global_norm`, a run can be
    differentiated through it where the limit is infinite or the gradient 0.

    Args:
        limit: positive; infinity: no clipping.

    Source: Pascanu et al. 2013.
    """

    def clip(gradients, params):
        del params
        excess = optax.tree.norm(jax.tree.map(lambda g: g / limit, gradients), squared=True)
        factor = 1.0 / jnp.sqrt(jnp.maximum(excess, 1.0))
        return jax.tree.map(lambda g: g * factor, gradients)

    return optax.stateless(clip)


def _sqrt(x: jax.Array) -> jax.Array:
    """√x, with the derivative 0 at 0, so that a run can be differentiated where a gradient is 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


_BY_NAME: dict[str, Callable[..., Callable[..., optax.GradientTransformation]]] = {
    "sgd": lambda momentum, beta2, epsilon: sgd,
    "normalized_gradient": lambda momentum, beta2, epsilon: partial(normalized_gradient, epsilon=epsilon),
    "adagrad": lambda momentum, beta2, epsilon: partial(adagrad, epsilon=epsilon),
    "momentum_ema": lambda momentum, beta2, epsilon: partial(momentum_ema, decay=momentum),
    "heavy_ball": lambda momentum, beta2, epsilon: partial(heavy_ball, momentum=momentum),
    "nesterov": lambda momentum, beta2, epsilon: partial(heavy_ball, momentum=momentum, nesterov=True),
    "adam": lambda momentum, beta2, epsilon: partial(adam, beta1=momentum, beta2=beta2, epsilon=epsilon),
}
OPTIMIZERS = tuple(_BY_NAME)


def make(
    name: str,
    learning_rate: Scalar,
    *,
    momentum: Scalar = 0.9,
    beta2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    clip_value: Scalar = jnp.inf,
    clip_norm: Scalar = jnp.inf,
) -> optax.GradientTransformation:
    """An optimiser by its name: clips by value, then by norm, then steps with decoupled weight decay.

    Args:
        name: one of `OPTIMIZERS`. "adam" with weight decay is AdamW.
        learning_rate: λ.
        momentum: γ of "momentum_ema", "heavy_ball" and "nesterov"; β₁ of "adam".
        beta2: β₂ of "adam".
        epsilon: ε of "normalized_gradient", "adagrad" and "adam".
        weight_decay: see `decay_weights`; 0: none.
        clip_value: see `clip_by_value`.
        clip_norm: see `clip_by_norm`.

    Returns:
        A transformation whose `update` needs the parameters.

    Raises:
        ValueError: if there is no optimiser of that name.
    """
    if name not in _BY_NAME:
        raise ValueError(f"make: unknown optimiser {name!r}. {did_you_mean(name, OPTIMIZERS)}")
    optimizer = _BY_NAME[name](momentum, beta2, epsilon)(learning_rate, weight_decay=weight_decay)
    return optax.chain(clip_by_value(clip_value), clip_by_norm(clip_norm), optimizer)
