import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from mi203jax.data import order as data_order

# As wholes: operation by operation, each would be compiled on its own.
permuted = jax.jit(data_order.permuted, static_argnums=2)
batch_indices = jax.jit(data_order.batch_indices, static_argnums=(2, 3))


class TestPermuted:
    @pytest.mark.parametrize("n", [1, 2, 3, 5, 64, 65, 1000])
    def test_is_a_permutation(self, n, strict):
        for seed in range(3):
            order = permuted(jax.random.key(seed), jnp.arange(n), n)
            assert sorted(np.asarray(order)) == list(range(n))

    def test_of_large_sets(self):
        n = 2**31 - 1
        some = permuted(jax.random.key(0), jnp.arange(10_000) + (n - 10_000), n)
        assert len(set(np.asarray(some))) == 10_000
        assert some.min() >= 0
        assert some.max() > n // 2

    @pytest.mark.parametrize("n", [3, 4, 5])
    def test_each_permutation_is_as_likely(self, n):
        keys = jax.random.split(jax.random.key(0), 200 * len(list(itertools.permutations(range(n)))))
        orders = jax.jit(jax.vmap(lambda k: permuted(k, jnp.arange(n), n)))(keys)
        counts = Counter(map(tuple, np.asarray(orders)))
        assert chisquare([counts[p] for p in itertools.permutations(range(n))]).pvalue > 1e-3

    def test_each_place_is_as_likely_and_neighbours_part(self):
        n, draws = 100, 5000
        keys = jax.random.split(jax.random.key(1), draws)
        orders = np.asarray(jax.jit(jax.vmap(lambda k: permuted(k, jnp.arange(n), n)))(keys))
        table = np.stack([np.bincount(orders[:, i], minlength=n) for i in range(n)])
        # Rows and columns have fixed sums: (n − 1)² degrees of freedom.
        statistic = ((table - draws / n) ** 2 / (draws / n)).sum()
        freedom = (n - 1) ** 2
        assert abs(statistic - freedom) < 5 * np.sqrt(2 * freedom)
        together = (np.diff(orders, axis=1) == 1).mean()
        assert together == pytest.approx(1 / n, abs=5 * np.sqrt(1 / n / orders[:, 1:].size))


class TestBatchIndices:
    @pytest.mark.parametrize(("batch_size", "n"), [(1, 7), (3, 7), (7, 7), (4, 8)])
    def test_each_example_once_an_epoch(self, key, batch_size, n):
        batches = [batch_indices(key, t, batch_size, n) for t in range(3 * n)]
        visited = np.concatenate(batches)[: 3 * n].reshape(3, n)
        for epoch in visited:
            assert sorted(epoch) == list(range(n))
        assert len({tuple(epoch) for epoch in visited}) == 3

    def test_other_keys_other_orders(self):
        first, second = (batch_indices(jax.random.key(k), 0, 50, 50) for k in (0, 1))
        assert (first != second).any()

    def test_under_vmap_over_keys_and_traced_time(self, strict):
        keys = jax.random.split(jax.random.key(0), 3)
        together = jax.jit(jax.vmap(lambda k, t: batch_indices(k, t, 3, 10), (0, None)))(keys, 5)
        alone = [batch_indices(k, jnp.int32(5), 3, 10) for k in keys]
        np.testing.assert_array_equal(together, alone)

    @pytest.mark.parametrize("batch_size", [0, 11])
    def test_a_batch_must_fit(self, key, batch_size):
        with pytest.raises(ValueError, match=r"expected 0 < batch_size <= 10"):
            batch_indices(key, 0, batch_size, 10)
