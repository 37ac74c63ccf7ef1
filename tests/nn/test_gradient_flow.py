"""Gradients by the state of each step, against PyTorch's and a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import CELLS, init_cell, last_output, rnn_cell, state_gradients

torch = pytest.importorskip("torch")

TORCH_CELLS = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}
BATCH, TIME, INPUTS, HIDDEN = 3, 7, 2, 5


def torch_cell(name, params):
    """PyTorch's cell with these parameters."""
    cell = TORCH_CELLS[name](*params["w_input"].shape[:1], HIDDEN)
    bias = np.zeros(cell.bias_hh.shape)
    if "bias_hidden" in params:
        bias[2 * HIDDEN :] = params["bias_hidden"]
    own = params["w_input"].T, params["w_hidden"].T, params["bias"], bias
    with torch.no_grad():
        for parameter, value in zip(
            (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh), own, strict=True
        ):
            parameter.copy_(torch.tensor(np.asarray(value)))
    return cell


def torch_gradients(name, layers, xs, loss):
    """Norms `[layers][batch, time]`, of states whose gradients PyTorch keeps."""
    cells = [torch_cell(name, params) for params in layers]
    states = [None] * len(cells)
    kept, outputs = [[] for _ in cells], []
    for t in range(TIME):
        x = torch.tensor(np.asarray(xs[:, t]))
        for number, cell in enumerate(cells):
            new = cell(x, states[number])
            # Copies: of an LSTM, h depends on c, and here each is a number of its own.
            parts = [part.clone() for part in (new if isinstance(new, tuple) else (new,))]
            for part in parts:
                part.retain_grad()
            states[number] = tuple(parts) if isinstance(new, tuple) else parts[0]
            kept[number].append(parts)
            x = parts[0]
        outputs.append(x)
    loss(torch.stack(outputs, 1), [k[-1] for k in kept]).sum().backward()

    def norm(parts):
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parts]
        return torch.linalg.vector_norm(torch.cat(gradients, 1), dim=1).numpy()

    return [np.stack([norm(parts) for parts in of_layer], 1) for of_layer in kept]


def problem(name, depth):
    keys = jax.random.split(jax.random.key(1), depth + 1)
    layers = [
        init_cell(CELLS[name], k, HIDDEN if number else INPUTS, HIDDEN, 1.5)
        for number, k in enumerate(keys[1:])
    ]
    if name == "gru":
        layers = [{**p, "bias_hidden": p["bias_hidden"] + 0.3} for p in layers]
    return layers, jax.random.normal(keys[0], (BATCH, TIME, INPUTS))


def cost(outputs, states):
    """Of every output, and of every number of the states at the end; `[batch, time]`."""
    return (outputs**3).sum(-1) + sum((part**2).sum(-1) for state in states for part in state)[:, None]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", CELLS)
def test_equals_pytorch(name, depth):
    layers, xs = problem(name, depth)
    found = jax.jit(lambda layers, xs: state_gradients(CELLS[name], layers, xs, cost))(layers, xs)
    expected = torch_gradients(name, layers, xs, cost)
    assert len(found) == depth
    for a, b in zip(found, expected, strict=True):
        assert a.shape == (BATCH, TIME)
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)


def test_a_linear_network_by_hand():
    """Near 0 the RNN is linear: the gradient is w u^(T − t), and stays a number where its square is none."""
    u, w = 0.01, np.array([3.0, 4.0])
    params = {"w_input": jnp.ones((1, 2)), "w_hidden": u * jnp.eye(2), "bias": jnp.zeros(2)}
    (norms,) = state_gradients(rnn_cell, [params], jnp.zeros((TIME + 6, 1)), lambda y, _: y[-1] @ w)
    np.testing.assert_allclose(norms, 5 * u ** np.arange(TIME + 5, -1, -1.0), rtol=1e-5)


def test_nothing_comes_from_after_a_signals_end():
    layers, xs = problem("rnn", 1)
    lengths = jnp.array([3, 7, 1])
    (norms,) = state_gradients(rnn_cell, layers, xs, lambda y, _: last_output(y, lengths).sum(-1))
    np.testing.assert_array_equal(norms > 0, np.arange(TIME) < lengths[:, None])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": lambda p, s, x: s}, "expected rnn_cell, lstm_cell or gru_cell"),
        ({"layers": []}, "expected at least one layer"),
        (
            {"xs": jnp.zeros(3)},
            r"expected floating signals \[..., time, inputs\], got float32 of shape \(3,\)",
        ),
        ({"xs": jnp.zeros((2, 3, 2), int)}, "expected floating signals"),
    ],
)
def test_bad_input(change, message):
    layers, xs = problem("rnn", 1)
    given = {"cell": rnn_cell, "layers": layers, "xs": xs, **change}
    with pytest.raises(ValueError, match=f"state_gradients: {message}"):
        state_gradients(**given, loss=lambda y, _: y.sum())
