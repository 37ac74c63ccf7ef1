"""Optimisers and clipping against torch's and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mi203jax import optim

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")

STEPS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 3)).astype(np.float32)
Y = RNG.normal(size=(16, 2)).astype(np.float32)
START = {
    name: RNG.normal(size=shape).astype(np.float32)
    for name, shape in {"w1": (3, 5), "b1": (5,), "w2": (5, 2), "b2": (2,)}.items()
}


def loss(params):
    """Not convex: the squared error of a network with one hidden layer."""
    hidden = jnp.tanh(X @ params["w1"] + params["b1"][None])
    return jnp.square(hidden @ params["w2"] + params["b2"][None] - Y).mean()


def small_loss(params):
    """Quick to compile."""
    return jnp.sin(2.0 * params["w"]).sum() + jnp.square(params["b"]).sum()


SMALL = {"w": np.float32([[0.3, -1.0]]), "b": np.float32([2.0])}


def trajectory(make, loss=loss, start=START, steps=STEPS):
    """Parameters after each step of the transformation that `make` gives, built anew in each step."""
    start = jax.tree.map(jnp.asarray, start)

    def step(carry, _):
        params, state = carry
        updates, state = make().update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (start, make().init(start)), None, steps)[1]


def torch_trajectory(make, before_step=lambda params: None):
    """The same by torch; `make` takes a list of named parameters' values, weights before biases."""
    params = {n: torch.tensor(START[n], requires_grad=True) for n in ("w1", "w2", "b1", "b2")}
    optimizer = make(list(params.values()))
    points = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        hidden = torch.tanh(torch.tensor(X) @ params["w1"] + params["b1"])
        (hidden @ params["w2"] + params["b2"] - torch.tensor(Y)).square().mean().backward()
        before_step(list(params.values()))
        optimizer.step()
        points.append({n: p.detach().numpy().copy() for n, p in params.items()})
    return jax.tree.map(lambda *p: np.stack(p), *points)


def assert_same(ours, theirs, atol=2e-5):
    assert jnp.abs(ours["w1"][-1] - START["w1"]).max() > 50 * atol  # they moved
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), ours, dict(theirs))


class TestAgainstTorch:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (partial(optim.sgd, 0.1), partial(torch.optim.SGD, lr=0.1)),
            (partial(optim.heavy_ball, 0.05, 0.9), partial(torch.optim.SGD, lr=0.05, momentum=0.9)),
            (
                partial(optim.heavy_ball, 0.05, 0.8, nesterov=True),
                partial(torch.optim.SGD, lr=0.05, momentum=0.8, nesterov=True),
            ),
            (partial(optim.adagrad, 0.1), partial(torch.optim.Adagrad, lr=0.1)),
            (
                partial(optim.adagrad, 0.1, 0.1, 0.3),
                partial(torch.optim.Adagrad, lr=0.1, eps=0.1, initial_accumulator_value=0.3),
            ),
            (partial(optim.adam, 0.01), partial(torch.optim.Adam, lr=0.01)),
            (
                partial(optim.adam, 0.02, 0.7, 0.9, 0.1),
                partial(torch.optim.Adam, lr=0.02, betas=(0.7, 0.9), eps=0.1),
            ),
        ],
    )
    def test_fifty_steps(self, ours, theirs):
        assert_same(trajectory(ours), torch_trajectory(theirs))

    def test_adamw_spares_biases(self):
        def theirs(params):
            groups = [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr=0.01, weight_decay=0.5)

        assert_same(trajectory(partial(optim.adamw, 0.01, weight_decay=0.5)), torch_trajectory(theirs))

    def test_clipping_by_norm(self):
        clip = partial(torch.nn.utils.clip_grad_norm_, max_norm=0.7)  # active in the first 20 steps only
        ours = partial(optim.make, "sgd", 0.1, clip_norm=0.7)
        assert_same(trajectory(ours), torch_trajectory(partial(torch.optim.SGD, lr=0.1), clip))

    def test_clipping_by_value(self):
        clip = partial(torch.nn.utils.clip_grad_value_, clip_value=0.1)
        ours = partial(optim.make, "sgd", 0.1, clip_value=0.1)
        assert_same(trajectory(ours), torch_trajectory(partial(torch.optim.SGD, lr=0.1), clip))


