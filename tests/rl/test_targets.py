"""Targets of Q-learning against sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.rl import lambda_returns, td_error, td_target

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
