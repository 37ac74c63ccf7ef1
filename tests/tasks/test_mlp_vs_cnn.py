import functools
from dataclasses import replace

import jax
import numpy as np
import pytest

from mi203jax import UsageError
from mi203jax.configs import MlpVsCnn
from mi203jax.tasks import mlp_vs_cnn

C = MlpVsCnn(data="digits/blocks", batch_size=32)

data_of = functools.cache(mlp_vs_cnn.data)


class TestData:
    def test_shuffled_pixels_are_the_same_for_all_images_of_both_splits(self):
        plain, permuted = (data_of(replace(C, images=i)) for i in ("plain", "permuted"))

        def pixels(arrays):
            return np.asarray(arrays["image"]).reshape(len(arrays["image"]), -1)

        # A pixel is known by its values in all images of the training split.
        columns = {p.tobytes(): i for i, p in enumerate(pixels(plain.train.arrays).T)}
        changed = pixels(permuted.train.arrays).T
        order = [columns[p.tobytes()] for p in changed if p.any()]
        assert order != sorted(order)
        where = [i for i, p in enumerate(changed) if p.any()]
        np.testing.assert_array_equal(pixels(permuted.test)[:, where], pixels(plain.test)[:, order])

    def test_shifted_images_lose_nothing_but_what_leaves(self):
        plain, moved = (
            data_of(replace(C, images="plain")),
            data_of(replace(C, images="shifted", largest_shift=1)),
        )
        a, b = (np.asarray(d.test["image"], int) for d in (plain, moved))
        assert a.dtype == b.dtype
        assert (b.sum((1, 2, 3)) <= a.sum((1, 2, 3))).all()
        assert 0.5 < (a != b).any((1, 2, 3)).mean() < 1  # one shift of nine is none

    def test_none_shifted_is_plain(self):
        plain, still = (
            data_of(replace(C, images="plain")),
            data_of(replace(C, images="shifted", largest_shift=0)),
        )
        np.testing.assert_array_equal(plain.test["image"], still.test["image"])

    def test_streams_are_refused(self):
        with pytest.raises(UsageError, match="images=shifted needs the images in memory"):
            mlp_vs_cnn.data(replace(C, images="shifted", feed="stream"))


class TestNetwork:
    @pytest.mark.parametrize("model", ["mlp", "cnn"])
    @pytest.mark.parametrize("budget", [2_000, 50_000])
    def test_has_as_many_parameters_as_it_may(self, model, budget):
        c = replace(C, model=model, parameters=budget)
        data = mlp_vs_cnn.data(c)
        network = mlp_vs_cnn.network(c, data)
        params = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))["params"]
        count = sum(p.size for p in jax.tree.leaves(params))
        assert count == pytest.approx(budget, rel=0.08)
        assert ("Conv_0" in params) == (model == "cnn")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parameters": 100, "model": "cnn"}, "parameters=100: model=cnn has at least 174 on these images"),
        ({"parameters": 100, "model": "mlp"}, None),
    ],
)
def test_a_budget_that_no_network_keeps(fields, message):
    c = replace(C, **fields)
    if message:
        with pytest.raises(UsageError, match=message):
            mlp_vs_cnn.data(c)
    else:
        mlp_vs_cnn.data(c)


@pytest.mark.parametrize("fields", [{"channels": (8,)}, {"hidden": (8,)}])
def test_widths_follow_from_the_budget(fields):
    with pytest.raises(UsageError, match="widths follow from parameters=50000"):
        replace(C, **fields)
