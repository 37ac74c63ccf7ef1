"""Q-learning with memory: what is stored, read and learnt, and that it helps where something is hidden."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.configs import DQN, PQN
from mi203jax.core.errors import UsageError
from mi203jax.core.loop import Group
from mi203jax.models.q_network import reset_memory
from mi203jax.nn import CELLS, zero_state
from mi203jax.rl import make
from mi203jax.tasks import dqn, pqn, q_learning
from mi203jax.tasks.q_learning import act, figures, init_network, play_step, q_sequence, start_playing

SMALL = DQN(
    env="MemoryChain-bsuite", num_envs=8, replay_size=512, learning_starts=64, batch_size=16, total_steps=640,
    eval_every=320, hidden=(16,), eval_episodes=4, target_period=4, play_frames=20, memory="lstm", memory_size=8,
    sequence_length=4,
)  # fmt: skip
CELL_NAMES = ["rnn", "lstm", "gru"]


# ---- what is played ----


CUT = np.arange(8) % 2 == 0


def with_cuts(name, *_):
    """The environment, of whose eight copies every other one ends its episodes by what is called a time limit."""
    env = make(name)

    def step(key, state, action):
        state, now = env.step(key, state, action)
        return state, now._replace(terminated=now.done & ~CUT, truncated=now.done & CUT)

    return env._replace(step=step)


def test_what_was_remembered_at_play_is_what_training_reads(key, monkeypatch):
    """Greedy steps, over the ends of episodes, which come after each sixth."""
    monkeypatch.setattr(q_learning, "make", with_cuts)
    c = dataclasses.replace(
        SMALL, replay_size=8 * 20, learning_starts=639, epsilon_start=0.0, epsilon_end=0.0
    )
    # Functions of their own: another test's compiled ones have no cuts in them.
    state, step = jax.jit(lambda k: dqn.init(c, None, k))(key), jax.jit(lambda s, t: dqn.step(c, s, None, t))
    for t in range(20):
        state, _ = step(state, jnp.int32(t))
    batch = jax.tree.map(lambda x: x.reshape(20, 8, *x.shape[1:]).swapaxes(0, 1), state.replay)
    ends = np.arange(20) % 6 == 5
    assert (batch.done == ends).all()
    np.testing.assert_array_equal(batch.transition.terminated, ends & ~CUT[:, None])

    first = jax.tree.map(lambda m: m[:, 0], batch.memory)
    q, after = jax.jit(q_sequence)(c, state.params, first, batch.transition.obs, batch.done)
    np.testing.assert_array_equal(q.argmax(-1), batch.transition.action)
    for stored, read, now in zip(batch.memory, after, state.player.memory, strict=True):
        assert not stored[:, 0].any()
        np.testing.assert_allclose(stored[:, 1:], np.where(ends[:-1, None], 0, read[:, :-1]), atol=1e-6)
        np.testing.assert_allclose(now, read[:, -1], atol=1e-6)  # no episode ends with the twentieth step
        assert now.any(-1).all()
    q, q_next = jax.jit(dqn.values)(c, state.params, batch)
    np.testing.assert_allclose(q_next[:, :-1][:, ~ends[:-1]], q[:, 1:][:, ~ends[:-1]], atol=1e-5)


def test_acting_goes_on_from_what_is_remembered(key):
    c = SMALL
    params, player = (jax.jit(f)(c, key) for f in (init_network, start_playing))
    noise = jax.tree.map(lambda m: jax.random.normal(key, m.shape), player.memory)
    (q, memory), (q_empty, _) = (jax.jit(act)(c, params, m, player.obs) for m in (noise, player.memory))
    assert (jnp.abs(q - q_empty) > 1e-3).any(-1).all()
    _, played = jax.jit(play_step)(c, params, player._replace(memory=noise), 0.0, key)
    np.testing.assert_allclose(played.q, q, atol=1e-6)
    assert jax.tree.structure(memory) == jax.tree.structure(noise)


def test_memory_begins_anew_where_an_episode_ended():
    memory = zero_state(CELLS["lstm"], (3,), 2)._replace(h=jnp.ones((3, 2)), c=jnp.full((3, 2), jnp.nan))
    kept = reset_memory(memory, jnp.array([True, False, True]))
    np.testing.assert_array_equal(kept.h, [[0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(jnp.isnan(kept.c).any(-1), [False, True, False])


def test_the_gif_shows_the_agent_with_its_memory(key, monkeypatch):
    shown = []
    monkeypatch.setattr(q_learning, "animate", lambda frames, *_: shown.append(frames))
    state = jax.jit(lambda k: dqn.init(SMALL, None, k))(key)
    figures(SMALL, state, None)
    (frames,) = shown
    assert frames["done"].sum() == 3
    empty = zero_state(CELLS["lstm"], (1,), SMALL.memory_size)
    q, _ = jax.jit(q_sequence)(SMALL, state.params, empty, frames["obs"][None], frames["done"][None])
    np.testing.assert_allclose(frames["q"], q[0], atol=1e-6)


# ---- what is learnt from it ----


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell_by_hand(kind, p, state, x):
    """The equations of the cells' docstrings: state (h,) or (h, c)."""
    h = state[0]
    if kind == "rnn":
        return (np.tanh(x @ p["w_input"] + h @ p["w_hidden"] + p["bias"]),)
    if kind == "lstm":
        i, f, g, o = np.split(x @ p["w_input"] + h @ p["w_hidden"] + p["bias"], 4)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    r, z, n = np.split(x @ p["w_input"] + p["bias"], 3)
    by_r, by_z, by_n = np.split(h @ p["w_hidden"], 3)
    z = sigmoid(z + by_z)
    return ((1 - z) * np.tanh(n + sigmoid(r + by_r) * (by_n + p["bias_hidden"])) + z * h,)


