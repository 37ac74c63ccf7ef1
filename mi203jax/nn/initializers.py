"""Initial weights (slide "Optimisation", *Initialisation*).

`initializer(scale)` gives a function (key, shape, dtype) -> array, as those of `jax.nn.initializers`.
Kernels are `[inputs, outputs]` for a dense layer and `[Δheight, Δwidth, inputs, outputs]` for a
convolution, whose fan-in is Δheight · Δwidth · inputs, and whose fan-out is Δheight · Δwidth · outputs.

`scale` is a scalar that multiplies the weights, and may be traced.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jax.nn.initializers import Initializer

Scalar = jax.Array | float

STDDEV = 0.05
"""Of `uniform` and `gaussian` at scale 1, for any fan: Keras' default for its RandomNormal."""


def uniform(scale: Scalar = 1.0) -> Initializer:
    """U(−a, a), whatever the layer's size: the naive choice.

    a = 0.05 · √3, so that it has the variance of `gaussian`, and differs from it only in its shape.
    """
    bound = STDDEV * math.sqrt(3.0)
    return _scaled(scale, lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound))


def gaussian(scale: Scalar = 1.0) -> Initializer:
    """N(0, 0.05²), whatever the layer's size: the naive choice."""
    return _scaled(scale, jax.nn.initializers.normal(STDDEV))


def xavier(scale: Scalar = 1.0) -> Initializer:
    """U(−a, a), a = √(6 / (fan-in + fan-out)) (Glorot and Bengio 2010)."""
    return _scaled(scale, jax.nn.initializers.glorot_uniform())


def he(scale: Scalar = 1.0) -> Initializer:
    """N(0, 2 / fan-in), not truncated: keeps the second moment through layers of relu (He et al. 2015)."""
    return _scaled(scale, jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal"))


def orthogonal(scale: Scalar = 1.0) -> Initializer:
    """A kernel that is orthogonal as a matrix `[fan-in, outputs]` (Saxe et al. 2014).

    Its columns are orthonormal, or its rows if they are fewer.
    """
    initializer = jax.nn.initializers.orthogonal()

    def init(key, shape, dtype):
        # The QR decomposition does not exist in half precision.
        working = jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype
        # Side by side on several CPU devices, decompositions wait for each other's threads, for ever
        # (jaxlib 0.10.2: all batches share one pool): one after the other they do not.
        one_by_one = sequential_vmap(lambda key: initializer(key, shape, working))
        return one_by_one(key).astype(dtype)

    return _scaled(scale, init)


def delta_orthogonal(scale: Scalar = 1.0) -> Initializer:
    """An orthogonal matrix `[inputs, outputs]` at the filter's centre, 0 around it (Xiao et al. 2018).

    So the convolution, with borders that keep the size, preserves the norm of any image if inputs ≤
    outputs. For inputs > outputs, which the paper leaves out, the columns are orthonormal instead of the
    rows: gradients keep their norm on the way back. A dense kernel is that of `orthogonal`.
    """
    initializer = orthogonal()

    def init(key, shape, dtype):
        centre = tuple((size - 1) // 2 for size in shape[:-2])
        return jnp.zeros(shape, dtype).at[centre].set(initializer(key, shape[-2:], dtype))

    return _scaled(scale, init)


INITIALIZERS: dict[str, Callable[[Scalar], Initializer]] = {
    f.__name__: f for f in (uniform, gaussian, xavier, he, orthogonal, delta_orthogonal)
}


def _scaled(scale: Scalar, initializer: Callable[..., jax.Array]) -> Initializer:
    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding  # part of jax's protocol
        return jnp.asarray(scale, dtype) * initializer(key, shape, dtype)

    return init
