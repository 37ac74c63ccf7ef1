"""Figures of a game on a map: a greedy game move by move, and the policy on the map at each stage of it."""

from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path

from mi203jax.configs import Rewards
from mi203jax.core.task import Animation, Figure
from mi203jax.rl import GridWorld
from mi203jax.rl.games import GOAL, HOLE, MOVES, START, WALL
from mi203jax.tasks.pictures import BACKGROUND, OKABE_ITO, evenly, frame_of

STAGES, FRAMES, HELD = 4, 120, 12
"""Panels of the policy, moves of a game that are drawn, and frames in which its end stays."""
TREASURE, BLUE, GREEN, RED = (OKABE_ITO[i] for i in (0, 4, 2, 5))
FLOOR = "#f2f0ea"
STAR = np.asarray(Path.unit_regular_star(5, 0.42).vertices) * [0.42, -0.42]  # rows go down
# Light, so that arrows are seen on it.
VALUES = ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(0.05, 0.6, 256))).with_extremes(bad=FLOOR)


class Play(NamedTuple):
    """A game that was played."""

    states: np.ndarray  # [moves + 1]
    ending: str  # "won", "game over" or "time out"


def figures(c: Rewards, world: GridWorld, q: np.ndarray, visits: np.ndarray) -> dict[str, Figure]:
    """All figures of a trial.

    Args:
        c: the configuration.
        world: its game.
        q: Q, `[S, A]`.
        visits: how often each action was tried in each state, `[S, A]`.
    """
    game = play(world, q.argmax(1), c.time_limit, c.seed)
    return {"play": playing(c, world, game), "policy": policy(c, world, q, visits, game)}


def play(world: GridWorld, policy: np.ndarray, time_limit: int, seed: int) -> Play:
    """One game by a policy, `[S]`."""
    rng = np.random.default_rng(int(seed))
    mdp = world.mdp
    states = [int(rng.choice(len(world.start), p=world.start))]
    while len(states) <= time_limit and not mdp.terminal[states[-1]]:
        at = states[-1], policy[states[-1]]
        states.append(int(rng.choice(mdp.successor[at], p=mdp.transition[at])))
    last = world.cells[tuple(world.position[states[-1]])]
    return Play(np.array(states), {GOAL: "won", HOLE: "game over"}.get(last, "time out"))


# ---- drawing ----


def draw_map(axes: Any, world: GridWorld, taken: np.ndarray, floor: bool = True) -> list[Any]:
    """The map on axes.

    Args:
        axes: where to draw, a unit a cell.
        world: the game.
        taken: which treasures are gone, `[treasures]`, bool.
        floor: whether to colour it, or to leave what is there.

    Returns:
        What was drawn of each treasure.
    """
    height, width = world.cells.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for (y, x), kind in np.ndenumerate(world.cells):
        if kind == WALL or floor:
            colour = BACKGROUND if kind == WALL else FLOOR
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=colour, ec="white", lw=0.8))
        if kind == HOLE:
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=FLOOR, ec="white", lw=0.8))
            axes.add_patch(Circle((x, y), 0.38, fc="black", ec=RED, lw=2))
        if kind == GOAL:
            axes.add_patch(PathPatch(Path(np.add(STAR, (x, y))), fc=GREEN, ec="white", lw=1))
        if kind == START:
            axes.add_patch(Circle((x, y), 0.4, fc="none", ec=BLUE, lw=1.5, ls=":"))
    return [
        draw_treasure(axes, world, *place)
        for place, gone in zip(world.treasures, taken, strict=True)
        if not gone
    ]


def draw_treasure(axes: Any, world: GridWorld, y: int, x: int) -> list[Any]:
    """A coin with its points."""
    coin = axes.add_patch(Circle((x, y), 0.33, fc=TREASURE, ec="#8a5a00", lw=1.2))
    return [coin, axes.text(x, y, world.cells[y, x], ha="center", va="center", fontsize=9, weight="bold")]


