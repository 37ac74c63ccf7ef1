"""gymnax's environments: one episode at a time there, any number side by side here."""

import importlib
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.rl.envs.interface import Environment, TimeStep


def _import_gymnax() -> types.ModuleType:
    """gymnax, which gets seaborn, a second or two to import, when it draws one of two pictures with it."""
    own = types.ModuleType("seaborn")
    own.__dict__["__getattr__"] = lambda name: getattr(importlib.import_module("seaborn"), name)
    stands_in = sys.modules.setdefault("seaborn", own) is own
    try:
        return importlib.import_module("gymnax")
    finally:
        if stands_in:
            del sys.modules["seaborn"]


gymnax = _import_gymnax()

MINATAR_ACTIONS = ("no-op", "left", "up", "right", "down", "fire")
ACTIONS = {
    "CartPole-v1": ("push left", "push right"),
    "Acrobot-v1": ("torque -1", "no torque", "torque +1"),
    "MountainCar-v0": ("push left", "no push", "push right"),
    "Catch-bsuite": ("left", "stay", "right"),
    "FourRooms-misc": ("up", "right", "down", "left"),
    "FrozenLake-misc": ("left", "down", "right", "up"),
}


def make_gymnax(name: str) -> Environment:
    """One of gymnax's environments, or of those that the user registered there.

    Observations of MinAtar are given as bool, which is what they are: an eighth of the memory. An environment
    of the user's may name its actions: `action_names`, as many strings as it has actions.

    Raises:
        ValueError: if there is no such environment, its actions are not discrete, or their names not as many.
    """
    # Its constructor makes arrays: under a trace they would leak.
    with jax.ensure_compile_time_eval():
        env, params = gymnax.make(name)
    space = env.action_space(params)
    if not isinstance(space, gymnax.environments.spaces.Discrete):
        raise ValueError("its actions are continuous, expected discrete ones")
    is_minatar = name.endswith("-MinAtar")

    def observe(obs):
        return obs.astype(bool) if is_minatar else jnp.asarray(obs, jnp.float32)

    def reset(key, n):
        obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, n), params)
        return state, observe(obs)

    def step(key, state, action):
        keys = jax.random.split(key, len(action))
        obs, state, reward, terminated, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(
            keys, state, action, params
        )
        final = observe(info["final_observation"])
        reward = jnp.asarray(reward, jnp.float32)
        return state, TimeStep(observe(obs), reward, terminated.astype(bool), truncated.astype(bool), final)

    num_actions = int(space.n)
    names = ACTIONS.get(name, tuple(f"action {i}" for i in range(num_actions)))
    names = tuple(map(str, getattr(env, "action_names", names)))
    if is_minatar:
        names = tuple(MINATAR_ACTIONS[i] for i in np.asarray(env.action_set))
    if len(names) != num_actions:
        raise ValueError(f"its action_names are {len(names)}, expected {num_actions}, one for each action")
    one = jax.eval_shape(lambda key: reset(key, 1)[1][0], jax.random.key(0))
    return Environment(name, reset, step, num_actions, names, int(params.max_steps_in_episode), one)
