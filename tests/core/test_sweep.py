"""A sweep as a function."""

import jax
import numpy as np
import pytest

import mi203jax
from mi203jax.core.errors import UsageError
from tests.core.toy import Toy, exact_loss, task

CONFIGS = [
    Toy(learning_rate=0.1),
    Toy(dimension=3),
    Toy(learning_rate=0.05, seed=4),
    Toy(dimension=3, seed=1),
]


def test_in_the_order_of_the_configurations():
    for c, trained in zip(CONFIGS, mi203jax.sweep(task, CONFIGS), strict=True):
        expected = [exact_loss(c, t) for t in (10, 20, 30, 40)]
        np.testing.assert_allclose(trained.metrics["eval/loss"], expected, rtol=1e-3)
        assert trained.state.x.shape == (c.dimension,)


@pytest.mark.parametrize("parallel", ["vmap", "map"])
def test_equals_train_with_the_same_key(parallel):
    configs = [Toy(noise=1.0, learning_rate=r) for r in (0.1, 0.2, 0.3)]
    keys = jax.random.split(jax.random.key(9), 3)
    for c, key, trained in zip(
        configs, keys, mi203jax.sweep(task, configs, keys=keys, parallel=parallel), strict=True
    ):
        state, metrics = mi203jax.train(task, c, None, key)
        np.testing.assert_allclose(trained.state.x, state.x, rtol=1e-5)
        np.testing.assert_allclose(trained.metrics["train/loss"], metrics["train/loss"], rtol=1e-5)


def test_keys_are_of_the_seeds():
    configs = [Toy(noise=1.0, seed=s) for s in (3, 3, 4)]
    a, b, c = (t.state.x for t in mi203jax.sweep(task, configs))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_data_is_given_or_asked_for():
    asked = []

    def data(c):
        asked.append(c.dimension)
        return np.ones(3)

    with_data = task._replace(data=data)
    mi203jax.sweep(with_data, CONFIGS)
    assert asked == [2, 3]
    mi203jax.sweep(with_data, CONFIGS, np.zeros(1))
    assert asked == [2, 3]


@pytest.mark.parametrize("name", ["noise", "seed"])
def test_data_cannot_depend_on_what_differs_between_trials(name):
    """It is made once for all of them: the first one's would be everyone's."""
    with_data = task._replace(data=lambda c: np.full(3, getattr(c, name)))
    with pytest.raises(UsageError, match=f"{name} was asked for by the task's `data`"):
        mi203jax.sweep(with_data, [Toy(), Toy()])


def test_refusals():
    with pytest.raises(ValueError, match="expected 4 keys, one for each configuration, got 2"):
        mi203jax.sweep(task, CONFIGS, keys=jax.random.split(jax.random.key(0), 2))
    with pytest.raises(ValueError, match="parallel='pmap': expected one of auto, vmap, map, devices"):
        mi203jax.sweep(task, CONFIGS, parallel="pmap")
    with pytest.raises(UsageError):
        mi203jax.sweep(task, [Toy(learning_rate=-1.0)])
