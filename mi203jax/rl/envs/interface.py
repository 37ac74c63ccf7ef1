"""What every environment is here, and episodes of it (slide "Agent").

Environments play side by side, as pure functions; what ended an episode, its rules or a time limit, is told
apart.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

PyTree = Any


class TimeStep(NamedTuple):
    """What n environments answer to n actions."""

    obs: jax.Array  # [n, ...], of the next episode where this one ended
    reward: jax.Array  # [n], float32
    terminated: jax.Array  # [n], bool: ended by the rules; nothing comes after
    truncated: jax.Array  # [n], bool: cut by a time limit; the future still has a value
    final_obs: jax.Array  # [n, ...], the true successor, also where the episode ended
    # [n], bool: no action was played, `obs` is the first of an episode; None: that never happens
    began: jax.Array | None = None
    # [n], bool: the game goes on, but learning takes this for its end; None: that never happens
    life_lost: jax.Array | None = None

    @property
    def done(self) -> jax.Array:
        """Whether the episode ended, for either reason, `[n]`, bool."""
        return self.terminated | self.truncated


class Environment(NamedTuple):
    """`reset` and `step` of any number of environments side by side."""

    name: str
    reset: Callable[[jax.Array, int], tuple[PyTree, jax.Array]]  # key, n -> state, obs [n, ...]
    step: Callable[[jax.Array, PyTree, jax.Array], tuple[PyTree, TimeStep]]  # key, state, action [n]
    num_actions: int
    action_names: tuple[str, ...]
    time_limit: int  # steps after which an episode is cut
    obs: jax.ShapeDtypeStruct  # one observation


Policy = Callable[[jax.Array, PyTree, jax.Array], tuple[jax.Array, PyTree]]
"""(key, memory, observations `[n, ...]`) -> actions `[n]`, memory."""


def play_episodes(
    env: Environment, policy: Policy, key: jax.Array, n: int, memory: PyTree = ()
) -> tuple[jax.Array, jax.Array]:
    """Plays n episodes side by side, each to its end.

    Args:
        env: the environment.
        policy: how to act, and what to remember from one step to the next.
        key: PRNG key of starts, moves and policy.
        n: number of episodes.
        memory: what the policy remembers at first, leaves `[n, ...]`; (): nothing, ever.

    Returns:
        The episodes' undiscounted returns, `[n]`, float32, and their lengths in steps, `[n]`, int32.
    """
    start_key, run_key = jax.random.split(key)
    state, obs = env.reset(start_key, n)

    def playing(carry):
        return carry.alive.any()

    def play(carry):
        policy_key, world_key = jax.random.split(jax.random.fold_in(run_key, carry.t))
        action, memory = policy(policy_key, carry.memory, carry.obs)
        state, step = env.step(world_key, carry.state, action)
        # Only the first episode counts: the memory need not be reset after it.
        return _Playing(
            carry.t + 1,
            state,
            step.obs,
            memory,
            carry.alive & ~step.done,
            carry.returns + jnp.where(carry.alive, step.reward, 0.0),
            carry.lengths + carry.alive,
        )

    nothing = jnp.zeros(n), jnp.zeros(n, jnp.int32)
    start = _Playing(0, state, obs, memory, jnp.ones(n, bool), *nothing)
    end = jax.lax.while_loop(playing, play, start)
    return end.returns, end.lengths


class _Playing(NamedTuple):
    t: Any
    state: PyTree
    obs: jax.Array
    memory: PyTree
    alive: jax.Array  # [n]: the first episode is still going on
    returns: jax.Array
    lengths: jax.Array
