"""Problems that ask how far back a network remembers (slide "Réseau récurrent").

Each is a pure function of a key, so that training examples are endless and made within a compiled step.
The longer the signals, the longer something must be kept that is of no use in between.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from mi203jax.arguments import check_int

TOLERANCE = 0.04
"""Error below which a sum counts as right (Hochreiter & Schmidhuber 1997)."""
MEAN_PREDICTOR = 1 / 6
"""Squared error of 1, the mean of the sums, whatever the length: 2 · 1/12, the variance of two uniforms."""


def adding_problem(key: jax.Array, batch: int, length: int) -> dict[str, jax.Array]:
    """Random numbers of which two are marked, and the sum of these two (Hochreiter & Schmidhuber 1997).

    The form that is common since Le et al. (2015): one mark in each half of the signal, anywhere in it (of an
    odd length, the second half is the longer one), and nothing special at the ends. Who answers 1 without
    looking has a mean squared error of `MEAN_PREDICTOR`, 1/6; who sees the second number only, 1/12.

    Args:
        key: random key.
        batch: number of signals, static.
        length: steps of a signal, at least 2, static.

    Returns:
        "inputs" `[batch, length, 2]`, float32: numbers in [0, 1), and marks, 1 at two steps and else 0; and
        "target" `[batch]`, float32: the sum.

    Raises:
        ValueError: if `batch` or `length` is no positive int, or `length` is 1.
    """
    check_int("adding_problem", "batch", batch)
    check_int("adding_problem", "length", length)
    if length < 2:
        raise ValueError(f"adding_problem: expected a length of at least 2, for two marks, got {length}.")
    values_key, first_key, second_key = jax.random.split(key, 3)
    half = length // 2
    values = jax.random.uniform(values_key, (batch, length), jnp.float32)
    first = jax.random.randint(first_key, (batch, 1), 0, half)
    second = jax.random.randint(second_key, (batch, 1), half, length)
    steps = jnp.arange(length)[None]
    marks = ((steps == first) | (steps == second)).astype(jnp.float32)
    return {"inputs": jnp.stack([values, marks], -1), "target": (values * marks).sum(-1)}


def copy_task(
    key: jax.Array, batch: int, length: int, symbols: int = 10, alphabet: int = 8
) -> dict[str, jax.Array]:
    """Random symbols that are to be written down again after a wait (Arjovsky et al. 2016).

    The input is `symbols` symbols, `length` − 1 blanks, a delimiter, and `symbols` blanks; the target is
    blanks but for the last `symbols` steps, which are the first ones again: `length` + `symbols` steps lie
    between a symbol and its recall. See `copy_baseline` for who remembers nothing. (The idea is Hochreiter
    & Schmidhuber's, 1997.)

    Args:
        key: random key.
        batch: number of signals, static.
        length: of the wait, T in the paper, static.
        symbols: how many are to be remembered, static.
        alphabet: how many symbols there are, static.

    Returns:
        "inputs" and "target", `[batch, length + 2 · symbols]`, int32: a symbol from 0 on; `alphabet`, the
        blank; of inputs also `alphabet` + 1, the delimiter.

    Raises:
        ValueError: if an argument is no positive int.
    """
    sizes = {"batch": batch, "length": length, "symbols": symbols, "alphabet": alphabet}
    for name, value in sizes.items():
        check_int("copy_task", name, value)
    shown = jax.random.randint(key, (batch, symbols), 0, alphabet, jnp.int32)
    blanks = jnp.full((batch, length + symbols), alphabet, jnp.int32)
    return {
        "inputs": jnp.concatenate([shown, blanks.at[:, length - 1].set(alphabet + 1)], 1),
        "target": jnp.concatenate([blanks, shown], 1),
    }


def copy_baseline(length: int, symbols: int = 10, alphabet: int = 8) -> float:
    """Mean cross entropy over the steps of `copy_task`, in nats, of who knows the time but no symbol.

    symbols · ln(alphabet) / (length + 2 · symbols): blanks are sure, and each recall is a guess.
    """
    return symbols * math.log(alphabet) / (length + 2 * symbols)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Made:
    """Training examples that are made as they are asked for: none comes twice.

    Attributes:
        make: (key, batch size) -> examples, name -> `[batch, ...]`; static.
    """

    make: Callable[[jax.Array, int], dict[str, jax.Array]] = field(metadata={"static": True})

    def batch(self, key: jax.Array, t: jax.Array, batch_size: int) -> dict[str, jax.Array]:
        """The examples of step t: name -> `[batch_size, ...]`."""
        return self.make(jax.random.fold_in(key, t), batch_size)
