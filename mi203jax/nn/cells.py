"""Recurrent cells (slide "Réseau récurrent").

A cell is a function (params, state, x) -> state; its output is `state.h`. Parameters are dicts of arrays
whose columns are the cell's gates one after the other, in the order that the cell states: PyTorch's.
`mi203jax.nn.recurrent` reads whole signals with them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi203jax.arguments import check_int
from mi203jax.nn.initializers import orthogonal, xavier

Params = dict[str, jax.Array]
"""`w_input` `[inputs, gates · hidden]`, `w_hidden` `[hidden, gates · hidden]`, `bias` `[gates · hidden]`; of
a GRU also `bias_hidden` `[hidden]`."""


class HiddenState(NamedTuple):
    """What an RNN or a GRU remembers."""

    h: jax.Array  # [..., hidden], the output too


class LSTMState(NamedTuple):
    """What an LSTM remembers."""

    h: jax.Array  # [..., hidden], the output too
    c: jax.Array  # [..., hidden], its memory


CellFunction = Callable[[Any, Any, jax.Array], Any]
"""(params, state, x `[..., inputs]`) -> the next state."""


# ---- the cells ----


def rnn_cell(params: Params, state: HiddenState, x: jax.Array) -> HiddenState:
    """A step of the plain recurrent network (Elman 1990).

    h' = tanh(x W + h U + b)

    Args:
        params: `w_input` W, `w_hidden` U, `bias` b; one gate. See `init_cell`.
        state: h, `[..., hidden]`.
        x: `[..., inputs]`.
    """
    return _step(rnn_cell, params, state, x)


def lstm_cell(params: Params, state: LSTMState, x: jax.Array) -> LSTMState:
    """A step of the long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

    i, f, g, o = x W + h U + b, a quarter of the columns each, in this order
    c' = σ(f) c + σ(i) tanh(g)
    h' = σ(o) tanh(c')

    Args:
        params: `w_input` W, `w_hidden` U, `bias` b; four gates. See `init_cell`.
        state: h and c, `[..., hidden]` each.
        x: `[..., inputs]`.
    """
    return _step(lstm_cell, params, state, x)


def gru_cell(params: Params, state: HiddenState, x: jax.Array) -> HiddenState:
    """A step of the gated recurrent unit (Cho et al. 2014), the reset gate after the product.

    r, z, n = x W + b, and p, q, s = h U, a third of the columns each, in this order
    r' = σ(r + p), z' = σ(z + q), n' = tanh(n + r' (s + bₕ))
    h' = (1 − z') n' + z' h

    This is PyTorch's and cuDNN's form. In the paper's own, r' multiplies h before the product.

    Args:
        params: `w_input` W, `w_hidden` U, `bias` b, `bias_hidden` bₕ; three gates. See `init_cell`.
        state: h, `[..., hidden]`.
        x: `[..., inputs]`.
    """
    return _step(gru_cell, params, state, x)


class CellParts(NamedTuple):
    """A cell in two parts: products with matrices, and what is done to each unit by itself.

    Attributes:
        gates: their names, in the order of the columns.
        state: the type of the state.
        forward: (state, a, q) -> state, what `backward` needs, gates. a: the input's product with bias,
            q: the hidden state's product, `[..., gates · hidden]` each.
        backward: (gradient of the new state, what it needs) -> gradients of a, of q, and of the old state but
            for its part in q.
    """

    gates: tuple[str, ...]
    state: type[Any]
    forward: Callable[..., tuple[Any, Any, tuple[jax.Array, ...]]]
    backward: Callable[..., tuple[jax.Array, jax.Array, Any]]


def _sigmoid(x: jax.Array) -> jax.Array:
    return 0.5 * jnp.tanh(0.5 * x) + 0.5  # a tanh is faster than an exponential and a division


def _rnn_forward(state: HiddenState, a, q):
    del state
    h = jnp.tanh(a + q)
    return HiddenState(h), 1 - h * h, (h,)


def _rnn_backward(d: HiddenState, slope):
    da = d.h * slope
    return da, da, HiddenState(jnp.zeros_like(d.h))


def _lstm_forward(state: LSTMState, a, q):
    i, f, g, o = jnp.split(a + q, 4, -1)
    i, f, g, o = _sigmoid(i), _sigmoid(f), jnp.tanh(g), _sigmoid(o)
    c = f * state.c + i * g
    t = jnp.tanh(c)
    # The factors of the backward pass: as many numbers as the gates, and less to do there.
    slopes = g * i * (1 - i), state.c * f * (1 - f), i * (1 - g * g), t * o * (1 - o), o * (1 - t * t), f
    return LSTMState(o * t, c), slopes, (i, f, g, o)


def _lstm_backward(d: LSTMState, slopes):
    by_i, by_f, by_g, by_o, by_c, forget = slopes
    dc = d.c + d.h * by_c
    da = jnp.concatenate([dc * by_i, dc * by_f, dc * by_g, d.h * by_o], -1)
    return da, da, LSTMState(jnp.zeros_like(d.h), dc * forget)


def _gru_forward(state: HiddenState, a, q):
    (r, z, n), (p, u, s) = jnp.split(a, 3, -1), jnp.split(q, 3, -1)
    r, z = _sigmoid(r + p), _sigmoid(z + u)
    n = jnp.tanh(n + r * s)
    h = n + z * (state.h - n)
    by_n = (1 - z) * (1 - n * n)
    return HiddenState(h), (by_n * s * r * (1 - r), (state.h - n) * z * (1 - z), by_n, r, z), (r, z, n)


def _gru_backward(d: HiddenState, slopes):
    by_r, by_z, by_n, r, z = slopes
    dr, dz, dn = d.h * by_r, d.h * by_z, d.h * by_n
    da, dq = jnp.concatenate([dr, dz, dn], -1), jnp.concatenate([dr, dz, dn * r], -1)
    return da, dq, HiddenState(d.h * z)


PARTS: dict[Any, CellParts] = {
    rnn_cell: CellParts(("hidden",), HiddenState, _rnn_forward, _rnn_backward),
    lstm_cell: CellParts(("input", "forget", "cell", "output"), LSTMState, _lstm_forward, _lstm_backward),
    gru_cell: CellParts(("reset", "update", "new"), HiddenState, _gru_forward, _gru_backward),
}
CELLS: dict[str, CellFunction] = {"rnn": rnn_cell, "lstm": lstm_cell, "gru": gru_cell}
"""The course's cells by name."""


