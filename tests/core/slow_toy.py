"""The toy for processes that are to be stopped: each evaluation lasts for PAUSE seconds, and costs no CPU."""

import os
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mi203jax.core.experiment import Experiment
from tests.core import toy


class State(NamedTuple):
    toy: toy.State
    byte: jax.Array  # of the types that the toy has not, and tasks have
    flags: jax.Array
    half: jax.Array


def init(c: toy.Toy, data, key):
    return State(toy.init(c, data, key), jnp.uint8(0), jnp.array([True, False]), jnp.zeros(3, jnp.bfloat16))


def step(c: toy.Toy, state: State, data, t):
    inner, metrics = toy.step(c, state.toy, data, t)
    half = state.half + inner.x.sum().astype(jnp.bfloat16)
    return State(inner, state.byte + jnp.uint8(1), ~state.flags, half), metrics


def evaluate(c: toy.Toy, state: State, data):
    jax.debug.callback(lambda t: time.sleep(float(os.environ.get("PAUSE", "0"))), state.toy.t)
    return toy.evaluate(c, state.toy, data)


task = toy.task._replace(init=init, step=step, evaluate=evaluate, figures=lambda c, state, data: {})
EXPERIMENT = Experiment(toy.Toy(), "tests.core.slow_toy:task")
