"""What a cell does inside, and one vector of each signal, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import (
    CELLS,
    attention_output,
    gate_names,
    gru_cell,
    init_cell,
    last_output,
    lstm_cell,
    mean_output,
    unroll,
    unroll_gates,
)
from tests.nn.reading import (
    HIDDEN,
    TIME,
    assert_close,
    each_cell,
    params_of,
    signals,
    some_state,
)

pytestmark = pytest.mark.usefixtures("strict")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class TestGates:
    @each_cell
    def test_the_next_state_follows_from_them(self, name):
        cell, params, xs, begin = CELLS[name], params_of(name), signals(5), some_state(name, 5)
        states, gates = unroll_gates(cell, params, xs, begin)  # under jit, names would be sorted
        assert tuple(gates) == gate_names(cell)
        outputs, end = unroll(cell, params, xs, None, begin)
        np.testing.assert_allclose(states.h, outputs, atol=1e-5)
        assert_close(jax.tree.map(lambda v: v[:, -1], states), end)
        within = {"rnn": [], "lstm": ["input", "forget", "output"], "gru": ["reset", "update"]}[name]
        for gate, v in gates.items():
            assert (np.abs(v) < 1).all()
            assert (v.min() > 0) == (gate in within)  # the others are of both signs
        before = [np.concatenate([b[:, None], s[:, :-1]], 1) for b, s in zip(begin, states, strict=True)]
        if name == "rnn":
            expected = (gates["hidden"],)
        elif name == "lstm":
            c = gates["forget"] * before[1] + gates["input"] * gates["cell"]
            expected = gates["output"] * np.tanh(c), c
        else:
            expected = ((1 - gates["update"]) * gates["new"] + gates["update"] * before[0],)
        for a, b in zip(states, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_the_grus_are_its_equations(self):
        """The reset gate does not stand in the next state."""
        p, xs, state = params_of("gru"), signals(5, time=1), some_state("gru", 5)
        _, gates = unroll_gates(gru_cell, p, xs, state)
        a, q = xs[:, 0] @ p["w_input"] + p["bias"][None], state.h @ p["w_hidden"]
        for number, gate in enumerate(("reset", "update")):
            columns = slice(number * HIDDEN, (number + 1) * HIDDEN)
            np.testing.assert_allclose(gates[gate][:, 0], sigmoid((a + q)[:, columns]), atol=1e-6)

    def test_one_signal_from_zeros(self):
        states, gates = unroll_gates(lstm_cell, params_of("lstm"), signals())
        assert states.c.shape == gates["forget"].shape == (TIME, HIDDEN)
        outputs, _ = unroll(lstm_cell, params_of("lstm"), signals())
        np.testing.assert_allclose(states.h, outputs, atol=1e-5)


class TestOneVectorOfEachSignal:
    """By hand, with what is no number after the ends."""

    lengths = np.array([[9, 1, 5], [14, 3, 2]])

    def compare(self, f, by_hand, *whole, after=np.nan):
        """Values of each signal, with and without lengths, and gradients, which are within signals only."""
        ended = np.arange(TIME) >= self.lengths[..., None]
        args = [
            np.where(ended.reshape(ended.shape + (1,) * (a.ndim - 3)), np.float32(after), a) for a in whole
        ]
        pooled, unended = f(*args, self.lengths), f(*whole)
        for i in np.ndindex(2, 3):
            n = self.lengths[i]
            np.testing.assert_allclose(
                pooled[i], by_hand(*(a[i][:n].astype(np.float64) for a in args)), atol=1e-6
            )
            np.testing.assert_allclose(
                unended[i], by_hand(*(a[i].astype(np.float64) for a in whole)), atol=1e-6
            )
        for grad in jax.grad(lambda *a: jnp.sin(f(*a, self.lengths)).sum(), range(len(args)))(*args):
            assert (np.asarray(grad)[ended] == 0).all()
            assert np.isfinite(grad).all()
            assert np.abs(grad).max() > 0.1

    def test_the_last(self):
        self.compare(last_output, lambda v: v[-1], signals(2, 3, features=4))

    def test_the_mean(self):
        self.compare(mean_output, lambda v: v.mean(0), signals(2, 3, features=4))

    @pytest.mark.parametrize("after", [0.0, 1e30, np.nan, np.inf])
    def test_attention(self, after):
        def by_hand(v, s):
            weights = np.exp(s - s.max())
            return weights @ v / weights.sum()

        scores = 3 * signals(2, 3, features=1, seed=4)[..., 0]
        self.compare(attention_output, by_hand, signals(2, 3, features=4), scores, after=after)

    def test_weights_sum_to_one(self):
        scores = jnp.asarray(5 * signals(2, 3, features=1)[..., 0])
        for lengths in (None, self.lengths):
            pooled = attention_output(jnp.ones((2, 3, TIME, 1)), scores, lengths)
            np.testing.assert_allclose(pooled, np.ones((2, 3, 1)), atol=1e-6)

    def test_scores_that_are_large_have_no_nan(self):
        scores = jnp.asarray(1e4 * signals(features=1)[:, 0])
        pooled = attention_output(signals(), scores, np.array(TIME - 1))
        np.testing.assert_allclose(pooled, signals()[scores[:-1].argmax()], atol=1e-6)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([0, 3], "expected lengths from 1 to 6, got 0 at 0"),
        ([3, -2], "got -2 at 1"),
        ([3, 9], "got 9 at 1"),
        ([2.5, 3.0], "expected lengths that are integers"),
        ([3], r"expected lengths of shape \(2,\), got \(1,\)"),
    ],
)
@pytest.mark.parametrize("pool", [last_output, mean_output])
def test_lengths_that_cannot_be_pooled(pool, lengths, message):
    with pytest.raises(ValueError, match=message):
        pool(jnp.ones((2, 6, 3)), lengths)


def test_lengths_may_be_a_list():
    xs = jax.random.normal(jax.random.key(0), (2, 6, 3))
    params = init_cell(gru_cell, jax.random.key(1), 3, 4)
    expected = unroll(gru_cell, params, xs, jnp.array([2, 6]))[0]
    np.testing.assert_array_equal(unroll(gru_cell, params, xs, [2, 6])[0], expected)
