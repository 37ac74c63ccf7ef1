"""The classifier against the same network composed of flax's own layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.models import Classifier, Stack
from mi203jax.nn.initializers import INITIALIZERS
from tests.models.compiled import apply, drawn, init

IMAGES = jax.random.normal(jax.random.key(0), (6, 8, 8, 2))


class Reference(nn.Module):
    """Two stages of one convolution with batch norm, as flax has them, then a dense layer."""

    @nn.compact
    def __call__(self, x, train):
        for filters in (3, 4):
            x = nn.Conv(filters, (3, 3), padding="SAME", use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.Dense(5, use_bias=False)(x.reshape(len(x), -1))
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x))
        return nn.Dense(7)(x)


def as_reference(params):
    names = {"w": "kernel"}
    return {layer: {names.get(n, n): v for n, v in own.items()} for layer, own in params.items()}


class TestAgainstFlax:
    network = Classifier(7, channels=(3, 4), convs=1, hidden=(5,))

    def test_training_and_evaluation(self, strict):
        variables = drawn(self.network, IMAGES)
        params, stats = variables["params"], variables["batch_stats"]
        theirs = {"params": as_reference(params), "batch_stats": stats}
        ours, new = apply(self.network, variables, IMAGES, train=True, mutable=("batch_stats",))
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            reference = jax.jit(Reference().apply, static_argnums=2, static_argnames="mutable")
            expected, expected_new = reference(theirs, IMAGES, True, mutable=("batch_stats",))
            expected_eval = reference(theirs, IMAGES, False)
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
        for layer in stats:
            np.testing.assert_allclose(
                new["batch_stats"][layer]["mean"], expected_new["batch_stats"][layer]["mean"], atol=1e-5
            )
        np.testing.assert_allclose(
            apply(self.network, variables, IMAGES), expected_eval, rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize(
    ("fields", "first_dense"),
    [
        ({"pooling": "max"}, 2 * 2 * 4),
        ({"pooling": "avg"}, 2 * 2 * 4),
        ({"pooling": "stride"}, 2 * 2 * 4),
        ({"pooling": "none"}, 8 * 8 * 4),
        ({"head": "avg"}, 4),
        ({"head": "max"}, 4),
        ({"channels": ()}, 8 * 8 * 2),
    ],
)
def test_sizes(fields, first_dense):
    network = Classifier(**{"outputs": 3, "channels": (3, 4), "convs": 2, **fields})
    variables = jax.eval_shape(network.init, jax.random.key(0), IMAGES)
    assert variables["params"]["Dense_0"]["w"].shape == (first_dense, 3)
    assert jax.eval_shape(network.apply, variables, IMAGES).shape == (6, 3)


def test_normalised_layers_have_no_bias_of_their_own():
    for normalization, names in (("none", {"w", "bias"}), ("batch", {"w"}), ("layer", {"w"})):
        network = Classifier(3, channels=(4,), normalization=normalization)
        variables = jax.eval_shape(network.init, jax.random.key(0), IMAGES)
        assert set(variables["params"]["Conv_0"]) == names


class TestDropout:
    network = Classifier(3, channels=(), hidden=(64,), normalization="none", dropout=0.5, use_dropout=True)

    def test_only_while_training_and_by_its_key(self):
        variables = drawn(self.network, IMAGES)
        plain = apply(self.network, variables, IMAGES)
        np.testing.assert_array_equal(plain, apply(self.network, variables, IMAGES))
        one, other = (
            apply(self.network, variables, IMAGES, train=True, rngs={"dropout": jax.random.key(k)})
            for k in (1, 2)
        )
        assert (one != plain).any()
        assert (one != other).any()


class TestSpectralNorm:
    network = Classifier(3, channels=(4,), convs=1, normalization="none", spectral=True)

    def test_weights_have_a_largest_singular_value_of_one(self):
        """The layer's answer is linear but for its bias, 0 at first."""
        variables = init(self.network, jax.random.key(0), IMAGES)
        for _ in range(50):
            variables |= apply(self.network, variables, IMAGES, train=True, mutable=("spectral",))[1]
        network = Classifier(3, channels=(4,), convs=1, normalization="none")
        params = variables["params"]
        divided = {
            layer: {**own, "w": own["w"] / np.linalg.norm(own["w"].reshape(-1, own["w"].shape[-1]), 2)}
            for layer, own in params.items()
        }
        np.testing.assert_allclose(
            apply(self.network, variables, IMAGES),
            apply(network, {"params": divided}, IMAGES),
            rtol=1e-3,
            atol=1e-5,
        )

    def test_evaluation_leaves_the_state_alone(self):
        variables = drawn(self.network, IMAGES)
        _, after = apply(self.network, variables, IMAGES, mutable=("spectral",))
        jax.tree.map(np.testing.assert_array_equal, variables["spectral"], after["spectral"])

    def test_weights_of_zero(self):
        network = Classifier(3, channels=(), spectral=True, kernel_init=nn.initializers.zeros)
        assert np.isfinite(apply(network, init(network, jax.random.key(0), IMAGES), IMAGES)).all()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_scale_is_a_factor(name):
    """With relu and no bias, DL(x, 2θ) of a network of two layers is 4 DL(x, θ)."""
    one, two = (
        Classifier(3, (), hidden=(5,), normalization="none", kernel_init=INITIALIZERS[name](scale))
        for scale in (1.0, 2.0)
    )
    y1, y2 = (apply(n, init(n, jax.random.key(0), IMAGES), IMAGES) for n in (one, two))
    np.testing.assert_allclose(y2, 4 * y1, rtol=1e-4, atol=1e-5)


