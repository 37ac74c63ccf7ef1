"""The shortest path as reinforcement (slide "le plus court chemin vu comme du renforcement")."""

import functools
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Edges(NamedTuple):
    """A graph as the list of its edges, sorted by where they start."""

    start: Any  # A, [edges], int
    end: Any  # B, [edges], int
    length: Any  # d(A, B), [edges]
    nodes: int


def edges(function: str, weights: Any, target: int) -> Edges:
    """The edges of a graph, without those from a node to itself, which shorten nothing.

    Args:
        function: whose arguments they are, for the message.
        weights: `[nodes, nodes]`, dense with ∞ where there is no edge, or `scipy.sparse`.
        target: a node.

    Raises:
        ValueError: if the weights are not a square of numbers above −∞, the target is no node, or an edge
            from a node to itself is of negative length.
    """
    sparse = hasattr(weights, "tocoo")
    table: Any = weights.tocoo() if sparse else np.asarray(weights, float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.shape[0]:
        raise ValueError(f"{function}: expected weights of shape [nodes, nodes], got {table.shape}.")
    check_node(function, "target", target, table.shape[0])
    if sparse:
        start, end, length = table.row, table.col, table.data
    else:
        start, end = np.nonzero(~(table == np.inf))
        length = table[start, end]
    for i in np.flatnonzero(~(length > -np.inf))[:1]:
        raise ValueError(f"{function}: the edge from {start[i]} to {end[i]} has the length {length[i]}.")
    for i in np.flatnonzero((start == end) & (length < 0))[:1]:
        raise ValueError(f"{function}: negative cycle: node {start[i]} has an edge to itself of {length[i]}.")
    keep = (start != end) & (length < np.inf)
    start, end, length = start[keep], end[keep], length[keep]
    order = np.lexsort((end, start))
    return Edges(start[order], end[order], np.asarray(length[order], float), table.shape[0])


def check_node(function: str, argument: str, node: int, nodes: int) -> None:
    """Refuses what is no node.

    Raises:
        ValueError: if it is none.
    """
    try:
        index = -1 if isinstance(node, bool) else operator.index(node)
    except TypeError:
        index = -1
    if not 0 <= index < nodes:
        raise ValueError(f"{function}: expected {argument} to be a node from 0 to {nodes - 1}, got {node!r}.")


def relax(graph: Edges, distances: jax.Array) -> jax.Array:
    """The slide's recursion, once: D(A) = min over neighbours B of d(A, B) + D(B).

    From 0 at C and ∞ elsewhere, k times give the shortest of the paths of up to k edges.

    Args:
        graph: the edges.
        distances: D to some node C, `[nodes]`, 0 at C.

    Returns:
        D, `[nodes]`, nowhere larger than before.
    """
    through = jnp.asarray(graph.length, distances.dtype) + distances[graph.end]
    return jnp.minimum(distances, jax.ops.segment_min(through, graph.start, graph.nodes, True))


def shortest_path_distances(weights: Any, target: int) -> jax.Array:
    """D(A, C) of every node A to the node C, by D(A, C) = min_B d(A, B) + D(B, C) until nothing changes.

    Args:
        weights: lengths d(A, B) of the edges, `[nodes, nodes]`, dense with ∞ where there is none, or
            `scipy.sparse`, whose entries are the edges, also those of length 0. They may be negative. Of
            entries that occur twice (`coo`) the shorter counts.
        target: C.

    Returns:
        D, `[nodes]`, float32 (float64 under `jax.enable_x64(True)`); ∞ where no path leads to C.

    Raises:
        ValueError: if the weights are not a square of numbers, the target is no node, or a cycle from which
            it can be reached is of negative length, by more than rounding: no path is the shortest then.
    """
    name = "shortest_path_distances"
    return distances_to(name, edges(name, weights, target), target)


def distances_to(function: str, graph: Edges, target: int) -> jax.Array:
    """`shortest_path_distances` of a graph that is given as its edges.

    Raises:
        ValueError: if a negative cycle leads to the target.
    """
    with jax.enable_x64(True):  # rounding must not look like a circle that shortens paths, nor hide one
        distances, settled = _distances(*graph, target)
    if not settled:
        raise ValueError(
            f"{function}: a negative cycle leads to node {target}: paths through it have no least length."
        )
    return jnp.asarray(np.asarray(distances))  # of float32, unless float64 is wanted


@functools.partial(jax.jit, static_argnames="nodes")
def _distances(start, end, length, nodes: int, target) -> tuple[jax.Array, jax.Array]:
    """D, and whether it stopped changing, but for rounding, before a path could visit a node twice."""
    graph = Edges(start, end, length, nodes)

    def changing(carry):
        _, drop, count = carry
        return (drop > 0) & (count < nodes)

    def again(carry):
        distances, _, count = carry
        new = relax(graph, distances)
        return new, jnp.where(new < distances, distances - new, 0).max(), count + 1

    first = jnp.full(nodes, jnp.inf, length.dtype).at[target].set(0.0)
    distances, drop, _ = jax.lax.while_loop(changing, again, (first, jnp.inf, 0))
    largest = jnp.where(jnp.isfinite(distances), jnp.abs(distances), 0).max()
    return distances, drop <= 4 * jnp.finfo(distances.dtype).eps * largest
