"""Q* of a finite process whose equation is known: by value iteration and by policy iteration."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.arguments import check_int
from mi203jax.rl.bellman import difference, of_policy, one_step, policy_value, state_value
from mi203jax.rl.finite_mdp import FiniteMDP, expected_reward, successors

LOOK = 8
"""Sweeps after which value iteration looks at what changed, which costs as much as another sweep."""

MAX_INT = 2**31 - 1
NOT_SETTLED = (
    "with γ = 1 the values do not settle, as where a circle of positive reward can be walked for ever: "
    "expected a discount below 1, or no such circle; they still changed"
)


class Solution(NamedTuple):
    """What a method found."""

    q: jax.Array  # Q, [S, A]
    iterations: jax.Array  # int32
    bound: jax.Array  # |Q − Q*| is nowhere larger, rounding estimated; ∞ if no bound is known


def value_iteration(
    mdp: FiniteMDP, tolerance: float = 1e-6, max_iterations: int = 100_000, value: Any = None
) -> Solution:
    """Q* by applying the fundamental equation again and again, V ← max_a r + γ P V.

    Let δ be the change that a sweep makes. V* lies between V + γ/(1−γ) min δ and V + γ/(1−γ) max δ (Puterman
    1994, 6.6: bounds of MacQueen and Porteus), so that their middle is taken in the end, and half of their
    distance is the bound. It stops when that is within the tolerance, or below what the dtype can tell apart,
    which `bound` then says. With γ = 1 there is no such bound: it stops when nothing changes by more than
    the tolerance, at the best score of those policies that come to an end: it begins with the score of one.

    Args:
        mdp: the process, dense or sparse.
        tolerance: largest error of Q that is accepted.
        max_iterations: sweeps after which it gives up; `bound` then says how far it came.
        value: V to begin with, `[S]`; None: 0, or, with γ = 1, that of a policy which comes to an end.

    Returns:
        Q of the dtype of the process.

    Raises:
        ValueError: if `max_iterations` is not positive, the tolerance no number or the value not `[S]`
            numbers; with γ = 1, naming states from which no end can be reached, or if it does not settle, as
            where a circle pays. Nothing is known of what is traced: then the bound alone tells.
    """
    name = "value_iteration"
    check_end(name, mdp)
    check_int(name, "max_iterations", max_iterations, MAX_INT)
    known = not isinstance(tolerance, jax.core.Tracer)
    if known and not tolerance >= 0:
        raise ValueError(f"{name}: expected a tolerance from 0 on, got {tolerance!r}.")
    if value is None:
        value = _first_value(mdp, tolerance, max_iterations)
    if np.shape(value) != (mdp.num_states,):
        raise ValueError(f"{name}: expected a value of shape {(mdp.num_states,)}, got {np.shape(value)}.")
    if not isinstance(value, jax.core.Tracer) and np.isnan(value).any():
        raise ValueError(f"{name}: expected a value of numbers, got nan.")
    found, settled = _value_iteration(mdp, tolerance, max_iterations, value)
    if has_no_discount(mdp) and not isinstance(settled, jax.core.Tracer) and not settled:
        raise ValueError(f"{name}: {NOT_SETTLED} after {max_iterations} sweeps.")
    return found


def _first_value(mdp: FiniteMDP, tolerance, max_iterations) -> Any:
    """V to begin with, `[S]`: 0; with γ = 1, below V*."""
    nothing = jnp.zeros(mdp.num_states, expected_reward(mdp).dtype)
    if isinstance(mdp.discount, jax.core.Tracer):
        below = functools.partial(_value_below, mdp, tolerance, max_iterations)
        return jax.lax.cond(jnp.asarray(mdp.discount) == 1, below, lambda: nothing)
    return _value_below(mdp, tolerance, max_iterations) if has_no_discount(mdp) else nothing


@jax.jit
def _value_below(mdp: FiniteMDP, tolerance, max_iterations) -> jax.Array:
    """A V, `[S]`, below that of the best policy that comes to an end, as V ← max_a r + P V needs with γ = 1.

    From above it would stop at what going round for ever scores, where nothing is lost by that.
    """
    if mdp.transition.shape[2] == 1:  # then as many sweeps suffice as the longest of the best paths has steps
        return jnp.where(jnp.asarray(mdp.terminal), 0.0, -jnp.inf).astype(expected_reward(mdp).dtype)
    policy = ending_policy(mdp)

    def followed(table):
        return jnp.asarray(table)[jnp.arange(mdp.num_states), policy][:, None]

    tables = jax.tree.map(followed, (mdp.transition, mdp.reward, mdp.successor))
    alone = dataclasses.replace(mdp, **dict(zip(("transition", "reward", "successor"), tables, strict=True)))
    return _value_iteration(alone, tolerance, max_iterations, jnp.zeros(mdp.num_states))[0].q[:, 0]


class _Sweeps(NamedTuple):
    value: jax.Array
    low: jax.Array  # least and largest change of the last sweep
    high: jax.Array
    size: jax.Array  # largest |V| that is finite
    number: jax.Array


def _largest(values: jax.Array) -> jax.Array:
    """The largest |value| that is finite, 0 if there is none."""
    return jnp.where(jnp.isfinite(values), jnp.abs(values), 0).max()


@jax.jit
def _value_iteration(mdp: FiniteMDP, tolerance, max_iterations, value) -> tuple[Solution, jax.Array]:
    """What was found, and whether it changed by no more than the tolerance, or than rounding does."""
    reward = expected_reward(mdp)
    gamma = jnp.asarray(mdp.discount, reward.dtype)
    paid = _largest(jnp.asarray(mdp.reward, reward.dtype))

    def sweep(value):
        return state_value(one_step(mdp, reward, value))

    def going_on(done):
        _, error, rounding = _limits(gamma, done, paid)
        return (done.number < max_iterations) & ~(error <= jnp.maximum(tolerance, rounding))

    def some(done):
        unseen = jnp.minimum(LOOK, max_iterations - done.number) - 1
        old = jax.lax.fori_loop(0, unseen, lambda _, value: sweep(value), done.value)
        new = sweep(old)
        change = difference(new, old)
        return _Sweeps(new, change.min(), change.max(), _largest(new), done.number + unseen + 1)

    infinite = jnp.asarray(jnp.inf, reward.dtype)
    start = _Sweeps(
        jnp.asarray(value, reward.dtype), -infinite, infinite, jnp.zeros_like(infinite), jnp.int32(0)
    )
    end = jax.lax.while_loop(going_on, some, start)
    middle, error, rounding = _limits(gamma, end, paid)
    q = one_step(mdp, reward, jnp.where(jnp.asarray(mdp.terminal), 0.0, end.value + middle))
    settled = error <= jnp.maximum(tolerance, rounding)
    # Of sums over K successors rounding leaves more than what it is worth to go on for.
    bound = error + rounding * (1 + mdp.transition.shape[2] ** 0.5 / 4)
    return Solution(q, end.number, jnp.where(gamma < 1, bound, jnp.inf)), settled


def _limits(gamma: jax.Array, done: _Sweeps, paid: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What is to be added to V, how wrong that may be, and what rounding leaves."""
    weight = gamma / jnp.where(gamma < 1, 1 - gamma, 1)
    middle = jnp.where(gamma < 1, weight * (done.low + done.high) / 2, 0.0)
    middle = jnp.where(jnp.isfinite(middle), middle, 0.0)
    error = weight * (done.high - done.low) / 2
    error = jnp.where(gamma < 1, error, jnp.maximum(done.high, -done.low))
    rounding = 4 * jnp.finfo(gamma.dtype).eps * (paid + done.size + jnp.abs(middle)) * (1 + weight)
    return middle, error, jnp.where(gamma < 1, rounding, 0.0)


