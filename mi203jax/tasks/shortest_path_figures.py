"""Figures of the shortest path: distances as they spread, the ways that they show, and Dijkstra's beside."""

from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.patheffects import withStroke
from scipy import sparse
from scipy.sparse import csgraph

from mi203jax.core.task import Animation, Figure
from mi203jax.rl.shortest_path import Edges
from mi203jax.tasks.pictures import BACKGROUND, OKABE_ITO, frame_of

MOMENTS = 49
"""Frames in which distances spread."""
WALKED, HELD = 12, 15
"""Frames in which the path is drawn, and in which it stays."""
UNKNOWN = "#d9d9d9"
# Without viridis's darkest part, on which walls and arrows would not be seen.
COLOURS = ListedColormap(matplotlib.colormaps["viridis_r"](np.linspace(0, 0.88, 256))).with_extremes(
    bad=UNKNOWN
)
PATH = OKABE_ITO[5]


class Shown(NamedTuple):
    """A graph to draw."""

    kind: str  # "maze" or "roads"
    place: np.ndarray  # [nodes, 2]
    edges: Edges  # without those of length ∞
    target: int


def figures(
    shown: Shown, moments: np.ndarray, distances: np.ndarray, distance: np.ndarray, value: np.ndarray
) -> dict[str, Figure]:
    """All figures of a run.

    Args:
        shown: the graph.
        moments: sweeps after which distances are known, `[moments]`.
        distances: D then, `[moments, nodes]`.
        distance: D in the end, `[nodes]`.
        value: V of the game in the end, `[nodes]`.
    """
    return {"distances": spreading(shown, moments, distances), "paths": paths(shown, distance, value)}


# ---- what distances say ----


def follow(edges: Edges, distance: np.ndarray) -> np.ndarray:
    """The next node on the best way from each: argmin over B of d(A, B) + D(B).

    Args:
        edges: the graph.
        distance: D, `[nodes]`.

    Returns:
        `[nodes]`, int; −1 where the target is not known to be reached, and at the target.
    """
    through = edges.length + distance[edges.end]
    order = np.lexsort((through, edges.start))  # by node, the best first
    node, first = np.unique(edges.start[order], return_index=True)
    best = np.full(edges.nodes, -1)
    best[node] = edges.end[order][first]
    best[~np.isfinite(distance) | (distance == 0)] = -1
    return best


def way(best: np.ndarray, start: int) -> list[int]:
    """The nodes from a start to the target."""
    nodes = [start]
    while best[nodes[-1]] >= 0:
        nodes.append(int(best[nodes[-1]]))
    return nodes


def dijkstra(shown: Shown) -> tuple[np.ndarray, np.ndarray]:
    """By scipy: distances to the target, `[nodes]`, and the next node from each, −1 where there is none."""
    e = shown.edges
    matrix = sparse.csr_matrix((np.asarray(e.length, float), (e.end, e.start)), (e.nodes, e.nodes))
    distance, best = csgraph.dijkstra(matrix, indices=shown.target, return_predecessors=True)
    return distance, np.where(best < 0, -1, best)


def farthest(distance: np.ndarray) -> int:
    """The node of the largest distance that is known."""
    return int(np.where(np.isfinite(distance), distance, -1.0).argmax())


def largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a − b|, 0 where they are equal, infinite values too."""
    return float(np.abs(np.subtract(a, b, out=np.zeros(len(a)), where=a != b)).max())


# ---- drawing ----


class Picture:
    """A graph on axes, whose colours can change."""

    def __init__(self, axes: Any, shown: Shown, norm: Normalize):
        self._shown, self._norm = shown, norm
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
        if shown.kind == "maze":
            self._size = round(len(shown.place) ** 0.5)
            nothing = np.full((self._size, self._size), np.nan)
            self._image = axes.imshow(nothing, cmap=COLOURS, norm=norm)
            width = 60 / self._size
            axes.add_collection(
                LineCollection(list(walls(shown)), colors=BACKGROUND, lw=width, capstyle="projecting")
            )
        else:
            once = shown.edges.start < shown.edges.end
            self._ends = np.stack([shown.edges.start[once], shown.edges.end[once]], 1)
            self._lines = LineCollection(shown.place[self._ends], lw=1.8, capstyle="round", colors=UNKNOWN)
            axes.add_collection(self._lines)
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        self.mark(axes, shown.target, "*", 15)

    def mark(self, axes: Any, node: int, marker: str, size: float) -> None:
        """A mark at a node."""
        axes.plot(*self._shown.place[node], marker, color=PATH, ms=size, mec="white", mew=1.2, zorder=5)

    def colour(self, distance: np.ndarray) -> None:
        """Shows distances; what is not reached is grey. A road has the mean of its ends."""
        distance = np.where(np.isfinite(distance), distance, np.nan)
        if self._shown.kind == "maze":
            self._image.set_data(distance.reshape(self._size, self._size))
        else:
            means = distance[self._ends].mean(1)
            self._lines.set_color(COLOURS(self._norm(np.ma.masked_invalid(means))))


def walls(shown: Shown) -> np.ndarray:
    """Where two cells side by side are not joined, and around them all: `[walls, 2, 2]`."""
    size = round(len(shown.place) ** 0.5)
    joined = np.zeros((size**2, size**2), bool)
    joined[shown.edges.start, shown.edges.end] = True
    cell = np.arange(size**2).reshape(size, size)
    found = []
    for y, x in np.ndindex(size + 1, size + 1):
        beside = 0 < x < size and y < size and joined[cell[y, x - 1], cell[y, x]]
        above = 0 < y < size and x < size and joined[cell[y - 1, x], cell[y, x]]
        if y < size and not beside:
            found.append(((x - 0.5, y - 0.5), (x - 0.5, y + 0.5)))
        if x < size and not above:
            found.append(((x - 0.5, y - 0.5), (x + 0.5, y - 0.5)))
    return np.array(found)


def spreading(shown: Shown, moments: np.ndarray, distances: np.ndarray) -> Animation:
    """Distances sweep by sweep from the target, and then the shortest path from the farthest node."""
    last = distances[-1]
    norm = Normalize(0, np.max(last[np.isfinite(last)]))
    figure = MatplotlibFigure(figsize=(5.8, 5.2), dpi=90, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    picture = Picture(axes, shown, norm)
    figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label="distance to the target", shrink=0.9)
    axes.set_title("sweep")
    canvas.draw()
    figure.set_layout_engine("none")  # it stays as it is, and frames are drawn in half the time
    frames = []
    for sweeps, distance in zip(moments, distances, strict=True):
        picture.colour(distance)
        axes.set_title(f"sweep {sweeps}: {np.isfinite(distance).mean():.0%} reached")
        frames.append(frame_of(canvas))
    nodes = way(follow(shown.edges, last), farthest(last))
    picture.mark(axes, nodes[0], "o", 9)
    (line,) = axes.plot([], [], color=PATH, lw=3, path_effects=[withStroke(linewidth=5, foreground="white")])
    axes.set_title(f"from the farthest: {len(nodes) - 1} steps, length {last[nodes[0]]:.4g}")
    for part in np.linspace(0, 1, WALKED + 1)[1:]:
        line.set_data(*shown.place[nodes[: 1 + round(part * (len(nodes) - 1))]].T)
        frames.append(frame_of(canvas))
    return Animation([*frames, *frames[-1:] * HELD], 10.0)


def paths(shown: Shown, distance: np.ndarray, value: np.ndarray) -> MatplotlibFigure:
    """The best way from every node, by the recursion and by Dijkstra, and how far they differ."""
    true, true_best = dijkstra(shown)
    of_game = f"as a game: largest |D + V| = {largest_difference(distance, -value):.2g}"
    error = f"Dijkstra's algorithm, by scipy\nlargest difference: {largest_difference(distance, true):.2g}"
    panels = {
        f"D(A) ← min over B of d(A, B) + D(B)\n{of_game}": (distance, follow(shown.edges, distance)),
        error: (true, true_best),
    }
    norm = Normalize(0, np.max(true[np.isfinite(true)]))
    figure = MatplotlibFigure(figsize=(11, 5.6), layout="constrained")
    both = figure.subplots(1, 2)
    for axes, (title, (known, best)) in zip(both, panels.items(), strict=True):
        picture = Picture(axes, shown, norm)
        if shown.kind == "maze":
            picture.colour(known)
            arrows(axes, shown, best)
        else:
            tree(axes, shown, known, best, norm)
        axes.set_title(title)
    figure.colorbar(ScalarMappable(norm, COLOURS), ax=list(both), label="distance to the target")
    return figure


def arrows(axes: Any, shown: Shown, best: np.ndarray) -> None:
    """An arrow in each node towards the next."""
    (node,) = np.nonzero(best >= 0)
    way = shown.place[best[node]] - shown.place[node]
    size = 0.09 / len(shown.place) ** 0.5  # of a shaft, beside the picture's width
    axes.quiver(
        *shown.place[node].T, *0.7 * way.T, angles="xy", scale_units="xy", scale=1, width=size, pivot="mid"
    )


def tree(axes: Any, shown: Shown, distance: np.ndarray, best: np.ndarray, norm: Normalize) -> None:
    """The road from each node to the next, in the colour of its distance."""
    (node,) = np.nonzero(best >= 0)
    lines = LineCollection(shown.place[np.stack([node, best[node]], 1)], lw=2.6, capstyle="round")
    lines.set_color(COLOURS(norm(distance[node])))
    axes.add_collection(lines)
