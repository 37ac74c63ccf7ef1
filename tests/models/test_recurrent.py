"""Recurrent networks against the functions that they are composed of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.models import Recurrent, SequenceClassifier
from mi203jax.nn import CELLS, num_parameters, unroll, unroll_bidirectional
from mi203jax.sequences import Sequences
from tests.models.compiled import apply, drawn, init

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (4, 9, 3))
LENGTHS = jnp.array([9, 1, 4, 7])


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


class TestRecurrent:
    @pytest.mark.parametrize("cell", CELLS)
    def test_layers_are_unrolled_one_upon_the_other(self, cell):
        network = Recurrent(cell, 5, layers=2)
        variables = drawn(network, X, LENGTHS)
        outputs, states = apply(network, variables, X, LENGTHS)
        layer = jax.jit(functools.partial(unroll, CELLS[cell]))
        below, first = layer(variables["params"]["layer0"], X, LENGTHS)
        above, second = layer(variables["params"]["layer1"], below, LENGTHS)
        np.testing.assert_allclose(outputs, above, rtol=1e-6)
        for a, b in zip(jax.tree.leaves(states), jax.tree.leaves([first, second]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        own = num_parameters(CELLS[cell], 3, 5) + num_parameters(CELLS[cell], 5, 5)
        assert count(variables["params"]) == own

    def test_both_ways(self):
        network = Recurrent("gru", 5, bidirectional=True)
        variables = init(network, KEY, X)
        params = variables["params"]["forward0"], variables["params"]["backward0"]
        expected, _ = jax.jit(functools.partial(unroll_bidirectional, CELLS["gru"]))(params, X, LENGTHS)
        np.testing.assert_allclose(apply(network, variables, X, LENGTHS)[0], expected, rtol=1e-6)
        assert (params[0]["w_input"] != params[1]["w_input"]).any()

    def test_goes_on_where_it_stopped(self):
        network = Recurrent("lstm", 5, layers=2)
        variables = drawn(network, X)
        whole, end = apply(network, variables, X)
        first, states = apply(network, variables, X[:, :4])
        rest, last = apply(network, variables, X[:, 4:], None, states)
        np.testing.assert_allclose(jnp.concatenate([first, rest], 1), whole, rtol=1e-5, atol=1e-6)
        for a, b in zip(jax.tree.leaves(last), jax.tree.leaves(end), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    def test_the_first_bias_may_be_traced(self):
        def bias(value):
            return Recurrent("lstm", 5, forget_bias=value).init(KEY, X)["params"]["layer0"]["bias"]

        found = jax.jit(jax.vmap(bias))(jnp.array([0.0, 3.0]))
        np.testing.assert_array_equal(found[1] - found[0], np.repeat([0.0, 3.0, 0.0, 0.0], 5))

    def test_computing_states_again_changes_nothing(self):
        network = Recurrent("gru", 5)
        variables = drawn(network, X)

        def slope(checkpoint):
            again = Recurrent("gru", 5, checkpoint=checkpoint)
            return jax.jit(jax.grad(lambda v: again.apply(v, X, LENGTHS)[0].sum()))(variables)

        for a, b in zip(jax.tree.leaves(slope(0)), jax.tree.leaves(slope(4)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["last", "mean", "attention"])
@pytest.mark.parametrize("bidirectional", [False, True])
class TestSequenceClassifier:
    def made(self, pooling, bidirectional, **kwargs):
        return SequenceClassifier(6, Recurrent("gru", 5, bidirectional=bidirectional), pooling, **kwargs)

    def test_padding_changes_nothing(self, pooling, bidirectional):
        network = self.made(pooling, bidirectional)
        variables = drawn(network, Sequences(X, LENGTHS))
        padding = jnp.arange(9)[:, None] >= LENGTHS[:, None, None]
        scores = apply(network, variables, Sequences(jnp.where(padding, jnp.nan, X), LENGTHS))
        assert scores.shape == (4, 6)
        for i, n in enumerate(LENGTHS):
            alone = apply(network, variables, Sequences(X[i : i + 1, :n], None))
            np.testing.assert_allclose(scores[i], alone[0], rtol=1e-4, atol=1e-6)


def test_drops_units_while_training_alone():
    def made(rate):
        return SequenceClassifier(6, Recurrent("gru", 5), "mean", rate)

    x = Sequences(X, LENGTHS)
    variables = drawn(made(0.5), x)
    one, other = (
        apply(made(0.5), variables, x, train=True, rngs={"dropout": k}) for k in jax.random.split(KEY)
    )
    assert (one != other).any()
    np.testing.assert_array_equal(apply(made(0.5), variables, x), apply(made(0.0), variables, x))


def test_attention_weighs_moments():
    """Scores of a small network, whose softmax within the signal weighs the outputs."""
    network = SequenceClassifier(6, Recurrent("gru", 5), "attention")
    x = Sequences(X, LENGTHS)
    variables = drawn(network, x)
    scores, kept = apply(network, variables, x, mutable=("features",))
    outputs, attention = (np.asarray(kept["features"][n][0], np.float64) for n in ("outputs", "attention"))
    for i, n in enumerate(LENGTHS):
        weights = np.exp(attention[i, :n]) / np.exp(attention[i, :n]).sum()
        vector = weights @ outputs[i, :n]
        head = variables["params"]["Dense_2"]
        np.testing.assert_allclose(scores[i], vector @ head["w"] + head["bias"], rtol=1e-4, atol=1e-5)
