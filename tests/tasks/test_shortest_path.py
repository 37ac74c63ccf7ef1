"""The shortest path: graphs are what they are said to be, distances are scipy's, and figures show them."""

import functools
import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from mi203jax import UsageError, stack, train
from mi203jax.configs import ShortestPath
from mi203jax.core.loop import trial
from mi203jax.core.task import Animation
from mi203jax.rl import from_graph, value_iteration
from mi203jax.rl.shortest_path import Edges
from mi203jax.tasks import shortest_path, shortest_path_figures
from mi203jax.tasks.shortest_path_figures import Shown
from tests.tasks.shown import draw, points, shown_in

MAZE = ShortestPath(size=6, loops=0.1, total_steps=30, eval_every=1)
ROADS = replace(MAZE, graph="roads", loops=0.03, neighbours=2, detour=0.2)
BOTH = pytest.mark.parametrize("config", [MAZE, ROADS], ids=["maze", "roads"])
SEEDS = range(3)


@functools.cache
def runs(config):
    """States and metrics of trials that differ in their seed, run together."""
    configs = [replace(config, seed=seed) for seed in SEEDS]
    keys = jax.vmap(jax.random.key)(np.array(SEEDS))
    together = jax.jit(jax.vmap(functools.partial(train, shortest_path.task), (0, None, 0)))
    return jax.device_get(together(stack(configs), None, keys))


def each(config):
    """Final state and metrics of each trial."""
    return [trial(runs(config), seed) for seed in SEEDS]


def matrix(graph):
    """d(A, B), dense, ∞ where there is no edge."""
    nodes = len(graph.place)
    lengths = np.full((nodes, nodes), np.inf)
    np.minimum.at(lengths, (np.arange(nodes)[:, None], graph.neighbour), graph.length)
    return lengths


def to_target(graph, **how):
    """Distances by scipy. Edges are the same both ways."""
    lengths = matrix(graph)
    there, back = np.nonzero(np.isfinite(lengths))
    table = sparse.csr_matrix((lengths[there, back].astype(float), (there, back)), lengths.shape)
    return csgraph.dijkstra(table, indices=int(graph.target), **how)


MANY = [0.0, 0.0, 0.3, 0.3, 1.0, *[1 / 9] * 295]
"""Parts of the walls that are opened."""


@functools.cache
def mazes(size):
    make = jax.jit(jax.vmap(lambda key, loops: shortest_path.maze(key, size, loops)))
    found = jax.device_get(make(jax.random.split(jax.random.key(0), len(MANY)), np.array(MANY)))
    return [trial(found, i) for i in range(len(MANY))]


@functools.cache
def maps(neighbours):
    """Roads without detours, and with some of up to a half."""
    make = jax.jit(jax.vmap(lambda key, detour: shortest_path.roads(key, 60, neighbours, detour)))
    detours = np.repeat([0.0, 0.5], 40)
    found = jax.device_get(make(jax.random.split(jax.random.key(0), 80), detours))
    return [(detour, trial(found, i)) for i, detour in enumerate(detours)]


def apart(graph):
    return np.linalg.norm(graph.place[:, None] - graph.place, axis=-1)


def nearest_either_way(graph, neighbours):
    """By a tree of scipy: who is among the nearest of whom, or the other way round."""
    _, nearest = cKDTree(graph.place).query(graph.place, neighbours + 1)
    joined = np.zeros((len(graph.place),) * 2, bool)
    joined[nearest[:, :1], nearest[:, 1:]] = True
    return joined | joined.T


