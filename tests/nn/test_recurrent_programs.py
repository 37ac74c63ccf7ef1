"""What a reading of signals is made of: derivatives of all kinds, memory, products, dtypes; other cells."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import CELLS, gru_cell, init_cell, lstm_cell, unroll
from tests.nn.reading import (
    HIDDEN,
    INPUTS,
    LENGTHS,
    TIME,
    around,
    assert_close,
    each_cell,
    params_of,
    signals,
    sines,
    some_state,
    value_and_grads,
)

pytestmark = pytest.mark.usefixtures("strict")


class TestDerivatives:
    def test_of_trials_under_vmap(self):
        cell, xs, state = gru_cell, signals(5), some_state("gru", 5)
        trials = [init_cell(cell, k, INPUTS, HIDDEN) for k in jax.random.split(jax.random.key(5), 2)]

        def loss(trials):
            results = jax.vmap(lambda p: unroll(cell, p, xs, LENGTHS, state, checkpoint=4))(trials)
            return sines(results), results

        stacked = jax.tree.map(lambda *v: jnp.stack(v), *trials)
        grads, results = jax.jit(jax.grad(loss, has_aux=True))(stacked)
        of_each = jax.jit(jax.vmap(jax.grad(lambda p: sines(unroll(cell, p, xs, LENGTHS, state)))))(stacked)
        assert_close(of_each, grads)
        for i, params in enumerate(trials):
            outputs, end, by_params, *_ = value_and_grads(cell, params, xs, LENGTHS, state, checkpoint=4)
            assert_close(jax.tree.map(lambda v, i=i: v[i], (*results, grads)), (outputs, end, by_params))

    def test_forward_mode_is_for_functions_around_cells(self):
        args = signals(5), LENGTHS, some_state("gru", 5)
        params = params_of("gru")
        tangent = jax.tree.map(jnp.sin, params)

        def loss(cell, params):
            return sines(unroll(cell, params, *args))

        _, slope = jax.jit(lambda p: jax.jvp(functools.partial(loss, around("gru")), (p,), (tangent,)))(
            params
        )
        grads = value_and_grads(gru_cell, params, *args, checkpoint=None)[2]
        expected = sum(jnp.vdot(a, b) for a, b in zip(*map(jax.tree.leaves, (grads, tangent)), strict=True))
        np.testing.assert_allclose(slope, expected, rtol=1e-4)
        with pytest.raises(TypeError, match="custom_vjp"):
            jax.jvp(functools.partial(loss, gru_cell), (params,), (tangent,))

    def test_second_derivatives(self):
        params, xs, lengths, state = params_of("lstm"), signals(2), np.array([5, 3]), some_state("lstm", 2)

        def loss(cell, bias):
            return sines(unroll(cell, params | {"bias": bias}, xs[:, :5], lengths, state))

        own, wrapped = (functools.partial(loss, cell) for cell in (lstm_cell, around("lstm")))
        curved = jax.jit(jax.hessian(wrapped))(params["bias"])
        assert jnp.abs(curved).max() > 0.1
        for f in (jax.hessian(own), jax.jacrev(jax.grad(own))):
            np.testing.assert_allclose(jax.jit(f)(params["bias"]), curved, atol=1e-4)


def smoothing(rate, state, x):
    """Of whatever there is: an output, a count beside it."""
    h = state.h + rate * (x - state.h)
    return Smoothed(h, state.steps + 1)


class Smoothed(NamedTuple):
    h: jax.Array
    steps: jax.Array


class TestOtherCells:
    @pytest.mark.parametrize(("name", "checkpoint"), [("rnn", None), ("lstm", 4), ("gru", None)])
    def test_a_function_around_a_cell_is_that_cell(self, name, checkpoint):
        args = params_of(name), signals(5), LENGTHS, some_state(name, 5)
        wrapped = value_and_grads(around(name), *args, checkpoint=checkpoint)
        assert_close(wrapped, value_and_grads(CELLS[name], *args, checkpoint=checkpoint), atol=2e-5)

    def test_a_state_of_another_kind(self):
        xs = signals(5, features=2)
        begin = Smoothed(jnp.ones((5, 2)), jnp.zeros((5, 1), jnp.int32))
        outputs, end = unroll(smoothing, jnp.float32(0.3), xs, LENGTHS, begin, checkpoint=4)
        for i, n in enumerate(LENGTHS):
            h = np.ones(2)
            for t in range(n):
                h = 0.7 * h + 0.3 * xs[i, t]
                np.testing.assert_allclose(outputs[i, t], h, atol=1e-5)
            np.testing.assert_allclose(end.h[i], h, atol=1e-5)
        np.testing.assert_array_equal(end.steps[:, 0], LENGTHS)

        _, end = unroll(smoothing, jnp.float32(0.3), xs, None, begin, reverse=True)
        weights = 0.3 * 0.7 ** np.arange(TIME)
        np.testing.assert_allclose(end.h, 0.7**TIME + np.einsum("t,bti->bi", weights, xs), atol=1e-5)


def equations(jaxpr, loops=0):
    """Of a program, each with the number of loops around it."""
    for e in jaxpr.eqns:
        yield e, loops
        for inner in jax.tree.leaves(list(e.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            if hasattr(inner, "eqns"):
                yield from equations(getattr(inner, "jaxpr", inner), loops + (e.primitive.name == "scan"))


@pytest.mark.parametrize("checkpoint", [None, 4])
@each_cell
def test_in_the_inner_loops_there_is_one_product_and_none_with_inputs(name, checkpoint):
    params, xs, state = params_of(name), signals(5), some_state(name, 5)
    gates = params["bias"].size

    def products(f):
        program = jax.make_jaxpr(f)(params, xs, state)
        found = [(e, loops) for e, loops in equations(program.jaxpr) if e.primitive.name == "dot_general"]
        return [(loops, *(v.aval.shape for v in e.invars)) for e, loops in found]

    def loss(params, xs, state):
        return sines(unroll(CELLS[name], params, xs, LENGTHS, state, checkpoint=checkpoint))

    inner = [shapes for loops, *shapes in products(loss) if loops == 2]
    assert inner == [[(5, HIDDEN), (HIDDEN, gates)]]
    assert [s for loops, *s in products(loss) if loops == 1] == [
        [(7 if checkpoint is None else 4, 5, INPUTS), (INPUTS, gates)]
    ]

    both = products(jax.grad(loss, (0, 1, 2)))
    inner = {tuple(shapes) for loops, *shapes in both if loops == 2}
    assert inner == {((5, HIDDEN), (HIDDEN, gates)), ((5, gates), (gates, HIDDEN))}


@each_cell
def test_with_checkpoints_memory_grows_as_the_root_of_time(name, optimized):
    params = init_cell(CELLS[name], jax.random.key(0), 2, 3)

    def temporary(time, checkpoint):
        def loss(params, xs):
            return unroll(CELLS[name], params, xs, checkpoint=checkpoint)[1].h.sum()

        xs = jax.ShapeDtypeStruct((time, 2), jnp.float32)
        return jax.jit(jax.grad(loss)).lower(params, xs).compile().memory_analysis().temp_size_in_bytes

    short, long = temporary(2_500, 50), temporary(10_000, 100)
    assert short < temporary(2_500, None) / 8
    assert long < 3 * short


class TestDtypes:
    @each_cell
    def test_half_precision_stays(self, name):
        params, xs, state = jax.tree.map(
            lambda v: jnp.asarray(v, jnp.bfloat16), (params_of(name), signals(5), some_state(name, 5))
        )
        for begin in (None, state):
            grads = jax.value_and_grad(lambda p, s=begin: sines(unroll(CELLS[name], p, xs, LENGTHS, s)))
            dtypes = {v.dtype for v in jax.tree.leaves(jax.eval_shape(grads, params))}
            assert dtypes == {jnp.dtype(jnp.bfloat16)}

    @pytest.mark.parametrize("name", ["lstm", "gru"])
    def test_parameters_of_half_the_precision_of_signals(self, name):
        half = jax.tree.map(lambda v: v.astype(jnp.bfloat16), params_of(name))
        args = signals(5), LENGTHS, some_state(name, 5)
        with jax.numpy_dtype_promotion("standard"):
            outputs, _, grads, *_ = value_and_grads(CELLS[name], half, *args)
        whole = jax.tree.map(lambda v: v.astype(jnp.float32), half)
        outputs_ref, _, grads_ref, *_ = value_and_grads(CELLS[name], whole, *args)
        np.testing.assert_allclose(outputs, outputs_ref, atol=1e-5)
        for a, b in zip(*map(jax.tree.leaves, (grads, grads_ref)), strict=True):
            assert a.dtype == jnp.bfloat16
            np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=2e-2, atol=5e-2)
