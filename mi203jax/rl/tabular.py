"""Q of a finite process from samples of it alone (slide "Apprentissage"): one entry of a table a step."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.arguments import check_int, scalar
from mi203jax.rl.finite_mdp import FiniteMDP
from mi203jax.rl.targets import td_target

CHUNK = 1024
"""So many steps have their random numbers in memory at the same time."""


class Learner(NamedTuple):
    """What a method has learned, and where in the game it is."""

    tables: jax.Array  # Q, [tables, S, A], float32: two of double Q-learning, else one
    counts: jax.Array  # how often each entry was changed, [tables, S, A], int32
    state: jax.Array  # where the next step begins, [], int32
    action: jax.Array  # what SARSA has chosen to do there, [], int32; -1: not chosen yet
    steps: jax.Array  # done in this episode, [], int32

    @property
    def q(self) -> jax.Array:
        """Q, `[S, A]`: the mean of the tables."""
        return self.tables.mean(-3)

    @property
    def visits(self) -> jax.Array:
        """How often each action was taken in each state, `[S, A]`, int32."""
        return self.counts.sum(-3, dtype=jnp.int32)


def simulate(
    key: jax.Array, mdp: FiniteMDP, state: Any, action: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One move, of any number of games at once.

    Args:
        key: PRNG key; each game draws on its own.
        mdp: the process.
        state: s, `[...]`, integer.
        action: a, `[...]`, integer.

    Returns:
        s', `[...]`, int32; r(s, a, s'), or what is expected of it if the process knows no more, `[...]`,
        float32; and whether s' is terminal, `[...]`, bool. A game that is over stays where it is, for 0.
    """
    state, action = jnp.asarray(state, jnp.int32), jnp.asarray(action, jnp.int32)
    threshold = _thresholds(jnp.asarray(mdp.transition)[state, action])
    after, reward = _land(mdp, threshold, state, action, jax.random.uniform(key, state.shape, jnp.float32))
    terminal = jnp.asarray(mdp.terminal)
    over = terminal[state]
    after = jnp.where(over, state, after)
    return after, jnp.where(over, 0.0, reward), terminal[after]


def _thresholds(probability: Any) -> jax.Array:
    """Cumulative probabilities, `[..., K]`: the first that is above a number of [0, 1) is the one drawn."""
    probability = jnp.asarray(probability, jnp.float32)
    # Sums are rounded: still, what is impossible must never be drawn, and the last possible one is at 1.
    total = jnp.where(probability > 0, probability.cumsum(-1), 0.0)
    total = jax.lax.cummax(total, total.ndim - 1)
    return total / jnp.where(total[..., -1:] > 0, total[..., -1:], 1.0)


def _land(mdp: FiniteMDP, threshold, state, action, number) -> tuple[jax.Array, jax.Array]:
    """Where a uniform number leads to, and what that gives."""
    k = (threshold <= number[..., None]).sum(-1, dtype=jnp.int32)
    reward = jnp.asarray(mdp.reward, jnp.float32)
    after = k if mdp.successor is None else jnp.asarray(mdp.successor, jnp.int32)[state, action, k]
    return after, reward[(state, action, k)[: reward.ndim]]


def start_learning(key: jax.Array, mdp: FiniteMDP, start: Any = None, tables: int = 1) -> Learner:
    """Q = 0, and a game that begins.

    Args:
        key: PRNG key.
        mdp: the process.
        start: probability that a game begins in each state, `[S]`; None: uniform over those in which
            something can be done.
        tables: 2 for `double_q_learning`, 1 for the others.

    Returns:
        What a method begins with that is given the same key and no learner. To begin with another Q, replace
        its `tables`.

    Raises:
        ValueError: if `start` is no distribution, or a game could begin where nothing can be done.
    """
    check_int("start_learning", "tables", tables, 2)
    state = _first_state(key, _distribution("start_learning", mdp, start))
    q = jnp.zeros((tables, *mdp.transition.shape[:2]), jnp.float32)
    return Learner(q, q.astype(jnp.int32), state, jnp.int32(-1), jnp.int32(0))


