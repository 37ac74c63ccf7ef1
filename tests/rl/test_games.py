"""Games as finite processes: maps by hand, and gymnasium's tables."""

import gymnasium
import numpy as np
import pytest

from mi203jax.rl import from_gymnasium, grid_world, value_iteration
from mi203jax.rl.games import MAPS, MOVE_NAMES

LEFT, DOWN, RIGHT, UP = range(4)


def q_star(game):
    return value_iteration(game.mdp, 1e-6).q


def dense(mdp):
    p = np.zeros((mdp.num_states, mdp.num_actions, mdp.num_states))
    for place in np.ndindex(mdp.transition.shape):
        p[(*place[:2], mdp.successor[place])] += mdp.transition[place]
    return p


class TestGridWorld:
    def test_sparse_score(self):
        """+100 on winning, −100 when the game is over, else 0."""
        game = grid_world(["X.SG"], discount=0.5)
        # Left, down, right, up of each cell: −100, or 100, or half of the best of where it leads.
        expected = [[0] * 4, [-100, 25, 50, 25], [25, 50, 100, 50], [0] * 4]
        np.testing.assert_allclose(q_star(game), expected)
        np.testing.assert_array_equal(game.position, [[0, 0], [0, 1], [0, 2], [0, 3]])
        np.testing.assert_array_equal(game.mdp.terminal, [True, False, False, True])
        np.testing.assert_array_equal(game.start, [0, 0, 1, 0])
        np.testing.assert_array_equal(game.score, np.zeros(4))
        assert game.mdp.discount == 0.5
        assert MOVE_NAMES == ("left", "down", "right", "up")

    def test_dense_score(self):
        """±100,000 in the end, else the score that the game shows."""
        mdp = grid_world(["X.SG"], "dense", discount=0.5).mdp
        np.testing.assert_array_equal(mdp.reward[1:3, :, 0], [[-100_000, 0, 0, 0], [0, 0, 100_000, 0]])

    def test_a_treasure_counts_once_and_stays_on_the_score(self):
        game = grid_world(["S3G"], "dense", discount=0.5)
        # Untaken: S, G; taken: S, the treasure's cell, G.
        np.testing.assert_array_equal(game.position[:, 1], [0, 2, 0, 1, 2])
        np.testing.assert_array_equal(game.taken[:, 0], [False, False, True, True, True])
        np.testing.assert_array_equal(game.score, [0, 0, 3, 3, 3])
        np.testing.assert_array_equal(game.mdp.successor[0, :, 0], [0, 0, 3, 0])
        np.testing.assert_array_equal(game.mdp.reward[0, :, 0], [0, 0, 3, 0])
        np.testing.assert_array_equal(game.mdp.successor[[2, 3], :, 0], [[2, 2, 3, 2], [2, 3, 4, 3]])
        np.testing.assert_array_equal(game.mdp.reward[[2, 3], :, 0], [[3] * 4, [3, 3, 100_000, 3]])
        np.testing.assert_array_equal(game.start, [1, 0, 0, 0, 0])
        assert game.treasures == [(0, 1)]
        sparse = grid_world(["S3G"], discount=0.5)
        np.testing.assert_array_equal(sparse.mdp.reward[[0, 2], :, 0], np.zeros((2, 4)))
        np.testing.assert_array_equal(sparse.mdp.successor, game.mdp.successor)
        np.testing.assert_array_equal(sparse.score, game.score)

    def test_treasures_add_up(self):
        game = grid_world(["12", ".G"], "dense", discount=0.9)
        # Of 4 cells, the two of treasures exist only where these are taken: 2 + 3 + 3 + 4.
        assert game.mdp.num_states == 12
        assert sorted(game.score) == [0] * 2 + [1] * 3 + [2] * 3 + [3] * 4
        state = int(np.argmax(game.start))
        shown = []
        for move in (UP, RIGHT, LEFT, DOWN, UP, RIGHT, DOWN):
            shown.append(float(game.mdp.reward[state, move, 0]))
            state = int(game.mdp.successor[state, move, 0])
        assert shown == [1, 3, 3, 3, 3, 3, 100_000]
        assert game.mdp.terminal[state]

    def test_walls_and_edges(self):
        game = grid_world(["S#", ".G"], discount=0.5)
        np.testing.assert_array_equal(game.position, [[0, 0], [1, 0], [1, 1]])
        np.testing.assert_array_equal(game.mdp.successor[:2, :, 0], [[0, 1, 0, 0], [1, 1, 2, 0]])
        np.testing.assert_array_equal(game.cells, [["S", "#"], [".", "G"]])

    def test_slip(self):
        game = grid_world(["###", "S.G", "#X#"], slip=0.5, discount=0.5)
        p = dense(game.mdp)
        # States: S, ., G, X. Half as wanted, a quarter to either side of that.
        np.testing.assert_array_equal(p[1, LEFT], [0.5, 0.25, 0, 0.25])
        np.testing.assert_array_equal(p[1, DOWN], [0.25, 0, 0.25, 0.5])
        np.testing.assert_array_equal(p[1, RIGHT], [0, 0.25, 0.5, 0.25])
        np.testing.assert_array_equal(p[1, UP], [0.25, 0.5, 0.25, 0])

    def test_that_slips_by_two_thirds_is_frozen_lake(self):
        env = gymnasium.make("FrozenLake-v1", map_name="4x4")
        letters = [
            "".join(row).translate(str.maketrans("FH", ".X")) for row in env.unwrapped.desc.astype(str)
        ]
        game = grid_world(letters, slip=2 / 3)
        live = ~game.mdp.terminal
        table = env.unwrapped.P
        for s in np.flatnonzero(live):
            for a in range(4):
                expected, prize = np.zeros(16), 0.0
                for p, after, reward, _ in table[s][a]:
                    expected[after] += p
                    prize += p * reward
                np.testing.assert_allclose(dense(game.mdp)[s, a], expected)
                won = (game.mdp.transition * (game.mdp.reward == 100))[s, a].sum()
                assert won == pytest.approx(prize)

    def test_starts(self):
        np.testing.assert_array_equal(grid_world(["S.SG"]).start, [0.5, 0, 0.5, 0])
        np.testing.assert_array_equal(grid_world(["X..G"]).start, [0, 0.5, 0.5, 0])
        # Not on a treasure, nor where one is taken already.
        np.testing.assert_array_equal(grid_world([".1G"]).start, [1, 0, 0, 0, 0])

    @pytest.mark.parametrize("name", MAPS)
    def test_named_maps_can_be_won(self, name):
        assert grid_world(list(MAPS[name]), discount=1.0).mdp.num_states
        game = grid_world(MAPS[name], discount=0.9)
        assert (game.start @ np.asarray(q_star(game)).max(1)) > 0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((["S.", "G"],), "expected a list of texts of the same length"),
            (([],), "expected a list of texts of the same length"),
            ((["", ""],), "expected a list of texts of the same length"),
            (("SG",), "expected a list of texts of the same length, got 'SG'"),
            ((["SG", ".g"],), "unknown character 'g' in row 1, column 1: expected one of # . S G X 1 2"),
            ((["S0G"],), "unknown character '0' in row 0, column 1"),
            ((["#G", "X1"],), "nowhere to begin: expected an S, or some floor"),
            ((["S" + "1" * 11],), r"11 treasures make 2\^11 states of each cell: at most 10"),
            ((["SG"], "both"), "expected score to be sparse or dense, got 'both'"),
            ((["SG"], "sparse", 1.5), r"expected slip in \[0, 1\], got 1.5"),
            ((["SG"], "sparse", float("nan")), r"expected slip in \[0, 1\], got nan"),
        ],
    )
    def test_bad_input(self, arguments, message):
        with pytest.raises(ValueError, match=f"^grid_world: {message}") as caught:
            grid_world(*arguments)
        assert "\n" not in str(caught.value)

    def test_discount_is_checked(self):
        with pytest.raises(ValueError, match=r"expected a discount in \[0, 1\], got 2"):
            grid_world(["SG"], discount=2)


