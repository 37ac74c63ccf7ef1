"""gymnax's environments behind our interface."""

import subprocess
import sys

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.configs.q_learning import CONTINUOUS, DISCRETE, GRIDS
from mi203jax.core.errors import UsageError
from mi203jax.rl import from_grid_world, grid_game, grid_world, make, play_episodes, see_grid
from mi203jax.rl.envs.from_gymnax import make_gymnax

OFFLINE = [n for n in DISCRETE if n != "MNISTBandit-bsuite"]  # that one downloads MNIST


def test_the_lists_are_gymnaxs():
    assert {*DISCRETE, *CONTINUOUS} == {n for n in gymnax.registered_envs if n not in ("Mine-v0", "Swing-v0")}


def test_seaborn_is_imported_when_it_draws():
    code = (
        "import sys, mi203jax.rl; assert 'seaborn' not in sys.modules; "
        "from gymnax.environments.misc import pong; assert len(pong.sns.color_palette('cubehelix', 3)) == 3; "
        "import seaborn; assert seaborn.color_palette is pong.sns.color_palette"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [*OFFLINE, *GRIDS])
def test_every_discrete_environment(name, key):
    env = make(name)
    state, obs = jax.eval_shape(lambda k: env.reset(k, 3), key)
    assert obs.shape == (3, *env.obs.shape)
    _, step = jax.eval_shape(env.step, key, state, jax.ShapeDtypeStruct((3,), jnp.int32))
    assert step.obs.shape == step.final_obs.shape == obs.shape
    assert step.obs.dtype == obs.dtype == env.obs.dtype
    assert (step.reward.dtype, step.terminated.dtype, step.truncated.dtype) == (jnp.float32, bool, bool)
    assert len(env.action_names) == env.num_actions > 1
    assert env.time_limit == {**DISCRETE, **GRIDS}[name]


def test_the_users_own_names_of_actions(monkeypatch):
    own, params = gymnax.make("DeepSea-bsuite")
    monkeypatch.setattr(gymnax, "make", lambda name: (own, params))
    assert make_gymnax("Mine-v0").action_names == ("action 0", "action 1")
    own.action_names = ("off", "on")
    assert make_gymnax("Mine-v0").action_names == ("off", "on")
    own.action_names = ("off", "on", "more")
    with pytest.raises(ValueError, match="its action_names are 3, expected 2"):
        make_gymnax("Mine-v0")


@pytest.mark.parametrize(
    ("name", "near"),
    [("Breakout-MinAta", "Breakout-MinAtar"), ("Room-grid", "Rooms-grid"), ("ALE/Pong-v5", "atari/Pong")],
)
def test_unknown_environment(name, near):
    with pytest.raises(UsageError, match=f"Unknown environment '{name}'. Did you mean '{near}'"):
        make(name)


def test_says_how_atari_games_are_named():
    with pytest.raises(UsageError, match="Real Atari games are named as 'atari/Pong'"):
        make("atari")


def test_continuous_actions_are_refused():
    with pytest.raises(ValueError, match="continuous"):
        make("Pendulum-v1")


def test_first_made_under_a_trace_leaks_no_tracer(key):
    make.cache_clear()
    jax.jit(lambda k: make("Asterix-MinAtar").reset(k, 2)[1])(key)
    state, _ = make("Asterix-MinAtar").reset(key, 2)
    make("Asterix-MinAtar").step(key, state, jnp.zeros(2, jnp.int32))


def test_steps_are_gymnaxs(key):
    """Step by step the same as the environment itself, with the same keys and actions."""
    env, (theirs, params) = make("CartPole-v1"), gymnax.make("CartPole-v1")
    state, _ = env.reset(key, 2)
    own = [theirs.reset(k, params) for k in jax.random.split(key, 2)]
    for t in range(30):
        step_key, action = jax.random.fold_in(key, t), jnp.array([t % 2, 1])
        state, step = env.step(step_key, state, action)
        for i, k in enumerate(jax.random.split(step_key, 2)):
            obs_i, state_i, reward, terminated, truncated, info = theirs.step(k, own[i][1], action[i], params)
            own[i] = obs_i, state_i
            np.testing.assert_allclose(step.obs[i], obs_i, rtol=1e-6)
            np.testing.assert_allclose(step.final_obs[i], info["final_observation"], rtol=1e-6)
            assert (step.reward[i], step.terminated[i], step.truncated[i]) == (reward, terminated, truncated)


def test_minatar_is_boolean_without_loss(key):
    env, (theirs, params) = make("Seaquest-MinAtar"), gymnax.make("Seaquest-MinAtar")
    _, obs = env.reset(key, 2)
    own, _ = theirs.reset(jax.random.split(key, 2)[0], params)
    assert obs.dtype == bool
    np.testing.assert_array_equal(obs[0].astype(jnp.float32), own)


def test_a_time_limit_is_no_termination(key):
    """A car that never pushes stays in the valley until its time is up."""
    env = make("MountainCar-v0")
    state, _ = env.reset(key, 2)
    step_fn = jax.jit(env.step)
    for t in range(env.time_limit):
        state, step = step_fn(jax.random.fold_in(key, t), state, jnp.ones(2, jnp.int32))
    assert step.truncated.all()
    assert not step.terminated.any()
    assert step.done.all()
    assert (step.obs != step.final_obs).any()


def always(action):
    return lambda key, memory, obs: (jnp.full(len(obs), action, jnp.int32), memory)


