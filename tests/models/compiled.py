"""Networks compiled as a whole, and variables that need no program: both take longer than most tests."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np


def drawn(network, *inputs, seed=0):
    """Variables of the network for such inputs, by numpy: none as they begin, variances positive."""
    shapes = dict(jax.eval_shape(network.init, jax.random.key(0), *inputs))
    shapes.pop("features", None)  # which are no state: they come with each answer
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        scale = math.prod(leaf.shape[:-1]) ** -0.5 if leaf.ndim > 1 else 0.4
        values = rng.normal(scale=scale, size=leaf.shape)
        is_variance = getattr(path[-1], "key", "") == "var"
        return jnp.asarray(1 + np.abs(values) if is_variance else values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@functools.partial(jax.jit, static_argnums=0)
def init(network, key, *inputs):
    """The variables with which the network begins."""
    return network.init(key, *inputs)


@functools.partial(jax.jit, static_argnums=0, static_argnames=("train", "mutable"))
def apply(network, variables, *inputs, train=False, mutable=(), rngs=None):
    """What the network says; and the collections that `mutable` names, if it does."""
    kwargs = {"train": True} if train else {}
    return network.apply(variables, *inputs, mutable=list(mutable) or False, rngs=rngs, **kwargs)