class TestNormalizedGradient:
    def test_every_step_has_one_length(self):
        points = trajectory(partial(optim.normalized_gradient, 0.03), steps=10)
        before = jax.tree.map(lambda start, p: jnp.concatenate([start[None], p[:-1]]), START, points)
        moves = jax.tree.leaves(jax.tree.map(lambda a, b: (a - b).reshape(10, -1), points, before))
        np.testing.assert_allclose(jnp.linalg.norm(jnp.concatenate(moves, 1), axis=1), 0.03, rtol=1e-5)

    def test_the_direction_is_the_gradients_and_epsilon_is_added(self):
        gradients, optimizer = (
            {"a": jnp.array([3.0]), "b": jnp.array(4.0)},
            optim.normalized_gradient(2.0, 5.0),
        )
        updates, _ = optimizer.update(gradients, optimizer.init(gradients))
        np.testing.assert_allclose(updates["a"], [-2.0 * 3.0 / 10.0], rtol=1e-6)
        np.testing.assert_allclose(updates["b"], -2.0 * 4.0 / 10.0, rtol=1e-6)


class TestMomentumEma:
    def test_is_heavy_ball_with_a_smaller_rate(self):
        ours = trajectory(partial(optim.momentum_ema, 0.5, 0.9))
        assert_same(ours, torch_trajectory(partial(torch.optim.SGD, lr=0.5 * (1 - 0.9), momentum=0.9)))


class TestDecayWeights:
    def test_takes_off_weights_only(self):
        params = {"w": jnp.full((2, 3), 4.0), "kernel": jnp.full((1, 1, 1, 1), 2.0), "scale": jnp.ones(3)}
        decay = optim.decay_weights(jnp.float32(0.25))
        updates, _ = decay.update(jax.tree.map(jnp.ones_like, params), decay.init(params), params)
        np.testing.assert_allclose(updates["w"], 1.0 + 0.25 * 4.0)
        np.testing.assert_allclose(updates["kernel"], 1.0 + 0.25 * 2.0)
        np.testing.assert_array_equal(updates["scale"], 1.0)

    def test_is_decoupled_from_every_direction(self):
        params = gradients = {"w": jnp.array([[3.0, -2.0]]), "b": jnp.array([0.7])}

        @jax.jit
        def moves(weight_decay):
            optimizers = [optim.make(name, 0.1, weight_decay=weight_decay) for name in optim.OPTIMIZERS]
            return [o.update(gradients, o.init(params), params)[0] for o in optimizers]

        for decayed, plain in zip(moves(0.5), moves(0.0), strict=True):
            np.testing.assert_allclose(decayed["w"] - plain["w"], -0.1 * 0.5 * params["w"], atol=1e-6)
            np.testing.assert_array_equal(decayed["b"], plain["b"])


class TestClipping:
    @pytest.mark.parametrize("clip", [optim.clip_by_value, optim.clip_by_norm])
    def test_an_infinite_limit_changes_nothing(self, clip):
        for gradients in (START, jax.tree.map(np.zeros_like, START)):
            updates, _ = jax.jit(lambda limit, g: clip(limit).update(g, clip(limit).init(g)))(
                jnp.inf, gradients
            )
            jax.tree.map(np.testing.assert_array_equal, updates, gradients)

    def test_by_norm_is_that_of_the_whole_tree(self):
        gradients = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
        clipped, _ = optim.clip_by_norm(jnp.float32(2.5)).update(gradients, ())
        np.testing.assert_allclose(clipped["a"], [1.5], rtol=1e-6)
        np.testing.assert_allclose(clipped["b"], [[2.0]], rtol=1e-6)

    def test_value_comes_before_norm(self):
        params = {"a": jnp.array([3.0, 40.0])}
        optimizer = optim.make("sgd", 1.0, clip_value=4.0, clip_norm=2.5)
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        np.testing.assert_allclose(updates["a"], [-1.5, -2.0], rtol=1e-6)


