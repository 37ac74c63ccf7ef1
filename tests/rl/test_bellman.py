"""The fundamental equation against numpy: its operator, residual, and the value of a policy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.rl import FiniteMDP, bellman_operator, bellman_residual, greedy_policy, policy_value
from mi203jax.rl.bellman import UNROLLED, one_step, state_value

pytestmark = pytest.mark.usefixtures("strict")

GAMMA = 0.8


def tables(states, actions, *, seed=0):
    """p `[S, A, S]`, r `[S, A]`, and which states are terminal."""
    rng = np.random.default_rng(seed)
    p = (
        rng.random((states, actions, states)) * (rng.random((states, actions, states)) < 0.7)
        + np.eye(states)[:, None]
    )
    return p / p.sum(-1, keepdims=True), rng.normal(size=(states, actions)), np.arange(states) == states - 1


def solved(p, reward, gamma, terminal):
    """Q*, as the best Q^π of all policies there are, each by linear equations."""
    best = np.full(reward.shape, -np.inf)
    for policy in np.ndindex(*[reward.shape[1]] * len(reward)):
        best = np.maximum(best, valued(p, reward, gamma, terminal, np.array(policy)))
    return best


def valued(p, reward, gamma, terminal, policy):
    live = ~terminal[:, None]
    rows = np.arange(len(p)), policy
    value = np.linalg.solve(np.eye(len(p)) - gamma * (live * p[rows]), live[:, 0] * reward[rows])
    return live * (reward + gamma * p @ value)


P, R, TERMINAL = tables(5, 3)
MDP = FiniteMDP(P, R, GAMMA, TERMINAL)
Q_STAR = solved(P, R, GAMMA, TERMINAL)
operator, residual, value_of = map(jax.jit, (bellman_operator, bellman_residual, policy_value))


class TestOperator:
    def test_its_fixed_point_is_the_best_of_all_policies(self):
        q = jnp.asarray(Q_STAR, jnp.float32)
        np.testing.assert_allclose(operator(MDP, q), Q_STAR, atol=1e-6)
        np.testing.assert_allclose(residual(MDP, q), np.zeros((5, 3)), atol=1e-6)
        assert not operator(MDP, q)[TERMINAL].any()

    def test_equals_the_sums_written_out(self):
        rng = np.random.default_rng(1)
        q, reward = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 3, 5))
        expected = np.zeros((5, 3))
        for s, a, after in np.ndindex(5, 3, 5):
            if not TERMINAL[s]:
                expected[s, a] += P[s, a, after] * (reward[s, a, after] + GAMMA * max(q[after]))
        mdp = FiniteMDP(P, reward, GAMMA, TERMINAL)
        np.testing.assert_allclose(operator(mdp, q), expected, atol=1e-6)
        np.testing.assert_allclose(residual(mdp, q), expected - q, atol=1e-6)

    def test_contracts(self):
        for seed in range(20):
            a, b = np.random.default_rng(seed).normal(size=(2, 5, 3)).astype(np.float32)
            apart = np.abs(operator(MDP, a) - operator(MDP, b)).max()
            assert apart <= GAMMA * np.abs(a - b).max() + 1e-6
        # By no less, where all of Q moves at once and no state is terminal.
        mdp = FiniteMDP(P, R, GAMMA)
        np.testing.assert_allclose(operator(mdp, a + 1) - operator(mdp, a), np.full((5, 3), GAMMA), atol=1e-6)

    def test_residual_bounds_the_distance(self):
        for seed in range(20):
            q = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32)
            assert np.abs(q - Q_STAR).max() <= np.abs(residual(MDP, q)).max() / (1 - GAMMA)

    @pytest.mark.parametrize("k", [UNROLLED - 1, UNROLLED, UNROLLED + 1])
    @pytest.mark.parametrize("actions", [2, UNROLLED + 1])
    def test_sparse_equals_dense(self, k, actions):
        rng = np.random.default_rng(k)
        successor = rng.integers(0, 30, (30, actions, k))  # some twice
        p = rng.dirichlet(np.ones(k), (30, actions)).astype(np.float32)
        dense = np.zeros((30, actions, 30), np.float32)
        for s, a in np.ndindex(30, actions):
            np.add.at(dense[s, a], successor[s, a], p[s, a])
        reward, q = rng.normal(size=(2, 30, actions)).astype(np.float32)
        found = operator(FiniteMDP(p, reward, GAMMA, successor=successor), q)
        np.testing.assert_allclose(found, operator(FiniteMDP(dense, reward, GAMMA), q), atol=1e-5)
        np.testing.assert_allclose(found, reward + GAMMA * dense @ q.max(1), atol=1e-5)

    @pytest.mark.parametrize(
        "convert", [np.ndarray.tolist, lambda q: q.astype(int), lambda q: jnp.asarray(q, int)]
    )
    def test_lists_and_ints(self, convert):
        q = np.arange(15.0).reshape(5, 3)
        expected = np.where(TERMINAL[:, None], 0, R + GAMMA * P @ q.max(1))
        with jax.numpy_dtype_promotion("standard"):
            np.testing.assert_allclose(bellman_operator(MDP, convert(q)), expected, rtol=1e-5)

    def test_discount_may_be_traced(self):
        gammas = jnp.array([0.0, 0.5, 1.0])
        q = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
        found = jax.jit(jax.vmap(lambda g: bellman_operator(dataclasses.replace(MDP, discount=g), q)))(gammas)
        for g, ours in zip((0, 0.5, 1), found, strict=True):
            expected = np.where(TERMINAL[:, None], 0, R + g * P @ q.max(1))
            np.testing.assert_allclose(ours, expected, atol=1e-6)

    def test_double_precision(self):
        with jax.enable_x64(True):
            found = operator(MDP, Q_STAR)
            assert found.dtype == np.float64
        np.testing.assert_allclose(found, Q_STAR, atol=1e-14)


class TestWhereNothingIsOffered:
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
    def test_minus_infinity_spreads_to_what_may_lead_there(self, gamma):
        p = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
        mdp = FiniteMDP(p, [[1.0, 2.0], [-np.inf, -np.inf]], gamma)
        q = jnp.array([[3.0, 4.0], [-jnp.inf, -jnp.inf]])
        found = operator(mdp, q)
        np.testing.assert_allclose(found, [[-np.inf, 2 + gamma * 4], [-np.inf, -np.inf]])
        np.testing.assert_allclose(residual(mdp, found)[1], [0, 0])

    def test_value_of_a_policy(self):
        # 0 -> 1 or itself, 1 -> 2, 2 offers nothing; what 0 does decides.
        successor = np.array([[1, 0], [2, 2], [2, 2]])[..., None]
        mdp = FiniteMDP(
            np.ones((3, 2, 1)), [[1.0, 2.0], [1.0, 1.0], [-np.inf, -np.inf]], 0.5, successor=successor
        )
        for policy, stay in (([0, 0, 0], -np.inf), ([1, 0, 0], 2 + 0.5 * 4)):
            found = value_of(mdp, np.array(policy))
            np.testing.assert_allclose(found, [[-np.inf, stay], [-np.inf] * 2, [-np.inf] * 2], rtol=1e-6)


class TestPolicies:
    def test_greedy(self):
        q = jnp.array([[1.0, 2.0, 0.0], [3.0, 3.0, 3.0], [-jnp.inf, -1.0, -2.0], [-jnp.inf] * 3])
        policy = greedy_policy(q)
        np.testing.assert_array_equal(policy, [1, 0, 1, 0])
        assert policy.dtype == jnp.int32
        np.testing.assert_array_equal(state_value(q), [2, 3, -1, -np.inf])

    def test_value_of_the_greedy_policy_is_that_of_q_star(self):
        policy = greedy_policy(jnp.asarray(Q_STAR, jnp.float32))
        np.testing.assert_allclose(value_of(MDP, policy), Q_STAR, atol=1e-5)

    @pytest.mark.parametrize(
        "policy", [[0, 0, 0, 0, 0], np.array([2, 1, 0, 1, 2]), jnp.array([1, 2, 2, 0, 0])]
    )
    def test_value_equals_numpy(self, policy):
        expected = valued(P, R, GAMMA, TERMINAL, np.asarray(policy))
        np.testing.assert_allclose(value_of(MDP, policy), expected, atol=1e-5)

    def test_value_of_a_chain_is_a_geometric_sum(self):
        # n steps of 1, then the end.
        states = np.arange(6)
        chain = FiniteMDP(
            np.ones((6, 1, 1)), np.ones((6, 1)), 0.9, states == 5, np.minimum(states + 1, 5)[:, None, None]
        )
        expected = (1 - 0.9 ** (5 - states)) / (1 - 0.9)
        np.testing.assert_allclose(value_of(chain, np.zeros(6, int))[:, 0], expected, rtol=1e-5)
        without = value_of(dataclasses.replace(chain, discount=1.0), np.zeros(6, int))
        np.testing.assert_allclose(without[:, 0], 5 - states, rtol=1e-5)

    def test_in_vmap(self):
        policies = jnp.array([[0, 1, 2, 0, 1], [2, 2, 1, 0, 0]])
        gammas = jnp.array([0.3, 0.9])
        value = jax.jit(jax.vmap(lambda pi, g: policy_value(dataclasses.replace(MDP, discount=g), pi)))
        for pi, g, found in zip(policies, (0.3, 0.9), value(policies, gammas), strict=True):
            np.testing.assert_allclose(found, valued(P, R, g, TERMINAL, np.asarray(pi)), atol=1e-5)

    def test_single_precision_stays_where_double_is_enabled(self):
        mdp = FiniteMDP(P.astype(np.float32), R.astype(np.float32), np.float64(GAMMA), TERMINAL)
        with jax.enable_x64(True):
            assert value_of(mdp, np.zeros(5, int)).dtype == np.float32
            assert one_step(mdp, jnp.float32(R), jnp.zeros(5, jnp.float32)).dtype == np.float32
