"""How recurrent cells read signals of any length (slide "Réseau récurrent")."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mi203jax.arguments import check_int
from mi203jax.nn.cells import (
    PARTS,
    CellFunction,
    Params,
    check_widths,
    hidden_bias,
    parts_of,
    products,
    wide,
    zero_state,
)
from mi203jax.sequences import check_lengths, time_mask

SEGMENT = 10
"""Steps whose input products stand in the cache together."""


def unroll(
    cell: CellFunction,
    params: Any,
    xs: jax.Array,
    lengths: jax.Array | None = None,
    state: Any = None,
    *,
    reverse: bool = False,
    checkpoint: int | None = None,
) -> tuple[jax.Array, Any]:
    """Reads signals from their beginnings to their ends, by `lax.scan`.

    A signal's state stops at its end: what stands in `xs` from there on, were it NaN, changes no result
    and no gradient. Given the state in which a piece of a signal ended, the next piece goes on as if
    both were one: so signals without an end are read.

    The course's cells get the products of the inputs for several steps at once, before these, and have
    a backward pass of their own, which takes the gradient of U in products as large. So they have no
    forward-mode derivative; for that (`jax.jvp`, `jax.jacfwd`) pass `lambda p, s, x: lstm_cell(p, s, x)`.

    Args:
        cell: `rnn_cell`, `lstm_cell`, `gru_cell`, or any function (params, state, x `[..., inputs]`) -> the
            next state, a NamedTuple of arrays `[..., features]` whose field `h` is the output.
        params: of the cell.
        xs: `[..., time, inputs]`, time from 1 on.
        lengths: of the signals, `[...]`, integers from 1 to time; None: all as long as the array. Traced
            lengths are not checked: below 1 nothing is read, above time all of it.
        state: in which to begin, arrays `[..., features]`; None: zeros, for the course's cells.
        reverse: read from the ends to the beginnings.
        checkpoint: steps in a segment whose inside is computed again in the backward pass: only the states
            between segments are kept. Memory is least with √time. None: everything is kept.

    Returns:
        The outputs `[..., time, hidden]`, zeros from each signal's end on; and the state after the last step.

    Raises:
        ValueError: if the shapes do not fit, or lengths are not whole numbers from 1 to time.
    """
    batch, time = check_signals("unroll", xs, lengths)
    state = _first_state("unroll", cell, params, xs, state)
    xs = jnp.moveaxis(xs, -2, 0)
    segment = _segment_length(time, checkpoint)
    rest = -time % segment
    mask = None
    if lengths is not None or rest:
        full = jnp.full(batch, time) if lengths is None else jnp.asarray(lengths)
        mask = jnp.moveaxis(time_mask(full, time), -1, 0)[..., None]
        xs = jnp.where(mask, xs, jnp.zeros_like(xs))  # NaN times 0 would be NaN in the gradient
        xs, mask = (jnp.pad(v, [(0, rest)] + [(0, 0)] * (v.ndim - 1)) for v in (xs, mask))
    read: Callable = functools.partial(_read_fast if cell in PARTS else _read, cell, reverse, params)
    if checkpoint is not None:
        read = jax.checkpoint(read)
    parts = jax.tree.map(lambda v: v.reshape(len(v) // segment, segment, *v.shape[1:]), (xs, mask))
    state, outputs = lax.scan(read, state, parts, reverse=reverse)
    outputs = outputs.reshape(time + rest, *outputs.shape[2:])[:time]
    return jnp.moveaxis(outputs, 0, -2), state


def check_signals(function: str, xs: jax.Array, lengths: Any = None) -> tuple[tuple[int, ...], int]:
    """The batch's shape and the time of signals `[..., time, inputs]`; refuses others, with a ValueError."""
    if xs.ndim < 2 or not xs.shape[-2] or not jnp.issubdtype(xs.dtype, jnp.floating):
        raise ValueError(
            f"{function}: expected floating signals [..., time, inputs], got {xs.dtype} of shape {xs.shape}."
        )
    *batch, time, _ = xs.shape
    if lengths is not None:
        check_lengths(function, lengths, tuple(batch), time)
    return tuple(batch), time


def _first_state(function: str, cell: CellFunction, params: Any, xs: jax.Array, state: Any) -> Any:
    """The given one, or zeros; checked against the signals."""
    batch = xs.shape[:-2]
    if state is None:
        parts_of(f"{function} without a state", cell)
        w = params["w_hidden"]
        state = zero_state(cell, batch, w.shape[0], jnp.result_type(xs, w))
    if cell in PARTS:
        check_widths(cell, params, state, xs)
    for v in jax.tree.leaves(state):
        if v.shape[:-1] != batch:
            raise ValueError(
                f"{function}: expected a state with the signals' leading axes {batch}, got shape {v.shape}."
            )
    return state


