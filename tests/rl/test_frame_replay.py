"""The replay of single screens, beside an emulator in plain Python that keeps every stack."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mi203jax.rl import replay_add, replay_init
from mi203jax.rl.frame_replay import FrameStep, frame_replay_sample

pytestmark = pytest.mark.usefixtures("strict")
SCREEN = 2, 3
sampled = jax.jit(frame_replay_sample, static_argnames=("shape", "stack", "num_envs", "tries"))


def empty(capacity, screen=SCREEN):
    """A ring of black screens."""
    shapes = [(screen, jnp.uint8), ((), jnp.int32), ((), jnp.float32), ((), bool), ((), bool)]
    return replay_init(FrameStep(*(jax.ShapeDtypeStruct(*s) for s in shapes)), capacity)


class Emulator:
    """One game: the screens it shows are random, and so is when it ends."""

    def __init__(self, rng, stack, longest):
        self.rng, self.stack, self.longest = rng, stack, longest
        self.begin(0)

    def begin(self, now):
        blank = np.zeros(SCREEN, np.uint8), None
        self.seen = [blank] * (self.stack - 1) + [self.screen(now)]  # each with the time it appeared
        self.left = self.rng.integers(1, self.longest + 1)
        self.start = True

    def screen(self, now):
        return self.rng.integers(1, 256, SCREEN, dtype=np.uint8), now

    @property
    def obs(self):
        return np.stack([screen for screen, _ in self.seen])

    @property
    def oldest(self):
        return min(time for _, time in self.seen if time is not None)

    def step(self, now):
        """Whether the game was played, rather than reset; and whether it ended by its rules."""
        if self.left == 0:
            self.begin(now + 1)
            return False, False
        self.left -= 1
        self.seen = [*self.seen[1:], self.screen(now + 1)]
        self.start = False
        return True, self.left == 0 and self.rng.random() < 0.7


class Script(NamedTuple):
    """What was played: `entries` for the ring, and all that is true of them. Leaves [steps, num_envs, ...]."""

    entries: FrameStep
    obs: np.ndarray
    next_obs: np.ndarray
    learnable: np.ndarray  # a step of the game, whose successor the emulator went on from
    oldest: np.ndarray  # when the oldest screen of obs appeared


def play(seed, num_envs, stack, steps, longest=6):
    """Games side by side; sometimes all begin anew because the run is resumed."""
    rng = np.random.default_rng(seed)
    games = [Emulator(rng, stack, longest) for _ in range(num_envs)]
    rows = []
    for t in range(steps):
        row = []
        for e, game in enumerate(games):
            before, start, oldest = game.obs, game.start, game.oldest
            played, terminated = game.step(t)
            entry = FrameStep(before[-1], t * num_envs + e, rng.normal(), terminated, start)
            row.append([entry, before, game.obs, played, oldest])
        if rng.random() < 0.1:
            for game, r in zip(games, row, strict=True):
                game.begin(t + 1)
                r[3] = False
        rows.append(row)
    columns = [[[game[i] for game in row] for row in rows] for i in range(5)]
    dtypes = np.uint8, np.int32, np.float32, bool, bool
    entries = FrameStep(
        *(np.array([[x[i] for x in row] for row in columns[0]], dtypes[i]) for i in range(len(dtypes)))
    )
    return Script(entries, *map(np.array, columns[1:]))


@functools.partial(jax.jit, static_argnames=("capacity", "stack", "draws", "tries"))
def run(key, entries, capacity, stack, draws, tries=8):
    """Adds step after step, and samples after each: leaves [steps, draws, ...]."""
    num_envs = entries.action.shape[1]

    def step(ring, now):
        t, entry = now
        ring = replay_add(ring, entry, t * num_envs)
        added = (t + 1) * num_envs
        shape = draws // 2, 2
        sample = frame_replay_sample(jax.random.fold_in(key, t), ring, added, shape, stack, num_envs, tries)
        return ring, jax.tree.map(lambda x: x.reshape(draws, *x.shape[2:]), sample)

    return jax.lax.scan(step, empty(capacity), (jnp.arange(len(entries.action)), entries))[1]


def expected(script, after, held):
    """The numbers of the transitions that a ring of so many steps can give after `after` steps."""
    time = np.arange(len(script.learnable))[:, None]
    have = script.learnable & (script.oldest >= after - held) & (time < after - 1)
    return np.flatnonzero(have)


def check_true(script, sample):
    """Each draw is what the emulator gave."""
    drawn = sample.action[sample.weight > 0]
    for name in ("obs", "next_obs", "reward", "terminated"):
        whole = getattr(script.entries if hasattr(script.entries, name) else script, name)
        given = getattr(sample, name)
        assert given.dtype == whole.dtype
        np.testing.assert_array_equal(given[sample.weight > 0], whole.reshape(-1, *whole.shape[2:])[drawn])


SCRIPTS = 4
STEPS = 25


@pytest.mark.parametrize(("num_envs", "stack", "held", "tries"), [(3, 4, 9, 8), (1, 4, 5, 8), (2, 1, 3, 2)])
def test_gives_what_the_emulator_gave(num_envs, stack, held, tries):
    """After every step of random scripts: each transition, all alike often, and nothing else."""
    draws = 600
    scripts = [play(seed, num_envs, stack, STEPS) for seed in range(SCRIPTS)]
    entries = jax.tree.map(lambda *x: np.stack(x), *(s.entries for s in scripts))
    keys = jax.random.split(jax.random.key(1), SCRIPTS)
    trials = jax.vmap(lambda k, e: run(k, e, held * num_envs, stack, draws, tries))
    samples = jax.device_get(trials(keys, entries))
    assert samples.obs.shape == samples.next_obs.shape == (SCRIPTS, STEPS, draws, stack, *SCREEN)
    assert set(np.unique(samples.weight)) == {0, 1}
    assert samples.weight.dtype == np.float32
    squares, freedom, failures, variance = 0.0, 0, 0.0, 0.0
    for i, script in enumerate(scripts):
        check_true(script, jax.tree.map(lambda x, i=i: x[i], samples))
        for t in range(STEPS):
            real = samples.weight[i, t] > 0
            numbers, counts = np.unique(samples.action[i, t][real], return_counts=True)
            assert numbers.tolist() == expected(script, t + 1, held).tolist()
            if len(numbers):
                squares += stats.chisquare(counts).statistic
                freedom += len(numbers) - 1
            # Every try is a step of those that have a successor.
            failing = (1 - len(numbers) / max(1, num_envs * min(t, held - 1))) ** tries
            failures += (~real).sum() - draws * failing
            variance += draws * failing * (1 - failing)
    assert 0.001 < stats.chi2.sf(squares, freedom) < 0.999
    assert abs(failures) <= 4 * np.sqrt(variance)


def test_scripts_cover_what_can_happen():
    """Of the scripts above: short and long episodes, resets side by side and apart, either end, resumed runs."""
    scripts = [play(seed, 3, 4, STEPS) for seed in range(SCRIPTS)]
    starts = np.stack([s.entries.start for s in scripts])
    terminated = np.stack([s.entries.terminated for s in scripts])
    learnable = np.stack([s.learnable for s in scripts])
    together = starts[:, 1:].sum(2)
    assert {0, 1, 2, 3} <= set(together.ravel())
    assert (starts[:, :-1] & terminated[:, :-1] & learnable[:, :-1]).any()  # an episode of one step
    ended = ~learnable[:, 1:-1] & learnable[:, :-2] & starts[:, 2:]
    assert (ended & terminated[:, :-2]).any()
    assert (ended & ~terminated[:, :-2]).any()
    assert (starts[:, 1:] & starts[:, :-1]).any()  # resumed at once
    blank = (np.stack([s.obs for s in scripts]) == 0).all((-1, -2)).sum(-1)
    assert set(blank.ravel()) == {0, 1, 2, 3}


def test_by_hand():
    """An episode of two steps, the reset after it, the next one's first two, and room for three more."""
    ring = FrameStep(
        frame=jnp.array([1, 2, 3, 4, 5, 0, 0, 0], jnp.uint8)[:, None, None],
        action=jnp.arange(8),
        reward=jnp.arange(8) / 2,
        terminated=jnp.arange(8) == 1,
        start=jnp.array([1, 0, 0, 1, 0, 0, 0, 0], bool),
    )
    sample = jax.device_get(sampled(jax.random.key(0), ring, 5, (50,), 4, 1))
    assert (sample.weight == 1).all()
    stacks = {
        0: ([0, 0, 0, 1], [0, 0, 1, 2]),
        1: ([0, 0, 1, 2], [0, 1, 2, 3]),
        3: ([0, 0, 0, 4], [0, 0, 4, 5]),
    }
    assert set(sample.action.tolist()) == set(stacks)
    for i, action in enumerate(sample.action.tolist()):
        assert (sample.obs[i].ravel().tolist(), sample.next_obs[i].ravel().tolist()) == stacks[action]
        assert sample.reward[i] == action / 2
        assert sample.terminated[i] == (action == 1)


