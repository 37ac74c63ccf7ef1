"""Dense layers against convolutions with as many parameters (slide "Rappel": images as vectors)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from mi203jax import augment
from mi203jax.configs import MlpVsCnn
from mi203jax.core.errors import UsageError
from mi203jax.data.feed import Arrays, Data, Resident, Streamed
from mi203jax.data.standardize import fit_statistics
from mi203jax.models import Classifier
from mi203jax.tasks import image_classification
from mi203jax.tasks.supervised import supervised_task


def data(c: MlpVsCnn) -> Data | Streamed:
    """The set's images, both splits changed alike: as they are, each moved, or all with pixels shuffled.

    Raises:
        UsageError: if the set cannot be read or used.
    """
    plain = image_classification.data(c)
    shape = plain.shared.test["image"].shape[1:]
    if c.model == "cnn" and c.pooling != "none" and min(shape[:2]) < 4:
        raise UsageError(f"model=cnn halves images of {shape[0]}×{shape[1]} pixels too often: expected 4×4.")
    least = _count(c.model, 1, shape, **_sizes(c))
    if c.parameters < least:
        raise UsageError(f"parameters={c.parameters}: model={c.model} has at least {least} on these images.")
    if c.images == "plain":
        return plain
    if isinstance(plain, Streamed) or not isinstance(plain.train, Resident):
        raise UsageError(f"images={c.images} needs the images in memory: expected feed=memory.")
    train, test = (_change(c, i, arrays) for i, arrays in enumerate((plain.train.arrays, plain.test)))
    return Data(Resident(train), test, fit_statistics(train["image"], c.standardize))


def _change(c: MlpVsCnn, number: int, arrays: Arrays) -> Arrays:
    images = arrays["image"]
    if c.images == "permuted":  # one order for all images
        n, height, width, channels = images.shape
        order = jax.random.permutation(jax.random.key(0), height * width)
        return {**arrays, "image": images.reshape(n, -1, channels)[:, order].reshape(images.shape)}
    keys = jax.random.split(jax.random.key(1 + number), len(images))
    moved = jax.vmap(augment.shift, (0, 0, None))(keys, images.astype(jnp.float32), c.largest_shift)
    return {**arrays, "image": moved.astype(images.dtype)}


def network(c: MlpVsCnn, data: Data) -> Classifier:
    """The network whose number of parameters is next to the budget."""
    width = _width(c.model, c.parameters, data.test["image"].shape[1:], **_sizes(c))
    return image_classification.network(c, data).clone(**_layers(c.model, width))


def _sizes(c: MlpVsCnn) -> dict[str, Any]:
    """What else decides how many parameters a network has."""
    fields = {name: getattr(c, name) for name in ("convs", "pooling", "head", "normalization")}
    return {"outputs": len(image_classification.classes(c)), **fields}


def _layers(model: str, width: int) -> dict[str, Any]:
    if model == "mlp":
        return {"channels": (), "hidden": (width, width)}
    return {"channels": (width, 2 * width), "hidden": ()}


@functools.lru_cache(maxsize=64)
def _width(model: str, budget: int, shape: tuple[int, ...], **sizes: Any) -> int:
    """The width whose number of parameters is next to the budget: found by doubling, then by halving."""

    def count(width: int) -> int:
        return _count(model, width, shape, **sizes)

    width = step = 1
    while count(2 * width) <= budget:
        width = step = 2 * width
    while step := step // 2:
        if count(width + step) <= budget:
            width += step
    return min(width, width + 1, key=lambda w: abs(count(w) - budget))


def _count(model: str, width: int, shape: tuple[int, ...], **sizes: Any) -> int:
    return num_parameters(Classifier(**sizes, **_layers(model, width)), shape)


def num_parameters(network: Classifier, shape: tuple[int, ...]) -> int:
    """How many numbers the network learns from inputs of this shape."""
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    params = jax.eval_shape(functools.partial(network.init, jax.random.key(0)), x)["params"]
    return sum(p.size for p in jax.tree.leaves(params))


problem = image_classification.problem._replace(data=data, network=network)
task = supervised_task(problem, functools.partial(image_classification.figures_of, problem))
