"""A model of a text: the probability of each next character (slide "Réseau récurrent").

What is drawn by its probability and read in turn is a text of the model's own (Graves 2013).
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mi203jax import losses, models
from mi203jax.arguments import check_int
from mi203jax.configs import Characters
from mi203jax.core.errors import UsageError
from mi203jax.core.task import Figure, Mean, Metrics
from mi203jax.data import text
from mi203jax.data.feed import Arrays, Data
from mi203jax.models.layers import Dense, Dropout
from mi203jax.nn import CELLS, zero_state
from mi203jax.nn.initializers import xavier
from mi203jax.tasks.characters_figures import Passage, Written, figures
from mi203jax.tasks.supervised import Problem, State, supervised_task

PASSAGE = 480
"""Characters that figures show the model reading."""
COUNTED = {"unigram_bits": 1, "bigram_bits": 2, "five_gram_bits": 5}
"""Metrics of what counting reaches, and the characters that are counted together."""


class Read(NamedTuple):
    """What the network makes of some characters."""

    scores: jax.Array  # of the next character, after each, [..., time, codes]
    states: Any  # of the layers after the last


class NextCharacter(nn.Module):
    """Recurrent layers, then scores of the next character at each step.

    Attributes:
        outputs: number of scores.
        recurrent: the layers.
        dropout: part of their outputs that is dropped while training; may be traced.
    """

    outputs: int
    recurrent: models.Recurrent
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False, states: Any = None) -> Read:
        """Reads characters `[batch, time, codes]`, from the layers' states or from the beginning.

        The outputs of the layers, `[batch, time, hidden]`, are kept in the collection "features" for whoever
        makes it mutable.
        """
        outputs, states = self.recurrent(x, None, states)
        self.sow("features", "outputs", outputs)
        outputs = Dropout(self.dropout)(outputs, train)
        return Read(Dense(self.outputs, kernel_init=xavier())(outputs), states)


# ---- data ----


def data(c: Characters) -> Data:
    """Windows of the text, and the part that is judged on in pieces.

    Raises:
        UsageError: if there is no such text, or it is too short, or does not hold the prompt's characters.
    """
    parts = corpus(c)
    missing = sorted(set(c.prompt) - set(parts.alphabet))
    if missing:
        raise UsageError(f"prompt={c.prompt!r}: the text that is learnt from has no {missing[0]!r}.")
    return _data(_parts(c), c.length)


def _parts(c: Characters) -> tuple[str, float, str]:
    return c.text, c.held_out, c.eval_part


def corpus(c: Characters) -> text.Corpus:
    """The configuration's text in two parts.

    Raises:
        UsageError: if there is no such text, or it is too short.
    """
    found = _corpus(_parts(c))
    if len(found.train) <= c.length:
        raise UsageError(
            f"length={c.length} is too long for a text of which {len(found.train):,} characters are learnt "
            "from: expected fewer than these."
        )
    return found


@functools.lru_cache(maxsize=8)
def _corpus(parts: tuple[str, float, str]) -> text.Corpus:
    path, held_out, eval_part = parts
    whole = text.read_text(path) if path else text.licence_text()
    number = max(1, round(held_out * len(whole)))
    end = len(whole) - (number if eval_part == "validation" else 0)
    if end - number < 1:
        raise UsageError(
            f"text={path} has {len(whole)} characters: with held_out={held_out}, none is left to learn from."
        )
    return text.corpus(whole, end - number, end)


@functools.lru_cache(maxsize=8)
def _data(parts: tuple[str, float, str], length: int) -> Data:
    found = _corpus(parts)
    bits = {name: jnp.float32(text.ngram_bits(found, order)) for name, order in COUNTED.items()}
    test = jax.tree.map(jnp.asarray, text.pieces(found))
    return Data(text.TextWindows(jnp.asarray(found.train), length), test, bits)


# ---- the problem ----


def network(c: Characters, data: Data) -> NextCharacter:
    """The network of the configuration, without its parameters. The last score is of unknown characters."""
    del data
    recurrent = models.Recurrent(
        c.cell, c.hidden, c.layers, forget_bias=c.forget_bias, checkpoint=c.checkpoint
    )
    return NextCharacter(len(corpus(c).alphabet) + 1, recurrent, c.dropout)


def prepare(c: Characters, batch: Arrays, statistics: Any, key: jax.Array | None = None) -> Arrays:
    """The characters that are read, "x" `[batch, time, codes]`, and after each the next, "target"."""
    del statistics, key
    codes = batch["codes"]
    return {"x": one_hot(c, codes[:, :-1]), "target": codes[:, 1:]}


def one_hot(c: Characters, codes: jax.Array) -> jax.Array:
    """Codes `[...]` as the network reads them, `[..., codes]`, float32."""
    return jax.nn.one_hot(codes, len(corpus(c).alphabet) + 1, dtype=jnp.float32)


def loss(c: Characters, read: Read, batch: Arrays) -> jax.Array:
    """The mean cost of a window's characters in nats, `[batch]`."""
    del c
    return losses.softmax_cross_entropy(read.scores, batch["target"]).mean(-1)


