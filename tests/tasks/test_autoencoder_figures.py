"""Figures of auto-encoders, read back where they hold numbers."""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.configs import Autoencoder
from mi203jax.data.feed import Data, Resident
from mi203jax.data.standardize import fit_statistics
from mi203jax.pca import fit_pca
from mi203jax.tasks import autoencoder, autoencoder_figures
from tests.tasks.shown import blobs, draw, labels_under, pixels, points, shown_in

decomposition = pytest.importorskip("sklearn.decomposition")

C = Autoencoder(hidden=(16,), code=3)


def coder(depth=1, classes=10, **fields):
    """An auto-encoder that has learnt nothing, and 40 images of some classes."""
    c = replace(C, **fields)
    image, label = blobs(60, depth), jnp.arange(60) % classes
    train, test = ({"image": image[s], "label": label[s]} for s in (slice(0, 20), slice(20, 60)))
    x = jnp.asarray(pixels(train["image"]))
    # Compiled as a whole: operation by operation, each would be compiled on its own.
    pca, nothing = jax.jit(fit_pca, static_argnums=1)(x, min(c.code, *x.shape)), jnp.zeros(())
    scale = jax.jit(fit_statistics)(train["image"])
    statistics = autoencoder.ImageStatistics(scale, jnp.float32(16), pca, train, nothing, nothing, None)
    data = Data(Resident(train), test, statistics)
    return c, jax.jit(functools.partial(autoencoder.task.init, c))(data, jax.random.key(0)), data


@pytest.fixture(scope="module")
def trained():
    """An auto-encoder, its data, and what becomes of its images."""
    c, state, data = coder()
    return c, state, data, autoencoder_figures.see(autoencoder.problem, c, state, data)


def decoder(c, state, data):
    return functools.partial(autoencoder.decode, c, state, data)


def all_figures(c, state, data, classes):
    decode = decoder(c, state, data)
    return autoencoder_figures.figures(autoencoder.problem, c, state, data, decode, classes)


def squared_errors(c, state, data):
    """By the network, without the figures' functions."""
    x = autoencoder.prepare(c, data.test, state.statistics)["x"]
    coded: Any = autoencoder.network(c, data).apply({"params": state.params}, x)
    return np.square(pixels(data.test["image"]) - np.asarray(coded.image).reshape(len(x), -1)).sum(1)


@pytest.fixture
def few_images(monkeypatch):
    for name, number in {"PAIRS": 2, "DRAWN": 16, "IMAGES": 4, "STEPS": 3}.items():
        monkeypatch.setattr(autoencoder_figures, name, number)


