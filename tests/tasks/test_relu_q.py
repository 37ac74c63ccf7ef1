"""Deep Q-learning by the slide's objective: what is minimised, where it begins, and what is measured."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import UsageError
from mi203jax.configs import ReluQ
from mi203jax.rl import FiniteMDP, grid_game, see_grid, value_iteration
from mi203jax.tasks import dqn, relu_q
from mi203jax.tasks.q_learning import Transition, q_values

SMALL = ReluQ(
    env="Rooms-grid", gamma=0.9, num_envs=8, channels=2, hidden=(16,), batch_size=16, learning_starts=16,
    replay_size=640, total_steps=640, eval_every=320, eval_episodes=4, gradient_steps=1, play_frames=3,
)  # fmt: skip
init, step = jax.jit(relu_q.init, static_argnums=1), jax.jit(relu_q.step, static_argnums=2)
values = jax.jit(q_values)


@functools.cache
def played(config, steps):
    """The state after so many calls, and the losses."""
    state, losses = init(config, None, jax.random.key(0)), []
    for t in range(steps):
        state, metrics = step(config, state, None, jnp.int32(t))
        losses.append(metrics["loss"])
    return state, [float(loss.total) for loss in losses if loss.weight > 0]


@pytest.fixture(scope="module")
def batch():
    """Five transitions, of which one ended, and two networks."""
    seen = jnp.asarray(see_grid(grid_game("Rooms-grid")))
    obs, after = seen[jnp.array([0, 10, 20, 30, 40])], seen[jnp.array([1, 11, 20, 31, 5])]
    reward, over = jnp.array([0.0, 1.0, -2.0, 100.0, 0.5]), jnp.array([False, False, False, True, False])
    params, target = (init(replace(SMALL, seed=s), None, jax.random.key(s)).params for s in (1, 2))
    return params, target, Transition(obs, jnp.array([0, 1, 2, 3, 1]), reward, over, after)


@pytest.mark.parametrize("next_q", ["online", "target"])
@pytest.mark.parametrize("next_action", ["each", "best"])
def test_loss_by_hand(batch, next_q, next_action):
    params, target, transitions = batch
    c = replace(SMALL, next_q=next_q, next_action=next_action)
    q, q_next = (
        np.asarray(values(c, p, o), float)
        for p, o in (
            (params, transitions.obs),
            (params if next_q == "online" else target, transitions.next_obs),
        )
    )
    costs = []
    for i in range(5):
        own = q[i, int(transitions.action[i])]
        over = bool(transitions.terminated[i])
        after = [0.0] * 4 if over else (q_next[i] if next_action == "each" else [q_next[i].max()])
        short = [max(0.0, float(transitions.reward[i]) + 0.9 * a - own) for a in after]
        costs.append(np.mean(short) + 0.3 * own)
    found = jax.jit(relu_q.loss)(c, params, target, transitions, 0.3)
    assert float(found) == pytest.approx(np.mean(costs), rel=1e-4)


def test_the_gradient_flows_through_the_networks_own_q_of_what_follows(batch):
    """Not through the target network's: with targets that do not move, it is the pinball loss."""
    params, target, transitions = batch
    sizes = {}
    for next_q in ("online", "target"):
        c = replace(SMALL, next_q=next_q)
        gradient = jax.jit(jax.grad(relu_q.loss, 2))(c, params, target, transitions, 0.0)
        sizes[next_q] = sum(float(jnp.abs(g).sum()) for g in jax.tree.leaves(gradient))
    assert sizes["online"] == 0.0
    assert sizes["target"] > 0.0
    bias = {
        n: jax.jit(jax.grad(relu_q.loss, 1))(replace(SMALL, next_q=n), params, target, transitions, 0.0)
        for n in ("online", "target")
    }
    last = [float(b["params"]["Dense_1"]["bias"].sum()) for b in bias.values()]
    short = 0.9 * 4 / 5  # where nothing ended, and all five are too low
    assert last[0] == pytest.approx(last[1] + short, abs=0.2)


