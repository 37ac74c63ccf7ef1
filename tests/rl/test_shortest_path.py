"""Shortest paths by the slide's recursion against scipy's Dijkstra and Bellman–Ford."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from mi203jax.rl import from_graph, linear_program, policy_iteration, shortest_path_distances, value_iteration
from mi203jax.rl.shortest_path import edges, relax

INF = np.inf


def graph(rng, nodes, degree, *, negative=False):
    """As many edges from each node, some of length 0, dense; with negative ones no circle is of negative length."""
    weights = np.full((nodes, nodes), INF)
    for a in range(nodes):
        ends = rng.choice(np.delete(np.arange(nodes), a), degree, replace=False)
        weights[a, ends] = rng.integers(0, 10, degree) * rng.choice([0.5, 1.0])
    height = rng.integers(-20, 20, nodes) * negative
    return weights + height[:, None] - height


def as_sparse(weights):
    """Explicit zeros are edges."""
    return csgraph.csgraph_from_dense(weights, null_value=INF)


def by_scipy(weights, target):
    method = csgraph.bellman_ford if (weights < 0).any() else csgraph.dijkstra
    return method(as_sparse(weights.T), indices=target)


class TestDistances:
    @pytest.mark.parametrize("negative", [False, True])
    @pytest.mark.parametrize(("nodes", "degree"), [(3, 1), (12, 2), (40, 3)])
    def test_equal_scipy(self, nodes, degree, negative):
        rng = np.random.default_rng(nodes)
        unreached = 0
        for _ in range(40):
            weights = graph(rng, nodes, degree, negative=negative)
            target = int(rng.integers(nodes))
            expected = by_scipy(weights, target)
            for form in (weights, as_sparse(weights)):
                np.testing.assert_array_equal(shortest_path_distances(form, target), expected)
            unreached += np.isinf(expected).sum()
        assert unreached > 0

    def test_loops_from_a_node_to_itself_change_nothing(self):
        weights = np.array([[5.0, 1.0], [INF, 0.0]])
        np.testing.assert_array_equal(shortest_path_distances(weights, 1), [1, 0])

    @pytest.mark.parametrize("nodes", [1, 4])
    def test_no_edges(self, nodes):
        expected = [INF] * (nodes - 1) + [0]
        for form in (np.full((nodes, nodes), INF), sparse.csr_array((nodes, nodes))):
            np.testing.assert_array_equal(shortest_path_distances(form, nodes - 1), expected)

    def test_lists_ints_and_duplicates(self):
        np.testing.assert_array_equal(shortest_path_distances([[0, 3], [1, 0]], jnp.int32(1)), [3, 0])
        twice = sparse.coo_array(([7, 4], ([0, 0], [1, 1])), (2, 2))  # two edges, not one of 11
        np.testing.assert_array_equal(shortest_path_distances(twice, np.int64(1)), [4, 0])

    def test_double_precision(self):
        weights = [[INF, 0.1], [INF, INF]]
        assert shortest_path_distances(weights, 1).dtype == np.float32
        with jax.enable_x64(True):
            assert shortest_path_distances(weights, 1)[0] == 0.1

    def test_circles_of_length_zero_are_no_negative_cycles(self):
        """Where only rounding makes going round shorter."""
        rng = np.random.default_rng(0)
        for _ in range(30):
            height = rng.normal(size=6) * 10
            chosen = rng.permutation(np.flatnonzero(~np.eye(6, dtype=bool)))[:15]
            weights = np.full((6, 6), INF)
            weights.flat[chosen] = (height[:, None] - height).flat[chosen]
            reached = np.isfinite(by_scipy(np.where(np.isinf(weights), INF, 1.0), 0))
            expected = np.where(reached, height - height[0], INF)
            np.testing.assert_allclose(shortest_path_distances(weights, 0), expected, atol=1e-4)


class TestRelax:
    def test_sweeps_find_the_paths_of_as_many_edges(self):
        weights = graph(np.random.default_rng(1), 20, 2)
        found = edges("test", weights, 3)
        distances = jnp.full(20, INF).at[3].set(0)
        expected = np.where(np.arange(20) == 3, 0, INF)
        for _ in range(8):
            expected = np.minimum(expected, (weights + expected).min(1))
            distances = relax(found, distances)
            np.testing.assert_array_equal(distances, expected)


class TestFromGraph:
    @pytest.mark.parametrize("negative", [False, True])
    def test_value_is_minus_the_distance(self, negative):
        rng = np.random.default_rng(negative)
        unreached = 0
        for i in range(8):
            weights = graph(rng, 12, 2, negative=negative)
            weights[:3, 3:] = INF  # these three lead nowhere else
            target = int(rng.integers(12))
            distances = by_scipy(weights, target)
            mdp = from_graph(as_sparse(weights) if i % 2 else weights, target)
            assert mdp.discount == 1
            for solve in (value_iteration, policy_iteration, linear_program):
                q = np.array(solve(mdp).q)
                np.testing.assert_allclose(-q.max(1), distances, atol=1e-4)
            # Action k is the k-th edge.
            for a in np.flatnonzero(np.arange(12) != target):
                ends = np.flatnonzero(weights[a] < INF)
                np.testing.assert_allclose(-q[a, : len(ends)], weights[a, ends] + distances[ends], atol=1e-9)
            unreached += np.isinf(distances).sum()
        assert unreached > 0

    def test_nodes_of_fewer_edges(self):
        weights = [[INF, 1, 5, INF], [INF, INF, 2, INF], [INF, INF, INF, 3], [4, INF, INF, INF]]
        mdp = from_graph(weights, 2)
        live = np.array([0, 1, 3])
        np.testing.assert_array_equal(mdp.reward[live], [[-1, -5], [-2, -INF], [-4, -INF]])
        np.testing.assert_array_equal(mdp.successor[live, 0, 0], [1, 2, 0])
        assert mdp.successor[0, 1] == 2
        np.testing.assert_array_equal(mdp.terminal, [False, False, True, False])
        np.testing.assert_array_equal(value_iteration(mdp).q.max(1), [-3, -2, 0, -7])

    @pytest.mark.parametrize("nodes", [1, 3])
    def test_no_edges(self, nodes):
        mdp = from_graph(np.full((nodes, nodes), INF), 0)
        for solve in (value_iteration, policy_iteration, linear_program)[:: 1 if nodes > 1 else 2]:
            np.testing.assert_array_equal(solve(mdp).q, [[0.0]] + [[-INF]] * (nodes - 1))


@pytest.mark.parametrize("function", [shortest_path_distances, from_graph])
class TestBadInput:
    def test_negative_cycles(self, function):
        weights = np.array([[INF, 1, INF], [-1.5, INF, 4], [INF, INF, INF]])
        with pytest.raises(ValueError, match=f"^{function.__name__}: a negative cycle leads to node 2"):
            function(weights, 2)
        # It leads to 2 no more.
        weights[1, 2] = INF
        function(weights, 2)

    def test_long_negative_cycles(self, function):
        weights = np.full((40, 40), INF)
        weights[np.arange(40), (np.arange(40) + 1) % 40] = 1.0
        weights[7, 8] = -38.5
        function(weights, 0)
        weights[7, 8] = -39.5
        with pytest.raises(ValueError, match="negative cycle"):
            function(weights, 0)

    def test_negative_loops(self, function):
        with pytest.raises(ValueError, match=f"{function.__name__}: negative cycle: node 1 .* itself of -2"):
            function([[INF, INF], [1, -2]], 0)

    @pytest.mark.parametrize("wrong", [np.nan, -INF])
    @pytest.mark.parametrize(
        "form", [np.array, lambda w: sparse.coo_array(([1.0, w[1][0]], ([0, 1], [1, 0])))]
    )
    def test_lengths_that_are_none(self, function, wrong, form):
        with pytest.raises(ValueError, match=f"{function.__name__}: the edge from 1 to 0 has the length"):
            function(form([[INF, 1], [wrong, INF]]), 0)

    @pytest.mark.parametrize(
        "weights", [np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0)), 3.0, sparse.csr_array((2, 3))]
    )
    def test_weights(self, function, weights):
        with pytest.raises(
            ValueError, match=rf"{function.__name__}: expected weights of shape \[nodes, nodes\]"
        ):
            function(weights, 0)

    @pytest.mark.parametrize("target", [-1, 2, 0.0, True, None, "a", np.array([0])])
    def test_target(self, function, target):
        with pytest.raises(
            ValueError, match=f"{function.__name__}: expected target to be a node from 0 to 1, got"
        ):
            function(np.zeros((2, 2)), target)


def test_a_circle_that_shortens_little_beside_long_edges():
    weights = np.full((3, 3), np.inf)
    weights[0, 1], weights[1, 2], weights[2, 1] = 1e6, 1.0, -1.05
    with pytest.raises(ValueError, match="a negative cycle leads to node 2"):
        shortest_path_distances(weights, 2)
    assert shortest_path_distances(np.abs(weights), 2).dtype == np.float32