class TestAutoencoder:
    @pytest.mark.usefixtures("few_images")
    @pytest.mark.parametrize(
        ("depth", "classes", "fields"),
        [
            (3, 12, {"code": 250, "information_loss": "noise"}),
            (1, 2, {"code": 1, "information_loss": "masking"}),
            (3, 10, {"code": 2, "information_loss": "variational", "channels": (4,)}),
        ],
    )
    def test_all_of_them_untrained(self, depth, classes, fields):
        c, state, data = coder(depth, classes, **fields)
        names = tuple(map(str, range(classes)))
        drawn = all_figures(c, state, data, names)
        expected = {"reconstructions", "code_map", "error_by_code", "interpolations"}
        assert set(drawn) == expected | ({"samples"} if c.information_loss == "variational" else set())
        for figure in drawn.values():
            draw(figure)

    @pytest.mark.usefixtures("few_images")
    def test_what_is_no_number_can_be_drawn_of_one_class(self):
        c, state, data = coder(classes=1)
        state = state._replace(params=jax.tree.map(lambda a: a * jnp.nan, state.params))
        drawn = all_figures(c, state, data, ("0",))
        assert "interpolations" not in drawn
        for figure in drawn.values():
            draw(figure)

    def test_squared_errors_from_the_best_to_the_worst(self, trained):
        c, state, data, seen = trained
        figure = autoencoder_figures.reconstructions(autoencoder.problem, c, state, data, seen)
        errors = squared_errors(c, state, data)
        chosen = np.argsort(errors)[np.round(np.linspace(0, 39, 10)).astype(int)]
        x, test = pixels(data.train.arrays["image"]), pixels(data.test["image"])
        pca = decomposition.PCA(3).fit(x)
        linear = np.square(pca.inverse_transform(pca.transform(test)) - test).sum(1)
        shown = np.array(labels_under(figure), float)
        np.testing.assert_allclose(shown, [*errors[chosen], *linear[chosen]], atol=0.0051)
        assert f"auto-encoder {errors.mean():.2f}, PCA {linear.mean():.2f}" in figure.get_suptitle()
        first = shown_in(figure.axes[0])
        np.testing.assert_allclose(first, test[chosen[0]].reshape(8, 8), rtol=1e-6)

    def test_what_is_masked_is_what_the_encoder_sees(self):
        c, state, data = coder(information_loss="masking", augment=("shift",), shift=3.0)
        chosen = np.arange(5)
        seen = autoencoder_figures.restoration(autoencoder.problem, c, state, data, chosen)
        corrupted, restored, errors = map(np.asarray, seen)
        true = pixels(data.test["image"][:5]).reshape(5, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4)
        patches = corrupted.reshape(5, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4)
        hidden = (np.abs(patches) < 1e-5).all((3, 4))
        assert (hidden.sum((1, 2)) >= 2).all()  # half of the four
        np.testing.assert_allclose(patches[~hidden], true[~hidden], atol=1e-5)  # and nothing is moved
        kept = np.square(restored[..., 0] - pixels(data.test["image"][:5]).reshape(5, 8, 8)).sum((1, 2))
        np.testing.assert_allclose(errors, kept, rtol=1e-4)

    def test_a_code_of_two_numbers_is_the_map(self):
        codes, labels = jax.random.normal(jax.random.key(0), (30, 2)), jnp.arange(30) % 3
        figure = autoencoder_figures.code_map(codes.at[4].set(jnp.nan), labels, ("a", "b", "long name"))
        points = [np.asarray(drawn.get_offsets()) for drawn in figure.axes[0].collections]
        there = np.arange(30) != 4
        for k in range(3):
            np.testing.assert_allclose(points[k], codes[(labels == k) & there])
        assert "29 images" in figure.axes[0].get_title()

    def test_a_longer_code_is_shown_by_principal_components(self):
        codes = jax.random.normal(jax.random.key(0), (30, 5)) * jnp.arange(1.0, 6)
        figure = autoencoder_figures.code_map(codes, jnp.zeros(30, jnp.int32), ("0",))
        pca = decomposition.PCA(2).fit(np.asarray(codes))
        axes = figure.axes[0]
        points = np.asarray(axes.collections[0].get_offsets())
        np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(np.asarray(codes))), rtol=1e-3)
        first, second = pca.explained_variance_ratio_
        assert f"({first:.0%})" in axes.get_xlabel()
        assert f"({second:.0%})" in axes.get_ylabel()
        assert f"show {first + second:.0%}" in axes.get_title()

    def test_codes_that_are_all_the_same(self):
        draw(autoencoder_figures.code_map(jnp.ones((9, 4)), jnp.zeros(9, jnp.int32), ("0", "1")))

    def test_error_of_each_number_of_components(self, trained):
        c, state, data, seen = trained
        figure = autoencoder_figures.error_by_code(c, state, data, seen)
        axes = figure.axes[0]
        k, errors = points(axes.lines[0])
        np.testing.assert_array_equal(k, np.arange(1, 13))  # four times the code
        x, test = pixels(data.train.arrays["image"]), pixels(data.test["image"])
        for number, error in zip(k, errors, strict=True):
            pca = decomposition.PCA(int(number)).fit(x)
            expected = np.square(pca.inverse_transform(pca.transform(test)) - test).sum(1).mean()
            assert error == pytest.approx(expected, rel=1e-4)
        assert (np.diff(errors) < 0).all()
        mine = squared_errors(c, state, data).mean()
        (place,), (value,) = points(axes.lines[1])
        assert (place, value) == (3, pytest.approx(mine, rel=1e-5))
        assert f"= {errors[2] / mine:.2f}" in axes.get_title()
        assert axes.get_title().endswith(": 1")  # of a network that has learnt nothing
        better = seen._replace(error=jnp.full(40, (errors[4] + errors[5]) / 2))
        figure = autoencoder_figures.error_by_code(c, state, data, better)
        assert figure.axes[0].get_title().endswith(": 6")

    def test_pairs_are_of_different_classes_and_no_example_comes_twice(self):
        labels = np.array([0, 0, 0, 1, 0, 2, 2, 1])
        np.testing.assert_array_equal(autoencoder_figures.pairs(labels, 3), [[0, 3], [1, 5], [2, 6]])
        assert len(autoencoder_figures.pairs(labels, 9)) == 4
        assert autoencoder_figures.pairs(np.ones(5), 3).shape == (0, 2)

    def test_interpolations_go_from_one_reconstruction_to_the_other(self, trained):
        c, state, data, seen = trained
        between = np.array([[0, 1], [4, 8], [5, 9]])
        figure = autoencoder_figures.interpolations(decoder(c, state, data), seen, between)
        shown = np.array([shown_in(axes) for axes in figure.axes]).reshape(5, 11, 8, 8)
        images, made = (np.asarray(x)[..., 0] for x in (seen.images, seen.coded.image))
        for row, (a, b) in zip((0, 2, 4), between, strict=True):
            np.testing.assert_allclose(shown[row, [0, -1]], images[[a, b]], rtol=1e-5)
            np.testing.assert_allclose(shown[row, [1, -2]], made[[a, b]], rtol=1e-4)
        np.testing.assert_allclose(shown[1, 5], (images[0] + images[1]) / 2, rtol=1e-5)
        np.testing.assert_allclose(shown[3, 3], 0.75 * images[4] + 0.25 * images[8], rtol=1e-5)
