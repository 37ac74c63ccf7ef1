"""Forced invariance (slide "Optimisation", *Data augmentation*): a function averaged over a group.

The slide's other way, feeding a network with transformed inputs, is `mi203jax.augment`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from mi203jax.augment import translate

Transform = Callable[[jax.Array], jax.Array]


def invariant(
    f: Callable[[jax.Array], jax.Array], group: Sequence[Transform], reduce: Literal["mean", "max"] = "mean"
) -> Callable[[jax.Array], jax.Array]:
    """Forces invariance: x -> mean (or maximum) over g in the group of f(g x).

    Exactly invariant if the group is closed under composition and acts exactly: `flips()`, `rotations()`.
    Approximately for `shifts(...)`, which lose what leaves the image and do not contain their compositions.

    Args:
        f: images `[examples, height, width, channels]` -> `[examples, ...]`, each example by itself. It is
            called once, on a batch as many times larger as the group has elements.
        group: functions of one image, to an image of the same shape.
        reduce: "mean" or "max", over the group, of each output by itself.

    Returns:
        A function like `f`.

    Raises:
        ValueError: if the group is empty, changes the image's shape, or `reduce` is neither.
    """
    if not group or reduce not in {"mean", "max"}:
        raise ValueError(
            f"invariant: expected a group and 'mean' or 'max', got {len(group)} functions and {reduce!r}."
        )

    def f_invariant(images: jax.Array) -> jax.Array:
        moved = [jax.vmap(g)(images) for g in group]
        if any(m.shape != images.shape for m in moved):
            raise ValueError(f"invariant: the group does not keep images of shape {images.shape[1:]}.")
        outputs = f(jnp.concatenate(moved))
        by_element = outputs.reshape(len(group), len(images), *outputs.shape[1:])
        return by_element.mean(0) if reduce == "mean" else by_element.max(0)

    return f_invariant


def shifts(pixels: int) -> tuple[Transform, ...]:
    """The (2 `pixels` + 1)² translations by at most `pixels` each way, filled with 0."""
    steps = range(-pixels, pixels + 1)
    return tuple(partial(translate, dy=dy, dx=dx) for dy in steps for dx in steps)


def flips() -> tuple[Transform, ...]:
    """The identity and the exchange of left and right."""
    return (lambda image: image, jnp.fliplr)


def rotations() -> tuple[Transform, ...]:
    """The four rotations by right angles, anticlockwise, of square images."""
    return tuple(partial(jnp.rot90, k=k) for k in range(4))
