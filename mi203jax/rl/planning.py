"""Q* of a finite process whose equation is known: by value iteration and by policy iteration."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.rl.bellman import difference, one_step, policy_value, state_value
from mi203jax.rl.finite_mdp import FiniteMDP, expected_reward, successors


class Solution(NamedTuple):
    """What a method found."""

    q: jax.Array  # Q, [S, A]
    iterations: jax.Array  # int32
    bound: jax.Array  # |Q - Q*| is nowhere larger; ∞ if none is known


def value_iteration(
    mdp: FiniteMDP, tolerance: float = 1e-6, max_iterations: int = 100_000, value: Any = None
) -> Solution:
    """Q* by applying the fundamental equation again and again, V ← max_a r + γ P V.

    Let δ be the change that a sweep makes. V* lies between V + γ/(1−γ) min δ and V + γ/(1−γ) max δ (Puterman
    1994, 6.6: bounds of MacQueen and Porteus), so that their middle is taken in the end, and half of their
    distance is the bound. It stops when that is within the tolerance, or below what the dtype can tell apart,
    which `bound` then says. With γ = 1 there is no such bound: it stops when nothing changes by more than
    the tolerance, at the best score of those policies that come to an end.

    Args:
        mdp: the process, dense or sparse.
        tolerance: largest error of Q that is accepted.
        max_iterations: sweeps after which it gives up; `bound` then says how far it came.
        value: V to begin with, `[S]`; None: 0, or, with γ = 1 and certain successors (K = 1), −∞ but for the
            end, from which as many sweeps suffice as the longest of the best paths has steps.

    Returns:
        Q of the dtype of the process.

    Raises:
        ValueError: with γ = 1, naming states from which no end can be reached.
    """
    check_end("value_iteration", mdp)
    if value is None:
        certain = mdp.transition.shape[2] == 1 and has_no_discount(mdp)
        value = jnp.where(jnp.asarray(mdp.terminal), 0.0, -jnp.inf if certain else 0.0)
    return _value_iteration(mdp, tolerance, max_iterations, value)


@jax.jit
def _value_iteration(mdp: FiniteMDP, tolerance, max_iterations, value) -> Solution:
    reward = expected_reward(mdp)
    value = jnp.asarray(value, reward.dtype)
    gamma = jnp.asarray(mdp.discount, reward.dtype)
    weight = gamma / jnp.where(gamma < 1, 1 - gamma, 1)
    resolution = 4 * jnp.finfo(reward.dtype).eps

    class Sweep(NamedTuple):
        value: jax.Array
        low: jax.Array  # least and largest change of the last sweep
        high: jax.Array
        size: jax.Array  # largest |V| that is finite
        sweeps: jax.Array

    def limits(sweep):
        """The bound that the changes give, and what rounding leaves."""
        error = weight * (sweep.high - sweep.low) / 2
        error = jnp.where(gamma < 1, error, jnp.maximum(sweep.high, -sweep.low))
        return error, jnp.where(gamma < 1, resolution * sweep.size * (1 + weight), 0.0)

    def going_on(sweep):
        error, rounding = limits(sweep)
        return (sweep.sweeps < max_iterations) & ~(error <= jnp.maximum(tolerance, rounding))

    def once(sweep):
        new = state_value(one_step(mdp, reward, sweep.value))
        change = difference(new, sweep.value)
        size = jnp.where(jnp.isfinite(new), jnp.abs(new), 0).max()
        return Sweep(new, change.min(), change.max(), size, sweep.sweeps + 1)

    infinite = jnp.asarray(jnp.inf, reward.dtype)
    start = Sweep(value, -infinite, infinite, jnp.zeros_like(infinite), jnp.int32(0))
    end = jax.lax.while_loop(going_on, once, start)
    middle = jnp.where(gamma < 1, weight * (end.low + end.high) / 2, 0.0)
    middle = jnp.where(jnp.isfinite(middle), middle, 0.0)
    q = one_step(mdp, reward, jnp.where(jnp.asarray(mdp.terminal), 0.0, end.value + middle))
    error, rounding = limits(end)
    return Solution(q, end.sweeps, jnp.where(gamma < 1, error + rounding, jnp.inf))


def policy_iteration(mdp: FiniteMDP, max_iterations: int = 1000) -> Solution:
    """Q* by valuing a policy exactly, then following its best actions, until it stays the same (Howard 1960).

    Each valuation solves S linear equations by a dense solver: for some thousands of states.

    Args:
        mdp: the process.
        max_iterations: policies after which it gives up.

    Returns:
        Q of the last policy. Its `bound` is what rounding leaves, ∞ with γ = 1 or where it gave up.

    Raises:
        ValueError: with γ = 1, naming states from which no end can be reached.
    """
    check_end("policy_iteration", mdp)
    return _policy_iteration(mdp, max_iterations)


@jax.jit
def _policy_iteration(mdp: FiniteMDP, max_iterations) -> Solution:
    def going_on(carry):
        _, changed, count, _ = carry
        return changed & (count < max_iterations)

    def once(carry):
        policy, _, count, _ = carry
        q = policy_value(mdp, policy)
        new = improved_policy(q, policy)
        return new, (new != policy).any(), count + 1, q

    dtype = expected_reward(mdp).dtype
    start = ending_policy(mdp), jnp.bool(True), jnp.int32(0), jnp.zeros(mdp.transition.shape[:2], dtype)
    _, changed, count, q = jax.lax.while_loop(going_on, once, start)
    exact = ~changed & (mdp.discount < 1)
    size = jnp.where(jnp.isfinite(q), jnp.abs(q), 0).max()
    rounding = _slack(dtype) * size / jnp.where(mdp.discount < 1, 1 - mdp.discount, 1)
    return Solution(q, count, jnp.where(exact, rounding, jnp.inf).astype(dtype))


def improved_policy(q: jax.Array, policy: jax.Array) -> jax.Array:
    """The best action of each state, or the policy's own where none is better by more than rounding.

    Args:
        q: Q^π, `[S, A]`.
        policy: π, `[S]`, integer.

    Returns:
        `[S]`, int32.
    """
    own = jnp.take_along_axis(q, policy[:, None], 1)[:, 0]
    best = q.max(1)
    # Among equals π stays as it is: it would otherwise go round for ever, or, with γ = 1, walk in circles.
    is_better = best > own + jnp.where(jnp.isfinite(own), _slack(q.dtype) * jnp.abs(own), 0)
    return jnp.where(is_better, q.argmax(1), policy).astype(jnp.int32)


def _slack(dtype) -> float:
    return 64 * float(jnp.finfo(dtype).eps)


def ending_policy(mdp: FiniteMDP) -> jax.Array:
    """A policy that comes to an end from wherever one can: each action may lead to fewer steps before it.

    Args:
        mdp: the process.

    Returns:
        `[S]`, int32: the first action of those states from which there is none.
    """
    leads = jnp.asarray(mdp.transition) > 0
    successor = jnp.asarray(successors(mdp))
    offered = expected_reward(mdp) > -jnp.inf
    far = mdp.num_states  # further than any path

    def steps_after(steps):
        after = jnp.where(leads, steps[successor], far).min(-1)
        return jnp.where(offered, after, far + 1)

    def nearer(carry):
        steps, _ = carry
        new = jnp.where(jnp.asarray(mdp.terminal), 0, jnp.minimum(steps_after(steps).min(1) + 1, far))
        return new, (new != steps).any()

    start = jnp.where(jnp.asarray(mdp.terminal), 0, far), jnp.bool(True)
    steps, _ = jax.lax.while_loop(lambda carry: carry[1], nearer, start)
    return steps_after(steps).argmin(1).astype(jnp.int32)


def has_no_discount(mdp: FiniteMDP) -> bool:
    """Whether γ is 1; a traced one is taken not to be."""
    return not isinstance(mdp.discount, jax.core.Tracer) and float(mdp.discount) == 1


def check_end(function: str, mdp: FiniteMDP) -> None:
    """Refuses a process without discount in which some states lead to no end, unless it is traced.

    States without any action are let be: their value is −∞.

    Args:
        function: whose argument it is, for the message.
        mdp: the process.

    Raises:
        ValueError: naming the first of these states.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(mdp)) or not has_no_discount(mdp):
        return
    from scipy import sparse

    possible = offered_transitions(mdp)
    s, a, k = np.nonzero(possible)
    end = mdp.num_states  # one node for all ends
    terminal = np.flatnonzero(mdp.terminal)
    back = np.append(np.asarray(successors(mdp))[s, a, k], np.full(len(terminal), end))
    there = np.append(s, terminal)
    graph = sparse.csr_matrix((np.ones(len(back)), (back, there)), (end + 1, end + 1))
    reached = np.zeros(end + 1, bool)
    reached[sparse.csgraph.breadth_first_order(graph, end, return_predecessors=False)] = True
    lost = np.flatnonzero(~reached[:end] & possible.any((1, 2)))
    if len(lost):
        names = ", ".join(map(str, lost[:5])) + (", …" if len(lost) > 5 else "")
        raise ValueError(
            f"{function}: with γ = 1 an episode must end, but from {len(lost)} of {end} states no terminal "
            f"state can be reached: {names}. Expected a discount below 1, or an end that can be reached."
        )


def offered_transitions(mdp: FiniteMDP) -> np.ndarray:
    """Which of its K successors each action that is offered may lead to, `[S, A, K]`, bool."""
    reward = np.asarray(mdp.reward)
    offered = (reward.max(-1) if reward.ndim == 3 else reward) > -np.inf
    live = ~np.asarray(mdp.terminal)[:, None]
    return (np.asarray(mdp.transition) > 0) & (offered & live)[..., None]
