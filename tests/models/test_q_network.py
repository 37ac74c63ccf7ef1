"""The Q-network against the same network written with flax's own layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from mi203jax.models import QNetwork, RecurrentQNetwork
from mi203jax.nn import CELLS, zero_state
from tests.models.compiled import apply as apply_network
from tests.models.compiled import drawn, init


def test_equals_flax_layers(key):
    obs = jax.random.bernoulli(key, 0.3, (5, 10, 10, 4))
    ours = QNetwork(3, channels=6, hidden=(8,))
    params = drawn(ours, obs)["params"]

    def apply(module, name, x):
        p = dict(params[name])
        if "w" in p:
            p = {"kernel": p["w"], "bias": p["bias"]}
        return module.apply({"params": p}, x)

    @jax.jit
    def flax_layers(obs):
        x = apply(nn.Conv(6, (3, 3), padding="VALID"), "Conv_0", obs.astype(jnp.float32))
        x = nn.relu(apply(nn.LayerNorm(), "LayerNorm_0", x)).reshape(5, -1)
        x = nn.relu(apply(nn.LayerNorm(), "LayerNorm_1", apply(nn.Dense(8), "Dense_0", x)))
        return apply(nn.Dense(3), "Dense_1", x)

    found = apply_network(ours, {"params": params}, obs)
    np.testing.assert_allclose(found, flax_layers(obs), atol=1e-4)


def test_on_screens_equals_pytorch(key):
    """The convolutions of Mnih et al. (2015): 8×8 with stride 4, 4×4 with stride 2, 3×3; on bytes / 255."""
    obs = jax.random.randint(key, (2, 4, 84, 84), 0, 256).astype(jnp.uint8)
    net = QNetwork(3, channels=2, hidden=(5,), layer_norm=False, screens=True)
    params = jax.tree.map(np.array, drawn(net, obs)["params"])
    # Ours are of blocks of 4×4 pixels: [block row, block column, row, column, frame, filter].
    first = params["Conv_0"]["w"].reshape(2, 2, 4, 4, 4, 2).transpose(0, 2, 1, 3, 4, 5).reshape(8, 8, 4, 2)
    filters = [first, params["Conv_1"]["w"], params["Conv_2"]["w"]]
    x = torch.tensor(np.asarray(obs), dtype=torch.float32) / 255
    for i, (w, stride) in enumerate(zip(filters, (4, 2, 1), strict=True)):
        bias = torch.tensor(params[f"Conv_{i}"]["bias"])
        x = torch.nn.functional.conv2d(x, torch.tensor(w).permute(3, 2, 0, 1), bias, stride=stride).relu()
    x = x.permute(0, 2, 3, 1).reshape(2, -1)  # ours has the filters last
    for i, activate in enumerate((torch.relu, lambda x: x)):
        dense = params[f"Dense_{i}"]
        x = activate(x @ torch.tensor(dense["kernel"]) + torch.tensor(dense["bias"]))
    np.testing.assert_allclose(apply_network(net, {"params": params}, obs), x, atol=1e-4)


@pytest.mark.parametrize("shape", [(4,), (8, 8), (), (10, 10, 6)])
@pytest.mark.parametrize("layer_norm", [True, False])
def test_any_observation(key, shape, layer_norm):
    net = QNetwork(5, channels=4, hidden=(8, 8), layer_norm=layer_norm)
    obs = jnp.ones((3, *shape))
    params = jax.eval_shape(net.init, key, obs)
    assert jax.eval_shape(net.apply, params, obs).shape == (3, 5)
    names = set(params["params"])
    assert ("LayerNorm_0" in names) == layer_norm
    assert ("Conv_0" in names) == (len(shape) == 3)


def test_starts_with_the_variance_that_it_is_given(key):
    """He's initialisation keeps the size of signals through relu layers, whatever the depth."""
    net = QNetwork(1, hidden=(512,) * 6, layer_norm=False)
    x = jax.random.normal(key, (64, 512))

    @jax.jit
    def all_layers(key, x):
        return net.apply(net.init(key, x), x, capture_intermediates=True, mutable="intermediates")

    _, state = all_layers(key, x)
    last = state["intermediates"]["Dense_5"]["__call__"][0]
    assert 0.5 < float((last**2).mean()) / 2 < 2.0


def in_torch(cell, params):
    """The same layer in PyTorch."""
    inputs, hidden = params["w_input"].shape[0], params["w_hidden"].shape[0]
    layer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](
        inputs, hidden, batch_first=True
    )
    second = np.zeros_like(params["bias"])
    if cell == "gru":
        second[2 * hidden :] = params["bias_hidden"]
    values = params["w_input"].T, params["w_hidden"].T, params["bias"], second
    for old, new in zip(layer.parameters(), values, strict=True):
        old.data = torch.from_numpy(np.array(new))
    return layer


class TestRecurrent:
    @pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
    def test_equals_torch_read_episode_by_episode(self, cell):
        net = RecurrentQNetwork(2, hidden=(6,), layer_norm=False, cell=cell, memory_size=5)
        draws = np.random.default_rng(0)
        obs, done = jnp.asarray(draws.normal(size=(3, 9, 4)), jnp.float32), np.zeros((3, 9), bool)
        done[[0, 1, 1, 1], [3, 0, 7, 8]] = True
        memory = jax.tree.map(
            lambda m: jnp.asarray(draws.normal(size=m.shape), m.dtype), zero_state(CELLS[cell], (3,), 5)
        )
        params = drawn(net, obs, memory, done)
        q, after = apply_network(net, params, obs, memory, done)

        p = jax.device_get(params["params"])
        x = np.maximum(np.asarray(obs) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"], 0)
        layer = in_torch(cell, p["cell"])
        for i in range(3):
            state = tuple(torch.from_numpy(np.array(m[i]))[None] for m in memory)
            for piece in np.split(np.arange(9), np.flatnonzero(done[i]) + 1):
                if not len(piece):
                    continue
                with torch.no_grad():
                    h, _ = layer(torch.from_numpy(x[i, piece]), state if cell == "lstm" else state[0])
                np.testing.assert_allclose(after.h[i, piece], h, atol=1e-5)
                expected = h.numpy() @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]
                np.testing.assert_allclose(q[i, piece], expected, atol=1e-5)
                state = tuple(torch.zeros(1, 5) for _ in memory)

    def test_is_the_same_network_with_a_cell_before_the_values(self, key):
        """Layers keep their names, and what they begin with."""
        obs = jnp.ones((2, 3, 10, 10, 4))
        net = {"channels": 4, "hidden": (8, 6)}
        recurrent = RecurrentQNetwork(5, **net, cell="gru", memory_size=7)
        start = zero_state(CELLS["gru"], (2,), 7), jnp.zeros((2, 3), bool)
        with_memory = init(recurrent, key, obs, *start)["params"]
        without = init(QNetwork(5, **net), key, obs[:, 0])["params"]
        assert set(with_memory) == {*without, "cell"}
        assert with_memory["Dense_2"]["kernel"].shape == (7, 5)
        for name in set(without) - {"Dense_2"}:
            jax.tree.map(np.testing.assert_array_equal, with_memory[name], without[name])
