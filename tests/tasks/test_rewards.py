"""Sparse and dense score: games are judged by how they end, whatever they were learned from."""

import functools
import itertools
import typing
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.quiver import Quiver

from mi203jax import UsageError, stack, train
from mi203jax.configs import Rewards
from mi203jax.configs.rewards import Map
from mi203jax.core.loop import trial
from mi203jax.core.task import Animation
from mi203jax.rl import grid_world
from mi203jax.rl.games import MAPS
from mi203jax.rl.tabular import q_learning, start_learning
from mi203jax.tasks import rewards, rewards_figures
from mi203jax.tasks.rewards_figures import Play
from tests.tasks.shown import draw, shown_in

LEFT, DOWN, RIGHT, UP = range(4)
STEPS = {LEFT: (0, -1), DOWN: (1, 0), RIGHT: (0, 1), UP: (-1, 0)}
DITCH = ("#X#", "S1G")
EASY = Rewards(map="lure", total_steps=12_000, eval_every=12_000, epsilon_end=1.0)
SLIPPERY = Rewards(
    map="cliff", slip=0.2, gamma=0.8, step_size=0.7, power=0.6, time_limit=30, samples=400, total_steps=4000,
    eval_every=4000, epsilon_start=0.3, epsilon_end=0.3,
)  # fmt: skip
SEEDS = range(3)
ENDINGS = ("wins", "game_over", "time_out")

outcome = jax.jit(rewards.outcome, static_argnums=2)


@functools.cache
def runs(config):
    """States and metrics of trials that differ in their seed and discount, run together."""
    configs = [replace(config, seed=seed, gamma=0.9 + 0.02 * seed) for seed in SEEDS]
    keys = jax.vmap(jax.random.key)(np.array(SEEDS))
    together = jax.jit(jax.vmap(functools.partial(train, rewards.task), (0, None, 0)))
    return configs, jax.device_get(together(stack(configs), rewards.data(config), keys))


def beginning(game, key):
    """Nothing is learned yet."""
    return rewards.State(key, start_learning(key, game.mdp, game.start), jnp.float32(0))


def moved(rows, place, move):
    """The cell after a move, by the map's characters alone."""
    y, x = place[0] + STEPS[move][0], place[1] + STEPS[move][1]
    inside = 0 <= y < len(rows) and 0 <= x < len(rows[0])
    return (y, x) if inside and rows[y][x] != "#" else place


def sides(move):
    """What slipping makes of a move."""
    return [(move + 1) % 4, (move - 1) % 4]


def played(rows, world, policy, slip, limit, rng):
    """A game by the map's characters alone: how it ended, treasures found, moves."""
    place = next((y, x) for y, row in enumerate(rows) for x, kind in enumerate(row) if kind == "S")
    taken: set = set()
    for moves in range(limit + 1):
        kind = rows[place[0]][place[1]]
        taken |= {place} if kind.isdigit() else set()
        if kind in "GX" or moves == limit:
            return kind == "G", kind == "X", sum(int(rows[y][x]) for y, x in taken), moves
        gone = [treasure in taken for treasure in world.treasures]
        here = (world.position == place).all(1) & (world.taken == gone).all(1)
        move = policy[np.flatnonzero(here)[0]]
        place = moved(rows, place, rng.choice([move, *sides(move)], p=[1 - slip, slip / 2, slip / 2]))
    raise AssertionError


