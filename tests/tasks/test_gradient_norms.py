"""Norms of gradients layer by layer: against PyTorch, closed forms, and what theory says of wide networks."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import UsageError, stack
from mi203jax.configs import ImageClassification, Vectors
from mi203jax.data.feed import Data, Resident
from mi203jax.data.standardize import fit_statistics
from mi203jax.nn.initializers import INITIALIZERS
from mi203jax.tasks import gradient_norms_figures, image_classification, supervised, vectors
from mi203jax.tasks.gradient_norms import (
    BATCH_NORM_GROWTH,
    expected_growth,
    gradient_norms,
    growth,
    root_mean_square,
)
from mi203jax.tasks.gradient_norms_figures import describe, draw

torch = pytest.importorskip("torch")
F = torch.nn.functional

C = Vectors(hidden=(8,), depth=4, batch_size=16, normalization="batch", frames=2)
KEY = jax.random.key(0)


def gaussian_data(n, features):
    x = jax.random.normal(jax.random.key(1), (n, features))
    arrays = {"features": x, "label": jnp.where(x[:, 0] > 0, 1, -1)}
    return Data(Resident(arrays), arrays, fit_statistics(x, "none"))


DATA = gaussian_data(16, 2)


@functools.partial(jax.jit, static_argnums=2)
def first_norms(c, data, problem=vectors.problem):
    """Before training."""
    state = supervised.init(problem, c, data, jax.random.key(c.seed))
    return gradient_norms(problem, c, state, data, data.test, KEY)


@pytest.fixture(scope="module")
def state():
    return jax.jit(functools.partial(supervised.init, vectors.problem, C))(DATA, jax.random.key(C.seed))


class TestGradientNorms:
    def test_equal_torch(self, state):
        """The cost of a batch, each example's by all of them through the batch's statistics."""
        params = jax.tree.map(lambda a: torch.tensor(np.asarray(a)), state.params)
        label = torch.tensor(np.asarray(DATA.test["label"]))
        x, kept = torch.tensor(np.asarray(DATA.test["features"])), []
        deep = params["stack"]["Dense_0"]["w"]
        for w in (params["Dense_0"]["w"], *deep):
            x = F.batch_norm(x @ w, None, None, training=True, eps=1e-5).relu()
            x.requires_grad_()
            x.retain_grad()
            kept.append(x)
        score = x @ params["Dense_1"]["w"] + params["Dense_1"]["bias"]
        F.softplus(-score[:, 0] * label).sum().backward()
        expected = [o.grad.square().sum(1).mean().sqrt() for o in kept[1:]]
        found = jax.jit(lambda s: gradient_norms(vectors.problem, C, s, DATA, DATA.test, KEY))(state)
        np.testing.assert_allclose(found, expected, rtol=1e-3)

    def test_a_network_without_such_layers(self):
        with pytest.raises(ValueError, match="depth of at least 1, got 0"):
            gradient_norms(vectors.problem, replace(C, depth=0), None, DATA, DATA.test, KEY)

    def test_what_lasts_is_kept_and_no_nudge(self, state):
        assert {n: v.shape for n, v in state.layers["batch_stats"]["stack"]["BatchNorm_0"].items()} == {
            "mean": (4, 8), "var": (4, 8),
        }  # fmt: skip
        assert set(state.layers) == {"batch_stats"}

    @pytest.mark.parametrize("task", [vectors, image_classification])
    def test_fields_reach_the_network(self, task):
        c = (Vectors if task is vectors else ImageClassification)(hidden=(5,), depth=3, residual=True)
        network = task.network(c, DATA)
        assert (network.depth, network.residual) == (3, True)

    def test_trials_side_by_side_equal_solo_ones(self):
        """Traced numbers reach the layers: the scale of the weights, and dropout's rate."""
        c = replace(C, normalization="none", use_dropout=True, residual=True)
        configs = [
            replace(c, init_scale=s, dropout=d, seed=i) for i, (s, d) in enumerate([(1, 0.5), (2, 0.1)])
        ]
        together = jax.vmap(lambda c: first_norms(c, DATA))(stack(configs))
        alone = jnp.stack([first_norms(c, DATA) for c in configs])
        np.testing.assert_allclose(together, alone, rtol=1e-4)
        assert (together[1] > 2 * together[0]).all()


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e20])
def test_root_mean_square_of_any_size(size):
    """Squares of these are 0 or infinite in float32."""
    x = np.random.default_rng(0).normal(size=(3, 5, 4))
    expected = size * np.sqrt((x**2).sum(-1).mean(-1))
    np.testing.assert_allclose(root_mean_square(jnp.asarray(size * x, jnp.float32)), expected, rtol=1e-5)


def test_root_mean_square_of_no_numbers():
    x = jnp.ones((4, 2, 2)).at[:, 0, 0].set(jnp.array([1.0, jnp.inf, jnp.nan, 0.0])).at[3].set(0.0)
    np.testing.assert_allclose(root_mean_square(x), [np.sqrt(2), np.inf, np.nan, 0.0])