def measure(c: Characters, read: Read, batch: Arrays) -> dict[str, jax.Array]:
    """Of each window: bits a character, and the share of those that were the most probable."""
    right = read.scores.argmax(-1) == batch["target"]
    return {"bits": loss(c, read, batch) / math.log(2), "accuracy": right.mean(-1)}


def evaluate(c: Characters, state: State, data: Data) -> Metrics:
    """What each character costs that is judged, read once from the beginning to the end."""
    judged = data.test["judged"]

    def judge(read: Read, outputs: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        del outputs
        return losses.softmax_cross_entropy(read.scores, target), read.scores.argmax(-1) == target

    costs, right = stream(judge, c, state, data, data.test["codes"])

    def mean(values: jax.Array) -> Mean:
        return Mean(values.sum(where=judged, dtype=jnp.float32), judged.sum(dtype=jnp.float32))

    return {
        "loss": mean(costs),
        "bits": mean(costs / math.log(2)),
        "accuracy": mean(right),
        **state.statistics,
    }


def stream(
    f: Callable[[Read, jax.Array, jax.Array], Any], c: Characters, state: State, data: Data, pieces: jax.Array
) -> Any:
    """Reads pieces of a text one after the other; the layers go on from the states in which they were.

    Args:
        f: (what the network makes of a piece, its layers' outputs `[time, hidden]`, the next characters
            `[time]`) -> what is kept of it, without the batch axis.
        c: the configuration.
        state: after the run, or in it.
        data: of the configuration.
        pieces: codes `[pieces, time + 1]`; a piece begins with the last character of the one before.

    Returns:
        What was kept, `[pieces, ...]`.
    """
    reader = network(c, data)
    variables = {"params": state.params, **state.layers}
    first = [zero_state(CELLS[c.cell], (1,), c.hidden)] * c.layers

    def one(states, codes):
        batch = prepare(c, {"codes": codes[None]}, state.statistics)
        read, kept = reader.apply(variables, batch["x"], states=states, mutable=["features"])
        (outputs,) = kept["features"]["outputs"]
        return read.states, f(jax.tree.map(lambda v: v[0], read), outputs[0], batch["target"][0])

    return lax.scan(one, first, pieces)[1]


# ---- a text of its own ----


class Sampled(NamedTuple):
    """A text that was drawn."""

    codes: jax.Array  # [length], int32
    scores: jax.Array  # from which each was drawn, [length, codes]


def sample(
    read: Callable[[jax.Array, Any], Read], key: jax.Array, prompt: jax.Array, length: int, temperature: Any
) -> Sampled:
    """Draws a text, each character by its probability after those before: softmax(scores / temperature).

    A longer text of the same key begins with the shorter one.

    Args:
        read: (codes `[time]`, states or None) -> scores `[time, codes]`, and the states after the last.
        key: PRNG key.
        prompt: what is read first, `[time]`, integers, one or more.
        length: characters that are drawn; static.
        temperature: above 0, a scalar, which may be traced. Near 0 the most probable character is taken.

    Returns:
        The text, without the prompt.

    Raises:
        ValueError: if the prompt is empty, or the length no positive int.
    """
    check_int("sample", "length", length)
    if prompt.ndim != 1 or not len(prompt):
        raise ValueError(f"sample: expected a prompt [time] of one code or more, got shape {prompt.shape}.")
    scores, states = read(prompt, None)

    def draw(carry, number):
        scores, states = carry
        # The largest at 0: divided by however small a temperature, it stays finite.
        logits = (scores - scores.max()) / temperature
        code = jax.random.categorical(jax.random.fold_in(key, number), logits).astype(jnp.int32)
        after, states = read(code[None], states)
        return (after[-1], states), Sampled(code, scores)

    return lax.scan(draw, (scores[-1], states), jnp.arange(length))[1]


def sample_text(
    c: Characters, state: State, data: Data, key: jax.Array, temperature: Any
) -> tuple[jax.Array, Sampled]:
    """Draws a text by the trained network; may be traced.

    Returns:
        The codes that it was given to begin with, and the text. Unknown characters are never drawn.
    """
    reader = network(c, data)
    variables = {"params": state.params, **state.layers}
    first_key, key = jax.random.split(key)
    if c.prompt:
        prompt = jnp.asarray(text.encode(c.prompt, corpus(c).alphabet))
    else:
        assert isinstance(data.train, text.TextWindows)
        prompt = jax.random.choice(first_key, data.train.codes, (1,))

    def read(codes: jax.Array, states: Any) -> Read:
        found: Any = reader.apply(variables, one_hot(c, codes)[None], states=states)
        return Read(found.scores[0, :, :-1], found.states)

    return prompt, sample(read, key, prompt, c.sampled, temperature)


problem = Problem(data, network, prepare, loss, measure)


def passage(c: Characters, state: State, data: Data) -> Passage:
    """The first characters of the part that is judged on, as the model reads them."""
    size = data.test["judged"].shape[1]
    some = {name: values[: 2 + PASSAGE // size] for name, values in data.test.items()}
    read = functools.partial(stream, lambda read, outputs, target: (target, read.scores, outputs))
    kept = jax.jit(functools.partial(read, c))(state, data, some["codes"])
    judged = np.asarray(some["judged"])
    return Passage(*(np.asarray(values)[judged][:PASSAGE] for values in kept))


def samples(c: Characters, state: State, data: Data) -> list[Written]:
    """Texts at the configuration's temperature, at half and at twice as much, of the same random numbers."""
    temperatures = jnp.asarray(c.temperature, jnp.float32) * jnp.array([0.5, 1.0, 2.0])
    key = jax.random.fold_in(state.keys.order, 1)
    draw = jax.jit(jax.vmap(lambda temperature: sample_text(c, state, data, key, temperature)))
    alphabet = corpus(c).alphabet
    prompts, drawn = jax.device_get(draw(temperatures))
    return [
        Written(float(temperature), text.decode(prompt, alphabet), text.decode(codes, alphabet), scores)
        for temperature, prompt, codes, scores in zip(temperatures, prompts, *drawn, strict=True)
    ]


def figures_of(c: Characters, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained model."""
    part = {"held_out": "the held-out text", "validation": "the text for tuning"}[c.eval_part]
    read, written = passage(c, state, data), samples(c, state, data)
    return figures(read, written, corpus(c).alphabet, part)


task = supervised_task(problem, figures_of, objective="bits", best="min")._replace(
    evaluate=evaluate, beside=tuple(f"eval/{name}" for name in COUNTED)
)
