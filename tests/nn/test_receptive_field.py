"""The closed form against the gradient's support, and both against chains counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import avg_pool, conv2d, max_pool, receptive_field, receptive_field_of


def conv(size, stride=1, padding=0):
    def layer(x, key):
        w = jax.random.normal(key, (size, size, x.shape[-1], 3))
        return jax.nn.relu(conv2d(x, w, stride=stride, padding=padding))

    return (size, stride, 1, padding), layer


def pool(f, size=2, stride=None, padding=0):
    return (size, stride or size, 1, padding), lambda x, key: f(x, size, stride, padding)


CHAINS = {
    "one": [conv(3)],
    "same": [conv(3, padding=1), conv(3, padding=1), pool(max_pool), conv(3, padding=1)],
    "strides": [conv(5, 2, 2), pool(avg_pool, 3, 2, 1), conv(3)],
    "pools": [pool(max_pool), pool(max_pool, 3, 1, 1), pool(avg_pool)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_closed_form_is_the_gradients_support(key, name):
    layers, functions = zip(*CHAINS[name], strict=True)

    def f(x):
        for number, layer in enumerate(functions):
            x = layer(x, jax.random.key(number))
        return x

    field, n, position = receptive_field(layers), 20, (0, 2)
    mask = jax.jit(lambda key: receptive_field_of(f, (n, n, 2), position, key, samples=200))(key)
    rows, columns = (
        (np.arange(n) >= field.start + i * field.step)
        & (np.arange(n) < field.start + i * field.step + field.size)
        for i in position
    )
    np.testing.assert_array_equal(mask, rows[:, None] & columns)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], (1, 1, 0)),
        ([(3,), (3,)], (5, 1, 0)),
        ([(2, 2), (2, 2)], (4, 4, 0)),
        ([(3, 1, 1, 1), (2, 2), (3, 1, 1, 1)], (8, 2, -3)),
        ([(3, 1, 4)], (9, 1, 0)),
        ([(11, 4), (3, 2), (5, 1, 1, 2), (3, 2), (3, 1, 1, 1)], (99, 16, -32)),  # AlexNet, to its third conv
    ],
)
def test_closed_form(layers, expected):
    assert receptive_field(layers) == expected


class TestReceptiveFieldOf:
    def test_channels_do_not_cancel(self, key):
        mask = receptive_field_of(lambda x: jnp.concatenate([x, -x], -1), (3, 4, 1), (1, -1), key)
        np.testing.assert_array_equal(mask, np.arange(12).reshape(3, 4) == 7)

    def test_one_image_is_a_part_of_many(self, key):
        def f(x):
            return max_pool(x, 3)

        one, many = (receptive_field_of(f, (6, 6, 1), (0, 1), key, samples=n) for n in (1, 64))
        assert (one.sum(), many.sum()) == (1, 9)
        assert (many | ~one).all()

    def test_under_jit(self, key):
        mask = jax.jit(lambda k: receptive_field_of(avg_pool, (4, 4, 1), (0, 0), k))(key)
        np.testing.assert_array_equal(mask, (np.arange(4) < 2)[:, None] & (np.arange(4) < 2))

    @pytest.mark.parametrize(
        ("shape", "position", "samples", "message"),
        [
            ((4, 4), (0, 0), 1, "expected shape"),
            ((4, 4, 1), (2, 0), 1, r"position \(2, 0\) is not in the output"),
            ((4, 4, 1), (0, 0), 0, "expected samples of at least 1"),
        ],
    )
    def test_bad_input(self, key, shape, position, samples, message):
        with pytest.raises(ValueError, match=f"receptive_field_of: {message}"):
            receptive_field_of(max_pool, shape, position, key, samples)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ((), "expected \\(size"),
        ((3, 1.5), "expected \\(size"),
        ((0,), "at least 1"),
        ((3, 1, 1, -1), "at least 0"),
    ],
)
def test_bad_layers(layer, message):
    with pytest.raises(ValueError, match=f"receptive_field: layer 1: .*{message}"):
        receptive_field([(3,), layer])
