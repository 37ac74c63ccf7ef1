"""Finite decision processes as arrays (slides "Agent", "Cas fini"): dense or, for large ones, sparse."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = Any
"""An array of numpy or jax."""


@dataclasses.dataclass(frozen=True, eq=False)
class FiniteMDP:
    """An environment of which everything is known: S states, A actions, and where each may lead.

    A pytree of arrays, so that it may be an argument of a compiled function. A dense one has K = S
    successors of each action, in order; a sparse one names its K. To know Q* to more than the six digits of
    float32, call what solves it under `jax.enable_x64(True)`: the arrays are kept as they were given.

    Attributes:
        transition: P(s' | s, a), `[S, A, K]`.
        reward: r(s, a, s'), `[S, A, K]`, or what is expected of it, r(s, a), `[S, A]`. −∞ marks an action
            that s does not offer; one that may lead to where none is offered is worth −∞ too, whatever γ.
        discount: γ in [0, 1].
        terminal: states in which the episode is over, `[S]`, bool; None: none. Nothing comes after: their
            Q is 0, and their rows are not read.
        successor: which states the K are, `[S, A, K]`, integer; None: all, in order.

    Raises:
        ValueError: naming the state and the action, if a row is not one of probabilities; or if shapes do not
            fit, a reward is no number, a successor is no state, or γ is outside [0, 1]. Traced arrays are
            taken as they are.
    """

    transition: Array
    reward: Array
    discount: Array
    terminal: Array = None
    successor: Array = None

    def __post_init__(self) -> None:
        """Checks what is known, and gives lists and defaults their form."""
        for name in _NAMES:
            value = getattr(self, name)
            if value is not None and not hasattr(value, "dtype"):  # numbers and lists
                object.__setattr__(self, name, np.asarray(value))
        if self.terminal is None:
            object.__setattr__(self, "terminal", np.zeros(np.shape(self.transition)[:1], bool))
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(vars(self))):
            _check(self)

    @property
    def num_states(self) -> int:
        """S."""
        return self.transition.shape[0]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.transition.shape[1]


def _unflatten(names: tuple[str, ...], children: Any) -> FiniteMDP:
    # Not through the constructor: jax also builds trees of things that are no arrays.
    mdp = object.__new__(FiniteMDP)
    for name, child in zip(names, children, strict=True):
        object.__setattr__(mdp, name, child)
    return mdp


_NAMES = tuple(field.name for field in dataclasses.fields(FiniteMDP))
jax.tree_util.register_pytree_with_keys(
    FiniteMDP, lambda m: ([(jax.tree_util.GetAttrKey(n), getattr(m, n)) for n in _NAMES], _NAMES), _unflatten
)


def _check(mdp: FiniteMDP) -> None:
    p, r, terminal = (np.asarray(a) for a in (mdp.transition, mdp.reward, mdp.terminal))
    for name, values in (("transition", p), ("reward", r)):
        if values.dtype.kind not in "iuf" and values.dtype != jnp.bfloat16:
            raise ValueError(f"FiniteMDP: expected a {name} of real numbers, got {values.dtype}.")
    if p.ndim != 3 or 0 in p.shape or (mdp.successor is None and p.shape[0] != p.shape[2]):
        expected = "[S, A, K]" if mdp.successor is not None else "[S, A, S]"
        raise ValueError(f"FiniteMDP: expected a transition of shape {expected}, got {p.shape}.")
    if r.shape not in (p.shape, p.shape[:2]):
        raise ValueError(f"FiniteMDP: expected a reward of shape {p.shape[:2]} or {p.shape}, got {r.shape}.")
    if terminal.shape != p.shape[:1] or terminal.dtype != bool:
        raise ValueError(
            f"FiniteMDP: expected terminal to be {p.shape[:1]} bools, got {terminal.dtype} {terminal.shape}."
        )
    discount = np.asarray(mdp.discount)
    if discount.ndim or discount.dtype.kind not in "iuf" or not 0 <= discount <= 1:
        raise ValueError(f"FiniteMDP: expected a discount in [0, 1], got {discount.tolist()!r}.")
    if mdp.successor is not None:
        _check_successors(np.asarray(mdp.successor), p.shape)
    _check_rows(p, r, ~terminal)


def _check_successors(successor: np.ndarray, shape: tuple[int, ...]) -> None:
    if successor.shape != shape or not np.issubdtype(successor.dtype, np.integer):
        raise ValueError(
            f"FiniteMDP: expected successors to be integers of shape {shape}, got {successor.dtype} "
            f"{successor.shape}."
        )
    if successor.min() < 0 or successor.max() >= shape[0]:
        wrong = np.argwhere((successor < 0) | (successor >= shape[0]))[0]
        raise ValueError(
            f"FiniteMDP: state {wrong[0]}, action {wrong[1]} leads to {successor[tuple(wrong)]}: expected a "
            f"state from 0 to {shape[0] - 1}."
        )


def _check_rows(p: np.ndarray, r: np.ndarray, live: np.ndarray) -> None:
    """Probabilities and rewards of states where the episode goes on."""
    slack = 1e-8 if p.dtype == np.float64 else max(1e-6, 5e-7 * p.shape[2])
    sums = p.sum(-1)
    # Written so that what is no number is wrong too.
    for wrong, message in (
        (~(p >= 0).all(-1), "expected probabilities from 0 on, got {p}"),
        (~(np.abs(sums - 1) <= slack), "expected probabilities that sum to 1, got {sum:.6g}"),
        (
            ~(r < np.inf).all(tuple(range(2, r.ndim))),
            "expected a finite reward, or −inf for no action, got {r}",
        ),
    ):
        places = np.argwhere(wrong & live[:, None])
        if len(places):
            s, a = places[0]
            found = message.format(p=p[s, a].min(), sum=sums[s, a], r=r[s, a].max())
            raise ValueError(f"FiniteMDP: state {s}, action {a}: {found}.")


def from_sparse(transition: Any, reward: Array, discount: float, terminal: Array = None) -> FiniteMDP:
    """A sparse one, from a matrix of scipy.

    Args:
        transition: `scipy.sparse` `[S · A, S]`: row s · A + a holds P(· | s, a).
        reward: r(s, a), `[S, A]`.
        discount: γ.
        terminal: `[S]`, bool; None: none.

    Returns:
        With as many successors as the fullest row has.

    Raises:
        ValueError: as `FiniteMDP` does, and if the transition is not sparse or the shapes do not fit.
    """
    if not hasattr(transition, "tocsr"):
        raise ValueError(
            f"from_sparse: expected a matrix of scipy.sparse, got {type(transition).__name__}: "
            "FiniteMDP takes dense ones."
        )
    rows = transition.tocsr()
    reward = np.asarray(reward)
    if reward.ndim != 2 or rows.shape != (reward.size, len(reward)):
        raise ValueError(
            f"from_sparse: expected a reward of shape [S, A] and a transition of shape [S · A, S], got "
            f"{reward.shape} and {rows.shape}."
        )
    counts = np.diff(rows.indptr)
    shape = len(counts), max(1, int(counts.max()))
    row = np.repeat(np.arange(len(counts)), counts)
    place = row, np.arange(rows.nnz) - rows.indptr[row]
    probability, successor = np.zeros(shape, rows.dtype), np.zeros(shape, np.int32)
    probability[place], successor[place] = rows.data, rows.indices
    probability, successor = (x.reshape(*reward.shape, -1) for x in (probability, successor))
    return FiniteMDP(probability, reward, discount, terminal, successor)


def expected_reward(mdp: FiniteMDP) -> jax.Array:
    """r(s, a), `[S, A]`: the mean of r(s, a, s') over s'; 0 in terminal states."""
    reward = jnp.asarray(mdp.reward)
    if reward.ndim == 3:
        reward = expectation(mdp.transition, reward)
    return jnp.where(jnp.asarray(mdp.terminal)[:, None], 0.0, reward)


def expectation(probability: Array, values: jax.Array) -> jax.Array:
    """Σ p · value over the last axis, to which what is impossible adds nothing, not even −∞ · 0."""
    probability, values = jnp.broadcast_arrays(jnp.asarray(probability), values)
    return jnp.where(probability > 0, probability * values, 0.0).sum(-1)


def successors(mdp: FiniteMDP) -> Array:
    """Which state each of the K is, `[S, A, K]`, also of a dense one."""
    if mdp.successor is not None:
        return mdp.successor
    return np.broadcast_to(np.arange(mdp.num_states), mdp.transition.shape)


def policy_transition(mdp: FiniteMDP, policy: jax.Array) -> jax.Array:
    """P(s' | s, π(s)), dense, `[S, S]`: nothing comes after a terminal state.

    Args:
        mdp: the process.
        policy: π, `[S]`, integer.
    """
    states = jnp.arange(mdp.num_states)
    rows = jnp.where(jnp.asarray(mdp.terminal)[:, None], 0.0, jnp.asarray(mdp.transition)[states, policy])
    if mdp.successor is None:
        return rows
    empty = jnp.zeros((mdp.num_states, mdp.num_states), rows.dtype)
    return empty.at[states[:, None], jnp.asarray(mdp.successor)[states, policy]].add(rows)