class TestStart:
    MAP = ("S.#", "1XG")

    def test_begins_where_it_is_told(self):
        game = grid_world(self.MAP, start=(0, 1))
        assert game.start[(game.position == (0, 1)).all(1) & (game.score == 0)] == 1

    @pytest.mark.parametrize(
        ("start", "what"),
        [
            ((0, 2), "a wall"), ((1, 2), "the goal"), ((1, 1), "a hole"), ((1, 0), "a treasure"),
            ((2, 0), "not on the map"), ((-1, 0), "not on the map"), ((0,), "not on the map"),
        ],
    )  # fmt: skip
    def test_where_one_cannot(self, start, what):
        with pytest.raises(ValueError, match=f"^grid_world: start=.* is {what}: expected row and column"):
            grid_world(self.MAP, start=start)


class Table:
    """An environment that is its table."""

    def __init__(self, table, begins=None):
        self.P = table
        if begins is not None:
            self.initial_state_distrib = np.array(begins)


class TestFromGymnasium:
    """Q* is compared in test_planning.py."""

    def test_ends_are_states_where_they_are_entered_in_one_way_only(self):
        lake = gymnasium.make("FrozenLake-v1", map_name="4x4")
        mdp = from_gymnasium(lake)
        np.testing.assert_array_equal(mdp.terminal, np.isin(lake.unwrapped.desc.flatten(), [b"H", b"G"]))
        assert mdp.transition.shape == (16, 4, 3)
        assert mdp.discount == 0.99
        cliff = from_gymnasium(gymnasium.make("CliffWalking-v1"), 0.9)
        np.testing.assert_array_equal(np.flatnonzero(cliff.terminal), [47])
        assert cliff.transition.shape == (48, 4, 1)

    def test_taxi_has_one_more_state_for_the_end(self):
        env = gymnasium.make("Taxi-v4")
        mdp = from_gymnasium(env.unwrapped, 0.9)
        assert mdp.num_states == 501
        np.testing.assert_array_equal(np.flatnonzero(mdp.terminal), [500])
        ends = {(s, a) for s in range(500) for a in range(6) if env.unwrapped.P[s][a][0][3]}
        assert ends == set(map(tuple, np.argwhere(mdp.successor[:500, :, 0] == 500)))

    def test_a_state_to_begin_in_is_no_end(self):
        """A bandit: each pull ends the episode, and leads to where the next one begins."""
        bandit = {0: {0: [(1.0, 0, -3.0, True)], 1: [(0.5, 0, 4.0, True), (0.5, 0, 8.0, True)]}}
        found = value_iteration(from_gymnasium(Table(bandit, [1.0])))
        np.testing.assert_allclose(found.q, [[-3, 6], [0, 0]])

    def test_a_game_that_does_not_say_where_it_begins(self):
        """Where one is paid for staying, a game may begin, though whatever leads there ends it."""
        mdp = from_gymnasium(Table({0: {0: [(1.0, 0, 1.0, True)], 1: [(1.0, 0, 5.0, True)]}}), 0.9)
        np.testing.assert_array_equal(value_iteration(mdp).q, [[1, 5], [0, 0]])

    @pytest.mark.parametrize(
        "table", [{1: {0: [(1.0, 1, 0.0, True)]}}, {0: {0: [], 1: []}, 1: {0: []}}, {0: {1: []}}]
    )
    def test_a_table_of_other_numbers(self, table):
        with pytest.raises(ValueError, match="^from_gymnasium: expected a table P of states from 0 to"):
            from_gymnasium(Table(table))

    def test_what_has_no_chance_is_no_way_in(self):
        table = {
            0: {0: [(1.0, 1, 1.0, True), (0.0, 1, 9.0, False)]},
            1: {0: [(1.0, 1, 0.0, True)]},
        }
        mdp = from_gymnasium(Table(table), 0.5)
        np.testing.assert_array_equal(mdp.terminal, [False, True])

    @pytest.mark.parametrize("env", [gymnasium.make("CartPole-v1"), Table({}), None])
    def test_no_table(self, env):
        with pytest.raises(
            ValueError, match="^from_gymnasium: .* has no table P of its transitions: expected"
        ):
            from_gymnasium(env)

    def test_a_table_of_no_probabilities(self):
        with pytest.raises(ValueError, match="state 0, action 0: .* sum to 1, got 0.5"):
            from_gymnasium(Table({0: {0: [(0.5, 1, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, True)]}}))
