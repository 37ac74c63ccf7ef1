"""Exactly invariant where the group is one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from mi203jax.invariance import flips, invariant, rotations, shifts


def an_image(key, shape=(7, 9, 2)):
    return jax.random.normal(key, shape)


def network(key, image=(6, 6, 2)):
    """Something non-linear without any invariance."""
    weights = jax.random.normal(key, (np.prod(image), 4))
    return lambda images: jnp.tanh(images.reshape(len(images), -1) @ weights)


class TestInvariant:
    @pytest.mark.parametrize("reduce", ["mean", "max"])
    @pytest.mark.parametrize("group", [flips(), rotations()], ids=["flips", "rotations"])
    def test_is_exact_for_a_group(self, key, group, reduce):
        f, images = network(key), an_image(key, (3, 6, 6, 2))
        f_invariant = jax.jit(invariant(f, group, reduce))
        for g in group[1:]:
            moved = jax.vmap(g)(images)
            assert np.abs(f(moved) - f(images)).max() > 0.1
            np.testing.assert_allclose(f_invariant(moved), f_invariant(images), atol=1e-6)

    @pytest.mark.parametrize(("reduce", "by_numpy"), [("mean", np.mean), ("max", np.max)])
    def test_reduces_over_the_transformed_images(self, key, reduce, by_numpy):
        f, images = network(key), an_image(key, (3, 6, 6, 2))
        outputs = [f(jnp.asarray(np.rot90(images, k, (1, 2)))) for k in range(4)]
        ours = invariant(f, rotations(), reduce)(images)
        np.testing.assert_allclose(ours, by_numpy(outputs, axis=0), atol=1e-6)

    def test_calls_the_network_once(self):
        shapes = []

        def f(images):
            shapes.append(images.shape)
            return images.sum((1, 2, 3))

        f_invariant = invariant(f, shifts(1))
        assert jax.eval_shape(f_invariant, jnp.zeros((3, 6, 6, 2))).shape == (3,)
        assert shapes == [(27, 6, 6, 2)]

    def test_bad_input(self, key):
        f = network(key)
        with pytest.raises(ValueError, match="'mean' or 'max'"):
            invariant(f, flips(), "sum")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="got 0 functions"):
            invariant(f, ())
        with pytest.raises(ValueError, match=r"does not keep images of shape \(6, 4, 3\)"):
            invariant(f, rotations())(jnp.zeros((2, 6, 4, 3)))


class TestGroups:
    def test_shifts_are_all_translations(self, key):
        image = np.asarray(an_image(key))
        steps = [(dy, dx, 0) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        for g, step in zip(shifts(1), steps, strict=True):
            np.testing.assert_array_equal(jax.jit(g)(image), ndimage.shift(image, step, order=0))

    def test_flips_and_rotations(self, key):
        image = an_image(key, (5, 5, 2))
        for g, expected in zip(flips(), (image, image[:, ::-1]), strict=True):
            np.testing.assert_array_equal(g(image), expected)
        for k, g in enumerate(rotations()):
            np.testing.assert_array_equal(g(image), np.rot90(image, k))
