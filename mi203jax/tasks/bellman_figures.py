"""Figures of the finite case: a table of all methods, how each comes nearer, and Q as a map."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import EngFormatter

from mi203jax.configs import Bellman
from mi203jax.core.task import Figure
from mi203jax.rl import (
    FiniteMDP,
    Learner,
    LinearProgram,
    grid_world,
    linear_program,
    policy_iteration,
    policy_value,
    value_iteration,
)
from mi203jax.rl.bellman import difference, one_step, state_value
from mi203jax.rl.finite_mdp import expected_reward
from mi203jax.rl.games import MAPS
from mi203jax.rl.planning import ending_policy, improved_policy
from mi203jax.tasks.pictures import COLOURS
from mi203jax.tasks.q_map import Board, mark, q_on_map, q_panels

BOARDS = {
    "frozen_lake": Board(np.argwhere(np.ones((4, 4)))),
    "cliff_walking": Board(np.argwhere(np.ones((4, 12))), ((-1, 0), (0, 1), (1, 0), (0, -1))),
}
"""Tables of gymnasium whose states lie in the plane."""
NAMES = {
    "linear_program": "linear program",
    "per_successor": "… one constraint per s'",
    "value_iteration": "value iteration",
    "policy_iteration": "policy iteration",
    "q_learning": "Q-learning",
    "sarsa": "SARSA",
    "double_q_learning": "double Q-learning",
}


class Row(NamedTuple):
    """What a method costs, and what it finds."""

    q: np.ndarray  # [S, A]
    seconds: float
    work: str  # what it did, and how often
    samples: int  # of the game that it saw; 0: it read the rules


def figures_of(
    c: Bellman,
    mdp: FiniteMDP,
    q_star: np.ndarray,
    learners: Mapping[str, Learner],
    errors: np.ndarray,
    again: Mapping[str, Callable[[], Learner]],
) -> dict[str, Figure]:
    """All figures.

    Args:
        c: the configuration.
        mdp: the game.
        q_star: Q*, `[S, A]`.
        learners: what each method learned from samples.
        errors: largest |Q − Q*| of each method after each call, `[calls, methods]`.
        again: the methods in that order; each learns from as many samples at once, to be timed.
    """
    rows = planned(mdp)
    for name, call in again.items():
        seconds, _ = timed(call)
        visits = int(learners[name].visits.sum())
        rows[name] = Row(np.asarray(learners[name].q), seconds, f"{visits:,} changes", visits)
    return {
        "methods": methods(c, mdp, q_star, rows),
        "convergence": convergence(c, mdp, q_star, dict(zip(again, errors.T, strict=True))),
        "q": q_figure(c, mdp, q_star, rows),
    }


def planned(mdp: FiniteMDP) -> dict[str, Row]:
    """What the methods find that know the rules, in float64, as fast as they are once compiled."""
    rows = {}
    with jax.enable_x64(True):
        programs: dict[str, Callable[[], LinearProgram]] = {
            "linear_program": lambda: linear_program(mdp),
            "per_successor": lambda: linear_program(mdp, "per_successor"),
        }
        for name, program in programs.items():
            seconds, found = timed(program)
            rows[name] = Row(found.q, seconds, f"{found.constraints:,} constraints", 0)
        seconds, found = timed(functools.partial(value_iteration, mdp, 1e-9))
        rows["value_iteration"] = Row(np.asarray(found.q), seconds, f"{found.iterations:,} sweeps", 0)
        seconds, found = timed(functools.partial(policy_iteration, mdp))
        rows["policy_iteration"] = Row(np.asarray(found.q), seconds, f"{found.iterations:,} policies", 0)
    return rows


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a second call, which compiles nothing, and what it gives."""
    jax.block_until_ready(call())
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def error_of(q: Any, q_star: np.ndarray) -> float:
    """The largest |Q − Q*|."""
    with jax.enable_x64(True):
        return float(jnp.abs(difference(jnp.asarray(q, float), jnp.asarray(q_star))).max())