def _segment_length(time: int, checkpoint: int | None) -> int:
    """Of the asked length, or such that segments fit into the array and their products into the cache."""
    if checkpoint is not None:
        check_int("unroll", "checkpoint", checkpoint)
        return min(checkpoint, time)
    divisors = [n for n in range(SEGMENT // 2, 2 * SEGMENT + 1) if time % n == 0]
    return min(divisors, key=lambda n: abs(n - SEGMENT), default=time)


def _read(cell: CellFunction, reverse: bool, params: Any, state: Any, part: Any) -> tuple[Any, jax.Array]:
    """A segment, by any cell: state, (xs `[steps, ...]`, mask or None) -> state, outputs."""

    def step(state, now):
        x, mask = now
        new = cell(params, state, x)
        if mask is None:
            return new, new.h
        new = jax.tree.map(lambda new, old: jnp.where(mask, new, old), new, state)
        return new, jnp.where(mask, new.h, jnp.zeros_like(new.h))

    return lax.scan(step, state, part, reverse=reverse)


def _read_fast(
    cell: CellFunction, reverse: bool, params: Any, state: Any, part: Any
) -> tuple[Any, jax.Array]:
    """A segment, by one of the course's cells, as `_read`."""
    xs, mask = part
    a = xs @ params["w_input"]
    a = a + wide(params["bias"], a)
    w, bias = (v.astype(state.h.dtype) for v in (params["w_hidden"], hidden_bias(params)))
    return _recur(cell, reverse, state, a, w, bias, mask)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recur(cell, reverse, state, xs_w, w, bias, mask):
    return _recur_forward(cell, reverse, state, xs_w, w, bias, mask)[0]


def _recur_forward(cell, reverse, state, xs_w, w, bias, mask):
    forward = PARTS[cell].forward

    def step(state, now):
        a, mask = now
        q = state.h @ w
        new, slopes, _ = forward(state, a, q + wide(bias, q))
        output = new.h
        if mask is not None:
            new = jax.tree.map(lambda new, old: jnp.where(mask, new, old), new, state)
            output = jnp.where(mask, new.h, jnp.zeros_like(new.h))
        return new, (output, slopes, state.h)

    state, (outputs, slopes, before) = lax.scan(step, state, (xs_w, mask), reverse=reverse)
    return (state, outputs), (slopes, before, w, mask)


def _recur_backward(cell, reverse, kept, gradients):
    slopes, before, w, mask = kept
    backward = PARTS[cell].backward

    def step(d, now):
        d_output, slopes, mask = now
        d_new = d._replace(h=d.h + d_output)
        if mask is None:
            da, dq, d_old = backward(d_new, slopes)
        else:
            d_new = jax.tree.map(lambda d: jnp.where(mask, d, jnp.zeros_like(d)), d_new)
            da, dq, d_old = backward(d_new, slopes)
            d_old = jax.tree.map(lambda old, d: old + jnp.where(mask, jnp.zeros_like(d), d), d_old, d)
        # Stored once where they are one.
        return d_old._replace(h=d_old.h + dq @ w.T), (da,) if dq is da else (da, dq)

    d_state, stored = lax.scan(step, gradients[0], (gradients[1], slopes, mask), reverse=not reverse)
    da, dq = stored[0], stored[-1]
    rows = before.reshape(-1, before.shape[-1]), dq.reshape(-1, dq.shape[-1])
    return d_state, da, rows[0].T @ rows[1], rows[1].sum(0), None


_recur.defvjp(_recur_forward, _recur_backward)


def unroll_bidirectional(
    cell: CellFunction,
    params: tuple[Any, Any],
    xs: jax.Array,
    lengths: jax.Array | None = None,
    **kwargs: Any,
) -> tuple[jax.Array, tuple[Any, Any]]:
    """Reads signals by two cells, one from the beginning and one from the end (Schuster & Paliwal 1997).

    Args:
        cell: as in `unroll`.
        params: of the cell that reads forwards, and of the one that reads backwards.
        xs: `[..., time, inputs]`.
        lengths: `[...]`; as in `unroll`.
        **kwargs: `checkpoint`, as in `unroll`.

    Returns:
        The outputs of both at each moment, `[..., time, 2 · hidden]`; and the state of each after its last
        step, which for the second is the signal's first.

    Raises:
        ValueError: as `unroll`.
    """
    forward, first = unroll(cell, params[0], xs, lengths, **kwargs)
    backward, second = unroll(cell, params[1], xs, lengths, reverse=True, **kwargs)
    return jnp.concatenate([forward, backward], -1), (first, second)


def unroll_stack(
    cell: CellFunction,
    layers: Sequence[Any],
    xs: jax.Array,
    lengths: jax.Array | None = None,
    states: Sequence[Any] | None = None,
    **kwargs: Any,
) -> tuple[jax.Array, list[Any]]:
    """Reads signals by layers of cells, each of which reads the outputs of the one below.

    Args:
        cell: as in `unroll`.
        layers: parameters of each layer; a tuple of two makes the layer bidirectional.
        xs: `[..., time, inputs]`.
        lengths: `[...]`; as in `unroll`.
        states: in which the layers begin; None: zeros. Bidirectional layers take none: they have read to both
            ends.
        **kwargs: `checkpoint`, as in `unroll`.

    Returns:
        The outputs of the last layer, `[..., time, features]`; and the state of each layer.

    Raises:
        ValueError: as `unroll`; or if there is no layer, or states are given to bidirectional layers or to
            another number of them.
    """
    if not layers or (states is not None and len(states) != len(layers)):
        raise ValueError(
            f"unroll_stack: expected at least one layer and a state for each, got {len(layers)} layers and "
            f"{'no' if states is None else len(states)} states."
        )
    ends = []
    for number, params in enumerate(layers):
        if isinstance(params, tuple):
            if states is not None:
                raise ValueError("unroll_stack: expected no states, since a layer is bidirectional.")
            xs, end = unroll_bidirectional(cell, params, xs, lengths, **kwargs)
        else:
            begin = None if states is None else states[number]
            xs, end = unroll(cell, params, xs, lengths, begin, **kwargs)
        ends.append(end)
    return xs, ends


def unroll_gates(
    cell: CellFunction, params: Params, xs: jax.Array, state: Any = None
) -> tuple[Any, dict[str, jax.Array]]:
    """What a cell does inside while it reads signals, to be looked at.

    Args:
        cell: `rnn_cell`, `lstm_cell` or `gru_cell`.
        params: of the cell.
        xs: `[..., time, inputs]`.
        state: in which to begin; None: zeros.

    Returns:
        The states after each step, and each gate by its name (see `gate_names`), `[..., time, hidden]`.

    Raises:
        ValueError: if the cell is another, or the shapes do not fit.
    """
    parts = parts_of("unroll_gates", cell)
    check_signals("unroll_gates", xs)
    state = _first_state("unroll_gates", cell, params, xs, state)

    def step(state, x):
        state, _, gates = parts.forward(state, *products(params, state, x))
        return state, (state, gates)

    _, seen = lax.scan(step, state, jnp.moveaxis(xs, -2, 0))
    states, gates = jax.tree.map(lambda v: jnp.moveaxis(v, 0, -2), seen)
    return states, dict(zip(parts.gates, gates, strict=True))


# ---- one vector of each signal ----


def last_output(outputs: jax.Array, lengths: jax.Array | None = None) -> jax.Array:
    """The output at each signal's end: `[..., time, features]` -> `[..., features]`."""
    if lengths is None:
        return outputs[..., -1, :]
    check_lengths("last_output", lengths, outputs.shape[:-2], outputs.shape[-2])
    where = jnp.asarray(lengths)[..., None, None] - 1
    return jnp.take_along_axis(outputs, where, -2)[..., 0, :]


def mean_output(outputs: jax.Array, lengths: jax.Array | None = None) -> jax.Array:
    """The mean of the outputs within each signal: `[..., time, features]` -> `[..., features]`."""
    return attention_output(outputs, jnp.zeros(outputs.shape[:-1], outputs.dtype), lengths)


def attention_output(outputs: jax.Array, scores: jax.Array, lengths: jax.Array | None = None) -> jax.Array:
    """The mean of the outputs within each signal, weighted by the softmax of scores (Bahdanau et al. 2015).

    Args:
        outputs: `[..., time, features]`.
        scores: of each moment, `[..., time]`.
        lengths: `[...]`, at least 1; None: all as long as the array.

    Returns:
        `[..., features]`.
    """
    if lengths is not None:
        check_lengths("attention_output", lengths, outputs.shape[:-2], outputs.shape[-2])
    mask = None if lengths is None else time_mask(jnp.asarray(lengths), outputs.shape[-2])
    weights = jax.nn.softmax(scores, -1, where=mask)
    if mask is not None:  # a weight of 0 would not stop what is not finite
        outputs = jnp.where(mask[..., None], outputs, jnp.zeros_like(outputs))
    return (weights[..., None, :] @ outputs)[..., 0, :]