class TestOutcome:
    @pytest.mark.parametrize("limit", [1, 2, 7])
    def test_always_to_the_right_beside_a_hole(self, limit):
        game = rewards.game_of(grid_world(DITCH, "dense", slip=0.2), limit)
        found = outcome(game, jnp.full(len(game.start), RIGHT), limit)
        # From S one slips against walls; from the treasure up into the hole, or down against the edge.
        chain = np.array([[0.2, 0.8, 0, 0], [0, 0.1, 0.8, 0.1], [0, 0, 1, 0], [0, 0, 0, 1]])
        at = [np.linalg.matrix_power(chain, t)[0] for t in range(limit + 1)]
        assert found.won == pytest.approx(at[-1][2], abs=1e-6)
        assert found.lost == pytest.approx(at[-1][3], abs=1e-6)
        assert found.points == pytest.approx(1 - 0.2**limit, abs=1e-6)
        assert found.moves == pytest.approx(sum(a[0] + a[1] for a in at[:-1]), abs=1e-5)

    def test_against_games_that_are_played(self):
        rows, slip, limit, number = ("2.S.", ".1.X", "...G"), 0.5, 12, 1500
        world = grid_world(rows, slip=slip)
        rng = np.random.default_rng(0)
        policy = rng.choice([DOWN, RIGHT, LEFT], len(world.start))
        expected = np.array(outcome(rewards.game_of(world, limit), policy, limit))
        games = np.array([played(rows, world, policy, slip, limit, rng) for _ in range(number)], float)
        assert games.std(0).min() > 0.1
        assert (np.abs(games.mean(0) - expected) < 4 * games.std(0) / number**0.5).all()

    def test_where_the_game_begins(self):
        game = rewards.game_of(grid_world(("...X", "##.G")), 9)
        # To the right from anywhere in the upper row, and from the cell beside the goal.
        found = outcome(game, jnp.full(len(game.start), RIGHT), 9)
        np.testing.assert_allclose(found, [1 / 4, 3 / 4, 0, (3 + 2 + 1 + 1) / 4], rtol=1e-6)

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_the_largest_chance_by_trying_all_ways_of_playing(self, limit):
        rows, slip, cells = ("#X#", "S.G"), 0.4, [(1, 0), (1, 1), (1, 2), (0, 1)]
        chains = np.zeros((4, 4, 4))  # of each move: from cell to cell
        for move, start in itertools.product(range(4), range(4)):
            ways = [(move, 1 - slip), *((m, slip / 2) for m in sides(move))]
            for m, p in ways if start < 2 else []:
                chains[move, start, cells.index(moved(rows, cells[start], m))] += p
            chains[move, start, start] += start >= 2
        best = 0.0
        for moves in itertools.product(itertools.product(range(4), repeat=2), repeat=limit):
            at = np.array([1.0, 0, 0, 0])
            for first, second in moves:
                at = at @ np.stack([chains[first, 0], chains[second, 1], *np.eye(4)[2:]])
            best = max(best, at[2])
        game = rewards.game_of(grid_world(rows, slip=slip), limit)
        assert game.optimal == pytest.approx(best, abs=1e-6)


class TestScore:
    def test_is_hidden_when_a_game_is_judged(self):
        c = Rewards(slip=0.1)
        games = [rewards.data(replace(c, score=score)) for score in ("sparse", "dense")]
        assert (games[0].mdp.reward != games[1].mdp.reward).any()
        judge = jax.jit(functools.partial(rewards.evaluate, c))
        state = beginning(games[0], jax.random.key(0))
        for seed in range(20):
            q = np.random.default_rng(seed).normal(size=state.learner.tables.shape).astype(np.float32)
            state = state._replace(learner=state.learner._replace(tables=q))
            sparse, dense = (jax.device_get(judge(state, game)) for game in games)
            assert sparse == dense
            assert sum(sparse[name] for name in ENDINGS) == pytest.approx(1, abs=1e-5)
            assert 0 <= sparse["wins"] <= sparse["optimal"] + 1e-5

    def test_rewards_are_the_slides(self):
        for score, win, step in (("sparse", 100, 0), ("dense", 100_000, 36)):
            c = replace(EASY, score=score)
            mdp, world = rewards.rules(c, rewards.data(c)), rewards.world(c)
            (rich,) = np.flatnonzero(world.taken.all(1) & (world.position == (0, 0)).all(1))
            (near,) = np.flatnonzero(world.taken.all(1) & (world.position == (1, 9)).all(1))
            assert mdp.reward[rich, LEFT].item() == step
            assert mdp.reward[near, DOWN].item() == win
        assert (rewards.data(Rewards(score="dense")).mdp.reward.min()) == -100_000

    @pytest.mark.parametrize(
        ("score", "gamma", "share"),
        # Staying with 36 points is worth 36 / (1 − γ), winning 100,000: equal at γ = 0.99964.
        [("sparse", 0.9998, 1), ("dense", 0.9, 1), ("dense", 0.9994, 1), ("dense", 0.9998, 0)],
    )
    def test_what_is_wanted(self, score, gamma, share):
        c = replace(EASY, gamma=gamma)
        state = self.begin(c, rewards.data(replace(c, score=score)), jax.random.key(0))
        assert state.planned == share

    begin = staticmethod(jax.jit(rewards.init))


