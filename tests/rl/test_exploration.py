"""ε-greedy choices and their schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mi203jax.rl import epsilon_greedy, linear_decay

pytestmark = pytest.mark.usefixtures("strict")


class TestLinearDecay:
    def test_equals_optax(self):
        schedule = optax.linear_schedule(1.0, 0.1, transition_steps=30)
        for t in (0, 7, 29, 30, 99):
            assert float(linear_decay(1.0, 0.1, 0.3, t / 100)) == pytest.approx(float(schedule(t)), abs=1e-6)

    def test_traced_ends(self):
        f = jax.jit(jax.vmap(linear_decay, (0, 0, None, None)))
        np.testing.assert_allclose(f(jnp.array([1.0, 0.5]), jnp.zeros(2), 0.5, 0.25), [0.5, 0.25])


class TestEpsilonGreedy:
    q = jnp.array([0.0, 3.0, 1.0, 2.0])

    def frequencies(self, epsilon, n=40_000):
        actions = epsilon_greedy(jax.random.key(3), jnp.broadcast_to(self.q, (n, 4)), epsilon)
        assert actions.shape == (n,)
        return np.bincount(actions, minlength=4) / n

    def test_zero_is_greedy(self):
        np.testing.assert_array_equal(self.frequencies(0.0), [0, 1, 0, 0])

    @pytest.mark.parametrize("epsilon", [0.3, 1.0])
    def test_frequencies(self, epsilon):
        expected = epsilon / 4 + (1 - epsilon) * np.array([0, 1, 0, 0])
        # Five standard deviations of a frequency among 40,000.
        np.testing.assert_allclose(self.frequencies(epsilon), expected, atol=5 * 0.5 / 200)

    def test_epsilon_may_differ_by_row(self):
        q = jnp.broadcast_to(self.q, (2, 1000, 4))
        actions = epsilon_greedy(jax.random.key(0), q, jnp.broadcast_to(jnp.array([[0.0], [1.0]]), (2, 1000)))
        assert (actions[0] == 1).all()
        assert len(np.unique(actions[1])) == 4

    def test_keys_decide(self):
        q = jnp.zeros((100, 4))
        a, b, c = (epsilon_greedy(jax.random.key(k), q, 1.0) for k in (0, 0, 1))
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