def test_memory_chain_hides_what_it_asks_for(key):
    """Its bit is seen in the first two observations alone; the last of the six actions must be that bit."""
    env, n = make("MemoryChain-bsuite"), 64
    state, obs = env.reset(key, n)
    step_fn, bit, seen = jax.jit(env.step), state.context[:, 0], [obs]
    for t in range(6):
        state, step = step_fn(key, state, jnp.zeros(n, jnp.int32))
        seen.append(step.obs)
        assert (step.done == (t == 5)).all()
        np.testing.assert_array_equal(step.reward, np.where(bit == 0, 1, -1) if t == 5 else 0)
    assert 10 < bit.sum() < n - 10
    for shown in seen[:2]:
        np.testing.assert_array_equal(shown[:, 2], 2 * bit - 1)
    assert len(np.unique(np.stack(seen[2:6]), axis=1)[0]) == 1  # the same for all from then on


class TestGrids:
    GAME = grid_world(["S1.G", "X#.."], "dense")

    def test_one_sees_the_map_the_treasures_and_oneself(self):
        game, seen = self.GAME, see_grid(self.GAME)
        assert seen.shape == (len(game.position), 2, 4, 5)
        np.testing.assert_array_equal(seen[..., 0], np.broadcast_to(game.cells == "#", (len(seen), 2, 4)))
        assert (seen[:, 0, 3, 1]).all()
        assert (seen[:, 1, 0, 2]).all()
        assert (seen.sum((1, 2))[:, [0, 1, 2, 4]] == 1).all()  # one wall, goal, hole, player
        np.testing.assert_array_equal(seen[:, 0, 1, 3], game.score == 0)
        np.testing.assert_array_equal(seen[..., 4].reshape(-1, 8).argmax(1), game.position @ (4, 1))
        assert len(np.unique(seen, axis=0)) == len(seen)

    def test_a_game_that_is_won_lost_and_cut(self, key):
        env = from_grid_world(self.GAME, "tiny", 4)
        step_fn = jax.jit(env.step)
        state, obs = env.reset(key, 4)
        assert obs[:, 0, 0, 4].all()
        played = []
        # Right; left, which is the edge; down; and right after a pause, to win in the last moment.
        for actions in ([2, 0, 1, 0], [2, 0, 2, 2], [2, 0, 2, 2], [2, 0, 2, 2]):
            state, step = step_fn(key, state, jnp.array(actions))
            played.append(jax.device_get(step))
        reward, over, cut = (
            np.stack([getattr(p, n) for p in played]) for n in ("reward", "terminated", "truncated")
        )
        np.testing.assert_array_equal(reward[:, 0], [1, 1, 1e5, 1])  # then a new game, and its treasure
        np.testing.assert_array_equal(reward[:, 1], 0)
        np.testing.assert_array_equal(reward[:2, 2], [-1e5, 1])
        np.testing.assert_array_equal(over.T, [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1]])
        np.testing.assert_array_equal(cut.T, [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
        assert played[2].final_obs[0, 0, 3, 4]
        assert played[2].obs[0, 0, 0, 4]

    def test_moves_go_astray_as_often_as_the_rules_say(self, key):
        game, env = grid_game("SlipperyRooms-grid"), make("SlipperyRooms-grid")
        state, _ = env.reset(key, 20_000)
        _, step = jax.jit(env.step)(key, state, jnp.full(20_000, 2))  # right, from the corner
        place = np.asarray(step.obs)[..., 4].reshape(20_000, -1).argmax(1)
        width = game.cells.shape[1]
        for cell, share in ((1, 0.8), (width, 0.1), (0, 0.1)):  # right; down; up, which is the edge
            assert (place == cell).mean() == pytest.approx(share, abs=0.01)


class TestPlayEpisodes:
    def test_returns_and_lengths(self, key):
        """Catch pays ±1 at the bottom of its ten rows, nothing before."""
        env = make("Catch-bsuite")
        returns, lengths = play_episodes(env, always(1), key, 50)
        assert set(np.unique(returns)) == {-1.0, 1.0}
        assert (lengths == 9).all()

    def test_only_the_first_episode_counts(self, key):
        env = make("CartPole-v1")
        returns, lengths = play_episodes(env, always(0), key, 20)
        np.testing.assert_array_equal(returns, lengths)
        assert 8 <= lengths.min() < lengths.max() <= 11  # always left: the pole falls at once

    def test_a_clever_policy_catches(self, key):
        def follow(key, memory, obs):
            ball = obs[:, :-1].any(1).argmax(-1)
            paddle = obs[:, -1].argmax(-1)
            return (jnp.sign(ball - paddle) + 1).astype(jnp.int32), memory

        returns, _ = play_episodes(make("Catch-bsuite"), follow, key, 50)
        assert (returns == 1.0).all()

    def test_a_policy_remembers(self, key):
        """What MemoryChain showed at first is what it asks for at last."""

        def remember(key, memory, obs):
            memory = jnp.where(obs[:, 2] == 0, memory, obs[:, 2])
            return (memory > 0).astype(jnp.int32), memory

        returns, lengths = play_episodes(make("MemoryChain-bsuite"), remember, key, 50, jnp.zeros(50))
        assert (returns == 1.0).all()
        assert (lengths == 6).all()
        returns, _ = play_episodes(make("MemoryChain-bsuite"), always(1), key, 50)
        assert set(np.unique(returns)) == {-1.0, 1.0}
