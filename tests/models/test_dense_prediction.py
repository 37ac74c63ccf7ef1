import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.models import CenterNet, FullyConvolutional, UNet
from tests.models.compiled import apply, drawn

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 16, 24, 1))


@functools.partial(jax.jit, static_argnums=0)
def gradient(network, variables, x, where):
    """Of the sum of scores of one place by the pixels."""
    return jax.grad(lambda x: network.apply(variables, x)[0, where[0], where[1]].sum())(x)


def init(network):
    variables = drawn(network, X)
    return variables, apply(network, variables, X)


def shapes(network):
    """Of what it says."""
    variables = jax.eval_shape(network.init, KEY, X)
    return jax.tree.map(jnp.shape, jax.eval_shape(network.apply, variables, X))


def reached(network, variables, shape, where):
    """The pixels on which a place of the result depends, as the smallest rectangle around them."""
    found = gradient(network, variables, jnp.abs(jax.random.normal(KEY, (1, *shape, 1))), where)
    rows, columns = np.nonzero(np.asarray(found)[0, :, :, 0])
    return rows.min(), rows.max(), columns.min(), columns.max()


class TestFullyConvolutional:
    network = FullyConvolutional(3, (4, 8, 8), normalization="layer")

    def test_scores_of_each_pixel(self):
        assert shapes(self.network) == (2, 16, 24, 3)

    def test_scores_are_interpolated_between_coarse_places(self):
        # Between two neighbouring centres of 4×4 blocks scores are linear: second differences are 0.
        _, scores = init(self.network)
        inner = np.asarray(scores)[:, 2:-2, 2:-2]
        second = np.diff(inner, 2, axis=1)
        kinks = np.abs(second).max((0, 2, 3)) > 1e-4
        assert kinks.any()
        assert all(b - a in (1, 3) for a, b in pairwise(np.flatnonzero(kinks)))

    def test_one_stage_sees_as_far_as_its_convolutions(self):
        network = FullyConvolutional(2, (4,), convs=2, normalization="none")
        variables = drawn(network, X)
        assert reached(network, variables, (15, 15), (7, 7)) == (5, 9, 5, 9)


class TestUNet:
    network = UNet(3, (4, 8, 8), convs=1, normalization="none")

    def test_scores_of_each_pixel(self):
        assert shapes(self.network) == (2, 16, 24, 3)

    def test_each_way_up_takes_what_is_beside_it(self):
        variables = jax.eval_shape(self.network.init, KEY, X)
        inputs = [variables["params"][f"Conv_{i}"]["w"].shape[2:] for i in range(5)]
        # Down 1→4→8→8; up 8+8→8 and 8+4→4.
        assert inputs == [(1, 4), (4, 8), (8, 8), (16, 8), (12, 4)]

    def test_sees_detail_and_context(self):
        """Without its coarse stages it sees 5 pixels, without its skips nothing that is finer than a block."""
        # All positive, so that each relu hands on what it gets.
        variables = jax.tree.map(jnp.abs, drawn(self.network, X))
        top, bottom, left, right = reached(self.network, variables, (32, 32), (16, 16))
        assert bottom - top > 10
        assert right - left > 10

        def without(part):
            w = variables["params"]["Conv_4"]["w"]
            cut = w.at[:, :, part].set(0)
            params = {**variables["params"], "Conv_4": {**variables["params"]["Conv_4"], "w": cut}}
            return {"params": params}

        fine = reached(self.network, without(slice(0, 8)), (32, 32), (16, 16))
        assert fine == (14, 18, 14, 18)
        coarse = np.asarray(apply(self.network, without(slice(8, 12)), X))
        assert np.abs(np.diff(coarse, axis=1)[:, 1::4]).max() > 0  # between blocks of two rows it changes

    def test_layers_follow_the_configuration(self):
        network = UNet(2, (4, 4), normalization="batch", use_dropout=True, dropout=0.5, spectral=True)
        variables = drawn(network, X)
        assert {"params", "batch_stats", "spectral"} <= set(variables)
        kept = "batch_stats", "spectral"
        a, b = (
            apply(network, variables, X, train=True, mutable=kept, rngs={"dropout": jax.random.key(k)})[0]
            for k in range(2)
        )
        assert (a != b).any()


class TestCenterNet:
    @pytest.mark.parametrize("stride", [1, 2, 4])
    def test_maps_at_its_stride(self, stride):
        maps = shapes(CenterNet(5, (4, 8, 8), stride=stride))
        shape = (2, 16 // stride, 24 // stride)
        assert maps.heat == (*shape, 5)
        assert maps.offset == maps.size == (*shape, 2)

    def test_begins_by_expecting_centres_nearly_nowhere(self):
        network = CenterNet(5, (4, 8), stride=2)
        variables = drawn(network, X)
        zero = jax.tree.map(jnp.zeros_like, variables["params"])
        maps = apply(network, {**variables, "params": zero}, X)
        np.testing.assert_allclose(jax.nn.sigmoid(maps.heat), 0.1, rtol=0.01)

    def test_sizes_are_positive(self):
        _, maps = init(CenterNet(5, (4, 8), stride=2))
        assert (maps.size > 0).all()
        assert (maps.offset < 0).any()
