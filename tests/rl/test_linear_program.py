"""The slide's linear program: both of its forms, its dual, and what has no solution. (Q*: test_planning.py.)"""

import dataclasses

import jax
import numpy as np
import pytest

from mi203jax.rl import FiniteMDP, from_graph, grid_world, linear_program

GAMMA = 0.9


def drawn(seed, states=8, actions=3, k=3, terminal=0):
    """By chance, sparse; the first states are terminal."""
    rng = np.random.default_rng(seed)
    successor = rng.random((states, actions, states)).argsort(-1)[..., :k]
    p = rng.dirichlet(np.ones(k), (states, actions))
    return FiniteMDP(p, rng.normal(size=p.shape), GAMMA, np.arange(states) < terminal, successor)


def optimistic(mdp, sweeps=400):
    """Q(s, a) <- max over s' that may come of r(s, a, s') + γ max_a' Q(s', a')."""
    q = np.zeros(mdp.transition.shape[:2])
    reward = mdp.reward if mdp.reward.ndim == 3 else mdp.reward[..., None]
    for _ in range(sweeps):
        outcomes = np.where(mdp.transition > 0, reward + mdp.discount * q.max(1)[mdp.successor], -np.inf)
        q = np.where(mdp.terminal[:, None], 0, outcomes.max(-1))
    return q


class TestPerSuccessor:
    @pytest.mark.parametrize("terminal", [0, 2])
    @pytest.mark.parametrize("by_successor", [True, False])
    def test_is_the_player_to_whom_the_best_always_happens(self, terminal, by_successor):
        for seed in range(10):
            mdp = drawn(seed, terminal=terminal)
            p = mdp.transition.copy()
            p[:, 0, 0], p[:, 0, 1:] = 0, 0.5  # what is impossible is no constraint
            mdp = dataclasses.replace(
                mdp, transition=p, reward=mdp.reward if by_successor else mdp.reward[..., 0]
            )
            found = linear_program(mdp, "per_successor")
            np.testing.assert_allclose(found.q, optimistic(mdp), atol=1e-8)
            exact = linear_program(mdp)
            assert (found.q >= exact.q - 1e-8).all()
            assert (found.q > exact.q + 1e-3).any()
            live = 8 - terminal
            assert found.constraints == (p[terminal:] > 0).sum() + live * 3
            assert exact.constraints == 2 * live * 3

    def test_equals_expected_where_nothing_is_left_to_chance(self):
        for seed in range(10):
            mdp = drawn(seed, k=1, terminal=1)
            forms = linear_program(mdp), linear_program(mdp, "per_successor")
            for a, b in zip(*forms, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-8)

    def test_of_an_action_by_hand(self):
        # It wins 1 or 0, and stays: 1/2 / (1 − γ) on average, and 1 / (1 − γ) at best.
        mdp = FiniteMDP([[[0.5, 0.5]], [[0.5, 0.5]]], [[[1.0, 0.0]]] * 2, 0.9)
        np.testing.assert_allclose(linear_program(mdp, "expected").q, [[5.0]] * 2)
        np.testing.assert_allclose(linear_program(mdp, "per_successor").q, [[10.0]] * 2)