class TestDepth:
    """Many equal layers between those of `hidden` and the scores."""

    x = IMAGES[:, :2, :2, 0]

    def network(self, **fields):
        return Classifier(3, channels=(), normalization="none", hidden=(7, 5), **fields)

    def test_none_is_as_flax_has_it(self):
        """The same parameters, to the bit, as of a network that knows of no depth."""

        class Plain(nn.Module):
            @nn.compact
            def __call__(self, x):
                he = nn.initializers.he_normal()
                x = nn.relu(nn.Dense(7, kernel_init=he)(x.reshape(len(x), -1)))
                x = nn.relu(nn.Dense(5, kernel_init=he)(x))
                return nn.Dense(3, kernel_init=he)(x)

        ours, theirs = (init(n, jax.random.key(0), self.x) for n in (self.network(depth=0), Plain()))
        assert set(ours) == {"params", "features"}
        jax.tree.map(np.testing.assert_array_equal, as_reference(ours["params"]), theirs["params"])

    @pytest.mark.parametrize("residual", [False, True])
    def test_stands_between_them(self, residual):
        network = self.network(depth=3, residual=residual, slope=0.1)
        variables = init(network, jax.random.key(0), self.x)
        params = jax.tree.map(np.asarray, variables["params"])

        def layer(x, p, i=...):
            y = x @ p["w"][i] + p["bias"][i]
            return np.maximum(y, 0.1 * y)

        x = layer(layer(np.asarray(self.x).reshape(6, -1), params["Dense_0"]), params["Dense_1"])
        for i in range(3):
            x = layer(x, params["stack"]["Dense_0"], i) + residual * x
        expected = x @ params["Dense_2"]["w"] + params["Dense_2"]["bias"]
        np.testing.assert_allclose(apply(network, variables, self.x), expected, rtol=1e-4, atol=1e-6)
        shallow = init(self.network(), jax.random.key(0), self.x)["params"]
        jax.tree.map(np.testing.assert_array_equal, {n: params[n] for n in shallow}, shallow)

    def test_has_the_choices_of_the_other_layers(self):
        own = {"normalization": "layer", "dropout": 0.3, "use_dropout": True, "spectral": True, "slope": 0.2}
        own["kernel_init"] = nn.initializers.ones
        found = {}

        def watch(call, args, kwargs, context):
            if isinstance(context.module, Stack):
                found.update({name: getattr(context.module, name) for name in own})
            return call(*args, **kwargs)

        network = Classifier(3, channels=(), hidden=(7, 5), depth=2, **own)
        with nn.intercept_methods(watch):
            jax.eval_shape(network.init, jax.random.key(0), self.x)
        assert found == own

    def test_of_no_width(self):
        with pytest.raises(ValueError, match="widths of hidden layers before depth=3 more"):
            Classifier(3, channels=(), depth=3).init(jax.random.key(0), self.x)


def test_features_of_each_stage():
    network = Classifier(3, channels=(3, 4))
    variables = drawn(network, IMAGES)
    _, found = apply(network, variables, IMAGES, mutable=("features",))
    assert {n: v[0].shape for n, v in found["features"].items()} == {
        "stage0": (6, 8, 8, 3), "stage1": (6, 4, 4, 4), "last": (6, 16),
    }  # fmt: skip
    assert jnp.min(found["features"]["stage0"][0]) == 0  # after relu