def policy_iteration(mdp: FiniteMDP, max_iterations: int = 1000) -> Solution:
    """Q* by valuing a policy exactly, then following its best actions, until it stays the same (Howard 1960).

    Each valuation solves S linear equations by a dense solver: for some thousands of states.

    Args:
        mdp: the process.
        max_iterations: policies after which it gives up.

    Returns:
        Q of the last policy. Its `bound` is made of what a better one may gain, which is nothing unless it
        gave up, and of what rounding leaves; ∞ with γ = 1.

    Raises:
        ValueError: if `max_iterations` is not positive or there are more than 20,000 states; with γ = 1,
            naming states from which no end can be reached, or if a circle pays. Nothing is known of what is
            traced.
    """
    name = "policy_iteration"
    check_end(name, mdp)
    check_int(name, "max_iterations", max_iterations, MAX_INT)
    found = _policy_iteration(mdp, max_iterations)
    known = has_no_discount(mdp) and not isinstance(found.q, jax.core.Tracer)
    if known and not (found.q < jnp.inf).all():  # nor is what is no number
        raise ValueError(f"{name}: {NOT_SETTLED} after {found.iterations} policies.")
    return found


@jax.jit
def _policy_iteration(mdp: FiniteMDP, max_iterations) -> Solution:
    class Valued(NamedTuple):
        policy: jax.Array  # the next one
        q: jax.Array  # of the last one
        value: jax.Array
        better: jax.Array  # whether the next one may be better
        tries: jax.Array

    def once(last):
        q = policy_value(mdp, last.policy)
        value, policy = of_policy(q, last.policy), improved_policy(q, last.policy)
        # Where rounding alone tells equals apart, the policy goes round, but its value does not rise.
        rises = difference(value, last.value).sum() > 0
        return Valued(policy, q, value, rises & (policy != last.policy).any(), last.tries + 1)

    worst = jnp.full_like(expected_reward(mdp), -jnp.inf)
    start = Valued(ending_policy(mdp), worst, worst[:, 0], jnp.bool(True), jnp.int32(0))
    end = jax.lax.while_loop(lambda last: last.better & (last.tries < max_iterations), once, start)
    gain = difference(end.q.max(1), end.value).max()
    size = _largest(end.q) + _largest(jnp.asarray(mdp.reward, worst.dtype))
    rounding = _slack(worst.dtype) * size * (1 + mdp.transition.shape[2] ** 0.5 / 64)
    gamma = jnp.asarray(mdp.discount, worst.dtype)
    return Solution(end.q, end.tries, jnp.where(gamma < 1, (gain + rounding) / (1 - gamma), jnp.inf))