def network_by_hand(c, params, state, obs):
    """Q and the state after one observation."""
    p = params["params"]
    x = np.maximum(obs @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"], 0)
    state = cell_by_hand(c.memory, p["cell"], state, x)
    return state[0] @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"], state


def loss_by_hand(c, params, target, batch):
    """Step by step, one sequence after the other."""
    errors = []
    for i in range(len(batch.done)):
        online = older = [m[i, 0] for m in batch.memory]
        for k in range(c.sequence_length):
            step = jax.tree.map(lambda x, at=(i, k): x[at], batch.transition)
            q, online = network_by_hand(c, params, online, step.obs)
            _, older = network_by_hand(c, target, older, step.obs)
            value, _ = network_by_hand(c, target, older, step.next_obs)
            select = network_by_hand(c, params, online, step.next_obs)[0] if c.double_q else value
            future = 0.0 if step.terminated else c.gamma * value[select.argmax()]
            if k >= c.burn_in:
                errors.append(q[step.action] - step.reward - future)
            if batch.done[i, k]:
                online = older = [np.zeros(c.memory_size) for _ in batch.memory]
    errors = np.abs(errors)
    if c.loss == "squared":
        return np.mean(errors**2)
    return np.mean(
        np.where(errors < c.huber_delta, errors**2 / 2, c.huber_delta * (errors - c.huber_delta / 2))
    )


def float64(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64 if x.dtype == jnp.float32 else None), tree)


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize(("burn_in", "double_q", "kind"), [(0, True, "huber"), (2, False, "squared")])
def test_loss_by_hand(cell, burn_in, double_q, kind):
    """Random sequences, over terminations and cuts, from memories that are not empty."""
    c = dataclasses.replace(
        SMALL, env="CartPole-v1", memory=cell, memory_size=5, hidden=(6,), layer_norm=False, batch_size=28,
        sequence_length=7, burn_in=burn_in, double_q=double_q, loss=kind, huber_delta=0.5, gamma=0.9,
    )  # fmt: skip
    draws = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(draws.normal(size=shape), jnp.float32)

    shapes = jax.eval_shape(init_network, c, jax.random.key(0))
    params, target = (jax.tree.map(lambda p: 0.5 * normal(*p.shape), shapes) for _ in range(2))
    done = draws.random((4, 7)) < 0.5
    terminated = done & (draws.random((4, 7)) < 0.5)
    assert terminated.sum() > 1 < (done & ~terminated).sum()
    action = jnp.asarray(draws.integers(0, 2, (4, 7)))
    steps = dqn.Transition(normal(4, 7, 4), action, normal(4, 7), jnp.asarray(terminated), normal(4, 7, 4))
    memory = jax.tree.map(lambda m: normal(*m.shape), zero_state(CELLS[cell], (4, 7), 5))
    batch = dqn.Moment(steps, jnp.asarray(done), memory)
    expected = loss_by_hand(c, *map(float64, (params, target, batch)))
    np.testing.assert_allclose(jax.jit(dqn.loss)(c, params, target, batch), expected, rtol=1e-5)


