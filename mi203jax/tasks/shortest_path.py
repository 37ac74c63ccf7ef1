"""The shortest path, by the slide's recursion and as a game (slide "le plus court chemin vu comme…")."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.configs import ShortestPath
from mi203jax.core.task import Figure, Mean, Metrics, Task
from mi203jax.rl import FiniteMDP
from mi203jax.rl.bellman import difference, one_step, state_value
from mi203jax.rl.finite_mdp import expected_reward
from mi203jax.rl.games import MOVES
from mi203jax.rl.shortest_path import Edges, relax
from mi203jax.tasks.shortest_path_figures import MOMENTS, Shown, figures


class Graph(NamedTuple):
    """Nodes in the plane, and their edges, the same both ways. Each trial draws its own."""

    place: jax.Array  # x and y, [nodes, 2], float32
    neighbour: jax.Array  # where each edge of a node leads to, [nodes, edges], int32
    length: jax.Array  # [nodes, edges], float32; ∞: there is no such edge
    target: jax.Array  # the node that distances are to, scalar, int32


class State(NamedTuple):
    """How far both are."""

    graph: Graph
    distance: jax.Array  # D of the recursion, [nodes], float32
    value: jax.Array  # V of the game, [nodes], float32
    dijkstra: jax.Array  # what D should become, [nodes], float32
    sweeps: jax.Array  # scalar, int32: the last sweep that shortened a distance


# ---- graphs ----


def make_graph(c: ShortestPath, key: jax.Array) -> Graph:
    """The graph of a trial."""
    if c.graph == "maze":
        return maze(key, c.size, c.loops)
    return roads(key, c.size**2, c.neighbours, c.detour)


def maze(key: jax.Array, size: int, loops: float | jax.Array) -> Graph:
    """A maze in which every cell can be reached, in more than one way if walls are opened.

    Args:
        key: PRNG key.
        size: cells a side.
        loops: the part of the walls left by a spanning tree that is opened, in [0, 1].

    Returns:
        Corridors of length 1 to the four sides, in the order of `MOVES`. Of size² cells size² − 1 are the
        tree's, and of the other (size − 1)² pairs of cells side by side round(loops · (size − 1)²) are joined
        too. The target is the cell in the middle.
    """
    tree_key, loops_key = jax.random.split(key)
    cells, neighbour = np.arange(size**2), beside(size)
    # Each pair of cells side by side once, whichever of the two it is seen from.
    low, high = np.minimum(neighbour, cells[:, None]), np.maximum(neighbour, cells[:, None])
    pairs, pair = np.unique(low * size**2 + high, return_inverse=True)
    one, other = np.divmod(pairs, size**2)
    parent = spanning_tree(tree_key, neighbour)
    in_tree = (parent[one] == other) | (parent[other] == one)
    is_wall = (one != other) & ~in_tree
    turn = jnp.where(is_wall, jax.random.uniform(loops_key, one.shape), jnp.inf).argsort().argsort()
    is_open = in_tree | (turn < jnp.round(loops * (size - 1) ** 2))
    return Graph(
        jnp.asarray(np.stack([cells % size, cells // size], 1), jnp.float32),
        jnp.asarray(neighbour, jnp.int32),
        jnp.where(is_open[pair.reshape(neighbour.shape)], 1.0, jnp.inf),
        jnp.int32(size // 2 * size + size // 2),
    )


def beside(size: int) -> np.ndarray:
    """The cell to each side, in the order of `MOVES`, `[size², 4]`; at the edge the cell itself."""
    row, column = np.divmod(np.arange(size**2), size)
    sides = []
    for down, right in MOVES:
        y, x = row + down, column + right
        inside = (np.minimum(x, y) >= 0) & (np.maximum(x, y) < size)
        sides.append(np.where(inside, y * size + x, row * size + column))
    return np.stack(sides, 1)


def spanning_tree(key: jax.Array, neighbour: np.ndarray) -> jax.Array:
    """A random walk to cells not seen before, and back where there is none: long corridors.

    Args:
        key: PRNG key.
        neighbour: `[cells, sides]`; a cell itself where there is none.

    Returns:
        The cell from which each was entered first, `[cells]`, int32; −1 for cell 0, where it begins.
    """
    cells, sides = neighbour.shape
    table = jnp.asarray(neighbour, jnp.int32)
    draws = jax.random.uniform(key, (2 * cells, sides))

    def walk(i, carry):
        here, parent, seen = carry
        unseen = ~seen[table[here]]
        to = table[here, jnp.where(unseen, draws[i], -1.0).argmax()]
        goes_on = unseen.any()
        parent = parent.at[to].set(jnp.where(goes_on, here, parent[to]))
        # Back at the beginning nothing is left to be seen, and -1 would be no cell.
        here = jnp.where(goes_on, to, jnp.maximum(parent[here], 0))
        return here, parent, seen.at[here].set(True)

    start = jnp.int32(0), jnp.full(cells, -1, jnp.int32), jnp.zeros(cells, bool).at[0].set(True)
    return jax.lax.fori_loop(0, 2 * cells, walk, start)[1]


def roads(key: jax.Array, junctions: int, neighbours: int, detour: float | jax.Array) -> Graph:
    """Junctions at random in a square, each joined to its nearest ones; some may be out of reach.

    Args:
        key: PRNG key.
        junctions: how many.
        neighbours: to how many each is joined; with those that choose it, it may have up to 6 times as many.
        detour: a road is longer than straight by a factor of up to 1 + this.

    Returns:
        Roads, at first the shortest of a junction. The target is the junction nearest to the middle.
    """
    place_key, detour_key = jax.random.split(key)
    place = jax.random.uniform(place_key, (junctions, 2))
    straight = jnp.sqrt(((place[:, None] - place) ** 2).sum(-1))
    _, nearest = jax.lax.top_k(-jnp.where(jnp.eye(junctions, dtype=bool), jnp.inf, straight), neighbours)
    joined = jnp.zeros((junctions, junctions), bool).at[jnp.arange(junctions)[:, None], nearest].set(True)
    draws = jnp.triu(jax.random.uniform(detour_key, straight.shape))
    length = straight * (1 + detour * (draws + draws.T))
    length = jnp.where(joined | joined.T, length, jnp.inf)
    # Within 60° as seen from a junction lie at most so many that are nearest to it, or it to them.
    least, neighbour = jax.lax.top_k(-length, min(6 * neighbours, junctions))
    target = ((place - 0.5) ** 2).sum(1).argmin()
    return Graph(place, neighbour.astype(jnp.int32), -least, target.astype(jnp.int32))


def dijkstra(graph: Graph) -> jax.Array:
    """Distances to the target by Dijkstra's algorithm: the nearest node that is left is settled, in turn.

    Returns:
        `[nodes]`, float32.
    """

    def settle(_, carry):
        distance, left = carry
        near = jnp.where(left, distance, jnp.inf).argmin()
        distance = distance.at[graph.neighbour[near]].min(graph.length[near] + distance[near])
        return distance, left.at[near].set(False)

    distance = start(graph)
    return jax.lax.fori_loop(0, len(distance), settle, (distance, jnp.ones(len(distance), bool)))[0]


# ---- the task ----


def start(graph: Graph) -> jax.Array:
    """D before the first sweep: 0 at the target, ∞ elsewhere, `[nodes]`, float32."""
    return jnp.full(len(graph.place), jnp.inf, jnp.float32).at[graph.target].set(0.0)


def edges(graph: Graph) -> Edges:
    """The edges as the recursion takes them, those of length ∞ too."""
    nodes, number = graph.neighbour.shape
    return Edges(np.repeat(np.arange(nodes), number), graph.neighbour.ravel(), graph.length.ravel(), nodes)


def game(graph: Graph) -> FiniteMDP:
    """The same as a game that ends at the target: each action is an edge and costs its length; γ = 1."""
    nodes = len(graph.place)
    return FiniteMDP(
        jnp.ones((*graph.neighbour.shape, 1)),
        -graph.length,
        1.0,
        jnp.arange(nodes) == graph.target,
        graph.neighbour[..., None],
    )


def init(c: ShortestPath, data: None, key: jax.Array) -> State:
    """The graph, where the distance of the target alone is known."""
    graph = make_graph(c, key)
    return State(graph, start(graph), -start(graph), dijkstra(graph), jnp.int32(0))


def step(c: ShortestPath, state: State, data: None, t: jax.Array) -> tuple[State, Metrics]:
    """A sweep of each: of the recursion, and of value iteration."""
    distance = relax(edges(state.graph), state.distance)
    mdp = game(state.graph)
    value = state_value(one_step(mdp, expected_reward(mdp), state.value))
    shorter = distance < state.distance
    sweeps = jnp.where(shorter.any(), t + 1, state.sweeps)
    metrics: Metrics = {"shortened": shorter.mean(dtype=jnp.float32)}
    return State(state.graph, distance, value, state.dijkstra, sweeps), metrics


def evaluate(c: ShortestPath, state: State, data: None) -> Metrics:
    """How much is known, how much of it is right, and whether both know the same."""
    known, reachable = jnp.isfinite(state.distance), jnp.isfinite(state.dijkstra)
    error = jnp.where(known, jnp.abs(difference(state.distance, state.dijkstra)), 0.0)
    right = known & (error <= 1e-6 * state.dijkstra)  # what float32 can tell
    return {
        "right": Mean(right.sum(), reachable.sum()),
        "reached": known.mean(dtype=jnp.float32),
        "error": Mean(error.sum(), known.sum()),
        "difference": jnp.abs(difference(state.distance, -state.value)).max(),
        "sweeps": state.sweeps,
    }


def history(state: State) -> tuple[np.ndarray, jax.Array]:
    """D at some moments of the run, made again.

    Returns:
        After how many sweeps, `[moments]`, and D then, `[moments, nodes]`.
    """
    moments = np.unique(np.linspace(0, int(state.sweeps), MOMENTS).round().astype(int))
    graph = jax.tree.map(jnp.asarray, state.graph)

    def later(distance, sweeps):
        distance = jax.lax.fori_loop(0, sweeps, lambda _, d: relax(edges(graph), d), distance)
        return distance, distance

    found = jax.jit(lambda counts: jax.lax.scan(later, start(graph), counts)[1])
    return moments, found(jnp.diff(moments, prepend=0))


def figures_of(c: ShortestPath, state: State, data: None) -> dict[str, Figure]:
    """All figures of a run."""
    moments, distances = history(state)
    every = edges(jax.tree.map(np.asarray, state.graph))
    real = every.length < np.inf
    kept = Edges(every.start[real], every.end[real], every.length[real], every.nodes)
    shown = Shown(c.graph, np.asarray(state.graph.place), kept, int(state.graph.target))
    return figures(shown, moments, np.asarray(distances), np.asarray(state.distance), np.asarray(state.value))


task = Task(init, step, evaluate, figures_of, objective="eval/right", best="max")
