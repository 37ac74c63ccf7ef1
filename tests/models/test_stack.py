"""Many layers in one scan, against a loop over PyTorch's layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.models import Stack
from mi203jax.nn.initializers import INITIALIZERS
from tests.models.compiled import apply, drawn, init

torch = pytest.importorskip("torch")
F = torch.nn.functional

BATCH, WIDTH, DEPTH = 5, 6, 4
X = jax.random.normal(jax.random.key(0), (BATCH, WIDTH))
WEIGHT = jax.random.normal(jax.random.key(1), (BATCH, WIDTH))


def some_variables(network):
    """Each layer has its own."""
    return {n: v for n, v in drawn(network, X).items() if n != "perturbations"}


def to_torch(tree):
    return jax.tree.map(lambda a: torch.tensor(np.asarray(a)), tree)


def torch_outputs(variables, normalization, residual, train):
    """Each layer's output, whose gradients are kept; running estimates are drawn on in place."""
    params, stats = variables["params"], variables.get("batch_stats", {}).get("BatchNorm_0")
    x, outputs = torch.tensor(np.asarray(X), requires_grad=True), []
    for i in range(DEPTH):
        dense = {name: value[i] for name, value in params["Dense_0"].items()}
        y = F.linear(x, dense["w"].T, dense.get("bias"))
        if normalization == "batch":
            scale, bias = (params["BatchNorm_0"][name][i] for name in ("scale", "bias"))
            y = F.batch_norm(y, stats["mean"][i], stats["var"][i], scale, bias, train, 0.1, 1e-5)
        elif normalization == "layer":
            scale, bias = (params["LayerNorm_0"][name][i] for name in ("scale", "bias"))
            y = F.layer_norm(y, (WIDTH,), scale, bias, 1e-6)
        x = x + y.relu() if residual else y.relu()
        x.retain_grad()
        outputs.append(x)
    return outputs


@pytest.mark.parametrize(
    ("normalization", "residual"), [("none", False), ("batch", False), ("batch", True), ("layer", True)]
)
def test_equals_a_loop_over_torch(normalization, residual):
    """Outputs in training and evaluation, each layer's running estimates, each output's gradient."""
    network = Stack(WIDTH, normalization=normalization, depth=DEPTH, residual=residual)
    variables = some_variables(network)

    @jax.jit
    def ours(variables):
        def loss(nudges):
            y, new = network.apply({**variables, **nudges}, X, True, mutable=["batch_stats"])
            return (y * WEIGHT).sum(), (y, new)

        nudges = {"perturbations": {"output": jnp.zeros((DEPTH, BATCH, WIDTH))}}
        (_, (y, new)), gradient = jax.value_and_grad(loss, has_aux=True)(nudges)
        return y, new, gradient["perturbations"]["output"], network.apply(variables, X)

    y, new, gradient, judged = ours(variables)
    theirs = to_torch(variables)
    expected = torch_outputs(theirs, normalization, residual, False)[-1]  # before training moves estimates
    np.testing.assert_allclose(judged, expected.detach(), rtol=1e-4, atol=1e-5)
    outputs = torch_outputs(theirs, normalization, residual, True)
    (outputs[-1] * torch.tensor(np.asarray(WEIGHT))).sum().backward()
    np.testing.assert_allclose(y, outputs[-1].detach(), rtol=1e-4, atol=1e-5)
    gradients = np.stack([o.grad for o in outputs])
    np.testing.assert_allclose(gradient, gradients, rtol=1e-3, atol=1e-4 * np.abs(gradients).max())
    for name, value in new.get("batch_stats", {}).get("BatchNorm_0", {}).items():
        np.testing.assert_allclose(value, theirs["batch_stats"]["BatchNorm_0"][name], rtol=1e-4, atol=1e-5)


class TestInitialWeights:
    width, depth = 64, 20

    def weights(self, name):
        network = Stack(self.width, normalization="none", depth=self.depth, kernel_init=INITIALIZERS[name]())
        w = init(network, jax.random.key(0), jnp.ones((2, self.width)))["params"]["Dense_0"]["w"]
        assert w.shape == (self.depth, self.width, self.width)
        assert len(np.unique(np.asarray(w[:, 0, 0]))) == self.depth  # each layer draws its own
        return np.asarray(w, np.float64)

    def test_he(self):
        """The fan-in is the width, whatever the depth."""
        np.testing.assert_allclose(self.weights("he").var((1, 2)), 2 / self.width, rtol=0.1)

    def test_orthogonal(self):
        w = self.weights("orthogonal")
        np.testing.assert_allclose(w.swapaxes(1, 2) @ w, np.tile(np.eye(self.width), (20, 1, 1)), atol=1e-5)


def test_each_layer_drops_its_own():
    """Layers that hand on what they get, doubled where it is not dropped: 2³ where it never is, else 0."""

    def identity(key, shape, dtype=jnp.float32):
        return jnp.eye(*shape, dtype=dtype)

    network = Stack(64, normalization="none", dropout=0.5, use_dropout=True, kernel_init=identity, depth=3)
    x = jnp.ones((64, 64))
    variables = init(network, jax.random.key(0), x)
    y = np.asarray(apply(network, variables, x, train=True, rngs={"dropout": jax.random.key(1)}))
    assert set(np.unique(y)) == {0.0, 8.0}
    assert abs((y > 0).mean() - 1 / 8) < 0.03  # of 4,096; with one mask for all layers, it is a half


def test_each_layer_is_divided_by_its_own_singular_value():
    network = Stack(WIDTH, normalization="none", spectral=True, depth=3)
    variables = init(network, jax.random.key(0), X)
    for _ in range(100):
        variables |= apply(network, variables, X, train=True, mutable=("spectral",))[1]
    expected = np.asarray(X)
    for w in np.asarray(variables["params"]["Dense_0"]["w"]):
        expected = np.maximum(expected @ (w / np.linalg.norm(w, 2)), 0)
    np.testing.assert_allclose(apply(network, variables, X), expected, rtol=1e-3, atol=1e-5)


def test_another_width():
    with pytest.raises(ValueError, match=r"expected x of width 7, got shape \(5, 6\)"):
        Stack(7, depth=2).init(jax.random.key(0), X)
