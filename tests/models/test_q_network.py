"""The Q-network against the same network written with flax's own layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.models import QNetwork


def test_equals_flax_layers(key):
    obs = jax.random.bernoulli(key, 0.3, (5, 10, 10, 4))
    ours = QNetwork(3, channels=6, hidden=(8,))
    params = jax.tree.map(lambda p: p + 0.1, ours.init(key, obs)["params"])

    def apply(module, name, x):
        p = dict(params[name])
        if "w" in p:
            p = {"kernel": p["w"], "bias": p["bias"]}
        return module.apply({"params": p}, x)

    x = apply(nn.Conv(6, (3, 3), padding="VALID"), "Conv_0", obs.astype(jnp.float32))
    x = nn.relu(apply(nn.LayerNorm(), "LayerNorm_0", x)).reshape(5, -1)
    x = nn.relu(apply(nn.LayerNorm(), "LayerNorm_1", apply(nn.Dense(8), "Dense_0", x)))
    expected = apply(nn.Dense(3), "Dense_1", x)
    np.testing.assert_allclose(ours.apply({"params": params}, obs), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(4,), (8, 8), (), (10, 10, 6)])
@pytest.mark.parametrize("layer_norm", [True, False])
def test_any_observation(key, shape, layer_norm):
    net = QNetwork(5, channels=4, hidden=(8, 8), layer_norm=layer_norm)
    obs = jnp.ones((3, *shape))
    params = net.init(key, obs)
    assert net.apply(params, obs).shape == (3, 5)
    names = set(params["params"])
    assert ("LayerNorm_0" in names) == layer_norm
    assert ("Conv_0" in names) == (len(shape) == 3)


def test_starts_with_the_variance_that_it_is_given(key):
    """He's initialisation keeps the size of signals through relu layers, whatever the depth."""
    net = QNetwork(1, hidden=(512,) * 6, layer_norm=False)
    x = jax.random.normal(key, (64, 512))
    _, state = net.apply(net.init(key, x), x, capture_intermediates=True, mutable="intermediates")
    last = state["intermediates"]["Dense_5"]["__call__"][0]
    assert 0.5 < float((last**2).mean()) / 2 < 2.0
