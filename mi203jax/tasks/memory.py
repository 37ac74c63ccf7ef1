"""How far recurrent cells remember: the adding problem, and copying (slide "Réseau récurrent")."""

import functools
from dataclasses import replace
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mi203jax import losses
from mi203jax.configs import Memory
from mi203jax.core.task import Figure, Metrics
from mi203jax.data.feed import Arrays, Data
from mi203jax.data.remembering import (
    MEAN_PREDICTOR,
    TOLERANCE,
    Made,
    adding_problem,
    copy_baseline,
    copy_task,
)
from mi203jax.models import Recurrent
from mi203jax.models.layers import Dense
from mi203jax.nn import CELLS, last_output, state_gradients
from mi203jax.nn.initializers import xavier
from mi203jax.tasks import supervised
from mi203jax.tasks.memory_figures import DIFFERENTIATED, SHOWN, Flows, figures
from mi203jax.tasks.supervised import Problem, State, means, supervised_task

_JUDGED = 1  # seed of the examples that are judged


class Reader(nn.Module):
    """Recurrent layers, and scores of their last output, or of each.

    Attributes:
        outputs: number of scores.
        recurrent: the layers.
        each: whether every step is scored, or the last alone.
    """

    outputs: int
    recurrent: Recurrent
    each: bool = False

    def setup(self) -> None:
        """The layer behind the cells."""
        self.head = Dense(self.outputs, kernel_init=xavier())

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, time, inputs]` -> scores `[batch, outputs]`, or `[batch, time, outputs]`."""
        del train
        outputs, _ = self.recurrent(x)
        return self.score(outputs)

    def score(self, outputs: jax.Array) -> jax.Array:
        """The cells' outputs `[batch, time, hidden]` -> scores."""
        return self.head(outputs if self.each else last_output(outputs))


def data(c: Memory) -> Data:
    """Examples, made in the step for training, and once for judging."""
    if c.problem == "adding":
        return _made(adding_problem, (("length", c.length),), c.eval_examples)
    sizes = (("length", c.length), ("symbols", c.symbols), ("alphabet", c.alphabet))
    return _made(copy_task, sizes, c.eval_examples)


@functools.lru_cache(maxsize=16)
def _made(problem: Any, sizes: tuple[tuple[str, int], ...], number: int) -> Data:
    def make(key, batch):
        return problem(key, batch, **dict(sizes))

    return Data(Made(make), make(jax.random.key(_JUDGED), number), ())


def network(c: Memory, data: Data | None = None) -> Reader:
    """The network of the configuration, without its parameters."""
    del data
    layers = Recurrent(c.cell, c.hidden, c.layers, forget_bias=c.forget_bias, checkpoint=c.checkpoint)
    if c.problem == "adding":
        return Reader(1, layers)
    return Reader(c.alphabet + 1, layers, each=True)


def prepare(c: Memory, batch: Arrays, statistics: Any = (), key: jax.Array | None = None) -> Arrays:
    """The batch with the network's input "x", `[batch, time, channels]`: symbols become unit vectors."""
    del statistics, key
    x = batch["inputs"]
    return {**batch, "x": x if c.problem == "adding" else jax.nn.one_hot(x, c.alphabet + 2)}


def loss(c: Memory, scores: jax.Array, batch: Arrays) -> jax.Array:
    """Costs `[batch]`: of a sum its squared error, of a copy the mean cross entropy of all steps."""
    if c.problem == "adding":
        return (scores[:, 0] - batch["target"]) ** 2
    return losses.softmax_cross_entropy(scores, batch["target"]).mean(-1)


def measure(c: Memory, scores: jax.Array, batch: Arrays) -> dict[str, jax.Array]:
    """Whether a sum is right, within `TOLERANCE`; of the recalled symbols, which are, and their cost."""
    if c.problem == "adding":
        return {"right": jnp.abs(scores[:, 0] - batch["target"]) < TOLERANCE}
    scores, target = scores[:, -c.symbols :], batch["target"][:, -c.symbols :]
    right = (scores.argmax(-1) == target).mean(-1, dtype=jnp.float32)
    return {"accuracy": right, "recall_loss": losses.softmax_cross_entropy(scores, target).mean(-1)}


def summarize(c: Memory, judged: Arrays, examples: Arrays) -> Metrics:
    """The means, beside the loss of the best predictor without a memory."""
    del examples
    return {**means(judged), "baseline": jnp.float32(baseline(c))}


def baseline(c: Memory) -> float:
    """The loss of the best predictor that remembers nothing."""
    return MEAN_PREDICTOR if c.problem == "adding" else copy_baseline(c.length, c.symbols, c.alphabet)


def init(c: Memory, data: Data, key: jax.Array) -> State:
    """The network before any training, and its optimiser; an LSTM's gates by chrono initialisation, if asked.

    What enters a memory that lasts for T steps should be of size 1/T, so that the sum of all fits: the input
    gate begins as far closed as the forget gate is open (Tallec & Ollivier 2018; there each unit has the
    logarithm of a uniform draw, here all have one number). A GRU's two are one gate, so it always has that.
    """
    state = supervised.init(problem, c, data, key)
    if c.cell != "lstm" or not c.chrono:
        return state
    layers = {  # the input gate's columns are the first
        name: {**layer, "bias": layer["bias"].at[: c.hidden].set(-c.forget_bias)}
        for name, layer in state.params["recurrent"].items()
    }
    return state._replace(params={**state.params, "recurrent": layers})


problem = Problem(data, network, prepare, loss, measure, summarize=summarize)


def gradients(c: Memory, state: State, batch: Arrays) -> jax.Array:
    """The norm of each example's gradient with respect to the network's state after each step.

    Of a sum, it is its cost's; of a copy, that of the recalled symbols alone, since a step's own cost would
    hide what comes from later ones.

    Args:
        c: the configuration.
        state: before or after training.
        batch: examples.

    Returns:
        `[batch, time]`; of several layers, of all their states together.
    """
    batch, reader = prepare(c, batch), network(c)

    def cost(outputs, _):
        scores = cast(jax.Array, reader.apply({"params": state.params}, outputs, method="score"))
        return loss(c, scores, batch) if c.problem == "adding" else measure(c, scores, batch)["recall_loss"]

    layers = [state.params["recurrent"][f"layer{number}"] for number in range(c.layers)]
    return functools.reduce(jnp.hypot, state_gradients(CELLS[c.cell], layers, batch["x"], cost))


def figures_of(c: Memory, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained network."""
    scores = supervised.predict(problem, c, state, data, prepare(c, some(data, SHOWN))["x"])
    return figures(c, scores, some(data, SHOWN), flows(c, state, data), baseline(c))


def some(data: Data, number: int) -> Arrays:
    """The first of the judged examples."""
    return {name: values[:number] for name, values in data.test.items()}


def flows(c: Memory, state: State, data: Data) -> Flows:
    """How the gradient fades in the trained network, as it was before, and in the other cells untrained."""
    batch = some(data, DIFFERENTIATED)
    own = {cell: replace(c, cell=cast(Any, cell)) for cell in CELLS}
    norms = {cell: jax.jit(functools.partial(gradients, other)) for cell, other in own.items()}

    def untrained(cell):  # as the run began
        return jax.jit(functools.partial(init, own[cell]))(data, jax.random.key(c.seed))

    return Flows(
        np.asarray(norms[c.cell](state, batch)),
        {cell: np.asarray(norms[cell](untrained(cell), batch)) for cell in CELLS},
    )


task = supervised_task(problem, figures_of, objective="loss", best="min")._replace(
    init=init, beside=("eval/baseline",)
)
