"""What part of an image an output sees (slide "Pooling")."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp


class ReceptiveField(NamedTuple):
    """What output i of a chain of layers sees along one axis: inputs start + i · step … + size − 1.

    Attributes:
        size: how many inputs one output sees.
        step: how many inputs lie between what neighbours see; the product of the strides.
        start: the first input that output 0 sees; negative where it lies in the padding.
    """

    size: int
    step: int
    start: int


def receptive_field(layers: Sequence[tuple[int, ...]]) -> ReceptiveField:
    """The receptive field of a chain of convolutions and poolings, in closed form.

    From the first layer to the last, with filters of Δ inputs, stride s, dilation d and p zeros before
    the image: size ← size + (Δ − 1) · d · step; start ← start − p · step; step ← step · s
    (Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks").
    Height and width are separate chains. Inputs beyond the image's border count as any others.

    Args:
        layers: (Δ,), (Δ, s), (Δ, s, d) or (Δ, s, d, p) of each layer, by default s = d = 1, p = 0.
            A pooling is a layer like another: (2, 2).

    Returns:
        Size, step and start; (1, 1, 0) for no layers.

    Raises:
        ValueError: if a layer has not one to four integers, or not Δ, s, d of at least 1 and p of at
            least 0.
    """
    size, step, start = 1, 1, 0
    for number, layer in enumerate(layers):
        if not 1 <= len(layer) <= 4 or not all(isinstance(v, int) for v in layer):
            raise ValueError(
                f"receptive_field: layer {number}: expected (size, stride, dilation, padding), got {layer}."
            )
        width, stride, dilation, padding = (*layer, *(1, 1, 1, 0)[len(layer) :])
        if min(width, stride, dilation) < 1 or padding < 0:
            raise ValueError(
                f"receptive_field: layer {number}: expected size, stride and dilation of at least 1 and "
                f"padding of at least 0, got {layer}."
            )
        size += (width - 1) * dilation * step
        start -= padding * step
        step *= stride
    return ReceptiveField(size, step, start)


def receptive_field_of(
    f: Callable[[jax.Array], jax.Array],
    shape: tuple[int, int, int],
    position: tuple[int, int],
    key: jax.Array,
    samples: int = 8,
) -> jax.Array:
    """The pixels on which an output of any function depends: where its gradient is not zero.

    The gradient is that of the sum of the channels at the position, weighted at random so that none
    cancel, at random (Gaussian) images. An image can hide dependences (a relu that is 0, a maximum that
    another pixel has), so the pixels of all images are united. This never has a pixel too many; it has
    all pixels once there are samples enough.

    Args:
        f: from an image `[height, width, channels]` to `[height', width', channels']`, floating.
        shape: of the image.
        position: (row, column) of the output, as in indexing.
        key: a key of `jax.random`.
        samples: number of images.

    Returns:
        `[height, width]`, bool.

    Raises:
        ValueError: if `shape` is no image's, `f` gives none, the position lies outside, or `samples` is
            not positive.
    """
    if len(shape) != 3:
        raise ValueError(f"receptive_field_of: expected shape (height, width, channels), got {shape}.")
    if samples < 1:
        raise ValueError(f"receptive_field_of: expected samples of at least 1, got {samples}.")
    out = jax.eval_shape(f, jax.ShapeDtypeStruct(shape, jnp.float32)).shape
    if len(out) != 3 or not all(-n <= p < n for p, n in zip(position, out[:2], strict=True)):
        raise ValueError(
            f"receptive_field_of: position {position} is not in the output, whose shape is {out}."
        )

    def depends(key):
        image_key, weight_key = jax.random.split(key)
        weights = jax.random.normal(weight_key, out[2:])
        image = jax.random.normal(image_key, shape)
        return (jax.grad(lambda x: f(x)[position] @ weights)(image) != 0).any(-1)

    return jax.lax.map(depends, jax.random.split(key, samples)).any(0)