def playing(c: Rewards, world: GridWorld, game: Play) -> Animation:
    """A greedy game move by move, with the way that was gone; nobody sees the score."""
    height, width = world.cells.shape
    scale = 5.0 / max(height, width)
    figure = MatplotlibFigure(
        figsize=(max(3.6, scale * width), scale * height + 0.6), dpi=90, layout="constrained"
    )
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    coins = draw_map(axes, world, np.zeros(len(world.treasures), bool))
    (trail,) = axes.plot(
        [], [], color=BLUE, lw=3, alpha=0.35, solid_capstyle="round", solid_joinstyle="round"
    )
    player = Circle((0, 0), 0.27, fc=BLUE, ec="white", lw=1.5, zorder=5)
    axes.add_patch(player)
    axes.set_title("move 0")
    canvas.draw()
    figure.set_layout_engine("none")  # frames are drawn in half the time
    place = world.position[game.states][:, ::-1]  # x and y

    def show(move):
        for parts, gone in zip(coins, world.taken[game.states[move]], strict=True):
            for part in parts:
                part.set_visible(not gone)
        trail.set_data(*place[: move + 1].T)
        player.center = tuple(place[move])

    frames = []
    for move in range(min(len(place), FRAMES + 1)):
        show(move)
        axes.set_title(f"learned from the {c.score} score: move {move}", fontsize=10)
        frames.append(frame_of(canvas))
    moves = len(game.states) - 1
    show(moves)
    axes.set_title(f"{game.ending} after {moves} move{'s' * (moves != 1)}", fontsize=10, weight="bold")
    return Animation([*frames, *[frame_of(canvas)] * HELD], 6.0)


def stages(world: GridWorld, game: Play) -> np.ndarray:
    """Which treasures are gone at the stages of a game, and all of them: `[stages, treasures]`, bool."""
    # More of them come later in the order of rows too.
    passed = np.unique([*world.taken[game.states], np.ones(len(world.treasures), bool)], axis=0)
    return evenly(passed, STAGES)


def policy(c: Rewards, world: GridWorld, q: np.ndarray, visits: np.ndarray, game: Play) -> MatplotlibFigure:
    """V and the greedy moves on the map, a panel a stage: none where nothing tells moves apart."""
    panels = stages(world, game)
    known = (visits.sum(1) > 0) & ~world.mdp.terminal
    value = np.where(known, q.max(1), np.nan)
    seen = known & (world.taken[:, None] == panels).all(-1).any(-1)
    low, high = (value[seen].min(), value[seen].max()) if seen.any() else (0.0, 1.0)
    norm = Normalize(min(0.0, low), high if high > low else low + 1.0)
    figure, every = maps(world, len(panels))
    for axes, taken in zip(every, panels, strict=True):
        (at,) = np.nonzero((world.taken == taken).all(1))
        image = np.full(world.cells.shape, np.nan)
        image[tuple(world.position[at].T)] = value[at]
        axes.imshow(image, cmap=VALUES, norm=norm)
        draw_map(axes, world, taken, floor=False)
        arrows(axes, world, at[known[at] & (q[at].max(1) > q[at].min(1))], q)
        axes.set_title(stage_name(world, taken), fontsize=10)
    figure.colorbar(ScalarMappable(norm, VALUES), ax=every, label="V(s) = max Q(s, ·)", shrink=0.85)
    figure.suptitle(
        f"The {c.score} score, γ = {float(c.gamma):g}: greedy moves, where Q tells them apart",
        fontsize=11,
    )
    return figure


def maps(world: GridWorld, number: int) -> tuple[MatplotlibFigure, list[Any]]:
    """A figure with axes for so many maps, wide ones below each other too."""
    height, width = world.cells.shape
    columns = number if width < 1.5 * height else min(2, number)
    rows, scale = -(-number // columns), 3.4 / max(height, width)
    size = max(5.0, (scale * width + 0.15) * columns + 1.1), (scale * height + 0.4) * rows + 0.6
    figure = MatplotlibFigure(figsize=size, layout="constrained")
    every = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in every[number:]:
        axes.remove()
    return figure, every[:number]


def stage_name(world: GridWorld, taken: np.ndarray) -> str:
    """What is gone, in words."""
    if not len(taken):
        return "no treasures"
    if taken.all() or not taken.any():
        return "all treasures found" if taken.all() else "no treasure found"
    points = sum(int(world.cells[place]) for place, gone in zip(world.treasures, taken, strict=True) if gone)
    return f"{taken.sum()} of {len(taken)} found: score {points}"


def arrows(axes: Any, world: GridWorld, states: np.ndarray, q: np.ndarray) -> None:
    """An arrow in the cell of each state, where the best move leads."""
    if not len(states):
        return
    y, x = world.position[states].T
    down, right = np.array(MOVES)[q[states].argmax(1)].T
    style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.011, "pivot": "mid", "zorder": 4}
    axes.quiver(x, y, 0.62 * right, 0.62 * down, **style)