class TestLearning:
    @pytest.mark.parametrize("score", ["sparse", "dense"])
    def test_an_easy_game(self, score):
        _, (state, metrics) = runs(replace(EASY, score=score))
        last = {name: values[:, -1] for name, values in metrics.items()}
        assert (last["eval/wins"] == 1).all()
        assert (last["eval/length"] == 10).all()  # the shortest way
        assert (last["eval/treasures"] == 0).all()
        assert (last["eval/optimal"] == 1).all()
        assert (last["eval/planned"] == 1).all()
        game = rewards.data(EASY)
        live = ~game.mdp.terminal
        tried = (state.learner.visits[:, live] > 0).mean((1, 2))
        assert (state.learner.visits.sum((1, 2)) == EASY.total_steps).all()
        np.testing.assert_allclose(last["eval/tried"], tried, rtol=1e-5)

    def test_trials_equal_solo_runs(self):
        configs, together = runs(EASY)
        solo = jax.jit(functools.partial(train, rewards.task))
        for i in (0, 2):
            alone = solo(configs[i], rewards.data(EASY), jax.random.key(configs[i].seed))
            for name, values in trial(together[1], i).items():  # seeds and discounts differ
                np.testing.assert_allclose(alone[1][name], values, rtol=1e-6)
            np.testing.assert_array_equal(alone[0].learner.q, together[0].learner.q[i])

    def test_iterations_are_one_run_of_q_learning(self):
        game, key = rewards.data(SLIPPERY), jax.random.key(5)
        state = beginning(game, key)
        for t in range(3):
            state, _ = self.step(SLIPPERY, state, game, t)
        mdp, start = replace(game.mdp, discount=0.8), game.start
        whole = q_learning(key, mdp, 1200, 0.7, 0.3, power=0.6, start=start, time_limit=30)
        np.testing.assert_allclose(state.learner.q, whole.q, rtol=1e-6)
        np.testing.assert_array_equal(state.learner.visits, whole.visits)

    def test_exploration_falls_in_a_straight_line(self):
        c = replace(SLIPPERY, epsilon_start=0.8, epsilon_end=0.2)
        state = beginning(rewards.data(c), jax.random.key(0))
        found = [self.step(c, state, rewards.data(c), t)[1]["epsilon"] for t in (0, 5, 10)]  # of 10
        np.testing.assert_allclose(found, [0.8, 0.5, 0.2], rtol=1e-6)

    step = staticmethod(jax.jit(rewards.step))


@functools.cache
def treasure_hunt():
    """A game along a corridor, with Q by hand: to the right, but back where all is found."""
    world = grid_world(("S12#", "..XG"), "dense")
    q = np.tile(np.float32([1, 0, 3, 0]), (len(world.start), 1))
    q[world.taken.all(1)] = [3, 0, 1, 0]
    return world, q


