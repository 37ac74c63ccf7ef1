"""What DQN and PQN have in common, on both: the properties that a sweep relies on, and learning."""

import dataclasses
import functools

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.classic_control import mountain_car
from gymnax.environments.classic_control.cartpole import CartPole
from gymnax.environments.classic_control.pendulum import Pendulum

from mi203jax.configs import DQN, PQN, QLearning
from mi203jax.configs.q_learning import DISCRETE
from mi203jax.core.errors import UsageError
from mi203jax.core.loop import Group, train
from mi203jax.tasks import dqn, pqn
from mi203jax.tasks.q_learning import epsilon, figures, init_network, play_step, q_values, start_playing

SMALL_DQN = DQN(
    env="Catch-bsuite", num_envs=8, replay_size=512, learning_starts=64, batch_size=16, total_steps=640, eval_every=320,
    hidden=(16,), channels=4, eval_episodes=4, target_period=4, play_frames=20,
)  # fmt: skip
SMALL_PQN = PQN(
    env="Catch-bsuite", num_envs=8, num_steps=8, minibatches=2, total_steps=640, eval_every=320, hidden=(16,), channels=4,
    eval_episodes=4, play_frames=20,
)  # fmt: skip
BOTH = pytest.mark.parametrize(
    ("task", "config"), [(dqn.task, SMALL_DQN), (pqn.task, SMALL_PQN)], ids=["dqn", "pqn"]
)


dqn_init, dqn_step = jax.jit(lambda c, key: dqn.init(c, None, key)), jax.jit(dqn.step)


@functools.cache
def last(task, *configs):
    """The last progress of a group, on the host."""
    *_, progress = Group(task, configs, None).run(lambda: 1000)
    return jax.device_get(progress)


def seeds(config, n):
    return [dataclasses.replace(config, seed=s) for s in range(n)]


def pair(config):
    """Two trials, of other seeds and step sizes: many tests look at the same run."""
    return [dataclasses.replace(c, learning_rate=1e-4 * (1 + 4 * c.seed)) for c in seeds(config, 2)]


@BOTH
class TestTrials:
    def test_equal_their_solo_runs(self, task, config):
        """Over the first updates, to rounding: later one flipped action parts two runs."""
        configs = pair(config)
        together = last(task, *configs)
        solo = jax.jit(functools.partial(train, task, data=None))
        for i, c in enumerate(configs):
            state, metrics = solo(c, key=jax.random.key(i))
            jax.tree.map(
                lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=2e-4),
                together.carry.state.params,
                state.params,
            )
            np.testing.assert_allclose(
                together.evaluation["train/return"][i], metrics["train/return"][-1], rtol=1e-5
            )

    def test_of_two_seeds_differ_in_initialisation_and_in_data(self, task, config):
        group = Group(task, seeds(config, 2), None)
        first = jax.device_get(next(iter(group.run(lambda: 1))).carry.state)
        kernels = [x for x in jax.tree.leaves(first.params) if x[0].ndim > 1]
        assert all((x[0] != x[1]).any() for x in kernels)
        assert (first.player.obs[0] != first.player.obs[1]).any()
        assert (jax.random.key_data(first.keys.run[0]) != jax.random.key_data(first.keys.run[1])).any()

    def test_the_same_seed_gives_the_same_bits(self, task, config):
        a, b = (run(task, *pair(config)) for run in (last, last.__wrapped__))  # the second is traced anew
        jax.tree.map(np.testing.assert_array_equal, a.carry.state.params, b.carry.state.params)

    def test_a_diverging_one_leaves_the_others_alone(self, task, config):
        good = pair(config)
        bad = dataclasses.replace(config, learning_rate=1e38, max_grad_norm=1e38)
        with_bad, without = last(task, good[0], bad), last(task, *good)
        assert with_bad.finite["train/loss"].tolist() == [True, False]
        jax.tree.map(
            lambda a, b: np.testing.assert_array_equal(a[0], b[0]),
            with_bad.carry.state.params,
            without.carry.state.params,
        )


@pytest.mark.parametrize(
    ("task", "config"),
    [(dqn.task, dataclasses.replace(SMALL_DQN, env=n)) for n in DISCRETE if n != "MNISTBandit-bsuite"]
    + [(pqn.task, dataclasses.replace(SMALL_PQN, env=n)) for n in ("Seaquest-MinAtar", "FrozenLake-misc")],
    ids=lambda x: f"{type(x).__name__}-{x.env}" if isinstance(x, QLearning) else "",
)
def test_every_environment(task, config):
    """Traces init, step and evaluation: a mistake in shapes or dtypes would show."""
    carry = Group(task, [config], None).abstract()
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), carry.state)
    assert jax.eval_shape(lambda s: task.evaluate(config, s, None), state)["return"].shape == ()