FUNCTIONS = {
    "sgd": lambda rate, momentum, beta2, epsilon: partial(optim.sgd, rate),
    "normalized_gradient": lambda rate, momentum, beta2, epsilon: partial(
        optim.normalized_gradient, rate, epsilon
    ),
    "adagrad": lambda rate, momentum, beta2, epsilon: partial(optim.adagrad, rate, epsilon),
    "momentum_ema": lambda rate, momentum, beta2, epsilon: partial(optim.momentum_ema, rate, momentum),
    "heavy_ball": lambda rate, momentum, beta2, epsilon: partial(optim.heavy_ball, rate, momentum),
    "nesterov": lambda rate, momentum, beta2, epsilon: partial(
        optim.heavy_ball, rate, momentum, nesterov=True
    ),
    "adam": lambda rate, momentum, beta2, epsilon: partial(optim.adam, rate, momentum, beta2, epsilon),
}


class TestMake:
    @pytest.mark.parametrize("name", optim.OPTIMIZERS)
    def test_a_sweep_of_traced_values_is_the_separate_runs_of_the_functions(self, name):
        def function(learning_rate, momentum, beta2, epsilon, weight_decay, clip_value, clip_norm):
            optimizer = FUNCTIONS[name](learning_rate, momentum, beta2, epsilon)(weight_decay=weight_decay)
            return optax.chain(optim.clip_by_value(clip_value), optim.clip_by_norm(clip_norm), optimizer)

        swept = {
            "learning_rate": jnp.array([0.01, 0.1]),
            "momentum": jnp.array([0.5, 0.9]),
            "beta2": jnp.array([0.9, 0.99]),
            "epsilon": jnp.array([1e-8, 0.1]),
            "weight_decay": jnp.array([0.0, 0.1]),
            "clip_value": jnp.array([jnp.inf, 0.2]),
            "clip_norm": jnp.array([0.3, jnp.inf]),
        }
        points = jax.jit(jax.vmap(lambda h: trajectory(lambda: optim.make(name, **h), small_loss, SMALL, 5)))(
            swept
        )
        alone = jax.jit(lambda h: trajectory(lambda: function(**h), small_loss, SMALL, 5))
        for trial in range(2):
            expected = alone({field: values[trial] for field, values in swept.items()})
            for n, values in expected.items():
                np.testing.assert_allclose(points[n][trial], values, atol=1e-5)

    def test_no_gradient_no_step_and_a_state_of_arrays(self):
        params = {"w": jnp.ones((2, 2))}

        @jax.jit
        def step():
            optimizers = [optim.make(name, 0.1) for name in optim.OPTIMIZERS]
            states = [o.init(params) for o in optimizers]
            zero = {"w": jnp.zeros((2, 2))}
            moves = [o.update(zero, s, params) for o, s in zip(optimizers, states, strict=True)]
            return states, *zip(*moves, strict=True)

        states, updates, new = step()  # as results of a compiled function, states are arrays
        for u in updates:
            np.testing.assert_array_equal(u["w"], 0.0)
        assert jax.tree.map(lambda a: (a.shape, a.dtype), list(new)) == jax.tree.map(
            lambda a: (a.shape, a.dtype), states
        )

    def test_runs_can_be_differentiated(self):
        def last(rate, name):
            points = trajectory(lambda: optim.make(name, rate), small_loss, SMALL, 3)
            return small_loss(jax.tree.map(lambda p: p[-1], points))

        def slopes(rates, name):
            return jax.vmap(jax.value_and_grad(partial(last, name=name)))(rates)

        rates, names = jnp.array([0.049, 0.05, 0.051]), ("sgd", "normalized_gradient", "adagrad")
        for (low, _, high), slope in jax.jit(lambda r: [slopes(r, name) for name in names])(rates):
            np.testing.assert_allclose(slope[1], (high - low) / (rates[2] - rates[0]), rtol=1e-2, atol=1e-3)

    def test_also_where_there_is_no_gradient(self):
        def move(size, name):
            params = {"w": size * jnp.ones((2, 2))}
            optimizer = optim.make(name, 0.1)
            updates, _ = optimizer.update({"w": 0.0 * params["w"]}, optimizer.init(params), params)
            return updates["w"].sum()

        names = ("sgd", "normalized_gradient", "adagrad")
        slopes = jax.jit(lambda size: [jax.grad(move)(size, name) for name in names])(1.0)
        np.testing.assert_array_equal(slopes, [0.0] * 3)

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="make: unknown optimiser 'adamm'. Did you mean 'adam'"):
            optim.make("adamm", 0.1)
