"""layer_norm against flax's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import layer_norm

pytestmark = pytest.mark.usefixtures("strict")


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])
def test_equals_flax_with_gradients(key, shape):
    x_key, scale_key, bias_key = jax.random.split(key, 3)
    x = 3.0 + 2.0 * jax.random.normal(x_key, shape)
    params = {"scale": jax.random.normal(scale_key, (7,)), "bias": jax.random.normal(bias_key, (7,))}

    def ours(x, params):
        return jnp.sin(layer_norm(x, params["scale"], params["bias"])).sum()

    def theirs(x, params):
        with jax.numpy_rank_promotion("allow"):
            return jnp.sin(nn.LayerNorm(epsilon=1e-6).apply({"params": params}, x)).sum()

    (value, grads), (value_ref, grads_ref) = (
        jax.value_and_grad(f, (0, 1))(x, params) for f in (ours, theirs)
    )
    np.testing.assert_allclose(value, value_ref, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), grads, grads_ref)


def test_a_constant_example_is_not_divided_by_zero():
    y = layer_norm(jnp.full((2, 4), 3.0), jnp.ones(4), jnp.zeros(4))
    np.testing.assert_array_equal(y, jnp.zeros((2, 4)))


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r"expected scale of shape \(4,\)"):
        layer_norm(jnp.ones((2, 4)), jnp.ones(3), jnp.zeros(4))