@BOTH
def test_evaluation_does_not_touch_training(task, config):
    """Nor the other way: what is played is decided by a key of its own."""
    often, seldom = (last(task, *pair(dataclasses.replace(config, eval_every=e))) for e in (64, 320))
    jax.tree.map(np.testing.assert_array_equal, often.carry.state.params, seldom.carry.state.params)


@pytest.mark.parametrize("score", ["dense", "sparse"])
def test_the_players_return_is_what_the_environment_paid(score, key):
    """CartPole pays 1 a step, so that an episode's return is its length, whenever it is learned from."""
    c = dataclasses.replace(SMALL_DQN, env="CartPole-v1", num_envs=16, score=score)

    @jax.jit
    def play_on(key):
        params, player = init_network(c, key), start_playing(c, key)

        def play(player, key):
            player, played = play_step(c, params, player, 1.0, key)
            done = played.transition.terminated | played.truncated
            return player, (played.finished, done, played.transition.reward)

        return jax.lax.scan(play, player, jax.random.split(key, 200))[1]

    finished, done, learned = play_on(key)
    lengths = []
    for column, rewards in zip(np.asarray(done).T, np.asarray(learned).T, strict=True):
        ends = np.flatnonzero(column)
        own = np.diff([-1, *ends])
        lengths += own.tolist()
        expected = np.ones(len(rewards))
        if score == "sparse":
            expected[:], expected[ends] = 0, own
        np.testing.assert_array_equal(rewards, expected)
    assert finished.weight.sum() == len(lengths) > 50
    assert finished.total.sum() == sum(lengths)


def test_epsilon_falls_over_the_run():
    c = DQN(total_steps=6400, num_envs=64, exploration_fraction=0.5, epsilon_start=1.0, epsilon_end=0.1)
    np.testing.assert_allclose([epsilon(c, t) for t in (0, 25, 50, 99)], [1.0, 0.55, 0.1, 0.1], rtol=1e-6)


def test_an_environment_that_the_user_registered(key):
    gymnax.register("Mine-v0", CartPole)
    gymnax.register("Swing-v0", Pendulum)
    Group(pqn.task, [dataclasses.replace(SMALL_PQN, env="Mine-v0")], None).abstract()
    with pytest.raises(UsageError, match="env=Swing-v0 cannot be made: its actions are continuous"):
        Group(dqn.task, [dataclasses.replace(SMALL_DQN, env="Swing-v0")], None).abstract()
    c = dataclasses.replace(SMALL_PQN, env="Mine-v0", num_steps=501)
    with pytest.raises(UsageError, match="num_steps=501 is longer than the episodes of env=Mine-v0"):
        Group(pqn.task, [c], None).abstract()


def test_an_environment_that_cannot_be_had(monkeypatch):
    def offline(name, *_):
        raise OSError("no network")

    monkeypatch.setattr("mi203jax.tasks.q_learning.make", offline)
    with pytest.raises(UsageError, match="env=MNISTBandit-bsuite cannot be made: no network. Choose another"):
        Group(dqn.task, [DQN(env="MNISTBandit-bsuite")], None).abstract()


def test_figures_show_the_agent(key):
    state = jax.jit(lambda k: dqn.task.init(SMALL_DQN, None, k))(key)
    play = figures(SMALL_DQN, state, None)["play"]
    assert len(play.frames) == SMALL_DQN.play_frames
    assert all(f.dtype == np.uint8 and f.shape == play.frames[0].shape for f in play.frames)
    assert any((f != play.frames[0]).any() for f in play.frames)


