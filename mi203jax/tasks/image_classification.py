"""Classification of images (slides "Convolution" to "Mais aussi")."""

import functools

import jax
import jax.numpy as jnp

from mi203jax import augment, losses
from mi203jax.configs import ImageClassification
from mi203jax.core.errors import UsageError
from mi203jax.core.task import Figure
from mi203jax.data.feed import Arrays, Data, Streamed
from mi203jax.data.splits import split_source
from mi203jax.data.standardize import Statistics, standardize
from mi203jax.invariance import invariant, shifts
from mi203jax.models import Classifier
from mi203jax.tasks.gradient_norms_figures import of_depth
from mi203jax.tasks.image_figures import figures
from mi203jax.tasks.labelled_images import FEATURES, labelled_images
from mi203jax.tasks.supervised import Function, Problem, State, examples, layer_options, supervised_task


def data(c: ImageClassification) -> Data | Streamed:
    """Images and their labels.

    Raises:
        UsageError: if the set cannot be read or used.
    """
    height, width, _ = labelled_images(c)
    stages = len(c.channels)
    if c.pooling != "none" and min(height, width) < 2**stages:
        raise UsageError(
            f"{stages} stages halve images of {height}×{width} pixels too often: expected fewer "
            "channels=(…), or pooling=none."
        )
    return examples(c, "image")


def classes(c: ImageClassification) -> tuple[str, ...]:
    """Names of the classes of the configuration's set."""
    return split_source(c.data, c.train_split, c.data_dir, FEATURES)[1].classes


def network(c: ImageClassification, data: Data | None = None) -> Classifier:
    """The network of the configuration, without its parameters."""
    del data
    return Classifier(
        outputs=len(classes(c)),
        channels=c.channels,
        convs=c.convs,
        pooling=c.pooling,
        head=c.head,
        hidden=c.hidden,
        depth=c.depth,
        residual=c.residual,
        **layer_options(c),
    )


def prepare(
    c: ImageClassification, batch: Arrays, statistics: Statistics, key: jax.Array | None = None
) -> Arrays:
    """Standardised images "x" and the probabilities "target" of the classes; augmented if there is a key."""
    image = jnp.asarray(batch["image"], jnp.float32)
    target = jax.nn.one_hot(batch["label"], len(classes(c)))
    if key is None or not c.augment:
        return {"x": standardize(image, statistics), "target": target, "label": batch["label"]}
    keys = dict(zip(c.augment, jax.random.split(key, len(c.augment)), strict=True))
    for name in (n for n in c.augment if n not in ("noise", "mix_up")):
        image = _augment_each(c, name, keys[name], image)
    x = standardize(image, statistics)
    if "noise" in keys:  # in standard deviations of the data
        x = jax.vmap(augment.noise, (0, 0, None))(jax.random.split(keys["noise"], len(x)), x, c.noise)
    if "mix_up" in keys:
        x, target = augment.mix_up(keys["mix_up"], x, target, c.mix_up)
    return {"x": x, "target": target, "label": batch["label"]}


def _augment_each(c: ImageClassification, name: str, key: jax.Array, images: jax.Array) -> jax.Array:
    """Each image transformed by itself; what comes into the image is 0, a raw set's black."""

    def transform(key, image):
        if name == "affine":
            return augment.affine(key, image, c.rotation, c.zoom, c.translation, c.shear)
        if name == "flip":
            return augment.flip(key, image)
        return {"shift": augment.shift, "cutout": augment.cutout}[name](key, image, getattr(c, name))

    return jax.vmap(transform)(jax.random.split(key, len(images)), images)


def loss(c: ImageClassification, scores: jax.Array, batch: Arrays) -> jax.Array:
    """The cost of each example's scores `[batch, classes]`."""
    if c.loss == "cross_entropy":
        return losses.softmax_cross_entropy(scores, batch["target"], c.label_smoothing)
    if c.loss == "focal":
        return losses.focal(scores, batch["target"], c.focal_gamma)
    # Each class against the rest; where images are mixed, the costs of both labels are.
    cost = losses.MARGIN_LOSSES[c.loss]
    ones = jnp.ones_like(scores)
    return (batch["target"] * cost(scores, ones) + (1 - batch["target"]) * cost(scores, -ones)).sum(-1)


def measure(c: ImageClassification, scores: jax.Array, batch: Arrays) -> dict[str, jax.Array]:
    """Whether the largest score is that of the label."""
    del c
    return {"accuracy": scores.argmax(-1) == batch["label"]}


def predictor(c: ImageClassification, f: Function, train: bool) -> Function:
    """f, or f made invariant to shifts by a pixel."""
    if c.invariance == "none" or (train and not c.invariant_training):
        return f
    return invariant(f, shifts(1), c.invariance)


problem = Problem(data, network, prepare, loss, measure, predictor=predictor)


def figures_of(problem: Problem, c: ImageClassification, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained network."""
    return figures(problem, c, state, data, classes(c)) | of_depth(problem, c, state, data)


task = supervised_task(problem, functools.partial(figures_of, problem))
