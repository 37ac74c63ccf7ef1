"""How much of a loss's gradient reaches back through time (slide "Réseau récurrent": why LSTM and GRU)."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mi203jax.nn.cells import CellFunction, parts_of, zero_state
from mi203jax.nn.recurrent import check_signals


def state_gradients(
    cell: CellFunction,
    layers: Sequence[Any],
    xs: jax.Array,
    loss: Callable[[jax.Array, list[Any]], jax.Array],
) -> list[jax.Array]:
    """The norm of the loss's gradient with respect to the state after each step.

    It says how much of what is done at a step an optimiser could still hear of: where it vanishes (Hochreiter
    1991; Bengio et al. 1994), nothing is learnt from what was read there. The derivative is total: by the
    step's output, by the layers above, and by all later steps.

    Args:
        cell: `rnn_cell`, `lstm_cell` or `gru_cell`.
        layers: parameters of each layer, each of which reads the outputs of the one below.
        xs: `[..., time, inputs]`.
        loss: (outputs of the last layer `[..., time, hidden]`, each layer's state after the last step) ->
            costs of any shape, whose sum is differentiated; of signals in a batch, one each. Of padded
            signals, take what stands at their own ends (`last_output`): after these, norms are 0.

    Returns:
        For each layer, the norm over all numbers of its state, h and an LSTM's c, `[..., time]`. (Of c, what
        comes by the same step's h is counted at h.)

    Raises:
        ValueError: if the cell is another, there is no layer, or `xs` are no signals.
    """
    parts_of("state_gradients", cell)
    if not layers:
        raise ValueError("state_gradients: expected at least one layer.")
    batch, time = check_signals("state_gradients", xs)
    start = [
        zero_state(cell, batch, p["w_hidden"].shape[0], jnp.result_type(xs, p["w_hidden"])) for p in layers
    ]

    def total(nudges):
        def step(states, now):
            x, nudge = now
            new = []
            for params, state, more in zip(layers, states, nudge, strict=True):
                new.append(jax.tree.map(jnp.add, cell(params, state, x), more))
                x = new[-1].h
            return new, x

        end, outputs = lax.scan(step, start, (jnp.moveaxis(xs, -2, 0), nudges))
        return loss(jnp.moveaxis(outputs, 0, -2), end).sum()

    nudges = jax.tree.map(lambda s: jnp.zeros((time, *s.shape), s.dtype), start)
    gradients = jax.grad(total)(nudges)  # by what is added to a state: by the state
    return [jnp.moveaxis(_norm(state), 0, -1) for state in gradients]


def _norm(state: Any) -> jax.Array:
    """`[time, ..., hidden]` each -> `[time, ...]`, without squares that are too small for floats."""
    numbers = jnp.concatenate(jax.tree.leaves(state), -1)
    largest = jnp.abs(numbers).max(-1, keepdims=True)
    scale = jnp.where(largest > 0, largest, 1)
    return scale[..., 0] * jnp.linalg.norm(numbers / scale, axis=-1)