class TestFigures:
    def test_a_game_is_played_as_the_policy_says(self):
        world, q = treasure_hunt()
        game = rewards_figures.play(world, q.argmax(1), 5, 0)
        assert world.position[game.states].tolist() == [[0, 0], [0, 1], [0, 2], [0, 1], [0, 0], [0, 0]]
        assert world.taken[game.states].sum(1).tolist() == [0, 1, 2, 2, 2, 2]
        assert game.ending == "time out"

    @pytest.mark.parametrize(("move", "ending"), [(RIGHT, "game over"), (DOWN, "won")])
    def test_endings(self, move, ending):
        world = grid_world(("SX", "G#"))
        game = rewards_figures.play(world, np.full(4, move), 9, 0)
        assert (len(game.states), game.ending) == (2, ending)

    def test_chance_is_the_games(self):
        world = grid_world((".S.", "###"), slip=1.0)  # to the side, whatever one does
        ends = [rewards_figures.play(world, np.full(3, UP), 1, seed).states[-1] for seed in range(200)]
        assert 60 < ends.count(0) < 140
        assert set(ends) == {0, 2}

    def test_stages(self):
        world, q = treasure_hunt()
        found = rewards_figures.stages(world, rewards_figures.play(world, q.argmax(1), 5, 0))
        assert found.tolist() == [[False, False], [True, False], [True, True]]
        stays = Play(np.flatnonzero(world.start), "time out")
        assert rewards_figures.stages(world, stays).tolist() == [[False, False], [True, True]]
        names = [rewards_figures.stage_name(world, taken) for taken in found]
        assert names == ["no treasure found", "1 of 2 found: score 1", "all treasures found"]

    def test_of_many_stages_four_are_shown(self):
        world = grid_world(("S123456G",))
        game = rewards_figures.play(world, np.full(len(world.start), RIGHT), 9, 0)
        assert rewards_figures.stages(world, game).sum(1).tolist() == [0, 2, 4, 6]

    def test_policy(self):
        world, q = treasure_hunt()
        visits = np.ones(q.shape, int)
        visits[world.taken.any(1) & (world.position == (1, 0)).all(1)] = 0
        q[world.taken.any(1) & (world.position == (1, 1)).all(1)] = 7
        game = rewards_figures.play(world, q.argmax(1), 5, 0)
        figure = rewards_figures.policy(Rewards(score="dense", gamma=0.5), world, q, visits, game)
        draw(figure)
        panels, nan = figure.axes[:3], np.nan
        assert [axes.get_title() for axes in panels][::2] == ["no treasure found", "all treasures found"]
        pictures = [np.ma.filled(shown_in(axes), nan) for axes in panels]
        np.testing.assert_array_equal(pictures[0], [[3, nan, nan, nan], [3, 3, nan, nan]])
        np.testing.assert_array_equal(pictures[2], [[3, 3, 3, nan], [nan, 7, nan, nan]])
        (quiver,) = (child for child in panels[2].collections if isinstance(child, Quiver))
        # Not where nothing was tried, and not where all moves are worth the same.
        assert quiver.XY.tolist() == [[0, 0], [1, 0], [2, 0]]
        assert (quiver.U < 0).all()
        assert (quiver.V == 0).all()
        assert "dense score, γ = 0.5" in figure.get_suptitle()

    def test_playing(self, monkeypatch):
        world, q = treasure_hunt()
        game = rewards_figures.play(world, q.argmax(1), 5, 0)
        shown = rewards_figures.playing(Rewards(), world, game)
        assert isinstance(shown, Animation)
        frames = np.array(shown.frames)
        assert len(frames) == 6 + rewards_figures.HELD
        assert (frames[5] != frames[6]).any()  # how it ended
        coins = [self.gold(frame) for frame in frames]
        assert coins[0] > 1.5 * coins[1] > 0
        assert coins[2] == coins[-1] == 0
        monkeypatch.setattr(rewards_figures, "FRAMES", 1)
        few = np.array(rewards_figures.playing(Rewards(), world, game).frames)
        assert len(few) == 2 + rewards_figures.HELD
        np.testing.assert_array_equal(few[-1], frames[-1])

    @staticmethod
    def gold(frame):
        return (np.abs(frame.astype(int) - (230, 159, 0)).max(-1) < 8).sum()

    @pytest.mark.parametrize("name", ["lure", "rooms"])
    def test_of_a_trial_that_knows_little(self, name):
        c = Rewards(map=name, time_limit=1)
        game, world = rewards.data(c), rewards.world(c)
        state = beginning(game, jax.random.key(0))
        counts = jnp.where(game.start[:, None] > 0, 1, state.learner.counts)
        learner = state.learner._replace(tables=jnp.full_like(state.learner.tables, 5), counts=counts)
        drawn = rewards.task.figures(c, state._replace(learner=learner), game)
        assert [*drawn] == ["play", "policy"]
        draw(drawn["policy"])
        axes = drawn["policy"].axes[0]
        picture = np.ma.filled(shown_in(axes), np.nan)
        np.testing.assert_array_equal(picture, np.where(world.cells == "S", 5.0, np.nan))
        assert not [child for child in axes.collections if isinstance(child, Quiver)]

    @pytest.mark.parametrize(("shape", "grid"), [((4, 5), (1, 4)), ((4, 10), (2, 2))])
    def test_wide_maps_stand_below_each_other(self, shape, grid):
        world = grid_world(["." * shape[1]] * shape[0])
        _, every = rewards_figures.maps(world, 4)
        spec = every[0].get_subplotspec().get_gridspec()
        assert (spec.nrows, spec.ncols) == grid
        assert len(rewards_figures.maps(world, 3)[1]) == 3


def test_every_map_can_be_chosen():
    assert typing.get_args(Map) == tuple(sorted(MAPS))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"map": "treasure"},
            "map=treasure: expected one of cliff, lure, rooms, treasures. Did you mean 'treasures'?",
        ),
        ({"score": "spars"}, "score=spars: expected one of sparse, dense. Did you mean 'sparse'?"),
        ({"slip": 1.5}, r"slip=1.5: expected a finite number in \[0, 1\]"),
        ({"gamma": 1.0}, r"gamma=1.0: expected a finite number in \[0, 1\)"),
        ({"time_limit": 0}, "time_limit=0"),
        ({"step_size": 0.0}, "step_size=0.0"),
        ({"samples": 0}, "samples=0"),
    ],
)
def test_wrong_fields(fields, message):
    with pytest.raises(UsageError, match=message):
        replace(EASY, **fields)


def test_a_step_is_a_move():
    assert replace(EASY, samples=300, total_steps=1000).num_iterations == 4
