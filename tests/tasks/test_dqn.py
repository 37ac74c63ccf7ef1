"""DQN's own: what its loss is the mean of, and what its replay takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.configs import DQN
from mi203jax.core.loop import Group
from mi203jax.tasks import dqn, q_learning


@pytest.mark.parametrize("penalty", ["huber", "squared"])
def test_a_step_of_weight_zero_is_as_if_it_were_not_there(penalty, key):
    """Whatever it says: where it pays, errors of the others are small beside its own."""
    c = DQN(env="CartPole-v1", hidden=(8,), loss=penalty)
    parts = jax.random.split(key, 3)
    obs, after = jax.random.normal(parts[0], (2, 6, 4))
    batch = q_learning.Transition(
        obs,
        action=jnp.array([0, 1, 0, 1, 0, 1]),
        reward=jnp.array([1.0, 50.0, -2.0, 90.0, 0.5, -70.0]),
        terminated=jnp.array([False, False, True, True, False, False]),
        next_obs=after,
        weight=jnp.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
    )
    counted = jax.tree.map(lambda x: x[::2], batch)._replace(weight=None)
    params, target = (q_learning.init_network(c, part) for part in parts[1:])
    learnt = jax.jit(jax.value_and_grad(lambda p, batch: dqn.loss(c, p, target, batch)))
    (found, gradient), (expected, same) = learnt(params, batch), learnt(params, counted)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradient, same)
    nothing, still = learnt(params, batch._replace(weight=jnp.zeros(6)))
    assert nothing == 0.0
    assert not any(leaf.any() for leaf in jax.tree.leaves(still))


def test_a_replay_is_in_memory_once():
    """The whole program of a run holds little beside its state, which it takes over."""
    size = {"num_envs": 2, "replay_size": 10_000, "batch_size": 16, "gradient_steps": 1}
    long = {"learning_starts": 10, "total_steps": 60, "eval_every": 60, "eval_episodes": 1}
    net = {"channels": 1, "hidden": (4,), "double_q": False, "layer_norm": False}
    c = DQN(env="atari/Breakout", **size, **long, **net)
    group = Group(dqn.task, [c], None)
    told = group._advance.lower(group._configs, group.abstract(), None, 0, 1).compile().memory_analysis()
    ring = c.replay_size * 84 * 84
    assert told.alias_size_in_bytes > ring
    assert told.temp_size_in_bytes < ring / 4