def _offered(mdp: FiniteMDP, xp: Any = jnp) -> Any:
    """What can be done, `[S, A]`, bool: nothing in terminal states, nor what may cost ∞. By jax or numpy."""
    refused = xp.asarray(mdp.reward) == -xp.inf
    if refused.ndim == 3:
        refused = (refused & (xp.asarray(mdp.transition) > 0)).any(-1)
    return ~(refused | xp.asarray(mdp.terminal)[:, None])


def _distribution(function: str, mdp: FiniteMDP, start: Any) -> Any:
    """Where games begin, `[S]`, float32, up to a factor; checked as far as arrays are known."""
    if start is not None and jnp.shape(start) != (mdp.num_states,):
        raise ValueError(
            f"{function}: expected start to be {mdp.num_states} probabilities, got shape {jnp.shape(start)}."
        )
    if any(isinstance(x, jax.core.Tracer) for x in (start, mdp.transition, mdp.reward, mdp.terminal)):
        return jnp.asarray(_offered(mdp).any(1) if start is None else start, jnp.float32)
    able = _offered(mdp, np).any(1)
    p = able / max(1, able.sum()) if start is None else np.asarray(start)
    if not able.any():
        raise ValueError(f"{function}: every state is terminal or offers no action: nothing can be learned.")
    if not (p >= 0).all() or not abs(p.sum() - 1) <= 1e-4:
        raise ValueError(
            f"{function}: expected start to be probabilities that sum to 1, got a sum of {p.sum():.6g} and a "
            f"least one of {p.min():.6g}."
        )
    for s in np.flatnonzero((p > 0) & ~able)[:1]:
        what = "is terminal" if mdp.terminal[s] else "offers no action"
        raise ValueError(f"{function}: start[{s}] is {p[s]:.6g}, but state {s} {what}: expected 0 there.")
    return np.float32(p)


@jax.jit
def _first_state(key, start) -> jax.Array:
    return _draw(_thresholds(start), jax.random.uniform(jax.random.fold_in(key, 0), (), jnp.float32))


def _draw(threshold: jax.Array, number: jax.Array) -> jax.Array:
    return jnp.searchsorted(threshold, number, side="right").astype(jnp.int32)


def q_learning(
    key: jax.Array,
    mdp: FiniteMDP,
    num_steps: int,
    step_size: float | jax.Array,
    epsilon: float | jax.Array,
    *,
    power: float | jax.Array = 0.0,
    start: Any = None,
    time_limit: int = 1000,
    learner: Learner | None = None,
) -> Learner:
    """Q* from moves seen one at a time: Q(s, a) is drawn towards r + γ max Q(s', ·) (Watkins & Dayan 1992).

    One acts ε-greedily by Q: the first of the best actions, or with probability ε any of those offered.
    Whatever was done, Q tends to Q* if every action is tried for ever and step sizes sum to ∞, their squares
    do not (power in (½, 1]). Actions that are not offered (reward −∞) are never taken, and their Q is −∞; so
    is that of actions found to lead to a state which is not terminal and offers none.

    Where a game ends, and after `time_limit` steps, another one begins. One that was cut has a future:
    what the last move is drawn towards still contains Q(s', ·).

    It may be mapped over keys, rates, discounts and learners. On a CPU a step takes less than half a
    microsecond, alone or under `jax.lax.map`, and more under `jax.vmap`, above all of few runs.

    Args:
        key: PRNG key. The random numbers of a step depend on it and on how many steps were made before: with
            the same key, so many steps and then some more are one run.
        mdp: the process, of which only samples are used.
        num_steps: how many moves are made: an int, and another one needs no new program.
        step_size: α: an entry changes by α / n^power of its error when it is changed for the n-th time.
        epsilon: ε in [0, 1].
        power: 0: constant step sizes, best where moves are certain.
        start: probability that a game begins in each state, `[S]`; None: uniform over those in which
            something can be done. Traced ones are taken as they are.
        time_limit: steps after which a game is cut, an int.
        learner: one to continue; None: `start_learning`.

    Returns:
        What was learned: its `q` is Q, `[S, A]`, float32.

    Raises:
        ValueError: if a number is no positive int, `start` is no distribution or a game could begin where
            nothing can be done, or the learner does not fit.
    """
    options = (num_steps, step_size, epsilon, power, start, time_limit, learner)
    return _learn("q_learning", _q_learning_target, 1, key, mdp, *options)


