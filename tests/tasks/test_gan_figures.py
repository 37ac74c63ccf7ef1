"""Figures of generation, read back where they hold numbers."""

import functools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial import geometric_slerp
from scipy.special import expit

from mi203jax.adversarial import LOSSES
from mi203jax.configs import GAN
from mi203jax.core.task import Animation
from mi203jax.data.feed import Data, Resident
from mi203jax.tasks import gan, gan_figures
from mi203jax.tasks.supervised import Keys
from tests.tasks.shown import blobs, draw, labels_under, pixels, points, shown_in

neighbors = pytest.importorskip("sklearn.neighbors")

G = GAN(channels=(4,), latent=5, frames=4, total_steps=6400, data="digits/blocks")
MEASURED = {"frechet_distance": 21.0, "floor_frechet_distance": 0.25, "gaussian_frechet_distance": 63.0}


class Brightest(NamedTuple):
    """What is asked of who judges samples."""

    brightest: jax.Array


def label_of(z):
    """Images as bright as the label says, of an unconditional latent part of five numbers."""
    return jnp.broadcast_to((z[:, 5:] @ jnp.arange(4.0) / 3)[:, None, None, None], (len(z), 4, 4, 1))


def with_labels(key, n, labels=None):
    """What `gan.draw` makes of a set of four classes."""
    labels = jnp.arange(n) % 4 if labels is None else labels
    return jnp.concatenate([jax.random.normal(key, (n, 5)), jax.nn.one_hot(labels, 4)], 1), labels


def moments(samples, losses):
    key = jax.random.key(0)
    kept = gan.Moments(jnp.asarray(samples, jnp.uint8), jnp.asarray(losses, jnp.float32))
    return cast(Any, SimpleNamespace(moments=kept, keys=Keys(key, key)))


def real_and(test):
    return Data(Resident({"image": blobs(30)}), {"image": test}, Brightest(jnp.float32(16)))


play_once = functools.cache(gan_figures._play)


@pytest.fixture
def few_losses(monkeypatch):
    """Of few games, each played once for all figures."""
    some = {name: LOSSES[name] for name in ("non_saturating", "hinge", "wasserstein")}
    monkeypatch.setattr(gan_figures, "LOSSES", some)
    monkeypatch.setattr(gan_figures, "_play", play_once)


