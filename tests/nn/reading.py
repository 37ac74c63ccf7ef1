"""What tests of reading signals share: signals, torch's layers, and a step of their training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import CELLS, from_torch, unroll, zero_state

torch = pytest.importorskip("torch")

INPUTS, HIDDEN, TIME = 7, 4, 14  # two segments of 7
LENGTHS = np.array([9, 1, 5, 14, 3])
TORCH = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
each_cell = pytest.mark.parametrize("name", CELLS)
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def signals(*batch, time=TIME, features=INPUTS, seed=0):
    return np.random.default_rng(seed).normal(size=(*batch, time, features)).astype(np.float32)


def some_state(name, *batch, seed=1):
    zeros = zero_state(CELLS[name], batch, HIDDEN)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape), v.dtype), zeros)


def layer_of(name, layers=1, both=False):
    """torch's, in 64 bits, its numbers those of 32."""
    torch.manual_seed(3)
    layer = TORCH[name](INPUTS, HIDDEN, layers, batch_first=True, bidirectional=both)
    for p in layer.parameters():
        torch.nn.init.uniform_(p, -1, 1)
    return layer.double()


def params_of(name, layer=None, suffix="l0"):
    layer = layer or layer_of(name)
    parts = [getattr(layer, f"{part}_{suffix}").detach().float().numpy() for part in PARTS]
    return from_torch(CELLS[name], *parts)


def in_torch(layer, xs, begin=None):
    """Outputs, last states, and the gradients of the sum of the sines of all, by name."""
    xs = torch.from_numpy(xs).double().requires_grad_()
    begin = [torch.from_numpy(np.array(v)).double().requires_grad_() for v in begin or ()]
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, ends = layer(packed, None if not begin else tuple(begin) if len(begin) > 1 else begin[0])
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=TIME)
    ends = ends if isinstance(ends, tuple) else (ends,)
    sum(v.sin().sum() for v in (outputs, *ends)).backward()
    grads = {name: p.grad for name, p in layer.named_parameters()}
    return outputs.detach(), [v.detach() for v in ends], grads, xs.grad, [v.grad for v in begin]


def sines(tree):
    return sum(jnp.sin(v).sum() for v in jax.tree.leaves(tree))


def assert_is_gradient(ours, theirs, suffix="l0"):
    """Of a layer's parameters, by torch's."""
    part = {part: theirs[f"{part}_{suffix}"] for part in PARTS}
    np.testing.assert_allclose(ours["w_input"], part["weight_ih"].T, atol=1e-4)
    np.testing.assert_allclose(ours["w_hidden"], part["weight_hh"].T, atol=1e-4)
    np.testing.assert_allclose(ours["bias"], part["bias_ih"], atol=1e-4)
    if "bias_hidden" in ours:
        np.testing.assert_allclose(ours["bias_hidden"], part["bias_hh"][2 * HIDDEN :], atol=1e-4)


def assert_close(a, b, atol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), a, b)


@functools.cache
def around(name):
    """A function that does what the cell does, and is another."""
    cell = CELLS[name]

    def step(params, state, x):
        return cell(params, state, x)

    return step


@functools.partial(jax.jit, static_argnums=0, static_argnames=("reverse", "checkpoint"))
def value_and_grads(cell, params, xs, lengths, state, **kwargs):
    """Outputs, last state, and the gradients of the sum of their sines."""

    def f(params, xs, state):
        results = unroll(cell, params, xs, lengths, state, **kwargs)
        return sines(results), results

    grads, results = jax.grad(f, (0, 1, 2), has_aux=True)(params, xs, state)
    return *results, *grads
