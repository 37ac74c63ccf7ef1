"""Dense layers against convolutions with as many parameters (slide "Rappel": images as vectors)."""

import functools

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
    shape = data.test["image"].shape[1:]
    plain = image_classification.network(c, data)
    return _of_size(plain, c.model, shape, c.parameters)


def _of_size(plain: Classifier, model: str, shape: tuple[int, ...], budget: int) -> Classifier:
    def with_width(width: int) -> Classifier:
        if model == "mlp":
            return plain.clone(channels=(), hidden=(width, width))
        return plain.clone(channels=(width, 2 * width), hidden=())

    width = 1
    while num_parameters(with_width(2 * width), shape) <= budget:
        width *= 2
    step = width
    while step:
        if num_parameters(with_width(width + step), shape) <= budget:
            width += step
        step //= 2
    candidates = (with_width(width), with_width(width + 1))
    return min(candidates, key=lambda m: abs(num_parameters(m, shape) - budget))


def num_parameters(network: Classifier, shape: tuple[int, ...]) -> int:
    """How many numbers the network learns from inputs of this shape."""
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    params = jax.eval_shape(functools.partial(network.init, jax.random.key(0)), x)["params"]
    return sum(p.size for p in jax.tree.leaves(params))


problem = image_classification.problem._replace(data=data, network=network)
task = supervised_task(problem, functools.partial(image_classification.figures_of, problem))
