"""Q* as the solution of a linear program (slide "Cas fini")."""

from typing import Any, Literal, NamedTuple

import numpy as np

from mi203jax.rl.finite_mdp import FiniteMDP, successors
from mi203jax.rl.planning import check_end, playable_transitions


class LinearProgram(NamedTuple):
    """The solution of the program and of its dual."""

    q: np.ndarray  # Q, [S, A], float64
    occupancy: np.ndarray  # how often (s, a) is met, discounted, [S, A], float64
    constraints: int  # how many there were


def linear_program(mdp: FiniteMDP, form: Literal["expected", "per_successor"] = "expected") -> LinearProgram:
    """The least Q that satisfies the fundamental equation as an inequality: min Σ Q(s, a).

    "per_successor" is the slide's own form, a constraint for each s' that may come:
    Q(s, a) ≥ r(s, a, s') + γ Q(s', a') for all s, a, s', a'. Where chance decides it is optimistic: it is the
    Q* of a player to whom the best of what may happen always happens. "expected", which is exact, has the
    expectation of the right-hand side over s'. Where nothing is left to chance they are the same.

    All a' are one variable V(s') ≥ Q(s', a'), without which the expectation would need a constraint for every
    way to choose an a' for each s'. Solved by HiGHS (Huangfu & Hall 2018), with sparse matrices.

    Args:
        mdp: the process, dense or sparse.
        form: of the constraints.

    Returns:
        Q; and the multipliers of its constraints, which say how often each (s, a) is met, the k-th step
        counting γ^k, if a game is begun once with every (s, a) and then played as Q tells. Q of an action
        that is not offered is −∞.

    Raises:
        ValueError: if the program is infeasible, as where a circle pays with γ = 1; if it is unbounded, as
            with γ = 1 where no end can be reached, naming the states; or if the form is unknown.
    """
    from scipy import optimize

    if form not in ("expected", "per_successor"):
        raise ValueError(f"linear_program: expected form to be expected or per_successor, got {form!r}.")
    check_end("linear_program", mdp)
    possible = playable_transitions(mdp)
    pairs = np.any(possible, -1)
    q = np.where(np.asarray(mdp.terminal)[:, None], 0.0, np.full(pairs.shape, -np.inf))
    occupancy = np.zeros(pairs.shape)
    if not pairs.any():
        return LinearProgram(q, occupancy, 0)
    matrix, limits, owner = _constraints(mdp, possible, pairs, form)
    number = int(pairs.sum())
    cost = np.append(np.ones(number), np.zeros(matrix.shape[1] - number))
    found = optimize.linprog(cost, matrix, limits, bounds=(None, None), method="highs", options=_PRECISE)
    if found.status != 0:
        raise ValueError(f"linear_program: {_reason(found)}")
    q[pairs] = found.x[:number] + 0.0  # not −0
    occupancy[pairs] = np.bincount(owner, -found.ineqlin.marginals[: len(owner)], number)
    return LinearProgram(q, occupancy, len(limits))


_PRECISE = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def _constraints(
    mdp: FiniteMDP, possible: np.ndarray, pairs: np.ndarray, form: str
) -> tuple[Any, np.ndarray, np.ndarray]:
    """A and b of A x ≤ b, x being Q of each pair, then V of each state; which pair its rows bound."""
    from scipy import sparse

    number = int(pairs.sum())
    of_pair = np.cumsum(pairs).reshape(pairs.shape) - 1
    s, a, k = np.nonzero(possible)
    p = np.asarray(mdp.transition, float)[s, a, k]
    reward = np.asarray(mdp.reward, float)
    reward = reward[s, a, k] if reward.ndim == 3 else reward[s, a]
    after = np.asarray(successors(mdp))[s, a, k]
    if form == "expected":  # a row a pair; their sum over successors
        row, owner = of_pair[s, a], np.arange(number)
        # A row of float32 that sums to more than 1 would be, with γ = 1, a circle that pays.
        p = p / np.bincount(row, p, number)[row]
        limits = -np.bincount(row, p * reward, number)
    else:  # a row a successor
        row, owner = np.arange(len(s)), of_pair[s, a]
        p, limits = np.ones(len(s)), -reward
    goes_on = ~np.asarray(mdp.terminal)[after]
    shape = len(limits), number + len(pairs)
    value_of = np.float64(mdp.discount) * p[goes_on], (row[goes_on], number + after[goes_on])
    equation = sparse.csr_matrix(value_of, shape) - sparse.csr_matrix(
        (np.ones(len(owner)), (np.arange(len(owner)), owner)), shape
    )
    state = np.nonzero(pairs)[0]
    every = np.arange(number)
    largest = sparse.csr_matrix(
        (np.repeat((1.0, -1.0), number), (np.tile(every, 2), np.append(every, number + state))),
        (number, shape[1]),
    )
    return sparse.vstack([equation, largest], "csr"), np.append(limits, np.zeros(number)), owner


def _reason(found: Any) -> str:
    if found.status == 2:
        return (
            "infeasible: no Q satisfies the inequalities. A circle of positive reward does that with γ = 1, "
            "or nearly: expected a smaller discount."
        )
    if found.status == 3:
        return "unbounded: with γ = 1 some states lead to no end. Expected a discount below 1."
    return f"HiGHS stopped without a solution: {found.message}"
