"""Q of a game on a map: four triangles a cell, one for each move, and an arrow for the best."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure

from mi203jax.rl.games import GOAL, HOLE, MOVES, GridWorld

Move = tuple[int, int]
DARK = "#262b33"


class Board(NamedTuple):
    """How the states of a game lie in the plane."""

    position: np.ndarray  # row and column of each state, [S, 2]
    moves: Sequence[Move] = MOVES  # where each action leads, as rows and columns


def draw_q(axes: Any, q: np.ndarray, live: np.ndarray, board: Board, norm: Any, cmap: str = "viridis") -> Any:
    """Draws Q(s, a) where the game goes on, cells in which it does not as they are.

    Args:
        axes: of matplotlib.
        q: Q, `[S, A]`, A = 4 moves.
        live: whether the game goes on in each state, `[S]`, bool.
        board: where states lie.
        norm: of matplotlib, for the colours.
        cmap: the colours.

    Returns:
        What a colour bar needs.
    """
    height, width = board.position.max(0) + 1
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], facecolor=DARK)
    axes.set_aspect("equal")
    places, table = board.position[live], np.asarray(q)[live]
    polygons = [_triangle(place, move) for place in places for move in board.moves]
    drawn = PolyCollection(polygons, array=table.reshape(-1), norm=norm, cmap=cmap, lw=0.3, ec="#ffffff40")
    axes.add_collection(drawn)
    best = np.array(board.moves)[table.argmax(1)]
    # Where no move is better than another, none is the best.
    tells = np.ptp(table, 1) > 1e-6 * max(1e-30, float(np.abs(table).max(initial=0)))
    (y, x), (dy, dx) = places[tells].T, best[tells].T
    axes.quiver(
        x, y, 0.55 * dx, 0.55 * dy, angles="xy", scale_units="xy", scale=1.0, pivot="mid", units="xy",
        width=0.07, headwidth=3.6, headlength=3.6, headaxislength=3.2, fc="white", ec="black", lw=0.5,
    )  # fmt: skip
    return drawn


def _triangle(place: np.ndarray, move: Move) -> list[tuple[float, float]]:
    """The part of a cell towards which a move goes, as x and y."""
    (row, column), (down, right) = place, move
    side = 0.5 * np.array([(down + right, right - down), (down - right, right + down)])
    return [(column, row), *((column + x, row + y) for y, x in side)]


def mark(axes: Any, places: np.ndarray, text: str, colour: str) -> None:
    """Writes a sign into cells, given by rows and columns, `[n, 2]`."""
    for row, column in places:
        axes.text(column, row, text, color=colour, ha="center", va="center_baseline", weight="bold")


def q_panels(
    tables: Mapping[str, np.ndarray], live: np.ndarray, board: Board | None
) -> tuple[Figure, list[Any]]:
    """Several Q side by side, in the same colours.

    Args:
        tables: title -> Q, `[S, A]`.
        live: whether the game goes on in each state, `[S]`, bool.
        board: where states lie; None: nowhere, and tables are drawn.

    Returns:
        The figure, and its axes, on which more may be drawn.
    """
    values = np.concatenate([np.asarray(q)[live].ravel() for q in tables.values()])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    norm = SymLogNorm(1.0, vmin=low, vmax=high) if max(-low, high) > 2000 else Normalize(low, high)
    wide = board is not None and np.divide(*(board.position.max(0) + 1)) < 2 / 3
    size = (8.5, 2.6 * len(tables)) if wide else (1.5 + 3.2 * len(tables), 3.8)
    figure = Figure(figsize=size, layout="constrained")
    shape = (len(tables), 1) if wide else (1, len(tables))
    panels = list(figure.subplots(*shape, squeeze=False).flat)
    for axes, (title, q) in zip(panels, tables.items(), strict=True):
        if board is None:
            drawn = axes.imshow(np.asarray(q)[live], norm=norm, aspect="auto", interpolation="nearest")
            axes.set(xlabel="action", ylabel="state")
        else:
            drawn = draw_q(axes, q, live, board, norm)
        axes.set_title(title, fontsize=10)
    figure.colorbar(drawn, ax=panels, label="Q(s, a)", shrink=0.85)
    return figure, panels


def q_on_map(tables: Mapping[str, np.ndarray], live: np.ndarray, game: GridWorld) -> Figure:
    """Several Q of a game on a map, side by side, with its goals and holes."""
    figure, panels = q_panels(tables, live, Board(game.position))
    for axes in panels:
        mark(axes, np.argwhere(game.cells == GOAL), "G", "#7bd88f")
        mark(axes, np.argwhere(game.cells == HOLE), "✗", "#ff6b6b")
    return figure