def test_samples_whole_sequences_for_each_gradient_step(key):
    """16 transitions each: 4 sequences of 4 steps, all leaves alike."""
    c = dataclasses.replace(SMALL, gradient_steps=3)
    ring = jax.tree.map(
        lambda x: jnp.broadcast_to(jnp.arange(512).reshape(-1, *[1] * x.ndim), (512, *x.shape)),
        dqn.example(c),
    )
    batches = dqn.sample(c, key, ring, 512)
    where = batches.transition.reward
    assert where.shape == (3, 4, 4)
    assert (jnp.diff(where) == c.num_envs).all()
    assert len(jnp.unique(where[..., 0])) > 6
    for leaf in jax.tree.leaves(batches):
        np.testing.assert_array_equal(
            leaf, jnp.broadcast_to(where.reshape(3, 4, 4, *[1] * (leaf.ndim - 3)), leaf.shape)
        )


# ---- configurations ----


def test_without_memory_nothing_is_added(key):
    c = dataclasses.replace(SMALL, memory="none")
    state = jax.eval_shape(lambda k: dqn.init(c, None, k), key)
    assert isinstance(state.replay, dqn.Transition)
    assert state.player.memory == ()
    assert set(state.params["params"]) == {"Dense_0", "LayerNorm_0", "Dense_1"}
    c = PQN(env="MemoryChain-bsuite", num_envs=8, num_steps=4)
    assert jax.eval_shape(lambda k: pqn.init(c, None, k), key).player.memory == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"replay_size": 31, "learning_starts": 100},
         "sequence_length=4 is longer than what the replay holds of an environment: expected at most replay_size / "
         "num_envs = 3"),
        ({"learning_starts": 31}, "learning_starts=31 comes before an environment has played a sequence: expected at "
         "least num_envs . sequence_length = 32"),
        ({"batch_size": 18}, "sequence_length=4 does not divide batch_size=18: expected a divisor"),
        ({"burn_in": 4}, "burn_in=4 leaves no step to learn from: expected less than sequence_length=4"),
        ({"memory": "transformer"}, "memory"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)  # fmt: skip
def test_fields_must_fit_each_other(fields, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(SMALL, **fields)
    if "memory" not in fields:  # what a memory needs binds none without one
        dataclasses.replace(SMALL, memory="none", **fields)


# ---- whole runs ----


LEARNS = dataclasses.replace(
    SMALL, memory="gru", memory_size=16, hidden=(32,), batch_size=64, sequence_length=8, burn_in=1, replay_size=4_000,
    learning_starts=400, total_steps=4_800, eval_every=480, eval_episodes=256, target_period=20,
    exploration_fraction=0.5,
)  # fmt: skip
TRIALS = [dataclasses.replace(LEARNS, seed=s, learning_rate=2e-3 + 5e-4 * s) for s in range(3)]


def reports(*configs):
    """What a group of trials is at first, after 60 iterations, of which 10 learn, and so on; on the host."""
    return map(jax.device_get, Group(dqn.task, configs, None).run(lambda: 60))


@pytest.fixture(scope="module")
def learnt():
    return list(reports(*TRIALS))


def test_trials_equal_their_solo_runs(learnt):
    """To rounding, which one flipped action makes more of: over the first updates."""
    _, soon, *_ = learnt
    alone = reports(TRIALS[2])
    next(alone)
    one = next(alone)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[2], b[0], atol=2e-4),
        soon.carry.state.params,
        one.carry.state.params,
    )
    for name in ("train/return", "train/loss"):
        np.testing.assert_allclose(soon.training[name][2], one.training[name][0], rtol=1e-3)
    np.testing.assert_allclose(soon.evaluation["eval/return"][2], one.evaluation["eval/return"][0], rtol=1e-3)


def test_memory_helps_where_something_is_hidden(learnt):
    """MemoryChain pays 1 for the bit that it showed at first, and −1 for the other: 0 on average at random.

    No network without memory can do better, for the observations that ask are all alike: see
    `test_memory_chain_hides_what_it_asks_for`.
    """
    assert learnt[-1].evaluation["eval/return"].min() > 0.9
