"""A task small enough to know its result in closed form, and an experiment that runs it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mi203jax.core.config import RunConfig, config, static, traced
from mi203jax.core.experiment import Experiment
from mi203jax.core.task import Animation, Mean, Task


@config
class Toy(RunConfig):
    """Gradient descent on ½‖x − 1‖², from 0, with noise."""

    total_steps: int = static(40, "length of the run, in updates", "[1, inf)")
    eval_every: int = static(10, "updates between two evaluations", "[1, inf)")
    dimension: int = static(2, "numbers in x", "[1, inf)")
    learning_rate: float = traced(0.1, "step size", "(0, inf)")
    noise: float = traced(0.0, "standard deviation added to each gradient", "[0, inf)")
    per_iteration: int = static(1, "steps that an iteration counts for", "[1, inf)")
    fail: bool = static(False, "raise while tracing the step")
    fail_late: bool = static(False, "raise when the figures are drawn")

    @property
    def steps_per_iteration(self) -> int:
        return self.per_iteration


class State(NamedTuple):
    x: jax.Array
    key: jax.Array
    t: jax.Array  # iterations done


def init(c: Toy, data, key):
    return State(jnp.zeros(c.dimension), key, jnp.zeros((), jnp.int32))


def step(c: Toy, state: State, data, t):
    if c.fail:
        raise ValueError("the toy is broken")
    noise = c.noise * jax.random.normal(jax.random.fold_in(state.key, t), state.x.shape)
    gradient = state.x - 1.0 + noise
    even = jnp.asarray(t % 2 == 0, jnp.float32)
    metrics = {
        "loss": 0.5 * (gradient**2).sum(),
        "clock": jnp.asarray(t, jnp.float32),
        "even_clock": Mean(even * t, even),
        "never": Mean(jnp.zeros(()), jnp.zeros(())),
    }
    return State(state.x - c.learning_rate * gradient, state.key, t + 1), metrics


def evaluate(c: Toy, state: State, data):
    return {"loss": 0.5 * ((state.x - 1.0) ** 2).sum()}


def figures(c: Toy, state: State, data):
    if c.fail_late:
        raise ValueError("no paint left")
    frame = jnp.zeros((8, 8, 3), jnp.uint8)
    return {"still": Animation([jax.device_get(frame)] * 2, 5.0)}


task = Task(init, step, evaluate, figures, objective="eval/loss", best="min")
EXPERIMENT = Experiment(Toy(), "tests.core.toy:task")


def exact_loss(c: Toy, t: int) -> float:
    """½‖x_t − 1‖² without noise: the distance shrinks by 1 − λ at each step."""
    return 0.5 * c.dimension * (1 - c.learning_rate) ** (2 * t)