class TestGrowth:
    def test_of_a_geometric_row(self):
        norms = 1e-3 * jnp.array([[2.0], [0.3], [1.0]]) ** jnp.arange(6)[::-1]
        np.testing.assert_allclose(growth(norms), [2.0, 0.3, 1.0], rtol=1e-5)
        np.testing.assert_allclose(growth(jnp.array([8.0, 1.0, 5.0, 1.0])), 2.0, rtol=1e-6)

    def test_of_what_has_vanished_or_is_too_large(self):
        first = jnp.array([0.0, 2.0, 0.0, jnp.inf, jnp.inf, jnp.nan])
        last = jnp.array([1.0, 0.0, 0.0, 1.0, jnp.inf, 1.0])
        found = growth(jnp.stack([first, jnp.ones(6), last], -1))
        np.testing.assert_array_equal(found, [0, np.inf, np.nan, np.inf, np.nan, np.nan])

    def test_of_one_layer(self):
        assert np.isnan(growth(jnp.array([3.0])))


WIDE = replace(C, hidden=(256,), depth=30, batch_size=512)


class TestTheory:
    @pytest.mark.parametrize(
        ("fields", "factor"),
        [
            ({"normalization": "batch"}, np.sqrt(np.pi / (np.pi - 1))),
            ({"normalization": "none"}, 1.0),
            ({"normalization": "none", "initializer": "uniform", "init_scale": 2.0}, 0.1 * np.sqrt(128)),
        ],
    )
    def test_wide_networks_grow_as_it_says(self, fields, factor):
        c = replace(WIDE, **fields)
        assert expected_growth(c) == pytest.approx(factor, rel=1e-6)
        norms = first_norms(c, gaussian_data(512, 128))
        assert float(growth(norms[5:])) == pytest.approx(factor, rel=0.02)

    @pytest.mark.parametrize("name", INITIALIZERS)
    def test_half_of_the_units_pass_on_what_the_weights_vary(self, name):
        w = np.asarray(INITIALIZERS[name](3.0)(KEY, (64, 64), jnp.float32))
        c = replace(C, normalization="none", hidden=(32, 64), initializer=name, init_scale=3.0)
        assert expected_growth(c) == pytest.approx(np.sqrt(64 * w.var() / 2), rel=0.03)

    def test_of_what_it_is_silent(self):
        assert expected_growth(C) == BATCH_NORM_GROWTH
        for fields in (
            {"residual": True}, {"use_dropout": True}, {"normalization": "layer"}, {"depth": 0},
            {"normalization": "none", "spectral_norm": True},
        ):  # fmt: skip
            assert expected_growth(replace(C, **fields)) is None, fields


class TestFigure:
    def test_shows_the_run_before_and_after(self, state, monkeypatch):
        """Of vectors; the network before is that of the run's seed."""
        monkeypatch.setattr(vectors, "figures", lambda *_: {})
        trained = state._replace(params=jax.tree.map(lambda p: 1.5 * p, state.params))
        figure = vectors.task.figures(C, trained, DATA)["gradient_norms"]
        before, after, theory = figure.axes[0].lines
        assert figure.axes[0].get_yscale() == "log"
        np.testing.assert_array_equal(before.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_allclose(before.get_ydata(), first_norms(C, DATA), rtol=1e-4)
        assert (np.abs(after.get_ydata() - before.get_ydata()) > 1e-3).all()
        ratios = theory.get_ydata()[:-1] / theory.get_ydata()[1:]
        np.testing.assert_allclose(ratios, BATCH_NORM_GROWTH, rtol=1e-6)
        assert theory.get_ydata()[-1] == pytest.approx(before.get_ydata()[-1])

    def test_of_images(self, monkeypatch):
        """Beside their own figures, and only where there is depth."""
        monkeypatch.setattr(image_classification, "figures", lambda *_: {"own": None})
        monkeypatch.setattr(
            gradient_norms_figures, "gradient_norms", lambda problem, c, *_: jnp.ones(c.depth)
        )
        c = ImageClassification(
            data="digits/blocks", channels=(), hidden=(8,), augment=(), depth=2, residual=True
        )
        data = image_classification.task.data(c)
        state = jax.jit(functools.partial(image_classification.task.init, c))(data, KEY)
        drawn = image_classification.task.figures(c, state, data)
        assert set(drawn) == {"own", "gradient_norms"}
        assert len(drawn["gradient_norms"].axes[0].lines) == 2  # no theory of skips
        shallow = replace(c, depth=0, residual=False)
        assert set(image_classification.task.figures(shallow, state, data)) == {"own"}

    def test_what_no_logarithm_shows(self):
        c = replace(C, residual=True)
        norms = np.array([0.0, 0.0, 2.0, np.inf])
        before, _ = draw(c, norms, norms).axes[0].lines
        np.testing.assert_array_equal(before.get_ydata(), [np.nan, np.nan, 2.0, np.nan])
        assert before.get_label() == "before training: 0 in 2 of 4 layers, infinite in 1 of 4 layers"

    def test_in_words(self):
        assert describe(np.array([4.0, 2.0, 1.0])) == "×2 a layer"
        assert describe(np.array([1.0])) == "one layer"


@pytest.mark.parametrize("config", [Vectors, ImageClassification])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden": (), "depth": 3}, r"depth=3 needs a width: expected hidden=\(64,\)"),
        ({"hidden": (8,), "residual": True}, "residual=true concerns the layers of depth: expected depth=20"),
        ({"hidden": (8,), "depth": 1001}, r"depth=1001: expected a whole number in \[0, 1000\]"),
    ],
)
def test_fields_that_do_not_fit(config, fields, message):
    with pytest.raises(UsageError, match=message):
        config(**fields)
