"""A game learned from a sparse or a dense score, and played with the score hidden (slide "Apprentissage")."""

import functools
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.configs import Rewards
from mi203jax.core.task import Figure, Metrics, Task
from mi203jax.rl import FiniteMDP, GridWorld, greedy_policy, grid_world, linear_decay, value_iteration
from mi203jax.rl.games import GOAL, HOLE, MAPS
from mi203jax.rl.tabular import Learner, q_learning, start_learning
from mi203jax.tasks.rewards_figures import figures


class Game(NamedTuple):
    """The rules, and what is asked about a game that has ended."""

    mdp: FiniteMDP
    start: np.ndarray  # probability that the game begins in each state, [S], float32
    won: np.ndarray  # [S], bool
    lost: np.ndarray  # [S], bool
    points: np.ndarray  # treasures found, [S], float32
    optimal: np.float32  # the largest share of games that can be won within the time limit


class State(NamedTuple):
    """What was learned so far."""

    key: jax.Array
    learner: Learner
    planned: jax.Array  # share won by who knows Q* of this score, scalar


class Outcome(NamedTuple):
    """What is expected of a game; scalars."""

    won: jax.Array
    lost: jax.Array
    points: jax.Array
    moves: jax.Array


# ---- the game ----


def world(c: Rewards) -> GridWorld:
    """The game of the configuration, with some discount."""
    return _world(c.map, c.score, c.slip)


@functools.lru_cache(maxsize=16)
def _world(name: str, score: Any, slip: float) -> GridWorld:
    return grid_world(MAPS[name], score, slip)


def data(c: Rewards) -> Game:
    """The game, as all trials of a program share it."""
    return game_of(world(c), c.time_limit)


def game_of(drawn: GridWorld, time_limit: int) -> Game:
    """A map's game, and how well it can be played."""
    kind = drawn.cells[tuple(drawn.position.T)]
    won, lost = kind == GOAL, kind == HOLE
    optimal = drawn.start @ largest_chance(drawn.mdp, won, time_limit)
    start, points = (x.astype(np.float32) for x in (drawn.start, drawn.score))
    mdp = replace(drawn.mdp, discount=np.float32(drawn.mdp.discount))  # trials share arrays alone
    return Game(mdp, start, won, lost, points, np.float32(optimal))


def largest_chance(mdp: FiniteMDP, won: np.ndarray, moves: int) -> np.ndarray:
    """The largest probability of winning within so many moves, from each state, `[S]`, float64.

    That is the equation of Q* with reward 1 for winning and γ = 1, applied once for each move.
    """
    chance = won.astype(float)
    for _ in range(moves):
        before = chance
        chance = np.where(mdp.terminal, before, (mdp.transition * before[mdp.successor]).sum(-1).max(1))
        if (chance == before).all():
            break
    return chance


def outcome(game: Game, policy: jax.Array, time_limit: int) -> Outcome:
    """What becomes of games that are played by a policy: no reward is used, and nothing is drawn.

    Args:
        game: the rules.
        policy: an action for each state, `[S]`, integer.
        time_limit: moves after which a game is cut.

    Returns:
        Expectations over all games: exact but for rounding.
    """
    states, over = jnp.arange(len(policy)), jnp.asarray(game.mdp.terminal)
    chance = jnp.asarray(game.mdp.transition, jnp.float32)[states, policy]
    after = jnp.asarray(game.mdp.successor)[states, policy]
    after = jnp.where(over[:, None], states[:, None], after)
    ends = jnp.stack([*map(jnp.asarray, (game.won, game.lost, game.points)), jnp.zeros(len(policy))], 1)
    move = jnp.stack([jnp.zeros(len(policy))] * 3 + [~over], 1)

    def earlier(_, later):  # from what is expected at the end to what was before it
        return (chance[..., None] * later[after]).sum(1) + move

    expected = jax.lax.fori_loop(0, time_limit, earlier, ends.astype(jnp.float32))
    return Outcome(*(jnp.asarray(game.start) @ expected))


# ---- the task ----


def rules(c: Rewards, game: Game) -> FiniteMDP:
    """The process with the discount of the trial."""
    return replace(game.mdp, discount=c.gamma)


def init(c: Rewards, data: Game, key: jax.Array) -> State:
    """Q = 0, and beside it what Q* of this score would make of the game."""
    # Of 100,000 points one cannot be told by float32 once they are summed over thousands of moves.
    best = greedy_policy(value_iteration(rules(c, data), 1e-3).q)
    learner = start_learning(key, rules(c, data), jnp.asarray(data.start))
    return State(key, learner, outcome(data, best, c.time_limit).won)


def step(c: Rewards, state: State, data: Game, t: jax.Array) -> tuple[State, Metrics]:
    """Some moves of ε-greedy Q-learning. A scale of all rewards scales Q, and changes no action."""
    progress = t * c.samples / c.total_steps
    epsilon = linear_decay(c.epsilon_start, c.epsilon_end, 1.0, progress)
    learner = q_learning(
        state.key,
        rules(c, data),
        c.samples,
        c.step_size,
        epsilon,
        power=c.power,
        start=jnp.asarray(data.start),
        time_limit=c.time_limit,
        learner=state.learner,
    )
    return state._replace(learner=learner), {"epsilon": epsilon}


def evaluate(c: Rewards, state: State, data: Game) -> Metrics:
    """How games end that are played greedily, the score hidden."""
    q, live = state.learner.q, ~jnp.asarray(data.mdp.terminal)
    expected = outcome(data, greedy_policy(q), c.time_limit)
    return {
        "wins": expected.won,
        "game_over": expected.lost,
        "time_out": 1.0 - expected.won - expected.lost,
        "length": expected.moves,
        "treasures": expected.points,
        "optimal": jnp.float32(data.optimal),
        "planned": state.planned,
        "tried": ((state.learner.visits > 0) & live[:, None]).sum() / (live.sum() * q.shape[1]),
    }


def figures_of(c: Rewards, state: State, data: Game) -> dict[str, Figure]:
    """All figures of a trial."""
    q, visits = np.asarray(state.learner.q), np.asarray(state.learner.visits)
    return figures(c, world(c), q, visits)


task = Task(init, step, evaluate, figures_of, data, objective="eval/wins", best="max", on_cpu="map")