class TestMaze:
    @pytest.mark.parametrize("size", [2, 4])
    def test_corridors(self, size):
        cells = np.stack(np.divmod(np.arange(size**2), size)[::-1], 1)
        for loops, graph in zip(MANY[:10], mazes(size), strict=False):
            np.testing.assert_array_equal(graph.place, cells)
            lengths = matrix(graph)
            joined = np.isfinite(lengths)
            np.testing.assert_array_equal(joined, joined.T)
            assert (lengths[joined] == 1).all()
            assert (apart(graph)[joined] == 1).all()
            assert joined.sum() / 2 == size**2 - 1 + round(loops * (size - 1) ** 2)
            assert csgraph.connected_components(joined)[0] == 1
            assert tuple(cells[graph.target]) == (size // 2, size // 2)

    def test_each_wall_is_opened_now_and_then(self):
        corridors = np.mean([np.isfinite(matrix(graph)) for graph in mazes(4)[5:]], 0)
        often = corridors[apart(mazes(4)[0]) == 1]
        assert often.mean() == pytest.approx(16 / 24)
        assert often.max() < 1
        assert often.min() > 0.3


class TestRoads:
    def test_nearest_either_way(self):
        degrees = []
        for _, graph in maps(1):
            joined = nearest_either_way(graph, 1)
            np.testing.assert_array_equal(np.isfinite(matrix(graph)), joined)
            assert graph.target == np.linalg.norm(graph.place - 0.5, axis=1).argmin()
            degrees.append(joined.sum(1).max())
        assert max(degrees) > 3  # there is need of much room

    def test_detours(self):
        factors = {0.0: [], 0.5: []}
        for detour, graph in maps(1):
            lengths = matrix(graph)
            joined = np.isfinite(lengths)
            np.testing.assert_array_equal(lengths, lengths.T)
            factors[detour].extend(lengths[joined] / apart(graph)[joined])
        np.testing.assert_allclose(factors[0.0], 1, rtol=1e-5)
        longer = np.array(factors[0.5])
        assert longer.min() >= 1 - 1e-5
        assert longer.max() <= 1.5 + 1e-5
        assert longer.mean() == pytest.approx(1.25, abs=0.02)  # uniform
        assert longer.std() == pytest.approx(0.5 / 12**0.5, abs=0.02)

    def test_several_neighbours(self):
        for state, _ in each(ROADS):
            joined = np.isfinite(matrix(state.graph))
            np.testing.assert_array_equal(joined, nearest_either_way(state.graph, 2))
            longer = matrix(state.graph)[joined] / apart(state.graph)[joined]
            assert 1.15 < longer.max() <= 1.2 + 1e-5

    def test_as_a_game_made_of_its_matrix(self):
        state, _ = each(ROADS)[0]
        q = value_iteration(from_graph(matrix(state.graph), int(state.graph.target))).q
        np.testing.assert_allclose(q.max(1), state.value, rtol=1e-6)


@BOTH
class TestRun:
    def test_distances_are_dijkstras(self, config):
        unreachable = 0
        for state, _ in each(config):
            expected = to_target(state.graph)
            unreachable += np.isinf(expected).sum()
            np.testing.assert_allclose(state.distance, expected, rtol=1e-6)
            np.testing.assert_allclose(state.value, -expected, rtol=1e-6)
            np.testing.assert_allclose(state.dijkstra, expected, rtol=1e-6)
        assert (unreachable > 0) == (config.graph == "roads")

    def test_each_sweep_adds_an_edge(self, config):
        for state, metrics in each(config):
            lengths, final = matrix(state.graph).astype(float), to_target(state.graph)
            edges = to_target(state.graph, unweighted=True)
            reachable = np.isfinite(final)
            distance = np.where(np.arange(36) == state.graph.target, 0, np.inf)
            last = 0
            for k in range(config.total_steps):
                before, distance = distance, np.minimum(distance, (lengths + distance).min(1))
                last = k + 1 if (distance < before).any() else last
                known = np.isfinite(distance)
                np.testing.assert_array_equal(known, edges <= k + 1)
                error = np.abs(distance[known] - final[known])
                expected = {
                    "eval/reached": (edges <= k + 1).mean(),
                    "eval/right": (error < 1e-9).sum() / reachable.sum(),
                    "eval/error": error.mean(),
                    "eval/sweeps": last,
                    "eval/difference": 0,
                    "train/shortened": (distance < before).mean(),
                }
                for name, value in expected.items():
                    assert metrics[name][k] == pytest.approx(value, abs=1e-6), (name, k)
            assert (metrics["eval/difference"] == 0).all()
            assert metrics["eval/right"][-1] == 1
            assert state.sweeps == last < config.total_steps
            if config.graph == "maze":
                assert last == final.max()

    def test_history(self, config, monkeypatch):
        state, metrics = each(config)[0]
        monkeypatch.setattr(shortest_path, "MOMENTS", 4)
        moments, distances = shortest_path.history(state)
        assert (moments[0], moments[-1], len(moments)) == (0, state.sweeps, 4)
        for sweeps, distance in zip(moments[1:], distances[1:], strict=True):
            assert np.isfinite(distance).mean() == pytest.approx(metrics["eval/reached"][sweeps - 1])
        np.testing.assert_array_equal(distances[-1], state.distance)

    def test_figures(self, config, monkeypatch):
        monkeypatch.setattr(shortest_path, "MOMENTS", 3)
        monkeypatch.setattr(shortest_path_figures, "WALKED", 2)
        state, _ = each(config)[0]
        drawn = shortest_path.task.figures(config, state, None)
        assert list(drawn) == ["distances", "paths"]
        draw(drawn["paths"])
        assert "|D + V| = 0" in drawn["paths"].axes[0].get_title()
        lines, edges = (
            drawn["paths"].axes[0].collections[0].get_segments(),
            np.isfinite(matrix(state.graph)).sum() / 2,
        )
        assert len(lines) == (2 * 6 * 7 - edges if config.graph == "maze" else edges)
        known = np.isfinite(state.distance)
        error = np.abs(to_target(state.graph)[known] - state.distance[known]).max()
        assert float(drawn["paths"].axes[1].get_title().split(":")[1]) == pytest.approx(error, rel=0.1)
        animation = drawn["distances"]
        assert isinstance(animation, Animation)
        frames = animation.frames
        assert len(frames) == 3 + 2 + shortest_path_figures.HELD
        for one, other in itertools.pairwise(frames[:5]):
            assert (one != other).any()
        assert (frames[4] == frames[-1]).all()


def test_together_as_alone():
    alone = jax.jit(functools.partial(train, shortest_path.task))
    for seed in SEEDS[:2]:
        own = alone(replace(MAZE, seed=seed), None, jax.random.key(seed))
        jax.tree.map(np.testing.assert_array_equal, own, each(MAZE)[seed])
    first, second = each(MAZE)[:2]
    assert (first[0].graph.length != second[0].graph.length).any()


def test_what_is_wrong_is_measured():
    state = jax.tree.map(np.array, each(ROADS)[0][0])
    known = np.flatnonzero(np.isfinite(state.distance) & (state.distance > 0))
    distance, value = state.distance.copy(), state.value.copy()
    distance[known[:2]] *= 1.0001
    distance[known[2]] = np.inf
    value[known[3]] *= 1.5
    wrong = jax.tree.map(jnp.asarray, state._replace(distance=distance, value=value))
    found = shortest_path.evaluate(ROADS, wrong, None)
    right, error = found["right"], found["error"]
    assert (right.total, right.weight) == (len(known) + 1 - 3, len(known) + 1)
    assert error.total / error.weight == pytest.approx(
        1e-4 * state.distance[known[:2]].sum() / len(known), rel=0.01
    )
    assert found["reached"] == pytest.approx(len(known) / 36)
    assert found["difference"] == np.inf
    found = shortest_path.evaluate(ROADS, wrong._replace(distance=jnp.asarray(state.distance)), None)
    assert found["difference"] == pytest.approx(0.5 * state.distance[known[3]])


def shown(kind, lengths, place, target):
    start, end = np.nonzero(np.isfinite(lengths))
    return Shown(kind, np.asarray(place, float), Edges(start, end, lengths[start, end], len(lengths)), target)


def both_ways(nodes, *edges):
    lengths = np.full((nodes, nodes), np.inf)
    for a, b, length in edges:
        lengths[a, b] = lengths[b, a] = length
    return lengths


SQUARE = shown("maze", both_ways(4, (0, 1, 1), (1, 3, 1), (2, 3, 1)), [(0, 0), (1, 0), (0, 1), (1, 1)], 2)
"""A maze of 2×2 cells, where from the first one to the third below it one goes round."""

ROUND = shown("roads", both_ways(5, (0, 1, 5), (0, 2, 1), (2, 1, 2), (3, 4, 1)), np.eye(5)[:, :2], 1)
"""A long road from 0 to 1, a shorter way over 2, and two junctions that lead nowhere."""


class TestFigures:
    def test_ways(self):
        distance, best = shortest_path_figures.dijkstra(ROUND)
        np.testing.assert_array_equal(distance, [3, 0, 2, np.inf, np.inf])
        np.testing.assert_array_equal(best, [2, -1, 1, -1, -1])
        np.testing.assert_array_equal(shortest_path_figures.follow(ROUND.edges, distance), best)
        after_one = np.array([5, 0, 2, np.inf, np.inf])  # the way over 2 begins with a road of 1: 3 < 5
        np.testing.assert_array_equal(shortest_path_figures.follow(ROUND.edges, after_one), best)
        assert shortest_path_figures.farthest(distance) == 0
        assert shortest_path_figures.way(best, 0) == [0, 2, 1]

    def test_one_way(self):
        lengths = np.full((3, 3), np.inf)
        lengths[0, 1], lengths[1, 2] = 1, 1
        distance, best = shortest_path_figures.dijkstra(shown("roads", lengths, np.eye(3)[:, :2], 2))
        np.testing.assert_array_equal(distance, [2, 1, 0])
        np.testing.assert_array_equal(best, [1, 2, -1])

    def test_walls(self):
        found = {tuple(map(tuple, wall)) for wall in shortest_path_figures.walls(SQUARE)}
        inside = {
            w
            for w in found
            if any(0 < (w[0][i] + w[1][i]) / 2 + 0.5 < 2 and w[0][i] == w[1][i] for i in (0, 1))
        }
        assert len(found) == len(inside) + 8
        assert inside == {((-0.5, 0.5), (0.5, 0.5))}

    def test_walls_of_a_maze(self):
        graph = each(MAZE)[0][0].graph
        walls = shortest_path_figures.walls(shown("maze", matrix(graph), graph.place, int(graph.target)))
        assert len(walls) == 2 * 6 * 7 - (35 + round(0.1 * 25))

    def test_what_differs_is_told(self):
        distance, value = np.array([3.0, 2, 0, 1.5]), np.array([-3.0, -2, 0, -1.75])
        figure = shortest_path_figures.paths(SQUARE, distance, value)
        draw(figure)
        left, right = (axes.get_title() for axes in figure.axes[:2])
        assert left.endswith("= 0.25")
        assert right.endswith(": 0.5")
        np.testing.assert_array_equal(shown_in(figure.axes[0]), [[3, 2], [0, 1.5]])
        np.testing.assert_array_equal(shown_in(figure.axes[1]), [[3, 2], [0, 1]])

    def test_a_run_that_was_too_short(self):
        known = np.array([np.inf, np.inf, 0, 1])
        figure = shortest_path_figures.paths(SQUARE, known, -known)
        draw(figure)
        assert figure.axes[0].get_title().endswith("= 0")
        assert figure.axes[1].get_title().endswith(": inf")
        np.testing.assert_array_equal(shown_in(figure.axes[0]), [[np.nan, np.nan], [0, 1]])

    def test_arrows(self):
        distance = np.array([3.0, 2, 0, 1])
        axes = shortest_path_figures.paths(SQUARE, distance, -distance).axes[0]
        (quiver,) = (c for c in axes.collections if hasattr(c, "U"))
        np.testing.assert_array_equal(quiver.XY, [(0, 0), (1, 0), (1, 1)])
        np.testing.assert_allclose(np.stack([quiver.U, quiver.V], 1), [(0.7, 0), (0, 0.7), (-0.7, 0)])

    def test_a_tree_of_roads(self):
        distance = np.array([3.0, 0, 2, np.inf, np.inf])
        axes = shortest_path_figures.paths(ROUND, distance, -distance).axes[0]
        every, tree = axes.collections
        assert len(every.get_segments()) == 4
        np.testing.assert_array_equal(every.get_colors(), [to_rgba(shortest_path_figures.UNKNOWN)])
        np.testing.assert_array_equal(tree.get_segments(), ROUND.place[[[0, 2], [2, 1]]])
        colours = shortest_path_figures.COLOURS(np.array([3.0, 2.0]) / 3)
        np.testing.assert_allclose(tree.get_colors(), colours)

    def test_colours_of_roads(self):
        figure = shortest_path_figures.MatplotlibFigure()
        axes = figure.subplots()
        picture = shortest_path_figures.Picture(axes, ROUND, shortest_path_figures.Normalize(0, 3))
        picture.colour(np.array([3.0, 0, 2, np.inf, np.inf]))
        (lines,) = axes.collections
        means = {(0, 1): 1.5, (0, 2): 2.5, (1, 2): 1.0, (3, 4): np.nan}
        np.testing.assert_array_equal(lines.get_segments(), ROUND.place[[*means]])
        expected = shortest_path_figures.COLOURS(np.ma.masked_invalid([*means.values()]) / 3)
        np.testing.assert_allclose(lines.get_colors(), expected)
        np.testing.assert_allclose(expected[-1], to_rgba(shortest_path_figures.UNKNOWN))

    def test_the_frames(self, monkeypatch):
        """Each title and path as it is drawn."""
        seen = []

        def look(canvas):
            axes = canvas.figure.axes[0]
            seen.append((axes.get_title(), shown_in(axes).copy(), points(axes.lines[-1]).T.tolist()))
            return np.zeros((2, 2, 3), np.uint8)

        monkeypatch.setattr(shortest_path_figures, "frame_of", look)
        monkeypatch.setattr(shortest_path_figures, "WALKED", 3)
        some, final = np.array([np.inf, np.inf, 0, 1]), np.array([3.0, 2, 0, 1])
        animation = shortest_path_figures.spreading(SQUARE, np.array([1, 3]), np.stack([some, final]))
        assert len(animation.frames) == 5 + shortest_path_figures.HELD
        assert [title for title, _, _ in seen[:2]] == ["sweep 1: 50% reached", "sweep 3: 100% reached"]
        np.testing.assert_array_equal(seen[1][1], [[3, 2], [0, 1]])
        assert {title for title, _, _ in seen[2:]} == {"from the farthest: 3 steps, length 3"}
        way = [[0, 0], [1, 0], [1, 1], [0, 1]]
        assert [path for _, _, path in seen[2:]] == [way[:2], way[:3], way]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 1}, "size=1: expected a whole number in [2, 64]"),
        ({"size": 65}, "size=65: expected a whole number in [2, 64]"),
        ({"graph": "roads", "size": 41}, "size=41: graph=roads takes at most 40² junctions"),
        (
            {"graph": "roads", "size": 2, "neighbours": 4},
            "neighbours=4: of 4 junctions (size=2) each has at most 3",
        ),
        ({"graph": "roads", "neighbours": 13}, "neighbours=13: expected a whole number in [1, 12]"),
        ({"graph": "roads", "loops": 0.5}, "loops=0.5 is of graph=maze, not of roads"),
        ({"neighbours": 3}, "neighbours=3 is of graph=roads, not of maze"),
        ({"detour": 0.25}, "detour=0.25 is of graph=roads, not of maze"),
        ({"loops": 1.5}, "loops=1.5: expected a finite number in [0, 1]"),
        ({"graph": "road"}, "graph=road: expected one of maze, roads. Did you mean 'roads'?"),
    ],
)
def test_fields_that_do_not_fit(fields, message):
    with pytest.raises(UsageError) as refusal:
        replace(ShortestPath(), **fields)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
