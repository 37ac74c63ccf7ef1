"""Real Atari games in compiled programs, against the same emulators stepped from Python."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv

from mi203jax.atari import MAX_EMULATORS
from mi203jax.configs import QLearning
from mi203jax.core.errors import UsageError
from mi203jax.core.fields import MAX_INT, field_of
from mi203jax.rl import Rules, make
from mi203jax.rl.envs import ale

N, STEPS = 2, 500
RULES = Rules(life_loss=True, max_frames=800)  # some episodes end by the rules, some are cut
SHORT = Rules(max_frames=12)  # within the frames that an episode may begin with


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


def test_an_ended_state_is_old_once_another_episode_began():
    """Few frames on, and as many as an episode may begin with."""
    env, nothing = make("atari/Breakout", SHORT), jnp.zeros(1, jnp.int32)
    reset, step = jax.jit(env.reset, static_argnums=1), jax.jit(env.step)
    for seed in range(6):
        key = jax.random.key(seed)
        state, first = reset(key, 1)
        while not state.over.all():
            state, _ = step(key, state, nothing)
        after, _ = step(key, state, nothing)
        step(key, after, nothing)
        _, seen = step(key, state, nothing)
        assert seen.began.all()
        np.testing.assert_array_equal(seen.obs, first)


def test_a_state_is_old_once_others_were_reset(key):
    """Though they have played as many frames."""
    env, nothing = make("atari/Breakout", Rules(noops=0)), jnp.zeros(1, jnp.int32)
    reset, step = jax.jit(env.reset, static_argnums=1), jax.jit(env.step)
    (old, _), (last, _) = reset(key, 1), reset(jax.random.key(1), 1)
    assert not step(key, last, nothing)[1].began.any()
    last, _ = reset(key, 1)
    assert step(key, old, nothing)[1].began.all()
    assert step(key, last, nothing)[1].began.all()


def test_steps_in_one_line_keep_their_order(key):
    """Without a loop nothing but the data says which comes first, and a button may depend on none of it."""
    env = make("atari/Breakout", purpose="line")

    @jax.jit
    def play(key):
        state, _ = env.reset(key, N)
        began = []
        for _ in range(4):
            state, seen = env.step(key, state, jnp.ones(N, jnp.int32))
            began.append(seen.began)
        return jnp.stack(began)

    assert not any(play(k).any() for k in jax.random.split(key, 8))


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
def test_an_episode_begins_after_some_frames(key, monkeypatch, rules, n, frames):
    made = []

    class Kept(AtariVectorEnv):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            made.append(self)

    monkeypatch.setattr("ale_py.vector_env.AtariVectorEnv", Kept)
    make("atari/Breakout", rules, "counted").reset(key, n)
    *_, info = made[-1].step(np.zeros(n, np.int32))
    assert set((info["episode_frame_number"] - rules.frame_skip).tolist()) == frames


def test_too_many_for_the_memory(key, monkeypatch):
    """Of the host, where emulators are, whatever the GPU has."""
    monkeypatch.setattr(ale, "available_to_host", lambda: 10 * ale.EMULATOR_BYTES)
    with pytest.raises(UsageError, match="11 emulators take about .* expected at most 10"):
        make("atari/Breakout").reset(key, 11)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("atari/Brekout", "Did you mean 'atari/Breakout'?"),
        ("atari/breakout", "Did you mean 'atari/Breakout'?"),
        ("atari/SpaceInvaders-v5", "Did you mean 'atari/SpaceInvaders'?"),
        ("atari/", "Choose one of: atari/Adventure, "),
        ("atari/Combat", "Choose one of: "),  # one cannot play it alone
    ],
)
def test_unknown_game(name, told):
    with pytest.raises(UsageError, match=f"^Unknown env={name}. {re.escape(told)}"):
        make(name)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, MAX_EMULATORS + 1])
def test_a_number_of_emulators_that_cannot_be(key, n):
    """Is answered before any is made."""
    made = ale._emulators.cache_info().currsize
    with pytest.raises(
        ValueError, match=f"reset of atari/Pong: expected n to be an int from 1 to 512, got {n}"
    ):
        jax.eval_shape(lambda key: make("atari/Pong").reset(key, n), key)
    assert ale._emulators.cache_info().currsize == made


def test_buttons_that_a_game_does_not_have():
    """The first below, the last above: ale-py would not return."""
    env, key = make("atari/Breakout", SHORT), jax.random.key(0)
    pressed = np.array([[-1, 0], [4, 3], [-(2**31), 2], [2**31 - 1, 1]], np.int32)
    (_, seen, _), (_, expected, _) = (play(env, key, a) for a in (pressed, pressed.clip(0, 3)))
    jax.tree.map(np.testing.assert_array_equal, seen, expected)
    unsigned = jnp.full(2, 2**32 - 1, jnp.uint32)
    np.testing.assert_array_equal(ale._pressed("", unsigned, 2, 4), [3, 3])


@pytest.mark.parametrize(
    "action", [jnp.array([1.5, 0]), jnp.array([True, False]), jnp.zeros(3, int), jnp.zeros((2, 1), int), 1]
)
def test_actions_that_are_none(key, action):
    env = make("atari/Breakout", SHORT)
    state, _ = jax.eval_shape(lambda key: env.reset(key, N), key)
    with pytest.raises(ValueError, match=r"expected actions of shape \(2,\) and an integer dtype, got"):
        jax.eval_shape(env.step, key, state, action)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        *(("sticky", value, r"a number in \[0, 1\]") for value in (2, -1, np.nan, "a", True)),
        *(("frame_skip", value, r"a whole number in \[1, 100\]") for value in (0, 101, 2.0)),
        *(("noops", value, r"a whole number in \[0, 1000\]") for value in (-1, 10**10)),
        *(("max_frames", value, r"a whole number in \[1, 2147483647\]") for value in (0, 2**31)),
        *((field, 1, "True or False") for field in ("fire_reset", "life_loss")),
    ],
)
def test_rules_that_cannot_be(field, value, expected):
    with pytest.raises(ValueError, match=f"Rules: expected {field} to be {expected}, got {value!r}"):
        make("atari/Breakout", Rules(**{field: value}))


def test_rules_may_be_numbers_of_numpys(key):
    rules = Rules(np.float32(0.5), np.int64(2), np.int64(0), max_frames=np.int64(40))
    assert make("atari/Breakout", rules).reset(key, 1)[1].shape == (1, 4, 84, 84)


@pytest.mark.parametrize("field", ale.LIMITS)
def test_limits_are_those_of_the_command_line(field):
    interval = field_of(QLearning, field).metadata["interval"]
    low, high = ale.LIMITS[field]
    assert (low in interval, low - 1 in interval) == (True, False)
    assert high in interval
    assert high == MAX_INT or high + 1 not in interval


def test_other_environments_have_no_rules():
    with pytest.raises(ValueError, match="rules are of Atari games, such as 'atari/Pong': 'Pong-misc' takes"):
        make("Pong-misc", Rules(sticky=0.0))
    assert make("Pong-misc", Rules()).name == "Pong-misc"
