"""Exploration (slide "Deep reinforcement learning": "while exploring to find s, a, s', a'")."""

import jax
import jax.numpy as jnp


def linear_decay(start, end, fraction, progress) -> jax.Array:
    """Falls from `start` to `end` over the first `fraction` of a run, then stays.

    Args:
        start: value at the beginning.
        end: value from `fraction` on.
        fraction: part of the run in which it changes, in (0, 1].
        progress: part of the run that is done, in [0, 1].

    Returns:
        A float32 scalar (or the broadcast shape of the arguments).
    """
    done = jnp.clip(jnp.asarray(progress, jnp.float32) / fraction, 0.0, 1.0)
    return start + (end - start) * done


def epsilon_greedy(key: jax.Array, q: jax.Array, epsilon) -> jax.Array:
    """With probability ε a uniformly random action, else the one of the largest Q-value.

    Args:
        key: one PRNG key; each row draws on its own.
        q: Q(s, ·), `[..., actions]`.
        epsilon: probability in [0, 1], a scalar or `[...]`.

    Returns:
        Actions, `[...]`, int32. Ties go to the lowest index.
    """
    coin_key, action_key = jax.random.split(key)
    random = jax.random.randint(action_key, q.shape[:-1], 0, q.shape[-1])
    explore = jax.random.uniform(coin_key, q.shape[:-1]) < epsilon
    return jnp.where(explore, random, q.argmax(-1).astype(random.dtype))