def methods(c: Bellman, mdp: FiniteMDP, q_star: np.ndarray, rows: Mapping[str, Row]) -> MatplotlibFigure:
    """The table: a row a method."""
    live = ~np.asarray(mdp.terminal)
    head = "", "knows", "largest |Q − Q*|", "best actions found", "seconds", "work", "samples"
    cells = []
    for name, row in rows.items():
        best = np.take_along_axis(q_star, row.q.argmax(1)[:, None], 1)[:, 0] >= q_star.max(1) - 1e-6 * _size(
            q_star
        )
        knows = "samples" if row.samples else "the rules"
        samples = f"{row.samples:,}" if row.samples else "–"
        other = rows["linear_program"].q if name == "policy_iteration" else q_star  # not with itself
        error = f"{error_of(row.q, other):.2g}"
        cells.append(
            (NAMES[name], knows, error, f"{best[live].mean():.1%}", f"{row.seconds:.2g}", row.work, samples)
        )
    figure = MatplotlibFigure(figsize=(9.6, 0.6 + 0.34 * (len(cells) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    widths = [0.23, 0.11, 0.15, 0.16, 0.1, 0.17, 0.1]
    table = axes.table(
        cells, colLabels=head, colWidths=widths, loc="center", cellLoc="right", edges="horizontal"
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9.5)
    for (i, j), cell in table.get_celld().items():
        cell.set_height(1 / (len(cells) + 1.5))
        cell.set_edgecolor("#b0b0b0")
        if j == 0:
            cell.set_text_props(ha="left")
        if i == 0:
            cell.set_text_props(weight="bold")
    states = f"{mdp.num_states} states × {mdp.num_actions} actions, γ = {c.gamma:g}"
    axes.set_title(
        f"{c.game}: {states}; Q* by policy iteration in float64 (compared with the linear program)",
        fontsize=10,
    )
    return figure


def _size(q: np.ndarray) -> float:
    return max(1.0, float(np.abs(q[np.isfinite(q)]).max(initial=0)))


def convergence(
    c: Bellman, mdp: FiniteMDP, q_star: np.ndarray, errors: Mapping[str, np.ndarray]
) -> MatplotlibFigure:
    """How each method comes nearer: by what it does with the rules, and by samples."""
    figure = MatplotlibFigure(figsize=(9, 3.8), layout="constrained")
    known, seen = figure.subplots(1, 2)
    paths = {"value_iteration": sweeps_of(mdp, q_star), "policy_iteration": policies_of(mdp, q_star)}
    colours = iter(COLOURS[:3] + COLOURS[4:])  # yellow is no colour for a line
    floor = 1e-14 * _size(q_star)
    for name, path in paths.items():
        style = {"marker": "o", "ms": 3.5} if len(path) < 40 else {}
        known.plot(range(len(path)), np.maximum(path, floor), color=next(colours), label=NAMES[name], **style)
    samples = c.samples * (1 + np.arange(c.num_iterations))
    for name, path in errors.items():
        seen.plot(samples, path, color=next(colours), label=NAMES[name], lw=1.2)
    known.set(yscale="log", xscale="symlog", xlabel="sweeps, policies", ylabel="largest |Q − Q*|")
    known.set_xlim(0, None)
    known.set_title("who knows the rules", fontsize=10)
    seen.set_title("who sees samples", fontsize=10)
    seen.set(xlabel="samples", yscale="log")
    seen.xaxis.set_major_formatter(EngFormatter())
    for axes in (known, seen):
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=9)
    return figure


def sweeps_of(mdp: FiniteMDP, q_star: np.ndarray, most: int = 1000) -> np.ndarray:
    """The largest |Q − Q*| after each sweep of value iteration from 0, until only rounding is left."""
    with jax.enable_x64(True):
        goal = jnp.asarray(q_star)

        @jax.jit
        def run(mdp):
            reward = expected_reward(mdp)

            def sweep(q, _):
                q = one_step(mdp, reward, state_value(q))
                return q, jnp.abs(difference(q, goal)).max()

            return jax.lax.scan(sweep, jnp.zeros_like(reward), None, most)[1]

        errors = np.asarray(run(mdp))
    left = np.flatnonzero(errors < 1e-13 * _size(q_star))
    return errors[: left[0] + 1 if len(left) else most]


def policies_of(mdp: FiniteMDP, q_star: np.ndarray) -> np.ndarray:
    """The largest |Q − Q*| of each policy of policy iteration."""
    with jax.enable_x64(True):
        value, improve = jax.jit(policy_value), jax.jit(improved_policy)
        policy, errors = jax.jit(ending_policy)(mdp), []
        for _ in range(int(policy_iteration(mdp).iterations)):
            q = value(mdp, policy)
            errors.append(error_of(q, q_star))
            policy = improve(q, policy)
    return np.array(errors)


def q_figure(c: Bellman, mdp: FiniteMDP, q_star: np.ndarray, rows: Mapping[str, Row]) -> MatplotlibFigure:
    """Q* beside what the optimist and the learner believe."""
    shown = {
        "Q*": q_star,
        "a constraint per s': the optimist": rows["per_successor"].q,
        "Q-learning": rows["q_learning"].q,
    }
    live = ~np.asarray(mdp.terminal)
    if c.game in MAPS:
        return q_on_map(shown, live, grid_world(MAPS[c.game], c.score, c.slip, c.gamma))
    board = BOARDS.get(c.game)
    figure, panels = q_panels(shown, live, board)
    if board is not None:
        for axes in panels:
            mark(axes, board.position[~live], "■", "#b0b0b0")
    return figure