def test_weighs_nothing_before_anything_was_played():
    sample = sampled(jax.random.key(0), empty(15), 0, (7, 2), 4, 3)
    assert sample.weight.shape == (7, 2)
    assert not sample.weight.any()


def test_late_in_a_long_run():
    """Counters near the largest that a run may have do not overflow."""
    order = np.roll(np.arange(20), 5)  # the oldest stands at place 5
    nothing = jnp.zeros(20, bool)
    ring = FrameStep(order.astype(np.uint8)[:, None, None], order, order / np.float32(2), nothing, nothing)
    sample = jax.device_get(sampled(jax.random.key(3), ring, 2_000_000_005, (1000,), 4, 1))
    assert set(sample.action.tolist()) == set(range(3, 19))
    shown = sample.action[:, None] + np.arange(-3, 2)
    np.testing.assert_array_equal(sample.obs[..., 0, 0], shown[:, :-1])
    np.testing.assert_array_equal(sample.next_obs[..., 0, 0], shown[:, 1:])


class TestMemory:
    def test_a_million_screens(self):
        """Everything there is in less than 8 GB, of which the screens are 7.06."""
        ring = jax.eval_shape(lambda: empty(1_000_000, (84, 84)))
        size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(ring))
        assert 7_056_000_000 < size < 7_100_000_000

    def test_is_never_copied(self, optimized):
        """Adding and sampling, in a loop too, need room for a sample beside the ring, not for another ring."""
        ring = jax.eval_shape(lambda: empty(1_000_000, (84, 84)))
        entry = jax.tree.map(lambda x: jax.ShapeDtypeStruct((8, *x.shape[1:]), x.dtype), ring)

        def loop(key, ring, entry):
            def step(ring, t):
                ring = replay_add(ring, entry, t * 8)
                sample = frame_replay_sample(jax.random.fold_in(key, t), ring, (t + 1) * 8, (32,), 4, 8)
                return ring, (sample.obs.mean() + sample.next_obs.mean()) * sample.weight.sum()

            return jax.lax.scan(step, ring, jnp.arange(10))

        key = jax.eval_shape(lambda: jax.random.key(0))
        memory = jax.jit(loop, donate_argnums=1).lower(key, ring, entry).compile().memory_analysis()
        assert memory.alias_size_in_bytes > 7_056_000_000  # the ring that comes out is the one that came in
        assert memory.temp_size_in_bytes < 50_000_000


@pytest.mark.parametrize(("capacity", "num_envs", "stack"), [(31, 3, 4), (12, 3, 4), (4, 1, 4), (4, 2, 2)])
def test_must_fit(capacity, num_envs, stack):
    expected = f"multiple of {num_envs} environments and at least {stack + 1} times as large.* got {capacity}"
    with pytest.raises(ValueError, match=expected):
        frame_replay_sample(jax.random.key(0), empty(capacity), capacity, (2,), stack, num_envs)