def sarsa(
    key: jax.Array,
    mdp: FiniteMDP,
    num_steps: int,
    step_size: float | jax.Array,
    epsilon: float | jax.Array,
    *,
    power: float | jax.Array = 0.0,
    start: Any = None,
    time_limit: int = 1000,
    learner: Learner | None = None,
) -> Learner:
    """Q of the ε-greedy policy that is followed (Rummery & Niranjan 1994): drawn towards r + γ Q(s', a').

    The next action a' is chosen before Q changes, and then taken (Sutton & Barto 2018, 6.4). Since what is
    valued explores, so do its fears: near a cliff it keeps away from the edge. Q tends to Q* if ε falls to 0,
    so slowly that everything is tried for ever.

    Args, what is returned and errors are those of `q_learning`.
    """
    options = (num_steps, step_size, epsilon, power, start, time_limit, learner)
    return _learn("sarsa", _sarsa_target, 1, key, mdp, *options)


def double_q_learning(
    key: jax.Array,
    mdp: FiniteMDP,
    num_steps: int,
    step_size: float | jax.Array,
    epsilon: float | jax.Array,
    *,
    power: float | jax.Array = 0.0,
    start: Any = None,
    time_limit: int = 1000,
    learner: Learner | None = None,
) -> Learner:
    """Q* by two tables, of which one says which action is best and the other what it is worth.

    A coin says which of them changes; actions are chosen by their mean. The maximum of what is not well known
    is too large, and Q-learning believes it; this does not (van Hasselt 2010). Each entry of each table
    counts its own changes for its step size, as there.

    Args, what is returned and errors are those of `q_learning`.
    """
    options = (num_steps, step_size, epsilon, power, start, time_limit, learner)
    return _learn("double_q_learning", _double_q_learning_target, 2, key, mdp, *options)


def _q_learning_target(reward, terminated, gamma, after, table, action):
    return td_target(reward, terminated, gamma, after[0])


def _sarsa_target(reward, terminated, gamma, after, table, action):
    return reward + gamma * jnp.where(terminated, 0.0, after[0, action])


def _double_q_learning_target(reward, terminated, gamma, after, table, action):
    return td_target(reward, terminated, gamma, after[1 - table], after[table])


def _learn(
    function: str,
    target: Callable,
    tables: int,
    key,
    mdp,
    num_steps,
    step_size,
    epsilon,
    power,
    start,
    time_limit,
    learner,
) -> Learner:
    """Checks, then runs."""
    check_int(function, "num_steps", num_steps, 2**31 - 1)
    check_int(function, "time_limit", time_limit, 2**31 - 1)
    start = _distribution(function, mdp, start)
    numbers = {"step_size": step_size, "epsilon": epsilon, "power": power}
    for name, value in numbers.items():
        if (
            not isinstance(value, jax.core.Tracer)
            and not (np.asarray(value) >= 0).all() & (np.asarray(value) <= 1).all()
        ):
            raise ValueError(f"{function}: expected {name} in [0, 1], got {value!r}.")
    rates = _Rates(**{name: scalar(function, name, value) for name, value in numbers.items()})
    if learner is None:
        learner = start_learning(key, mdp, start, tables)
    shape = (tables, *mdp.transition.shape[:2])
    if learner.tables.shape != shape:
        raise ValueError(
            f"{function}: expected a learner with tables of shape {shape}, got {learner.tables.shape}."
        )
    return _run(key, mdp, rates, start, learner, jnp.int32(num_steps), jnp.int32(time_limit), target)


class _Rates(NamedTuple):
    step_size: jax.Array
    epsilon: jax.Array
    power: jax.Array


class _Numbers(NamedTuple):
    """Random numbers of a step, uniform in [0, 1)."""

    coin: jax.Array  # whether to explore
    pick: jax.Array  # by which action
    move: jax.Array  # where that leads to
    next_coin: jax.Array  # the same for the action after it
    next_pick: jax.Array
    table: jax.Array  # which one changes
    start: jax.Array  # where the next game begins


class _Game(NamedTuple):
    """What each step looks up."""

    mdp: FiniteMDP
    threshold: jax.Array  # [S, A, K]
    begin: jax.Array  # thresholds of the start, [S]
    over: jax.Array  # whether nothing can be done, [S]
    choice: jax.Array  # how many actions are offered, [S], float32
    actions: jax.Array  # those that are offered first, [S, A]