def test_the_weight_goes_from_the_first_to_the_last():
    c = replace(SMALL, mean_q=0.2, mean_q_ratio=3.0)
    found = [float(relu_q.mean_q_weight(c, t)) for t in (0, c.num_iterations // 2, c.num_iterations)]
    assert found == pytest.approx([0.2, 0.4, 0.6])
    assert float(relu_q.mean_q_weight(replace(c, objective="relu"), 5)) == 0.0


def test_alone_it_learns_nothing_from_a_q_that_is_large_enough():
    """The slide's objective is 0 there; with the mean of Q that it drops, Q falls."""
    alone = replace(SMALL, objective="relu", initial_q=500.0)
    state, losses = played(alone, 8)
    assert len(losses) > 4
    assert losses == [0.0] * len(losses)
    before = init(alone, None, jax.random.key(0)).params
    jax.tree.map(np.testing.assert_array_equal, state.params, before)
    obs = jnp.asarray(see_grid(grid_game("Rooms-grid")))
    assert float(values(alone, before, obs).min()) > 400
    falling = replace(alone, objective="relu_mean_q", learning_rate=1e-2)
    state, losses = played(falling, 8)
    assert min(losses) > 0
    assert (values(falling, state.params, obs) < values(alone, before, obs)).mean() > 0.95


def test_q_begins_where_it_is_told():
    plain, shifted = (init(replace(SMALL, initial_q=q), None, jax.random.key(0)) for q in (0.0, 7.0))
    obs = jnp.asarray(see_grid(grid_game("Rooms-grid")))
    for name in ("params", "target"):
        low, high = (values(SMALL, getattr(s.learner, name), obs) for s in (plain, shifted))
        np.testing.assert_allclose(high - low, 7.0, atol=1e-4)


def test_with_td_errors_it_is_dqn(monkeypatch):
    c = replace(SMALL, objective="td")
    monkeypatch.setattr(dqn, "step", lambda *arguments: arguments)
    assert relu_q.step(c, "state", None, 5) == (c, "state", None, 5)  # with dqn's own loss
    *_, loss = relu_q.step(replace(c, objective="relu"), "state", None, 5)
    assert loss.func is relu_q.loss


def test_the_distance_to_q_star(monkeypatch):
    state = init(SMALL, None, jax.random.key(0))
    game = grid_game("Rooms-grid")
    q_star = np.asarray(value_iteration(replace(game.mdp, discount=np.float32(0.9)), 1e-4).q)
    q = np.asarray(values(SMALL, state.params, jnp.asarray(see_grid(game))))
    live = ~np.asarray(game.mdp.terminal)
    measures = jax.jit(relu_q.evaluate)(SMALL, state, None)
    assert float(measures["q_error"]) == pytest.approx(np.abs(q - q_star)[live].mean(), rel=1e-4)
    assert float(measures["q_bias"]) == pytest.approx((q - q_star)[live].mean(), rel=1e-4)
    start = np.flatnonzero(game.start)
    assert float(measures["q_start"]) == pytest.approx(q[start].max(), rel=1e-4)


def test_the_weight_up_to_which_the_penalty_is_exact():
    """By linear equations: how often each pair is met if samples are followed by the best actions."""
    draws = np.random.default_rng(0)
    after, probability = draws.integers(0, 5, (5, 2, 3)), draws.dirichlet(np.ones(3), (5, 2))
    mdp = FiniteMDP(probability, draws.random((5, 2)), 0.8, np.arange(5) == 2, after)
    q_star, sampled = value_iteration(mdp, 1e-5).q, draws.dirichlet(np.ones(10)).reshape(5, 2)
    flow = np.zeros((10, 10))
    for s, a, k in np.ndindex(5, 2, 3):
        to = int(after[s, a, k])
        if to != 2:
            flow[2 * to + int(q_star[to].argmax()), 2 * s + a] += 0.8 * probability[s, a, k]
    met = np.linalg.solve(np.eye(10) - flow, sampled.ravel())
    found = jax.jit(relu_q.exact_weight)(relu_q.Known(mdp, q_star), jnp.asarray(sampled, jnp.float32))
    assert float(found) == pytest.approx((sampled.ravel() / met).min(), rel=1e-4)
    assert relu_q.exact_weight(relu_q.Known(mdp, q_star), jnp.zeros((5, 2))) == 0


def test_what_the_replay_is_made_of():
    state, _ = played(SMALL, 8)
    found = np.asarray(jax.jit(relu_q.sampled)(SMALL, state))
    game, replay = grid_game("Rooms-grid"), jax.device_get(state.replay)
    counts = np.zeros((68, 4))
    for obs, action in zip(replay.obs[:64], replay.action[:64], strict=True):
        (place,) = np.argwhere(obs[..., 4])
        (s,) = np.flatnonzero((game.position == place).all(1))
        counts[s, action] += 1
    assert not replay.obs[64:].any()
    np.testing.assert_allclose(found, counts / 64, rtol=1e-6)
    assert (relu_q.sampled(SMALL, init(SMALL, None, jax.random.key(0))) == 0).all()


def test_elsewhere_there_is_no_q_star_to_be_far_from():
    c = replace(SMALL, env="Catch-bsuite")
    state = jax.eval_shape(lambda k: relu_q.init(c, None, k), jax.random.key(0))
    measures = jax.eval_shape(lambda s: relu_q.evaluate(c, s, None), state)
    assert "q_start" in measures
    assert not {"q_error", "q_bias"} & set(measures)


def test_figures(monkeypatch):
    monkeypatch.setattr(relu_q.q_learning, "animate", lambda frames, *_: frames)
    state = init(SMALL, None, jax.random.key(0))
    drawn = relu_q.figures(SMALL, state, None)
    assert len(drawn["play"]["q"]) == 3
    known, believed, *_ = drawn["q"].axes
    assert known.get_title() == "Q*"
    game = grid_game("Rooms-grid")
    q = np.asarray(values(SMALL, state.params, jnp.asarray(see_grid(game))))[~game.mdp.terminal]
    np.testing.assert_allclose(believed.collections[0].get_array(), q.ravel(), atol=1e-5)
    assert float(known.collections[0].get_array().max()) == pytest.approx(100.0)  # a step before the goal


def test_a_memory_is_refused():
    with pytest.raises(UsageError, match="memory=gru: expected none"):
        replace(SMALL, memory="gru", sequence_length=2)
