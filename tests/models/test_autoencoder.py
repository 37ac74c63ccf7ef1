import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from mi203jax.models import AutoEncoder, Decoder, Encoder

IMAGES = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
CODES = jax.random.normal(jax.random.key(2), (2, 5))


def shapes(network, x):
    return jax.eval_shape(network.init, jax.random.key(0), x)["params"]


def sizes(params):
    """Shape of each layer's weights, by the layer's name."""
    return {name: layer["w"].shape for name, layer in params.items() if "w" in layer}


class TestEncoder:
    @pytest.mark.parametrize("pooling", ["max", "avg", "none"])
    def test_each_stage_halves(self, pooling):
        network = Encoder(5, (4, 6), convs=1, normalization="none", hidden=(7,), pooling=pooling)
        params = shapes(network, IMAGES)
        assert sizes(params) == {
            "Conv_0": (3, 3, 3, 4), "Conv_1": (3, 3, 4, 6), "Dense_0": (2 * 2 * 6, 7), "Dense_1": (7, 5),
        }  # fmt: skip
        assert jax.eval_shape(network.apply, {"params": params}, IMAGES).shape == (2, 5)

    def test_without_stages_it_is_dense(self):
        assert sizes(shapes(Encoder(5, (), hidden=(7,), normalization="none"), IMAGES)) == {
            "Dense_0": (8 * 8 * 3, 7), "Dense_1": (7, 5),
        }  # fmt: skip


class TestDecoder:
    def test_each_stage_doubles(self):
        network = Decoder(3, (6, 4), convs=1, normalization="none", shape=(8, 12), hidden=(7,))
        params = shapes(network, CODES)
        assert sizes(params) == {
            "Dense_0": (5, 7), "Dense_1": (7, 2 * 3 * 6),
            "Conv_0": (3, 3, 6, 6), "Conv_1": (3, 3, 6, 4), "Conv_2": (3, 3, 4, 3),
        }  # fmt: skip
        assert jax.eval_shape(network.apply, {"params": params}, CODES).shape == (2, 8, 12, 3)

    def test_without_stages_it_is_dense(self):
        network = Decoder(3, (), shape=(8, 12), hidden=(7,), normalization="none")
        assert sizes(shapes(network, CODES)) == {"Dense_0": (5, 7), "Dense_1": (7, 8 * 12 * 3)}
        assert jax.eval_shape(network.apply, {"params": shapes(network, CODES)}, CODES).shape == (2, 8, 12, 3)


@pytest.fixture(scope="module")
def variables():
    return TestAutoEncoder.network.init(jax.random.key(0), IMAGES)


class TestAutoEncoder:
    """A dense layer each way, so that the code and the image are matrix products."""

    network = AutoEncoder(
        Encoder(4, (), normalization="none"), Decoder(3, (), shape=(8, 8), normalization="none")
    )

    def code_and_image(self, variables, x, drawn=None):
        layers = variables["params"]
        of = {
            name: {k: np.asarray(v, np.float64) for k, v in layers[name]["Dense_0"].items()}
            for name in layers
        }
        code = np.asarray(x).reshape(2, -1) @ of["encoder"]["w"] + of["encoder"]["bias"]
        image = (code if drawn is None else drawn) @ of["decoder"]["w"] + of["decoder"]["bias"]
        return code, expit(image).reshape(2, 8, 8, 3)

    def test_bottleneck(self, variables):
        coded = self.network.apply(variables, IMAGES)
        code, image = self.code_and_image(variables, IMAGES)
        np.testing.assert_allclose(coded.code, code, atol=1e-5)
        np.testing.assert_allclose(coded.image, image, atol=1e-5)
        assert coded.log_variance.shape == (2, 0)
        decoded = self.network.apply(variables, coded.code, method="decode")
        np.testing.assert_allclose(decoded, image, atol=1e-5)

    def test_bounded(self, variables):
        coded = replace(self.network, bounded=True).apply(variables, IMAGES)
        np.testing.assert_allclose(coded.code, expit(self.code_and_image(variables, IMAGES)[0]), atol=1e-5)

    def test_variational_draws_in_training_alone(self):
        decoder = Decoder(3, (), shape=(8, 8), normalization="none")
        network = AutoEncoder(Encoder(8, (), normalization="none"), decoder, variational=True)
        variables = network.init(jax.random.key(0), IMAGES)
        apply = jax.jit(functools.partial(network.apply, variables, train=True))
        judged = network.apply(variables, IMAGES)
        both, _ = self.code_and_image(variables, IMAGES, np.zeros((2, 4)))
        mean, log_variance = np.split(both, 2, 1)
        np.testing.assert_allclose(judged.code, mean, atol=1e-5)
        np.testing.assert_allclose(judged.log_variance, log_variance, atol=1e-5)
        np.testing.assert_allclose(judged.image, self.code_and_image(variables, IMAGES, mean)[1], atol=1e-5)
        trained = [apply(IMAGES, rngs={"dropout": jax.random.key(k)}) for k in (0, 1)]
        for one in trained:
            np.testing.assert_allclose(one.code, mean, atol=1e-5)
        assert jnp.abs(trained[0].image - trained[1].image).max() > 1e-3

    def test_what_is_dropped_is_the_code_that_the_decoder_gets(self, variables):
        network = replace(self.network, dropout=0.5)
        judged = network.apply(variables, IMAGES)
        np.testing.assert_allclose(judged.image, self.network.apply(variables, IMAGES).image)
        trained = network.apply(variables, IMAGES, train=True, rngs={"dropout": jax.random.key(0)})
        np.testing.assert_allclose(trained.code, judged.code)
        assert jnp.abs(trained.image - judged.image).max() > 1e-3