def parts_of(function: str, cell: CellFunction) -> CellParts:
    """Of one of the course's cells; refuses others, with a ValueError."""
    if cell not in PARTS:
        raise ValueError(f"{function}: expected rnn_cell, lstm_cell or gru_cell, got {cell!r}.")
    return PARTS[cell]


def _step(cell: CellFunction, params: Params, state: Any, x: jax.Array) -> Any:
    check_widths(cell, params, state, x)
    a, q = products(params, state, x)
    return PARTS[cell].forward(state, a, q)[0]


def products(params: Params, state: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What a cell's `CellParts.forward` is given besides the state."""
    a, q = x @ params["w_input"], state.h @ params["w_hidden"]
    return a + wide(params["bias"], a), q + wide(hidden_bias(params), q)


def wide(v: jax.Array, like: jax.Array) -> jax.Array:
    """A vector with as many axes as `like`: strict settings refuse to add arrays of unequal ranks."""
    return v.reshape((1,) * (like.ndim - 1) + v.shape)


def hidden_bias(params: Params) -> jax.Array:
    """What is added to the hidden state's product: a GRU's bₕ, in its last columns."""
    bias = params["bias"]
    if "bias_hidden" not in params:
        return jnp.zeros_like(bias)
    own = params["bias_hidden"]
    return jnp.concatenate([jnp.zeros(bias.size - own.size, own.dtype), own])


def check_widths(cell: CellFunction, params: Params, state: Any, x: jax.Array) -> None:
    """Refuses parameters, state and inputs that do not fit each other, with a ValueError."""
    inputs, hidden = params["w_input"].shape[0], params["w_hidden"].shape[0]
    name = cell.__name__
    if x.shape[-1] != inputs:
        raise ValueError(f"{name}: expected inputs of {inputs} channels, as w_input has, got {x.shape[-1]}.")
    if not isinstance(state, PARTS[cell].state):
        raise ValueError(f"{name}: expected a {PARTS[cell].state.__name__}, got {type(state).__name__}.")
    for v in state:
        if v.shape[-1:] != (hidden,):
            raise ValueError(f"{name}: expected a state of {hidden} units, as w_hidden has, got {v.shape}.")
    gates = len(PARTS[cell].gates)
    width = gates * hidden
    expected = {"w_input": (inputs, width), "w_hidden": (hidden, width), "bias": (width,)}
    if cell is gru_cell:
        expected["bias_hidden"] = (hidden,)
    found = {n: v.shape for n, v in params.items()}
    if found != expected:
        raise ValueError(
            f"{name}: expected {gates} gates of {hidden} units, {expected}, got {found}: "
            "parameters of another cell?"
        )


# ---- their parameters ----


def gate_names(cell: CellFunction) -> tuple[str, ...]:
    """Names of the cell's gates, in the order of the columns of its parameters."""
    return parts_of("gate_names", cell).gates


def num_parameters(cell: CellFunction, inputs: int, hidden: int) -> int:
    """How many numbers a layer has: the question that the slide links to.

    gates · hidden · (inputs + hidden + 1), with 1 gate (RNN), 4 (LSTM) or 3 (GRU), and `hidden` more for
    the GRU's second bias. PyTorch stores two biases where the sum alone matters, and so counts more.

    Args:
        cell: `rnn_cell`, `lstm_cell` or `gru_cell`.
        inputs: channels of the signal.
        hidden: units.

    Raises:
        ValueError: if the cell is another, or a size is no positive int.
    """
    gates = len(parts_of("num_parameters", cell).gates)
    check_int("num_parameters", "inputs", inputs)
    check_int("num_parameters", "hidden", hidden)
    return gates * hidden * (inputs + hidden + 1) + (hidden if cell is gru_cell else 0)


def init_cell(
    cell: CellFunction, key: jax.Array, inputs: int, hidden: int, forget_bias: jax.Array | float = 1.0
) -> Params:
    """First parameters: of each gate, W by Glorot & Bengio (2010), U orthogonal (Saxe et al. 2014), b = 0.

    Args:
        cell: `rnn_cell`, `lstm_cell` or `gru_cell`.
        key: PRNG key.
        inputs: channels of the signal.
        hidden: units.
        forget_bias: bias of the LSTM's forget gate, and of the GRU's update gate, which keep the past if they
            are open: with 1 or more, the past is kept at first (Jozefowicz et al. 2015). The RNN has none.

    Returns:
        float32: see `Params`.

    Raises:
        ValueError: if the cell is another, or a size is no positive int.
    """
    gates = parts_of("init_cell", cell).gates
    num_parameters(cell, inputs, hidden)  # checks the sizes
    input_key, hidden_key = jax.random.split(key)

    def columns(key, init, rows):
        keys = jax.random.split(key, len(gates))
        return jnp.concatenate([init(k, (rows, hidden), jnp.float32) for k in keys], -1)

    keeps = {"forget": forget_bias, "update": forget_bias}
    bias = [jnp.full(hidden, keeps.get(gate, 0.0), jnp.float32) for gate in gates]
    params = {
        "w_input": columns(input_key, xavier(), inputs),
        "w_hidden": columns(hidden_key, orthogonal(), hidden),
        "bias": jnp.concatenate(bias),
    }
    if cell is gru_cell:
        params["bias_hidden"] = jnp.zeros(hidden, jnp.float32)
    return params


def zero_state(cell: CellFunction, shape: Sequence[int], hidden: int, dtype: Any = jnp.float32) -> Any:
    """The state before anything is read: zeros, `[*shape, hidden]`.

    Args:
        cell: `rnn_cell`, `lstm_cell` or `gru_cell`.
        shape: of the batch; () for one signal.
        hidden: units.
        dtype: of the state.

    Raises:
        ValueError: if the cell is another.
    """
    kind = parts_of("zero_state", cell).state
    return kind(*(jnp.zeros((*shape, hidden), dtype) for _ in kind._fields))


def from_torch(cell: CellFunction, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> Params:
    """Parameters of a layer of `torch.nn.RNN`, `LSTM` or `GRU`, as this module has them.

    The gates stand in the same order; matrices are transposed, and biases added where only their sum
    matters (of a GRU, the last third of `bias_hh` is `bias_hidden`). The way back: transpose, `bias` for
    `bias_ih`, and for `bias_hh` zeros that end with `bias_hidden`.

    Args:
        cell: `rnn_cell`, `lstm_cell` or `gru_cell`.
        weight_ih: `weight_ih_l0`, `[gates · hidden, inputs]`, as anything that `jnp.asarray` takes.
        weight_hh: `weight_hh_l0`, `[gates · hidden, hidden]`.
        bias_ih: `bias_ih_l0`, `[gates · hidden]`.
        bias_hh: `bias_hh_l0`, `[gates · hidden]`.

    Raises:
        ValueError: if the cell is another, or the shapes are not those of such a layer.
    """
    gates = len(parts_of("from_torch", cell).gates)
    w_input, w_hidden, b_input, b_hidden = map(jnp.asarray, (weight_ih, weight_hh, bias_ih, bias_hh))
    width, hidden = w_hidden.shape
    shapes = w_input.shape, w_hidden.shape, b_input.shape, b_hidden.shape
    if width != gates * hidden or shapes[0][0] != width or any(s != (width,) for s in shapes[2:]):
        raise ValueError(
            f"from_torch: expected weights and biases of {gates} gates, [{gates} · hidden, …], got "
            f"{', '.join(map(str, shapes))}."
        )
    params = {"w_input": w_input.T, "w_hidden": w_hidden.T, "bias": b_input + b_hidden}
    if cell is gru_cell:
        last = jnp.arange(width) >= 2 * hidden
        params |= {"bias": b_input + jnp.where(last, 0, b_hidden), "bias_hidden": b_hidden[2 * hidden :]}
    return params
