"""The fundamental equation of Q* on a finite process (slides "Équation fondamentale de Q*", "Cas fini")."""

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.rl.finite_mdp import FiniteMDP, expectation, expected_reward, policy_transition

UNROLLED = 16
"""Up to so many successors of an action, one fused loop over states is faster than a sum over an axis."""
LARGEST = 20_000
"""States up to which linear equations are solved: the matrix of float64 takes 3 GB."""


def bellman_operator(mdp: FiniteMDP, q: jax.Array) -> jax.Array:
    """The right-hand side of the equation, of which Q* is the fixed point.

    (TQ)(s, a) = Σ_s' P(s' | s, a) (r(s, a, s') + γ max_a' Q(s', a')), 0 where s is terminal.

    Args:
        mdp: the process.
        q: Q, `[S, A]`.

    Returns:
        TQ, `[S, A]`: nowhere further from Q* than γ times the largest |Q − Q*|.

    Raises:
        ValueError: if Q is not `[S, A]`.
    """
    if np.shape(q) != (mdp.num_states, mdp.num_actions):
        raise ValueError(
            f"bellman_operator: expected Q of shape {(mdp.num_states, mdp.num_actions)}, got {np.shape(q)}."
        )
    return one_step(mdp, expected_reward(mdp), state_value(jnp.asarray(q)))


def one_step(mdp: FiniteMDP, reward: jax.Array, value: jax.Array) -> jax.Array:
    """Q(s, a), where what comes after one step is worth V(s'); 0 where s is terminal.

    Args:
        mdp: the process.
        reward: its `expected_reward`, which many calls can share, `[S, A]`.
        value: V, `[S]`.
    """
    value = jnp.asarray(value, jnp.result_type(value, reward))
    # A state that offers nothing stays at −∞ with γ = 0.
    value = jnp.where(value == -jnp.inf, value, jnp.asarray(mdp.discount, value.dtype) * value)
    q = reward + _expected_value(mdp, value)
    return jnp.where(jnp.asarray(mdp.terminal)[:, None], 0.0, q)


def state_value(q: jax.Array) -> jax.Array:
    """V(s) = max_a Q(s, a): `[S, A]` -> `[S]`."""
    if q.shape[1] > UNROLLED:
        return q.max(1)
    value = q[:, 0]
    for a in range(1, q.shape[1]):
        value = jnp.maximum(value, q[:, a])
    return value


def _expected_value(mdp: FiniteMDP, value: jax.Array) -> jax.Array:
    """Σ_s' P(s' | s, a) V(s'), `[S, A]`."""
    probability = jnp.asarray(mdp.transition, value.dtype)
    if mdp.successor is None:
        return expectation(probability, value)
    successor = jnp.asarray(mdp.successor)
    if probability.shape[2] > UNROLLED:
        return expectation(probability, value[successor])
    each = (
        expectation(probability[..., k : k + 1], value[successor[..., k : k + 1]])
        for k in range(probability.shape[2])
    )
    return sum(each, start=jnp.zeros(probability.shape[:2], value.dtype))


def bellman_residual(mdp: FiniteMDP, q: jax.Array) -> jax.Array:
    """TQ − Q, `[S, A]`; 0 also where both are −∞.

    With γ < 1 it is 0 everywhere for Q* alone; |Q − Q*| is nowhere larger than its largest size over 1 − γ.
    """
    return difference(bellman_operator(mdp, q), q)


def difference(a: jax.Array, b: jax.Array) -> jax.Array:
    """The difference a − b, 0 where they are equal, infinite values too."""
    return jnp.where(a == b, 0.0, a - b)


def greedy_policy(q: jax.Array) -> jax.Array:
    """π(s) = argmax_a Q(s, a): `[S, A]` -> `[S]`, int32; of equal ones the first."""
    return q.argmax(1).astype(jnp.int32)


def of_policy(q: jax.Array, policy: jax.Array) -> jax.Array:
    """Q(s, π(s)): `[S, A]` and `[S]` -> `[S]`."""
    return jnp.take_along_axis(q, policy[:, None], 1)[:, 0]


def policy_value(mdp: FiniteMDP, policy: jax.Array) -> jax.Array:
    """Q^π: the score obtainable by beginning with a in s and following π from then on.

    V^π solves the linear equations V = r_π + γ P_π V, here by a dense solver: for some thousands of states.

    Args:
        mdp: the process. With γ = 1, π must reach a terminal state from everywhere.
        policy: π, `[S]`, integer.

    Returns:
        Q^π, `[S, A]`; not finite where the equations have no solution.

    Raises:
        ValueError: if there are more than 20,000 states, or π is not `[S]` actions.
    """
    if mdp.num_states > LARGEST:
        raise ValueError(
            f"policy_value: {mdp.num_states} states make as many equations, solved as a dense matrix: "
            f"expected at most {LARGEST}. value_iteration takes more."
        )
    policy = _checked_policy(mdp, policy)
    reward = expected_reward(mdp)
    gamma = jnp.asarray(mdp.discount, reward.dtype)
    own = of_policy(reward, policy)
    probability = policy_transition(mdp, policy).astype(reward.dtype)
    dead = _leads_to(probability, own == -jnp.inf)
    probability = jnp.where(dead[:, None], 0.0, probability)
    matrix = jnp.eye(mdp.num_states, dtype=reward.dtype) - gamma * probability
    value = jnp.linalg.solve(matrix, jnp.where(dead, 0.0, own))
    return one_step(mdp, reward, jnp.where(dead, -jnp.inf, value))


def _checked_policy(mdp: FiniteMDP, policy: jax.Array) -> jax.Array:
    found, actions = jnp.asarray(policy), mdp.num_actions
    if found.shape != (mdp.num_states,) or not jnp.issubdtype(found.dtype, jnp.integer):
        raise ValueError(
            f"policy_value: expected a policy of {mdp.num_states} integers, got {found.dtype} {found.shape}."
        )
    if not isinstance(found, jax.core.Tracer) and not ((found >= 0) & (found < actions)).all():
        raise ValueError(f"policy_value: expected actions from 0 to {actions - 1}, got {found.tolist()}.")
    return found


def _leads_to(probability: jax.Array, states: jax.Array) -> jax.Array:
    """Whether a chain, `[S, S]`, may come from each state to some of these, `[S]`, bool."""

    def grow(carry):
        found, _ = carry
        new = found | ((probability > 0) & found[None]).any(1)
        return new, (new != found).any()

    return jax.lax.while_loop(lambda carry: carry[1], grow, (states, states.any()))[0]
