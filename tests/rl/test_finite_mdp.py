"""Finite processes: dense and sparse, as trees of arrays, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from mi203jax.rl import FiniteMDP, bellman_operator, from_sparse
from mi203jax.rl.finite_mdp import expectation, expected_reward, policy_transition, successors

P = np.array([[[0.25, 0.75], [1.0, 0.0]], [[0.0, 1.0], [0.5, 0.5]]])
R = np.array([[1.0, 2.0], [3.0, 4.0]])
Q = np.array([[5.0, 6.0], [8.0, 7.0]], np.float32)
# By hand: r + γ (p V(0) + (1 − p) V(1)), with V = (6, 8) and γ = 1/2.
TQ = np.array([[1 + 3.75, 2 + 3.0], [3 + 4.0, 4 + 3.5]])


def mdp(**changes):
    return FiniteMDP(**({"transition": P, "reward": R, "discount": 0.5} | changes))


class TestForms:
    def test_defaults(self):
        dense = mdp()
        assert (dense.num_states, dense.num_actions) == (2, 2)
        np.testing.assert_array_equal(dense.terminal, [False, False])
        np.testing.assert_array_equal(successors(dense), np.broadcast_to([0, 1], (2, 2, 2)))

    @pytest.mark.parametrize("form", [np.float32, np.float64, jnp.asarray, np.ndarray.tolist])
    def test_arrays_and_lists(self, form):
        convert = form if callable(form) and not isinstance(form, type) else lambda x: x.astype(form)
        found = bellman_operator(FiniteMDP(convert(P), convert(R), 0.5), Q)
        np.testing.assert_allclose(found, TQ, rtol=1e-6)

    def test_lists_of_everything(self):
        sparse_form = FiniteMDP(
            [[[1], [1]], [[1], [1]]], [[1, 2], [3, 4]], 1, [False, True], [[[0], [1]], [[0], [0]]]
        )
        assert sparse_form.num_states == 2
        np.testing.assert_array_equal(bellman_operator(sparse_form, Q), [[7, 10], [0, 0]])

    def test_from_sparse_equals_dense(self):
        rng = np.random.default_rng(0)
        p = rng.random((7, 3, 7)) * (rng.random((7, 3, 7)) < 0.4) + np.eye(7)[:, None]
        p /= p.sum(-1, keepdims=True)
        reward, terminal = rng.normal(size=(7, 3)), np.arange(7) == 4
        dense = FiniteMDP(p, reward, 0.9, terminal)
        for convert in (sparse.csr_matrix, sparse.coo_array, sparse.csc_array):
            found = from_sparse(convert(p.reshape(21, 7)), reward, 0.9, terminal)
            assert found.transition.shape[2] == (p > 0).sum(-1).max() < 7
            again = np.zeros(p.shape)
            for s, a, k in np.ndindex(found.transition.shape):
                again[s, a, found.successor[s, a, k]] += found.transition[s, a, k]
            np.testing.assert_array_equal(again, p)
        q = rng.normal(size=(7, 3)).astype(np.float32)
        np.testing.assert_allclose(bellman_operator(found, q), bellman_operator(dense, q), atol=1e-6)

    def test_policy_transition(self):
        policy = jnp.array([1, 1])
        np.testing.assert_array_equal(policy_transition(mdp(), policy), [[1, 0], [0.5, 0.5]])
        np.testing.assert_array_equal(
            policy_transition(mdp(terminal=[True, False]), policy), [[0, 0], [0.5, 0.5]]
        )
        # The same successor twice.
        twice = mdp(successor=np.ones((2, 2, 2), int))
        np.testing.assert_array_equal(policy_transition(twice, policy), [[0, 1], [0, 1]])

    def test_expected_reward(self):
        reward = np.stack([R, -R], -1)
        expected = [[0.25 - 0.75, 2], [-3, 0]]
        np.testing.assert_allclose(expected_reward(mdp(reward=reward)), expected)
        ended = expected_reward(mdp(reward=reward, terminal=[False, True]))
        np.testing.assert_allclose(ended, [expected[0], [0, 0]])
        np.testing.assert_allclose(expected_reward(mdp(terminal=[True, False])), [[0, 0], [3, 4]])

    def test_what_is_impossible_adds_nothing(self):
        assert expectation(jnp.array([0.0, 1.0]), jnp.array([-jnp.inf, 2.0])) == 2
        assert expectation(jnp.array([0.5, 0.5]), jnp.array([-jnp.inf, 2.0])) == -jnp.inf

    def test_rows_of_terminal_states_are_not_read(self):
        p, reward = P.copy(), R.copy()
        p[1], reward[1] = np.nan, np.inf
        found = bellman_operator(mdp(transition=p, reward=reward, terminal=np.array([False, True])), Q)
        np.testing.assert_allclose(found, [TQ[0], [0, 0]])


class TestTree:
    def test_jit_vmap_and_map(self):
        def operator(process):
            return bellman_operator(process, Q)

        np.testing.assert_allclose(jax.jit(operator)(mdp()), TQ)
        many = jax.tree.map(lambda *x: jnp.stack(x), mdp(), mdp(discount=0.0))
        assert isinstance(many, FiniteMDP)
        np.testing.assert_allclose(jax.vmap(operator)(many), [TQ, R])
        gammas = jnp.array([0.5, 0.0])
        found = jax.vmap(lambda g: operator(dataclasses.replace(mdp(), discount=g)))(gammas)
        np.testing.assert_allclose(found, [TQ, R])

    def test_goes_through_unchanged(self):
        before = mdp(terminal=[False, True], successor=np.zeros((2, 2, 2), int))
        leaves, tree = jax.tree.flatten(before)
        assert len(leaves) == 5
        after = jax.tree.unflatten(tree, leaves)
        assert all(getattr(before, f.name) is getattr(after, f.name) for f in dataclasses.fields(FiniteMDP))
        assert jax.tree.unflatten(tree, [None] * 5).transition is None
        assert len(jax.tree.leaves(mdp())) == 4
        names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(before)]
        assert names == [".transition", ".reward", ".discount", ".terminal", ".successor"]

    def test_traced_arrays_are_taken_as_they_are(self):
        found = jax.jit(lambda p: expected_reward(mdp(transition=p)))(-P)
        np.testing.assert_allclose(found, R)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"transition": changed(P, (1, 0, 0), 0.5)}, "state 1, action 0: expected probabilities that sum to 1, got 1.5"),
            ({"transition": changed(P, (0, 1, 0), 0.999)}, "state 0, action 1: .* sum to 1, got 0.999"),
            ({"transition": changed(P, (1, 0), [1 + 1e-7, 0])}, "state 1, action 0: .* sum to 1"),
            ({"transition": changed(P, (1, 1), [-0.5, 1.5])}, "state 1, action 1: expected probabilities from 0 on, got -0.5"),
            ({"transition": changed(P, (0, 0, 1), np.nan)}, "state 0, action 0: .*, got nan"),
            ({"transition": P[0]}, r"expected a transition of shape \[S, A, S\], got \(2, 2\)"),
            ({"transition": P[:, :, :1]}, r"expected a transition of shape \[S, A, S\], got \(2, 2, 1\)"),
            ({"transition": P[:0]}, r"\[S, A, S\], got \(0, 2, 2\)"),
            ({"transition": P[0], "successor": P[0]}, r"\[S, A, K\], got \(2, 2\)"),
            ({"reward": R[0]}, r"expected a reward of shape \(2, 2\) or \(2, 2, 2\), got \(2,\)"),
            ({"reward": changed(R, (1, 0), np.nan)}, "state 1, action 0: expected a finite reward, or −inf for no action, got nan"),
            ({"reward": changed(R, (0, 1), np.inf)}, "state 0, action 1: expected a finite reward, .* got inf"),
            ({"reward": changed(P, (0, 1, 1), np.nan)}, "state 0, action 1: expected a finite reward, .* got nan"),
            ({"terminal": np.zeros(3, bool)}, r"expected terminal to be \(2,\) bools, got bool \(3,\)"),
            ({"terminal": [0, 1]}, r"expected terminal to be \(2,\) bools, got int64 \(2,\)"),
            ({"discount": 1.01}, r"expected a discount in \[0, 1\], got 1.01"),
            ({"discount": -0.1}, "expected a discount"),
            ({"discount": np.nan}, "expected a discount .* got nan"),
            ({"discount": np.array([0.5])}, "expected a discount"),
            ({"discount": None}, "expected a discount .* got None"),
            ({"discount": "0.9"}, "expected a discount .* got '0.9'"),
            ({"successor": np.zeros((2, 2), int)}, r"expected successors to be integers of shape \(2, 2, 2\), got int64 \(2, 2\)"),
            ({"successor": np.zeros((2, 2, 2))}, "expected successors to be integers .* got float64"),
            ({"successor": np.full((2, 2, 2), 2)}, "state 0, action 0 leads to 2: expected a state from 0 to 1"),
            ({"successor": changed(np.zeros((2, 2, 2), int), (1, 0, 1), -1)}, "state 1, action 0 leads to -1"),
        ],
    )  # fmt: skip
    def test_is_named(self, changes, message):
        with pytest.raises(ValueError, match=f"^FiniteMDP: .*{message}") as caught:
            mdp(**changes)
        assert "\n" not in str(caught.value)

    def test_float32_rows_are_sums_of_float32(self):
        row = np.full((1, 1, 1000), 0.001, np.float32)
        FiniteMDP(np.broadcast_to(row, (1000, 1, 1000)), np.zeros((1000, 1)), 0.5)

    @pytest.mark.parametrize(
        ("transition", "reward", "message"),
        [
            (sparse.eye_array(4), R, r"got \(2, 2\) and \(4, 4\)"),
            (sparse.eye_array(2), R[0], r"got \(2,\) and \(2, 2\)"),
            (P.reshape(4, 2), R, "expected a matrix of scipy.sparse, got ndarray"),
        ],
    )
    def test_from_sparse(self, transition, reward, message):
        with pytest.raises(ValueError, match=f"^from_sparse: .*{message}"):
            from_sparse(transition, reward, 0.9)

    def test_empty_row_of_a_sparse_matrix(self):
        with pytest.raises(ValueError, match="state 1, action 0: .* sum to 1, got 0"):
            from_sparse(sparse.csr_array(changed(P, (1, 0), 0.0).reshape(4, 2)), R, 0.9)
