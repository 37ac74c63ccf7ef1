"""How signals are read: against torch's packed sequences, against plain loops, and what may not matter."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import (
    CELLS,
    HiddenState,
    gru_cell,
    lstm_cell,
    unroll,
    unroll_bidirectional,
    unroll_gates,
    unroll_stack,
    zero_state,
)
from tests.nn.reading import (
    HIDDEN,
    INPUTS,
    LENGTHS,
    TIME,
    around,
    assert_close,
    assert_is_gradient,
    each_cell,
    in_torch,
    layer_of,
    params_of,
    signals,
    sines,
    some_state,
    value_and_grads,
)

pytestmark = pytest.mark.usefixtures("strict")


class TestAgainstTorch:
    @each_cell
    @pytest.mark.parametrize("checkpoint", [None, 3, 4])
    def test_unequal_lengths_with_gradients(self, name, checkpoint):
        xs, state = signals(5), some_state(name, 5)
        outputs, end, by_params, by_xs, by_state = value_and_grads(
            CELLS[name], params_of(name), xs, LENGTHS, state, checkpoint=checkpoint
        )
        outputs_ref, ends, by_params_ref, by_xs_ref, by_state_ref = in_torch(
            layer_of(name), xs, [v[None] for v in state]
        )
        np.testing.assert_allclose(outputs, outputs_ref, atol=1e-5)
        for a, b in zip(end, ends, strict=True):
            np.testing.assert_allclose(a, b[0], atol=1e-5)
        assert_is_gradient(by_params, by_params_ref)
        np.testing.assert_allclose(by_xs, by_xs_ref, atol=1e-5)
        for a, b in zip(by_state, by_state_ref, strict=True):
            np.testing.assert_allclose(a, b[0], atol=1e-5)

    @pytest.mark.parametrize(("name", "checkpoint"), [("rnn", None), ("lstm", 4), ("gru", None)])
    def test_both_ways_with_gradients(self, name, checkpoint):
        xs, layer = signals(5), layer_of(name, both=True)
        params = params_of(name, layer), params_of(name, layer, "l0_reverse")

        @jax.jit
        def ours(params, xs):
            def f(params, xs):
                results = unroll_bidirectional(CELLS[name], params, xs, LENGTHS, checkpoint=checkpoint)
                return sines(results), results

            return jax.grad(f, (0, 1), has_aux=True)(params, xs)

        (by_params, by_xs), (outputs, ends) = ours(params, xs)
        outputs_ref, ends_ref, by_params_ref, by_xs_ref, _ = in_torch(layer, xs)
        np.testing.assert_allclose(outputs, outputs_ref, atol=1e-5)
        for way, suffix in enumerate(("l0", "l0_reverse")):
            for a, b in zip(ends[way], ends_ref, strict=True):
                np.testing.assert_allclose(a, b[way], atol=1e-5)
            assert_is_gradient(by_params[way], by_params_ref, suffix)
        np.testing.assert_allclose(by_xs, by_xs_ref, atol=1e-5)

    @pytest.mark.parametrize(
        ("name", "both"), [("rnn", False), ("lstm", False), ("lstm", True), ("gru", True)]
    )
    def test_layers_with_gradients(self, name, both):
        xs, layer = signals(5), layer_of(name, 2, both)
        suffixes = [("l0", "l0_reverse"), ("l1", "l1_reverse")] if both else [("l0",), ("l1",)]
        layers = [tuple(params_of(name, layer, s) for s in pair) for pair in suffixes]
        begin = None if both else [some_state(name, 5, seed=i) for i in range(2)]

        @jax.jit
        def ours(layers, begin):
            def f(layers, begin):
                flat = [pair if both else pair[0] for pair in layers]
                results = unroll_stack(CELLS[name], flat, xs, LENGTHS, begin)
                return sines(results), results

            return jax.grad(f, (0, 1), has_aux=True)(layers, begin)

        (by_layers, by_begin), (outputs, ends) = ours(layers, begin)
        stacked = begin and [jnp.stack(v) for v in zip(*begin, strict=True)]
        outputs_ref, ends_ref, by_params_ref, _, by_begin_ref = in_torch(layer, xs, stacked)
        np.testing.assert_allclose(outputs, outputs_ref, atol=1e-5)
        flat = [end for pair in ends for end in pair] if both else ends
        assert_close([jnp.stack(v) for v in zip(*flat, strict=True)], [v.numpy() for v in ends_ref])
        for pair, names in zip(by_layers, suffixes, strict=True):
            for grads, suffix in zip(pair, names, strict=True):
                assert_is_gradient(grads, by_params_ref, suffix)
        if begin:
            assert_close(
                [jnp.stack(v) for v in zip(*by_begin, strict=True)], [v.numpy() for v in by_begin_ref]
            )


def test_is_the_grus_equations_in_64_bits():
    xs, (state,) = signals(5), some_state("gru", 5)
    p = {name: np.asarray(v, np.float64) for name, v in params_of("gru").items()}
    h, hs = np.asarray(state, np.float64), []
    for x in np.moveaxis(xs, 1, 0).astype(np.float64):
        r, z, n = np.split(x @ p["w_input"] + p["bias"], 3, -1)
        p_r, p_z, s = np.split(h @ p["w_hidden"], 3, -1)
        r, z = 1 / (1 + np.exp(-r - p_r)), 1 / (1 + np.exp(-z - p_z))
        h = (1 - z) * np.tanh(n + r * (s + p["bias_hidden"])) + z * h
        hs.append(h)
    outputs, end = unroll(gru_cell, params_of("gru"), xs, state=HiddenState(state))
    np.testing.assert_allclose(outputs, np.stack(hs, 1), atol=2e-6)
    np.testing.assert_allclose(end.h, h, atol=2e-6)


class TestTime:
    @pytest.mark.parametrize(
        ("name", "time", "reverse"),
        [("rnn", 1, False), ("lstm", 2, True), ("gru", 13, True), ("rnn", 20, True), ("lstm", 23, False)],
    )
    def test_any_number_of_steps_is_a_loop_of_steps(self, name, time, reverse):
        cell, params, xs, state = CELLS[name], params_of(name), signals(2, time=time), some_state(name, 2)
        for checkpoint in (None, 5):
            outputs, end = unroll(cell, params, xs, None, state, reverse=reverse, checkpoint=checkpoint)
            now, step = state, jax.jit(cell)
            for t in sorted(range(time), reverse=reverse):
                now = step(params, now, xs[:, t])
                np.testing.assert_allclose(outputs[:, t], now.h, atol=1e-5)
            assert_close(end, now)

    def test_backwards_is_forwards_of_the_signal_turned_round(self):
        xs, state = signals(5), some_state("lstm", 5)
        turned = xs.copy()
        for row, n in zip(turned, LENGTHS, strict=True):
            row[:n] = row[:n][::-1]
        args = lstm_cell, params_of("lstm")
        outputs, end, *grads = value_and_grads(*args, xs, LENGTHS, state, reverse=True, checkpoint=4)
        outputs_ref, end_ref, *grads_ref = value_and_grads(*args, turned, LENGTHS, state)
        for i, n in enumerate(LENGTHS):
            np.testing.assert_allclose(outputs[i, :n], outputs_ref[i, :n][::-1], atol=1e-5)
            np.testing.assert_allclose(grads[1][i, :n], grads_ref[1][i, :n][::-1], atol=1e-5)
            np.testing.assert_array_equal(outputs[i, n:], np.zeros((TIME - n, HIDDEN)))
        assert_close((end, grads[0], grads[2]), (end_ref, grads_ref[0], grads_ref[2]), atol=2e-5)

    @each_cell
    def test_in_pieces(self, name):
        xs, state, cell = signals(5), some_state(name, 5), CELLS[name]

        @jax.jit
        def ours(params, xs, state, lengths):
            def f(params, xs, state):
                first, state = unroll(cell, params, xs[:, :6], jnp.minimum(lengths, 6), state)
                # Traced lengths may be 0: of what has ended, nothing is read.
                second, state = unroll(cell, params, xs[:, 6:], lengths - 6, state)
                results = jnp.concatenate([first, second], 1), state
                return sines(results), results

            return jax.grad(f, (0, 1, 2), has_aux=True)(params, xs, state)

        grads, results = ours(params_of(name), xs, state, LENGTHS)
        outputs, end, *grads_ref = value_and_grads(cell, params_of(name), xs, LENGTHS, state, checkpoint=None)
        assert_close(results, (outputs, end), atol=1e-6)
        assert_close(grads, tuple(grads_ref), atol=1e-5)

    @pytest.mark.parametrize("checkpoint", [None, 4])
    @pytest.mark.parametrize("own", [True, False])
    def test_traced_lengths_beyond_the_limits(self, checkpoint, own):
        cell = lstm_cell if own else around("lstm")
        xs, state = signals(3), some_state("lstm", 3)
        lengths = jnp.array([0, -2, 99])
        outputs, end, _, by_xs, by_state = value_and_grads(
            cell, params_of("lstm"), xs, lengths, state, checkpoint=checkpoint
        )
        np.testing.assert_array_equal(outputs[:2], np.zeros((2, TIME, HIDDEN)))
        np.testing.assert_array_equal(by_xs[:2], np.zeros((2, TIME, INPUTS)))
        whole, last = unroll(lstm_cell, params_of("lstm"), xs[2], None, jax.tree.map(lambda v: v[2], state))
        np.testing.assert_allclose(outputs[2], whole, atol=1e-5)
        for part in ("h", "c"):
            np.testing.assert_array_equal(getattr(end, part)[:2], getattr(state, part)[:2])
            np.testing.assert_allclose(
                getattr(by_state, part)[:2], jnp.cos(getattr(state, part)[:2]), atol=1e-6
            )
            np.testing.assert_allclose(getattr(end, part)[2], getattr(last, part), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "own", "reverse", "checkpoint"),
    [
        ("rnn", True, True, 4),
        ("lstm", True, False, None),
        ("lstm", True, True, 4),
        ("gru", True, False, 4),
        ("lstm", False, True, 4),
        ("gru", False, False, None),
    ],
)
def test_what_stands_after_the_end_changes_no_bit(name, reverse, checkpoint, own):
    cell = CELLS[name] if own else around(name)
    xs, state = signals(5), some_state(name, 5)
    after = np.arange(TIME)[None] >= LENGTHS[:, None]
    results = []
    for garbage in (np.zeros_like(xs), 1e3 * signals(5, seed=9), np.float32(np.nan), np.float32(np.inf)):
        filled = np.where(after[..., None], garbage, xs)
        results.append(
            value_and_grads(
                cell, params_of(name), filled, LENGTHS, state, reverse=reverse, checkpoint=checkpoint
            )
        )
        assert (np.asarray(results[-1][3])[after] == 0).all()
        assert (np.asarray(results[-1][0])[after] == 0).all()
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, results[0])
    assert all(np.isfinite(v).all() for v in jax.tree.leaves(results[0]))


class TestAxes:
    def test_any_number_of_leading_axes(self):
        cell, params, xs, state = lstm_cell, params_of("lstm"), signals(2, 3), some_state("lstm", 2, 3)
        lengths = np.array([[9, 1, 5], [14, 3, 2]])
        results = value_and_grads(cell, params, xs, lengths, state, checkpoint=4)
        flat = value_and_grads(
            cell, params, xs.reshape(6, TIME, INPUTS), lengths.ravel(),
            jax.tree.map(lambda v: v.reshape(6, HIDDEN), state), checkpoint=4,
        )  # fmt: skip
        assert_close(results, jax.tree.map(lambda a, b: b.reshape(a.shape), results, flat))
        assert results[0].shape == (2, 3, TIME, HIDDEN)

    def test_one_signal(self):
        cell, params, xs, state = gru_cell, params_of("gru"), signals(2), some_state("gru", 2)
        lengths = np.array([5, 9])
        outputs, end, _, by_xs, by_state = value_and_grads(cell, params, xs, lengths, state)
        for i in range(2):
            alone = value_and_grads(cell, params, xs[i], lengths[i], jax.tree.map(lambda v, i=i: v[i], state))
            assert alone[0].shape == (TIME, HIDDEN)
            np.testing.assert_allclose(alone[0], outputs[i], atol=1e-5)
            np.testing.assert_allclose(alone[3], by_xs[i], atol=1e-5)
            for batched, single in ((end, alone[1]), (by_state, alone[4])):
                assert_close(jax.tree.map(lambda v, i=i: v[i], batched), single)

    def test_no_signal(self):
        outputs, end = unroll(lstm_cell, params_of("lstm"), signals(0), np.zeros(0, np.int32))
        assert outputs.shape == (0, TIME, HIDDEN)
        assert end.c.shape == (0, HIDDEN)

    @each_cell
    def test_without_a_state_it_begins_with_zeros(self, name):
        cell, params, xs = CELLS[name], params_of(name), signals(5)
        assert_close(
            unroll(cell, params, xs), unroll(cell, params, xs, None, zero_state(cell, (5,), HIDDEN)), 0
        )


class TestErrors:
    def test_signals(self):
        params = params_of("lstm")
        for xs in (
            np.zeros(INPUTS),
            np.zeros((2, 0, INPUTS), np.float32),
            np.zeros((2, 3, INPUTS), np.int32),
        ):
            for f in (unroll, unroll_gates):
                shape = re.escape(f"got {xs.dtype} of shape {xs.shape}")
                with pytest.raises(ValueError, match=rf"{f.__name__}: expected floating signals .*{shape}"):
                    f(lstm_cell, params, xs)
        with pytest.raises(ValueError, match="lstm_cell: expected inputs of 7 channels, .*got 3"):
            unroll(lstm_cell, params, signals(2, features=3))
        with pytest.raises(ValueError, match="gru_cell: .*parameters of another cell"):
            unroll(gru_cell, params, signals(2))

    @pytest.mark.parametrize(
        ("lengths", "message"),
        [
            (np.array([1, 0]), r"unroll: expected lengths from 1 to 14, got 0 at 1\."),
            (np.array([15, 1]), r"unroll: expected lengths from 1 to 14, got 15 at 0\."),
            (np.array([1.0, 2.0]), "unroll: expected lengths that are integers, got float"),
            (np.array([1]), r"unroll: expected lengths of shape \(2,\), got \(1,\)"),
        ],
    )
    def test_lengths(self, lengths, message):
        with pytest.raises(ValueError, match=message):
            unroll(lstm_cell, params_of("lstm"), signals(2), lengths)

    def test_states(self):
        params, xs = params_of("lstm"), signals(2)
        for f in (unroll, unroll_gates):
            for batch in ((), (3,), (1, 2)):
                with pytest.raises(
                    ValueError, match=rf"{f.__name__}: expected a state with the signals' leading axes \(2,\)"
                ):
                    f(lstm_cell, params, xs, state=some_state("lstm", *batch))
            with pytest.raises(ValueError, match="lstm_cell: expected a LSTMState, got HiddenState"):
                f(lstm_cell, params, xs, state=some_state("gru", 2))
        with pytest.raises(
            ValueError, match="unroll without a state: expected rnn_cell, lstm_cell or gru_cell"
        ):
            unroll(around("lstm"), (), xs)
        with pytest.raises(ValueError, match="unroll_gates: expected rnn_cell, lstm_cell or gru_cell"):
            unroll_gates(around("lstm"), params, xs)

    @pytest.mark.parametrize("checkpoint", [0, -1, 2.0, True])
    def test_checkpoints(self, checkpoint):
        with pytest.raises(
            ValueError, match=f"unroll: expected checkpoint to be a positive int, got {checkpoint}"
        ):
            unroll(lstm_cell, params_of("lstm"), signals(2), checkpoint=checkpoint)

    def test_layers(self):
        params, xs = params_of("lstm"), signals(2)
        with pytest.raises(ValueError, match="unroll_stack: .*got 0 layers and no states"):
            unroll_stack(lstm_cell, [], xs)
        with pytest.raises(ValueError, match="unroll_stack: .*got 1 layers and 2 states"):
            unroll_stack(lstm_cell, [params], xs, states=[some_state("lstm", 2)] * 2)
        with pytest.raises(
            ValueError, match="unroll_stack: expected no states, since a layer is bidirectional"
        ):
            unroll_stack(lstm_cell, [(params, params)], xs, states=[some_state("lstm", 2)])