@pytest.mark.usefixtures("few_losses")
class TestGAN:
    @pytest.mark.parametrize(("channels", "conditional"), [(1, True), (3, False)])
    def test_all_of_them_untrained(self, channels, conditional):
        c = replace(G, conditional=conditional, loss="wasserstein", penalties=("r1", "r2"), penalty=0.5)
        images = {"image": blobs(30, channels), "label": jnp.arange(30) % 10}
        data = Data(Resident(images), images, Brightest(jnp.float32(16)))
        state = jax.jit(functools.partial(gan.init, c))(data, jax.random.key(0))

        @jax.jit
        def generate(z):
            return gan.generate(c, data, state.average, state.generator.layers, z)[0]

        drawn = gan_figures.figures(
            c,
            state,
            data,
            lambda *args: gan.draw(c, *args),
            generate,
            MEASURED,
            tuple("0123456789") if conditional else (),
        )
        assert list(drawn) == [
            "samples",
            "learning",
            "losses",
            "interpolations",
            "nearest",
            "helping",
            "dirac",
        ]
        for name in drawn.keys() - {"learning"}:
            draw(drawn[name])
        made = shown_in(drawn["samples"].axes[0])
        assert made.shape[:2] == (89, 89)  # ten of 8 pixels, and lines between them

    def test_tiles_are_where_they_belong(self):
        images = np.arange(6.0)[:, None, None, None] * np.full((2, 3, 1), 0.1)
        images[5, 0, 0] = np.nan
        picture = gan_figures.tiled(images, 2)
        assert picture.shape == (8, 7, 1)
        for i in range(6):
            y, x = 3 * (i // 2), 4 * (i % 2)
            tile = picture[y : y + 2, x : x + 3, 0]
            np.testing.assert_allclose(tile[1], i / 10, rtol=1e-6)
        assert picture[6, 4, 0] == 0

    def test_samples_have_a_column_for_each_label(self):
        state = moments(np.zeros((2, 64, 4, 4, 1)), np.zeros((2, 2)))
        figure = gan_figures.samples(state, with_labels, label_of, MEASURED, tuple("abcd"))
        axes = figure.axes[0]
        shown = shown_in(axes)[::5, ::5]
        np.testing.assert_allclose(shown, np.broadcast_to(np.arange(4) / 3, (10, 4)), rtol=1e-6)
        assert [t.get_text() for t in axes.get_xticklabels()] == list("abcd")
        np.testing.assert_allclose(axes.get_xticks(), [2.5, 7.5, 12.5, 17.5])
        for text in ("distance 21", "images 0.25", "Gaussian's 63"):
            assert text in axes.get_title()

    @pytest.mark.parametrize("channels", [1, 3])
    def test_a_frame_a_moment_and_the_last_is_held(self, channels):
        bright = np.array([0, 80, 160, 240])[:, None] * (np.arange(64) % 2)  # that of label 1
        samples = np.broadcast_to(bright[..., None, None, None], (4, 64, 4, 4, channels))
        animation = gan_figures.learning(G, moments(samples, np.zeros((4, 2))), 2)
        assert isinstance(animation, Animation)
        frames = np.array(animation.frames)
        assert len(frames) == 4 + 12
        assert (frames[3:] == frames[3]).all()
        assert (frames[0, :30] != frames[3, :30]).any()  # the step in the title
        height, width = frames.shape[1:3]
        rows = (slice(int(part * height), int((part + 0.2) * height)) for part in (0.2, 0.65))
        upper, lower = (np.median(frames[:4, some, width // 4 : -width // 4], (1, 2)) for some in rows)
        np.testing.assert_allclose(upper, 0, atol=1)
        np.testing.assert_allclose(lower, np.broadcast_to(bright[:, 1, None], (4, 3)), atol=1)

    def test_losses_from_when_there_are_any(self):
        values = [[np.nan, np.nan], [2.0, 0.5], [1.5, np.inf], [1.0, 0.25]]
        c = replace(G, loss="non_saturating")
        figure = gan_figures.losses(c, moments(np.zeros((4, 64, 4, 4, 1)), values))
        judge, undecided, maker, unconvinced = map(points, figure.axes[0].lines)
        # Of 100 iterations: a ninth, four ninths and all, in examples.
        np.testing.assert_allclose(judge, [[12 * 64.0, 45 * 64.0, 6400.0], [2.0, 1.5, 1.0]])
        np.testing.assert_allclose(maker, [[12 * 64.0, 6400.0], [0.5, 0.25]])
        assert undecided[1, 0] == pytest.approx(2 * np.log(2))
        assert unconvinced[1, 0] == pytest.approx(np.log(2))

    def test_losses_that_are_no_numbers(self):
        state = moments(np.zeros((4, 64, 4, 4, 1)), np.full((4, 2), np.nan))
        draw(gan_figures.losses(replace(G, loss="hinge"), state))

    def test_interpolations_keep_the_label_of_a_row(self):
        figure = gan_figures.interpolations(G, with_labels, label_of, 4)
        shown = shown_in(figure.axes[0])[::5, ::5]
        expected = np.array([0, 1, 2, 3, 0, 1])[:, None] / 3
        np.testing.assert_allclose(shown, np.broadcast_to(expected, (6, 10)), rtol=1e-6)

    def test_nearest_are_those_of_scikit_learn(self):
        test = blobs(20, seed=1)
        data = real_and(test)
        raw = data.train.arrays["image"]
        made = jnp.concatenate([blobs(12, seed=2), raw[7:8]]) / 16  # the last is a copy
        figure = gan_figures.nearest(data, made, list("abcdefghijklm"))
        index = neighbors.NearestNeighbors(n_neighbors=1).fit(pixels(raw))
        distance, where = (a[:, 0] for a in index.kneighbors(pixels(16 * made)))
        chosen = np.argsort(distance)[np.round(np.linspace(0, 12, 10)).astype(int)]
        shown = labels_under(figure)
        assert shown[0] == "0.00"
        np.testing.assert_allclose(np.array(shown, float), distance[chosen], atol=0.0051)
        for column, i in enumerate(chosen):
            over, under = (figure.axes[row * 10 + column] for row in (0, 1))
            np.testing.assert_allclose(shown_in(over), made[i, ..., 0], atol=1e-6)
            np.testing.assert_allclose(shown_in(under), raw[where[i], ..., 0] / 16, atol=1e-6)
            assert over.get_title() == "abcdefghijklm"[i]
        median = np.median(index.kneighbors(pixels(test))[0])
        assert f"{np.median(distance):.2f}; of a test image: {median:.2f}" in figure.get_suptitle()

    def test_games_converge_with_r1_and_r2(self):
        """The eigenvalues at the equilibrium are −γ/2 ± √(γ²/4 − f'(0)²), here with γ of both (Mescheder 2018)."""
        figure = gan_figures.dirac(replace(G, loss="hinge", penalties=("r1", "r2"), penalty=0.5))
        titles = [axes.get_title() for axes in figure.axes]
        assert titles == [
            "non-saturating: slowly inwards",  # and no faster than a power of time
            "hinge: circles",
            "wasserstein: circles",
            "non-saturating: converges",
            "hinge: converges",
            "wasserstein: converges",
        ]
        theta, psi = points(figure.axes[2].lines[0])
        assert (theta[0], psi[0]) == (1, 1)
        np.testing.assert_allclose(theta**2 + psi**2, 2, rtol=0.02)
        # Of Wasserstein's game with penalties: θ' = ψ, ψ' = −θ − (γ + γ) ψ.
        theta, psi = points(figure.axes[5].lines[0])
        after = expm(np.array([[0.0, 1], [-1, -2]]) * 2.0) @ [1, 1]
        np.testing.assert_allclose([theta[200], psi[200]], after, atol=0.01)
        assert (
            "With R1 and R2, γ = 1 — converges: non-saturating, hinge, wasserstein" in figure.get_suptitle()
        )

    @pytest.mark.parametrize("fields", [{"penalties": ()}, {"penalty": 0.0}])
    def test_nothing_is_added_where_there_is_no_penalty(self, fields):
        figure = gan_figures.dirac(replace(G, loss="hinge", **fields))
        assert len(figure.axes) == 3
        assert "With" not in figure.get_suptitle()


class TestHelping:
    @pytest.mark.parametrize("chosen", ["minimax", "relativistic"])
    def test_slopes_are_those_of_the_closed_forms(self, chosen):
        axes = gan_figures.helping(chosen).axes[0]
        score = np.linspace(-10, 10, 201)
        expected = {
            "minimax": -expit(score),
            "non-saturating": -expit(-score),
            "hinge": -np.ones(201),
            "wasserstein": -np.ones(201),
            "relativistic (real: +5)": -expit(5 - score),
        }
        lines = {str(line.get_label()): line for line in axes.lines}
        assert list(lines) == list(expected)
        for name, slope in expected.items():
            x, y = points(lines[name])
            np.testing.assert_allclose(x, score, atol=1e-5)
            np.testing.assert_allclose(y, slope, rtol=1e-4, atol=1e-7)
        thickest = max(lines, key=lambda name: lines[name].get_linewidth())
        assert thickest.startswith(chosen)
        assert "under minimax alone" in axes.get_title()


class TestGreatCircle:
    def test_unit_vectors_by_scipy(self, strict):
        first, last = np.random.default_rng(0).normal(size=(2, 4, 6))
        first, last = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, last))
        t = np.linspace(0, 1, 7)
        found = gan_figures.great_circle(*(jnp.asarray(a, jnp.float32) for a in (first, last, t)))
        for i in range(4):
            np.testing.assert_allclose(found[i], geometric_slerp(first[i], last[i], t), atol=1e-5)

    def test_ends_of_any_length_in_one_direction_and_opposite(self):
        first, last = jnp.array([[3.0], [-1], [0]]), jnp.array([[1.0], [1], [2]])
        found = gan_figures.great_circle(first, last, jnp.array([0.0, 0.5, 1]))
        np.testing.assert_allclose(found[:2, :, 0], [[3, 2, 1], [-1, 0, 1]], atol=1e-6)
        np.testing.assert_allclose(found[2, [0, -1], 0], [0, 2], atol=1e-6)
        assert np.isfinite(found).all()


class TestFate:
    @pytest.mark.parametrize(
        ("growth", "turns", "expected"),
        [
            (-6, 30, "converges"),
            (-1, 30, "slowly inwards"),
            (-0.01, 0, "slowly inwards"),
            (0, 30, "circles"),
            (0, 0, "ends elsewhere"),
            (1, 30, "goes outwards"),
            (1, 0, "goes outwards"),
            (np.nan, 0, "diverges"),
        ],
    )
    def test_of_a_spiral(self, growth, turns, expected):
        t = np.linspace(0, 1, 5000)
        path = np.exp(growth * t)[:, None] * np.stack(
            [np.cos(turns * 2 * np.pi * t), np.sin(turns * 2 * np.pi * t)], 1
        )
        assert gan_figures.fate(path) == expected
