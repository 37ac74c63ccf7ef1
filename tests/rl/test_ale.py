"""Real Atari games in compiled programs, against the same emulators stepped from Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv

from mi203jax.core.errors import UsageError
from mi203jax.rl import Rules, make
from mi203jax.rl.envs import ale

N, STEPS = 2, 500
RULES = Rules(life_loss=True, max_frames=800)  # some episodes end by the rules, some are cut


def play(env, key, actions):
    """Whatever the environment says while these actions are played, `[time, n]`."""

    @jax.jit
    def run(key, actions):
        state, obs = env.reset(key, actions.shape[1])

        def step(state, action):
            state, seen = env.step(key, state, action)
            return state, (seen, state.lives)

        return obs, *jax.lax.scan(step, state, actions)[1]

    return jax.device_get(run(key, actions))


def stepped_from_python(key, actions, rules):
    """The same by gymnasium's interface."""
    games = AtariVectorEnv(
        "breakout", N, repeat_action_probability=rules.sticky, frameskip=rules.frame_skip, noop_max=rules.noops,
        max_num_frames_per_episode=rules.max_frames, reward_clipping=False,
    )  # fmt: skip
    seeds = np.asarray(jax.random.randint(key, (N,), 0, np.iinfo(np.int32).max))
    first, _ = games.reset(seed=seeds)
    return first.copy(), [[np.copy(x) for x in games.step(a)[:4]] for a in actions]


@pytest.fixture(scope="module")
def played():
    key, actions = jax.random.key(3), np.random.default_rng(0).integers(0, 4, (STEPS, N)).astype(np.int32)
    return play(make("atari/Breakout", RULES), key, actions), stepped_from_python(key, actions, RULES)


def test_is_the_emulator(played):
    (first, seen, _), (their_first, theirs) = played
    np.testing.assert_array_equal(first, their_first)
    for name, values in zip(
        ("obs", "reward", "terminated", "truncated"), zip(*theirs, strict=True), strict=True
    ):
        np.testing.assert_array_equal(getattr(seen, name), np.stack(values))
    assert seen.obs.dtype == np.uint8
    assert seen.obs.shape == (STEPS, N, 4, 84, 84)
    assert seen.terminated.any()
    assert seen.truncated.any()
    assert seen.reward.sum() > 0


def test_says_where_an_episode_begins(played):
    """In the step after an end, whose observation is of one screen and whose reward is none."""
    (_, seen, _), _ = played
    np.testing.assert_array_equal(seen.began[1:], (seen.terminated | seen.truncated)[:-1])
    assert not seen.began[0].any()
    assert (seen.obs[seen.began][:, :3] == 0).all()
    assert (seen.reward[seen.began] == 0).all()
    np.testing.assert_array_equal(seen.final_obs, seen.obs)


def test_says_where_a_life_is_lost(played):
    """Breakout has five; the last one ends the game."""
    (_, seen, lives), _ = played
    before = np.concatenate([np.full((1, N), 5), lives[:-1]])
    np.testing.assert_array_equal(seen.life_lost, (lives < before) & ~seen.began)
    assert seen.life_lost.sum() > seen.terminated.sum()


def test_lives_are_not_counted_unless_asked():
    env = make("atari/Breakout", Rules(max_frames=480))
    _, seen, lives = play(env, jax.random.key(3), np.ones((120, N), np.int32))
    assert lives.min() < 5
    assert not seen.life_lost.any()


@pytest.mark.parametrize("steps", [3, 10], ids=["under way", "over"])
def test_a_state_that_the_emulators_have_left_begins_anew(key, steps):
    """In this process, too: an episode takes ten steps here."""
    env = make("atari/Breakout", Rules(noops=0, max_frames=40))
    step, fire = jax.jit(env.step), jnp.ones(N, jnp.int32)

    def play_on(state, steps):
        for _ in range(steps):
            state, _ = step(key, state, fire)
        return state

    state, first = jax.jit(env.reset, static_argnums=1)(key, N)
    kept = play_on(state, steps)
    assert kept.over.all() == (steps == 10)
    play_on(kept, 3)
    state, seen = step(key, kept, fire)
    assert seen.began.all()
    np.testing.assert_array_equal(seen.obs, first)
    state, seen = step(key, state, fire)
    assert not seen.began.any()


def test_a_state_of_another_process_begins_anew(key):
    """All of its environments, in one step that plays nothing."""
    env = make("atari/Breakout", RULES)

    @jax.jit
    def go_on(key):
        state, _ = env.reset(key, N)
        return env.step(key, state._replace(session=state.session + 1), jnp.ones(N, jnp.int32)), env.reset(
            key, N
        )

    (state, seen), (fresh, obs) = go_on(key)
    assert seen.began.all()
    np.testing.assert_array_equal(seen.obs, obs)
    assert state.session == fresh.session
    assert not (seen.terminated | seen.truncated | seen.life_lost).any()


def test_purposes_do_not_meet(key):
    """What is played for an evaluation does not move the game that learning is in."""
    actions = np.ones((10, N), np.int32)
    training, other = (make("atari/Breakout", RULES, p) for p in ("training", "evaluation"))

    @jax.jit
    def both(key):
        state, _ = training.reset(key, N)
        played, _ = other.reset(key, N)
        for action in actions:
            played, _ = other.step(key, played, action)
        return training.step(key, state, actions[0])[1].obs

    _, seen, _ = play(training, key, actions[:1])
    np.testing.assert_array_equal(both(key), seen.obs[0])


def test_buttons():
    assert make("atari/Breakout").action_names == ("nothing", "fire", "right", "left")
    names = make("atari/Alien").action_names
    assert len(set(names)) == 18
    assert {"up right fire", "down left", "up"} <= set(names)


def test_vmap_is_refused_and_what_is_advised_works(key):
    env, keys, actions = make("atari/Breakout", RULES), jax.random.split(key, 2), jnp.ones((20, N), jnp.int32)

    def last_screen(key):
        state, _ = env.reset(key, N)
        return jax.lax.scan(lambda state, action: env.step(key, state, action), state, actions)[1].obs[-1]

    with pytest.raises(UsageError, match=r"jax\.vmap.*jax\.lax\.map"):
        jax.vmap(last_screen)(keys)
    both = jax.jit(lambda keys: jax.lax.map(last_screen, keys))(keys)
    np.testing.assert_array_equal(both, [jax.jit(last_screen)(k) for k in keys])
    assert (both[0] != both[1]).any()


@pytest.mark.parametrize(
    ("rules", "n", "frames"),
    [
        (Rules(noops=0), 1, {1}),
        (Rules(noops=0, fire_reset=False), 1, {0}),
        (Rules(noops=3, fire_reset=False), 8, {0, 1, 2}),
    ],
)
def test_an_episode_begins_after_some_frames(key, rules, n, frames):
    state, _ = make("atari/Breakout", rules).reset(key, n)
    assert set(state.frame.tolist()) == frames


def test_too_many_for_the_memory(key, monkeypatch):
    """Of the host, where emulators are, whatever the GPU has."""
    monkeypatch.setattr(ale, "available_to_host", lambda: 10 * ale.EMULATOR_BYTES)
    with pytest.raises(UsageError, match="11 emulators take about .* expected at most 10"):
        make("atari/Breakout").reset(key, 11)


@pytest.mark.parametrize("name", ["atari/Brekout", "atari/breakout", "atari/"])
def test_unknown_game(name):
    with pytest.raises(UsageError, match="Unknown env=atari/"):
        make(name)
