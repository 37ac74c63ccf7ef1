"""One game by every method: what is known of it, how errors are measured, and what figures say."""

import functools
from dataclasses import replace

import gymnasium
import jax
import numpy as np
import pytest

from mi203jax import UsageError, train
from mi203jax.configs import Bellman
from mi203jax.tasks import bellman, bellman_figures
from tests.tasks.shown import draw

SMALL = Bellman(
    game="random", states=6, actions=2, gamma=0.8, total_steps=4_000, samples=500, eval_every=2_000
)


@functools.cache
def finished(config):
    """The last evaluation, the final state, and the game."""
    game = bellman.data(config)
    state, measures = jax.jit(functools.partial(train, bellman.task, config))(
        game, jax.random.key(config.seed)
    )
    return {n: float(v[-1]) for n, v in measures.items()}, jax.device_get(state), game


def swept(mdp, sweeps=2000):
    """Value iteration in plain numpy, of a game without end."""
    q = np.zeros(mdp.reward.shape)
    for _ in range(sweeps):
        q = mdp.reward + mdp.discount * (mdp.transition * q.max(1)[mdp.successor]).sum(-1)
    return q


def test_q_star_is_the_fixed_point():
    game = bellman.data(SMALL)
    np.testing.assert_allclose(game.q_star, swept(game.mdp), atol=1e-12)
    assert game.q_star.dtype == np.float64
    assert game.planned["linear_program"] < 1e-9
    assert game.planned["value_iteration"] < 1e-9
    best = np.zeros((6, 2))
    for _ in range(200):  # the best of what may happen happens
        best = game.mdp.reward + 0.8 * np.where(
            game.mdp.transition > 0, best.max(1)[game.mdp.successor], 0
        ).max(-1)
    assert game.planned["per_successor"] == pytest.approx(np.abs(best - game.q_star).max(), rel=1e-5)


def test_learners_come_nearer_and_their_distance_is_recorded():
    measures, state, game = finished(SMALL)
    start = np.abs(game.q_star).max()
    for i, name in enumerate(bellman.LEARNERS):
        error = np.abs(state.learners[name].q - game.q_star).max()
        assert measures[f"eval/{name}_error"] == pytest.approx(error, rel=1e-4)
        assert state.errors[-1, i] == pytest.approx(error, rel=1e-4)
        assert error < 0.3 * start
        assert state.learners[name].visits.sum() == 4_000
    assert np.isfinite(state.errors).all()
    assert (state.errors[0] > state.errors[-1]).all()


@pytest.mark.parametrize(
    ("game", "states", "actions"),
    [("rooms", 68, 4), ("cliff", 48, 4), ("frozen_lake", 16, 4), ("cliff_walking", 48, 4), ("taxi", 501, 6)],
)
def test_every_game(game, states, actions):
    mdp = bellman.rules(Bellman(game=game))
    assert mdp.transition.shape[:2] == (states, actions)
    assert mdp.discount == 0.95


def test_tables_are_gymnasiums():
    mdp = bellman.rules(Bellman(game="frozen_lake"))
    table = gymnasium.make("FrozenLake-v1").unwrapped.P
    assert [p for p, *_ in table[14][2]] == list(mdp.transition[14, 2])
    assert [s for _, s, *_ in table[14][2]] == list(mdp.successor[14, 2])


def test_a_game_need_end_without_a_discount():
    with pytest.raises(UsageError, match="game=random, gamma=1: .*no terminal state can be reached"):
        bellman.data(replace(SMALL, gamma=1.0))
    assert np.isfinite(bellman.data(Bellman(game="rooms", gamma=1.0)).q_star).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"game": "taxi", "slip": 0.3}, "slip=0.3 is of game=rooms and cliff, not of taxi"),
        ({"game": "random", "score": "dense"}, "score=dense is of game=rooms and cliff, not of random"),
        ({"states": 3}, "states=3 is of game=random, not of rooms"),
    ],
)
def test_fields_of_other_games(fields, message):
    with pytest.raises(UsageError, match=message):
        Bellman(**fields)


class TestFigures:
    @staticmethod
    @functools.cache
    def drawn():
        _, state, game = finished(SMALL)
        return bellman.figures(SMALL, state, game)

    def test_the_table_has_every_method_and_its_error(self):
        _, state, game = finished(SMALL)
        (axes,) = self.drawn()["methods"].axes
        (table,) = axes.tables
        text = {(i, j): cell.get_text().get_text() for (i, j), cell in table.get_celld().items()}
        rows = {text[i, 0]: [text[i, j] for j in range(1, 7)] for i in range(1, 8)}
        assert list(rows) == list(bellman_figures.NAMES.values())
        for name in ("linear program", "value iteration", "policy iteration"):
            knows, error, best, *_, samples = rows[name]
            assert (knows, best, samples) == ("the rules", "100.0%", "–")
            assert float(error) < 1e-8
        assert float(rows["… one constraint per s'"][1]) > 0.1  # chance decides here
        for name, learner in state.learners.items():
            knows, error, _, _, _, samples = rows[bellman_figures.NAMES[name]]
            assert (knows, samples) == ("samples", "4,000")
            assert float(error) == pytest.approx(np.abs(learner.q - game.q_star).max(), rel=0.06)

    def test_convergence_by_the_rules_is_that_of_the_operator(self):
        game = bellman.data(SMALL)
        known, seen = self.drawn()["convergence"].axes
        sweeps, policies = known.get_lines()
        by_hand = [np.abs(swept(game.mdp, k + 1) - game.q_star).max() for k in range(5)]
        np.testing.assert_allclose(sweeps.get_ydata()[:5], by_hand, rtol=1e-9)
        assert policies.get_ydata()[-1] < 1e-10
        _, state, _ = finished(SMALL)
        for i, (line, name) in enumerate(zip(seen.get_lines(), bellman.LEARNERS, strict=True)):
            assert line.get_label() == bellman_figures.NAMES[name]
            np.testing.assert_allclose(line.get_ydata(), state.errors[:, i])
            np.testing.assert_array_equal(line.get_xdata(), 500 * np.arange(1, 9))

    def test_q_is_shown_beside_what_others_believe(self):
        _, state, game = finished(SMALL)
        star, optimist, learnt, *_ = self.drawn()["q"].axes
        np.testing.assert_allclose(star.images[0].get_array(), game.q_star)
        assert (optimist.images[0].get_array() >= game.q_star - 1e-9).all()
        np.testing.assert_allclose(learnt.images[0].get_array(), state.learners["q_learning"].q)

    def test_on_a_map_each_triangle_is_an_action(self):
        c = Bellman(game="cliff_walking", gamma=0.9)
        mdp, q_star, _ = bellman.data(c)
        rows = dict.fromkeys(("per_successor", "q_learning"), bellman_figures.Row(q_star, 0.0, "", 0))
        figure = bellman_figures.q_figure(c, mdp, q_star, rows)
        draw(figure)
        (triangles, arrows), live = figure.axes[0].collections, ~mdp.terminal
        np.testing.assert_allclose(triangles.get_array(), q_star[live].ravel())
        # The start, in the corner below: the best is up, gymnasium's action 0, drawn upwards.
        start = np.flatnonzero((arrows.XY == (0, 3)).all(1))
        assert (arrows.U[start], arrows.V[start]) == (0, pytest.approx(-0.55))
        middle = triangles.get_paths()[4 * 36].vertices.mean(0)
        assert middle[1] < 3  # its first triangle lies above the middle of the cell