class TestOccupancy:
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 0.99])
    def test_sum(self, gamma):
        """Of each of the S · A games, 1 + γ + γ² + …."""
        for form in ("expected", "per_successor"):
            occupancy = linear_program(dataclasses.replace(drawn(0), discount=gamma), form).occupancy
            assert occupancy.sum() == pytest.approx(8 * 3 / (1 - gamma))

    @pytest.mark.parametrize("terminal", [0, 3])
    def test_flows_on_greedy_actions(self, terminal):
        for seed in range(10):
            mdp = drawn(seed, terminal=terminal)
            q, occupancy, _ = linear_program(mdp)
            met = np.zeros(8)
            for s, a, k in np.ndindex(mdp.transition.shape):
                met[mdp.successor[s, a, k]] += GAMMA * occupancy[s, a] * mdp.transition[s, a, k]
            played = occupancy - ~mdp.terminal[:, None]
            np.testing.assert_allclose(played.sum(1)[terminal:], met[terminal:], atol=1e-8)
            assert not occupancy[:terminal].any()
            greedy = q >= q.max(1, keepdims=True) - 1e-9
            np.testing.assert_allclose(played[~greedy & ~mdp.terminal[:, None]], 0, atol=1e-9)

    def test_without_discount_counts_steps(self):
        # Two games begin with the edge to the end, of 0 and 1; that of 0 to 1 is followed by the edge from there.
        inf = np.inf
        found = linear_program(from_graph([[inf, 1, 5], [inf, inf, 1], [inf] * 3], 2))
        np.testing.assert_allclose(found.q, [[-2, -5], [-1, -inf], [0, 0]])
        np.testing.assert_allclose(found.occupancy, [[1, 1], [2, 0], [0, 0]])


class TestInput:
    def test_rows_of_float32_without_discount(self):
        """3 times a third is more than 1 in float32: in a corner that would be a circle that pays."""
        mdp = grid_world(["S..", ".#.", "..G"], slip=2 / 3, discount=1.0).mdp
        single = dataclasses.replace(mdp, transition=mdp.transition.astype(np.float32))
        assert single.transition.astype(float).sum(-1).max() > 1
        np.testing.assert_allclose(linear_program(single).q, linear_program(mdp).q, rtol=1e-6)

    def test_arrays_of_jax(self):
        mdp = drawn(0)
        found = linear_program(jax.tree.map(jax.numpy.asarray, mdp))
        np.testing.assert_allclose(found.q, linear_program(mdp).q, atol=1e-5)

    def test_only_terminal_states(self):
        found = linear_program(FiniteMDP([[[1.0]]], [[7.0]], 0.5, [True]))
        assert found.q == found.occupancy == found.constraints == 0


class TestNoSolution:
    # 0 stays, or goes to the end, 1.
    circle = FiniteMDP(
        [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0]] * 2], [[1.0, 0.0], [0.0, 0.0]], 1.0, [False, True]
    )

    @pytest.mark.parametrize("form", ["expected", "per_successor"])
    def test_a_circle_that_pays(self, form):
        with pytest.raises(ValueError, match="^linear_program: infeasible: .* circle of positive reward"):
            linear_program(self.circle, form)
        # With a discount it is worth 1 + γ + γ² + ….
        found = linear_program(dataclasses.replace(self.circle, discount=0.5), form)
        np.testing.assert_allclose(found.q, [[2, 0], [0, 0]], atol=1e-9)

    def test_a_longer_circle_that_pays(self):
        successor = np.array([[1, 3], [2, 3], [0, 3], [3, 3]])[..., None]
        reward = np.array([[1.0, 0], [-3.0, 0], [2.5, 0], [0, 0]])
        mdp = FiniteMDP(np.ones((4, 2, 1)), reward, 1.0, np.arange(4) == 3, successor)
        with pytest.raises(ValueError, match="infeasible"):
            linear_program(mdp)
        reward[0, 0] = 0.25
        np.testing.assert_allclose(
            linear_program(dataclasses.replace(mdp, reward=reward)).q.max(1), [0.25, 0, 2.75, 0], atol=1e-9
        )

    def test_no_end_for_the_optimist_only(self):
        """A circle of which only the best outcome pays."""
        mdp = FiniteMDP(
            [[[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]] + [[[0.0, 0.0, 1.0]] * 2] * 2,
            [[[1.0, 0.0, -9.0], [0.0, 0.0, 0.0]]] + [[[0.0] * 3] * 2] * 2, 1.0, [False, False, True],
        )  # fmt: skip
        assert linear_program(mdp).q[0].max() == pytest.approx(0)
        with pytest.raises(ValueError, match="infeasible"):
            linear_program(mdp, "per_successor")

    def test_form(self):
        with pytest.raises(ValueError, match="expected form to be expected or per_successor, got 'exact'"):
            linear_program(drawn(0), "exact")