class TestDQN:
    def test_the_target_network_is_copied_when_its_time_comes(self, key):
        """Every 4 gradient steps at 2 a call: after each second call, and never between."""
        c = dataclasses.replace(SMALL_DQN, learning_starts=0, target_period=4, gradient_steps=2)
        state, step = dqn_init(c, key), dqn_step
        copied = []
        for t in range(8):
            before = state.learner.target
            state, _ = step(c, state, None, jnp.int32(t))
            equal = [
                jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), state.learner.target, other))
                for other in (state.params, before)
            ]
            assert equal[0] != equal[1]  # the newest parameters, or the old target
            copied.append(bool(equal[0]))
        assert copied == [False, True] * 4

    def test_nothing_is_learnt_before_its_start(self, key):
        c = dataclasses.replace(SMALL_DQN, learning_starts=33, gradient_steps=2)
        state, step = dqn_init(c, key), dqn_step
        changed = []
        for t in range(6):
            before = state.params
            state, metrics = step(c, state, None, jnp.int32(t))
            changed.append(not jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), before, state.params)))
            assert changed[-1] == (metrics["loss"].weight > 0)
        assert changed == [False] * 4 + [True] * 2  # from step 40 on, the first with 33 transitions

    def test_the_replay_holds_what_was_played(self, key):
        c = dataclasses.replace(SMALL_DQN, env="CartPole-v1", replay_size=100, learning_starts=639)
        state, step = dqn_init(c, key), dqn_step
        assert len(state.replay.reward) == c.replay_capacity == 96
        seen = []
        for t in range(20):
            obs = state.player.obs
            state, _ = step(c, state, None, jnp.int32(t))
            seen.append(np.asarray(obs))
        np.testing.assert_array_equal(np.sort(state.replay.obs, 0), np.sort(np.concatenate(seen[-12:]), 0))
        assert (state.replay.obs != state.replay.next_obs).any(-1).all()

    @pytest.mark.parametrize("kind", ["squared", "huber"])
    def test_loss_by_hand(self, key, kind):
        c = dataclasses.replace(SMALL_DQN, env="CartPole-v1", loss=kind, huber_delta=0.5, gamma=0.9)
        params, target = (jax.jit(init_network)(c, k) for k in jax.random.split(key))
        obs, next_obs = jax.random.normal(key, (2, 3, 4))
        batch = dqn.Transition(
            obs, jnp.array([0, 1, 1]), jnp.array([1.0, 5.0, -1.0]), jnp.array([False, True, False]), next_obs
        )
        q, online, older = (
            np.asarray(q_values(c, p, x)) for p, x in ((params, obs), (params, next_obs), (target, next_obs))
        )
        total = 0.0
        for i in range(3):
            future = 0.0 if batch.terminated[i] else 0.9 * older[i, online[i].argmax()]
            error = abs(q[i, batch.action[i]] - (float(batch.reward[i]) + future))
            huber = 0.5 * error**2 if error < 0.5 else 0.5 * (error - 0.25)
            total += error**2 if kind == "squared" else huber
        np.testing.assert_allclose(dqn.loss(c, params, target, batch), total / 3, rtol=1e-5)


class TestPQN:
    def test_a_phase_longer_than_an_episode_is_refused(self):
        message = "num_steps=32 is longer than the episodes of env=DeepSea-bsuite: expected at most"
        with pytest.raises(UsageError, match=message):
            PQN(env="DeepSea-bsuite")

    def test_targets_bootstrap_at_the_time_limit_alone(self, key):
        """MountainCar is cut after 200 steps: after 50 of the second phase of 150, everywhere."""
        c = dataclasses.replace(SMALL_PQN, env="MountainCar-v0", num_steps=150, minibatches=1, lambda_=0.0)
        state = jax.jit(lambda key: pqn.init(c, None, key))(key)
        collect = jax.jit(pqn.collect)
        player, _, _ = collect(c, state, 1.0, jax.random.key(1))
        _, phase, finished = collect(c, state._replace(player=player), 1.0, jax.random.key(2))
        assert finished.weight == c.num_envs
        obs, action, target = (np.asarray(x).reshape(150, c.num_envs, *x.shape[1:]) for x in phase[:3])

        def value(obs):
            return np.asarray(jax.jit(q_values)(c, state.params, obs)).max(-1)

        from_next = -1 + c.gamma * value(obs[1:].reshape(-1, *obs.shape[2:])).reshape(149, c.num_envs)
        inside = np.arange(149) != 49
        np.testing.assert_allclose(target[:-1][inside], from_next[inside], rtol=1e-4)
        env, params = gymnax.make("MountainCar-v0")

        def go(obs, action):  # the game is deterministic: where did this car go at the cut?
            before = mountain_car.EnvState(time=0, position=obs[0], velocity=obs[1])
            return env.step_env(key, before, action, params)[0]

        true_next = jax.jit(jax.vmap(go))(obs[49], action[49])
        np.testing.assert_allclose(target[49], -1 + c.gamma * value(true_next), rtol=1e-4)
        assert (np.abs(target[49] - from_next[49]) > 1e-4).all()  # not the next episode's start


@pytest.mark.parametrize(
    ("task", "config"),
    [
        (dqn.task, DQN(env="Catch-bsuite", num_envs=64, total_steps=40_000, channels=2, hidden=(32,), replay_size=6_400,
                       learning_starts=500, learning_rate=4e-3, batch_size=64, eval_every=40_000,
                       exploration_fraction=0.5)),
        (pqn.task, PQN(env="Catch-bsuite", num_envs=32, num_steps=16, total_steps=40_000, channels=2, hidden=(32,),
                       minibatches=8, epochs=4, learning_rate=3e-3, eval_every=40_000)),
    ],
    ids=["dqn", "pqn"],
)  # fmt: skip
def test_learns_catch(task, config):
    """±1 an episode, about −0.6 at random."""
    returns = last(task, *seeds(config, 8)).evaluation["eval/return"]
    assert np.mean(returns) > 0.8
    assert np.mean(returns > 0.5) > 0.9