def _choose(game: _Game, epsilon, q, state, coin, pick):
    """An ε-greedy action by q, `[A]`, among those that the state offers."""
    # No product of a number below 1 and a count is rounded up to the count.
    random = game.actions[state, (pick * game.choice[state]).astype(jnp.int32)]
    # Where all is −∞, the first of the best need not be offered.
    explores = (coin < epsilon) | (q.max() == -jnp.inf)
    return jnp.where(explores, random, q.argmax().astype(jnp.int32))


def _step(game: _Game, rates: _Rates, target: Callable, time_limit: int, carry, numbers: _Numbers):
    """One move of the game, and what is learned by it."""
    packed, state, chosen, steps = carry
    gamma = jnp.asarray(game.mdp.discount, jnp.float32)
    q, _ = _unpack(packed[:, state])
    action = _choose(game, rates.epsilon, q.mean(0), state, numbers.coin, numbers.pick)
    action = jnp.where(chosen < 0, action, chosen)
    after, reward = _land(game.mdp, game.threshold[state, action], state, action, numbers.move)
    q, _ = _unpack(packed[:, after])
    following = jnp.int32(-1)
    if target is _sarsa_target:
        following = _choose(game, rates.epsilon, q.mean(0), after, numbers.next_coin, numbers.next_pick)
    table = (numbers.table * len(packed)).astype(jnp.int32)
    goal = target(reward, jnp.asarray(game.mdp.terminal)[after], gamma, q, table, following)
    entry = packed.at[table, state, action]
    old, count = _unpack(entry.get(mode="promise_in_bounds"))
    rate = rates.step_size / (count + 1).astype(jnp.float32) ** rates.power
    # −∞ stays, since one of its outcomes will come again.
    new = jnp.where(jnp.minimum(old, goal) > -jnp.inf, old + rate * (goal - old), -jnp.inf)
    packed = entry.set(_pack(new, count + 1), mode="promise_in_bounds")
    ends = game.over[after] | (steps + 1 >= time_limit)
    state = jnp.where(ends, numbers.start, after)
    return packed, state, jnp.where(ends, -1, following), jnp.where(ends, 0, steps + 1)


def _pack(value: jax.Array, count: jax.Array) -> jax.Array:
    """Both in one array, of which a loop changes an entry in place; of two, it would copy one each step."""
    return jnp.stack([jax.lax.bitcast_convert_type(value, jnp.int32), count], -1)


def _unpack(packed: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.lax.bitcast_convert_type(packed[..., 0], jnp.float32), packed[..., 1]


@functools.partial(jax.jit, static_argnames="target")
def _run(
    key, mdp: FiniteMDP, rates: _Rates, start, learner: Learner, num_steps, time_limit, target: Callable
) -> Learner:
    """The loop of all methods, which differ in what they draw an entry towards."""
    offered = _offered(mdp)
    game = _Game(
        mdp,
        _thresholds(mdp.transition),
        _thresholds(start),
        ~offered.any(1),
        offered.sum(1, dtype=jnp.float32),
        jnp.argsort(~offered, 1, stable=True).astype(jnp.int32),
    )
    first = learner.visits.sum(dtype=jnp.int32) + 1

    def draw(time):
        return jax.random.uniform(jax.random.fold_in(key, time), (len(_Numbers._fields),), jnp.float32)

    def chunk(i, carry):
        numbers = _Numbers(
            *jax.vmap(draw, out_axes=1)(first + i * CHUNK + jnp.arange(CHUNK, dtype=jnp.int32))
        )
        numbers = numbers._replace(start=_draw(game.begin, numbers.start))

        def once(j, carry):
            return _step(game, rates, target, time_limit, carry, jax.tree.map(lambda x: x[j], numbers))

        return jax.lax.fori_loop(0, jnp.minimum(CHUNK, num_steps - i * CHUNK), once, carry)

    q = jnp.where(offered, learner.tables, -jnp.inf)
    q = jnp.where(jnp.asarray(mdp.terminal)[:, None], 0.0, q)
    carry = _pack(q, learner.counts), learner.state, learner.action, learner.steps
    packed, *rest = jax.lax.fori_loop(jnp.int32(0), (num_steps + CHUNK - 1) // CHUNK, chunk, carry)
    return Learner(*_unpack(packed), *rest)