def improved_policy(q: jax.Array, policy: jax.Array) -> jax.Array:
    """The best action of each state, or the policy's own where none is better by more than rounding.

    Args:
        q: Q^π, `[S, A]`.
        policy: π, `[S]`, integer.

    Returns:
        `[S]`, int32.
    """
    own, best = of_policy(q, policy), q.max(1)
    # Among equals π stays as it is: it would otherwise go round for ever, or, with γ = 1, walk in circles.
    is_better = best > own + jnp.where(jnp.isfinite(own), _slack(q.dtype) * jnp.abs(own), 0)
    return jnp.where(is_better, q.argmax(1), policy).astype(jnp.int32)


def _slack(dtype) -> float:
    return 64 * float(jnp.finfo(dtype).eps)


@jax.jit
def playable(mdp: FiniteMDP) -> jax.Array:
    """Which actions are offered and never lead to where none may be taken, `[S, A]`, bool."""
    leads = jnp.asarray(mdp.transition) > 0
    successor, terminal = jnp.asarray(successors(mdp)), jnp.asarray(mdp.terminal)

    def fewer(carry):
        allowed, _ = carry
        dead = ~(terminal | allowed.any(1))
        new = allowed & ~(leads & dead[successor]).any(2)
        return new, (new != allowed).any()

    offered = (expected_reward(mdp) > -jnp.inf) & ~terminal[:, None]
    return jax.lax.while_loop(lambda carry: carry[1], fewer, (offered, jnp.bool(True)))[0]


@jax.jit
def ending_policy(mdp: FiniteMDP) -> jax.Array:
    """A policy that comes to an end from wherever one can: each action may lead to fewer steps before it.

    Args:
        mdp: the process.

    Returns:
        `[S]`, int32: the first action of those states from which there is none.
    """
    leads = jnp.asarray(mdp.transition) > 0
    successor = jnp.asarray(successors(mdp))
    allowed = playable(mdp)
    far = mdp.num_states  # further than any path

    def steps_after(steps):
        after = jnp.where(leads, steps[successor], far).min(-1)
        return jnp.where(allowed, after, far + 1)

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

    States without any action that may be taken are let be: their value is −∞.

    Args:
        function: whose argument it is, for the message.
        mdp: the process.

    Raises:
        ValueError: naming the first of these states.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(mdp)) or not has_no_discount(mdp):
        return
    from scipy import sparse

    possible = playable_transitions(mdp)
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


def playable_transitions(mdp: FiniteMDP) -> np.ndarray:
    """Which of its K successors each action that may be taken may lead to, `[S, A, K]`, bool."""
    return (np.asarray(mdp.transition) > 0) & np.asarray(playable(mdp))[..., None]
