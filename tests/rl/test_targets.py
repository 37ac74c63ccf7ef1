"""Targets of Q-learning against sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from mi203jax.rl import FiniteMDP, lambda_returns, relu_bellman_loss, td_error, td_target, value_iteration

pytestmark = pytest.mark.usefixtures("strict")


class TestTdTarget:
    reward = jnp.array([1.0, 1.0, -2.0])
    terminated = jnp.array([False, True, False])
    q_next = jnp.array([[1.0, 5.0], [7.0, 9.0], [4.0, 2.0]])

    def test_maximum(self):
        target = td_target(self.reward, self.terminated, 0.5, self.q_next)
        np.testing.assert_allclose(target, [1 + 0.5 * 5, 1, -2 + 0.5 * 4])

    def test_double(self):
        online = jnp.array([[2.0, 1.0], [0.0, 0.0], [0.0, 3.0]])
        target = td_target(self.reward, self.terminated, 0.5, self.q_next, online)
        np.testing.assert_allclose(target, [1 + 0.5 * 1, 1, -2 + 0.5 * 2])

    def test_no_gradient(self):
        grad = jax.grad(lambda q: td_target(self.reward, self.terminated, 0.5, q).sum())(self.q_next)
        np.testing.assert_array_equal(grad, jnp.zeros((3, 2)))

    def test_a_nan_after_the_end_does_not_matter(self):
        q = self.q_next.at[1].set(jnp.nan)
        assert jnp.isfinite(td_target(self.reward, self.terminated, 0.5, q)).all()


class TestReluBellmanLoss:
    def test_by_hand(self):
        q, reward, q_next = (
            jnp.array([2.0, 2.0, -1.0]),
            jnp.array([1.0, 1.0, 0.0]),
            jnp.array([4.0, 1.0, 0.0]),
        )
        np.testing.assert_allclose(relu_bellman_loss(q, reward, q_next, 0.5), [1.0, 0.0, 1.0])
        np.testing.assert_allclose(relu_bellman_loss(q, reward, q_next, 0.5, 0.1), [1.2, 0.2, 0.9], rtol=1e-6)

    def test_the_gradient_flows_through_both(self):
        slopes = jax.grad(lambda q, q_next: relu_bellman_loss(q, 0.0, q_next, 0.5, 0.1), (0, 1))
        np.testing.assert_allclose(slopes(1.0, 4.0), (-0.9, 0.5), rtol=1e-6)
        np.testing.assert_allclose(slopes(3.0, 4.0), (0.1, 0.0), rtol=1e-6)  # no longer too low

    def test_a_constant_that_is_large_enough_costs_nothing(self):
        reward = jnp.array([100.0, -100.0, 0.0])
        for constant in (1000.0, 1e6):  # r ≤ (1 − γ) Q
            q = jnp.full(3, constant)
            assert (relu_bellman_loss(q, reward, q, 0.9) == 0).all()
        assert (relu_bellman_loss(jnp.full(3, 999.0), reward, jnp.full(3, 999.0), 0.9) > 0).any()

    @pytest.mark.parametrize("weight", [0.1, 0.5, 0.8])
    def test_of_targets_that_do_not_move_it_finds_a_quantile(self, weight):
        target = np.random.default_rng(0).normal(size=999)
        candidates = np.linspace(-3, 3, 1201)
        costs = relu_bellman_loss(
            jnp.asarray(candidates)[:, None], 0.0, jnp.asarray(target)[None], 1.0, weight
        )
        found = candidates[np.asarray(costs.mean(1)).argmin()]
        assert found == pytest.approx(np.quantile(target, 1 - weight), abs=0.02)

    def test_half_a_weight_is_half_the_absolute_error(self):
        q, target = jnp.linspace(-2, 2, 9), jnp.linspace(3, -1, 9)
        cost = relu_bellman_loss(q, target, jnp.zeros(9), 1.0, 0.5)
        np.testing.assert_allclose(cost, jnp.abs(q - target) / 2 + target / 2, atol=1e-6)

    def test_as_a_penalty_it_is_exact_up_to_what_a_constraint_yields(self):
        """The best Q of all, found by a linear program of our own, is Q* below that weight, and not above."""
        draws = np.random.default_rng(1)
        states, actions, gamma = 5, 2, 0.8
        after, reward = draws.integers(0, states, (states, actions)), draws.random((states, actions))
        sampled = draws.dirichlet(np.ones(states * actions))
        mdp = FiniteMDP(np.eye(states)[after], reward, gamma)
        q_star = np.asarray(value_iteration(mdp, 1e-5).q)
        # How often (s, a) is met from a sample on: each leads to the best action of where it leads.
        flow = np.zeros((states * actions, states * actions))
        best = after * actions + q_star.argmax(1)[after]
        flow[np.arange(states * actions), best.ravel()] = gamma
        met = np.linalg.solve(np.eye(states * actions) - flow.T, sampled)
        largest = (sampled / met).min()

        def objective(q, weight):
            q = jnp.asarray(q, jnp.float32)
            return sampled @ np.asarray(relu_bellman_loss(q, reward, q.max(1)[after], gamma, weight)).ravel()

        for factor, is_exact in ((0.9, True), (1.2, False)):
            q = self.least(after, reward, gamma, sampled, factor * largest)
            assert (np.abs(q - q_star).max() < 1e-4) == is_exact
            gain = objective(q_star, factor * largest) - objective(q, factor * largest)
            assert gain == pytest.approx(0, abs=1e-5) if is_exact else gain > 1e-5

    @staticmethod
    def least(after, reward, gamma, sampled, weight):
        """min over Q and e ≥ 0 of the sampled mean of e + weight Q, with Q(s, a) + e ≥ r + γ Q(s', a')."""
        states, actions = reward.shape
        pairs = states * actions
        rows, limits = [], []
        for s, a, b in np.ndindex(states, actions, actions):
            row = np.zeros(2 * pairs)
            row[after[s, a] * actions + b] += gamma
            row[s * actions + a] -= 1
            row[pairs + s * actions + a] = -1
            rows.append(row)
            limits.append(-reward[s, a])
        cost, bounds = np.append(weight * sampled, sampled), [(-100, 100)] * pairs + [(0, None)] * pairs
        found = optimize.linprog(cost, rows, limits, bounds=bounds)
        return found.x[:pairs].reshape(states, actions)


def test_td_error():
    q = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(td_error(q, jnp.array([1, 0]), jnp.array([0.5, 5.0])), [1.5, -2.0])


def by_definition(reward, terminated, truncated, q_next, gamma, lambda_):
    """Σ_n (1 − λ) λ^(n−1) G^(n), each n-step return written out; the last one takes the rest of the weight."""
    time = len(reward)
    out = np.zeros(time)
    for t in range(time):
        end = next((u for u in range(t, time) if terminated[u] or truncated[u]), time - 1)
        n_step = []
        for n in range(1, end - t + 2):
            last = t + n - 1
            value = 0.0 if terminated[last] else q_next[last]
            n_step.append(sum(gamma**k * reward[t + k] for k in range(n)) + gamma**n * value)
        weights = [(1 - lambda_) * lambda_**k for k in range(len(n_step) - 1)]
        out[t] = np.dot([*weights, lambda_ ** (len(n_step) - 1)], n_step)
    return out


class TestLambdaReturns:
    @pytest.mark.parametrize("lambda_", [0.0, 0.65, 1.0])
    def test_equals_the_weighted_n_step_returns(self, lambda_):
        rng = np.random.default_rng(0)
        reward, q_next = rng.normal(size=(2, 12, 6))
        terminated = rng.random((12, 6)) < 0.15
        truncated = (rng.random((12, 6)) < 0.15) & ~terminated
        ours = lambda_returns(
            *map(jnp.asarray, (np.float32(reward), terminated, truncated, np.float32(q_next))), 0.9, lambda_
        )
        for i in range(6):
            columns = (x[:, i] for x in (reward, terminated, truncated, q_next))
            np.testing.assert_allclose(ours[:, i], by_definition(*columns, 0.9, lambda_), atol=1e-5)

    def test_time_limit_and_termination_are_told_apart(self):
        steps = jnp.ones(2), jnp.array([False, False])
        q_next = jnp.array([10.0, 20.0])
        cut = lambda_returns(steps[0], steps[1], jnp.array([True, False]), q_next, 0.5, 1.0)
        ended = lambda_returns(steps[0], jnp.array([True, False]), steps[1], q_next, 0.5, 1.0)
        np.testing.assert_allclose(cut, [1 + 0.5 * 10, 1 + 0.5 * 20])
        np.testing.assert_allclose(ended, [1, 1 + 0.5 * 20])

    def test_no_gradient(self):
        steps = jnp.ones(3), jnp.zeros(3, bool), jnp.zeros(3, bool)
        grad = jax.grad(lambda q: lambda_returns(*steps, q, 0.9, 0.5).sum())(jnp.ones(3))
        np.testing.assert_array_equal(grad, jnp.zeros(3))
