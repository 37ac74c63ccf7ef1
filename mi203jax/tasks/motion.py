"""What training images undergo, as one matrix, so that all that belongs to an image can undergo it too."""

import jax
import jax.numpy as jnp

from mi203jax import augment
from mi203jax.configs.images import Images

MOTIONS = {"shift", "flip", "affine"}
"""Augmentations that move images."""


def random_motion(c: Images, key: jax.Array) -> jax.Array:
    """A matrix for `augment.warp` of what moves images in the configuration's `augment`, `[2, 3]`."""
    affine_key, flip_key, shift_key = jax.random.split(key, 3)
    matrix = augment.affine_matrix()
    if "affine" in c.augment:
        matrix = augment.random_affine(affine_key, c.rotation, c.zoom, c.translation, c.shear)
    if "flip" in c.augment:
        mirrored = matrix * jnp.array([1.0, -1.0, 1.0])
        matrix = jnp.where(jax.random.bernoulli(flip_key), mirrored, matrix)
    if "shift" in c.augment:
        most = jnp.asarray(c.shift).astype(jnp.int32)
        pixels = jax.random.randint(shift_key, (2,), -most, most + 1).astype(jnp.float32)
        matrix = matrix.at[:, 2].add(pixels)
    return matrix
