"""How good generated images are, by the features of a classifier that learnt the real ones."""

import functools
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mi203jax import metrics
from mi203jax.configs import GAN, ImageClassification
from mi203jax.configs.images import Images
from mi203jax.core.errors import UsageError
from mi203jax.core.loop import train
from mi203jax.data.feed import Resident
from mi203jax.pca import fit_pca
from mi203jax.tasks import image_classification, supervised

COMPARED = 1_000
"""Samples, and real examples, that are compared at most."""
COMPONENTS = 30
Measures = dict[str, jax.Array]


class SampleJudge(NamedTuple):
    """A trained classifier, what it sees in real examples, and measures to compare others with."""

    classifier: supervised.State
    brightest: jax.Array  # the largest number in its images
    real: jax.Array  # features of real examples that nothing was trained on, [n, features]
    floor: Measures  # of as many training examples: what who copied them would get
    gaussian: Measures  # of samples of a Gaussian on the principal components of training examples


def classifier_config(c: GAN | Images) -> ImageClassification:
    """The classifier that judges: a small one, the same for all samples of a configuration's set."""
    return ImageClassification(
        data=c.data,
        data_dir=c.data_dir,
        train_split=c.train_split,
        eval_split=c.eval_split,
        feed="memory",
        channels=(16, 32),
        hidden=(64,),
        total_steps=40_000,
        eval_every=40_000,
    )


@functools.lru_cache(maxsize=2)
def sample_judge(c: ImageClassification) -> SampleJudge:
    """Trains the classifier, always to the same, and judges what samples are compared with.

    Args:
        c: by `classifier_config`.

    Raises:
        UsageError: if the set cannot be read or used, or has too few examples.
    """
    data = image_classification.data(c).shared
    assert isinstance(data.train, Resident)
    images = data.train.arrays["image"]
    number, least = min(COMPARED, len(images), len(data.test["image"])), c.hidden[-1] + 1
    if number < least:
        raise UsageError(
            f"train_split={c.train_split} and eval_split={c.eval_split} have {len(images)} and "
            f"{len(data.test['image'])} examples: expected {least} or more of each, for the covariance of "
            f"{least - 1} features by which samples are judged."
        )
    print("training the classifier that judges samples", file=sys.stderr)
    state = jax.jit(lambda key: train(image_classification.task, c, data, key)[0])(jax.random.key(0))
    real, _ = features(c, state, data.test["image"][:number])
    judge = SampleJudge(state, images.max().astype(jnp.float32), real, {}, {})
    measured = functools.partial(jax.jit(functools.partial(measure_samples, c)), judge)
    x = images.reshape(len(images), -1).astype(jnp.float32)
    samples = fit_pca(x, min(COMPONENTS, *x.shape)).sample(jax.random.key(1), number)
    gaussian = jnp.clip(samples, x.min(), x.max()).reshape(number, *images.shape[1:])
    return judge._replace(floor=measured(images[:number]), gaussian=measured(gaussian))


def features(
    c: ImageClassification, state: supervised.State, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What the last layer gets of raw images, `[n, features]`, and its scores, `[n, classes]`."""
    network = image_classification.network(c)
    variables = {"params": state.params, **state.layers}

    def of_chunk(images):
        batch = {"image": images, "label": jnp.zeros(len(images), jnp.int32)}
        x = image_classification.prepare(c, batch, state.statistics)["x"]
        scores, kept = network.apply(variables, x, mutable=["features"])
        return kept["features"]["last"][0], scores

    return supervised.in_chunks(of_chunk, images, supervised.EVAL_BATCH)


def judge_samples(
    c: ImageClassification, judge: SampleJudge, images: jax.Array, labels: jax.Array | None = None
) -> Measures:
    """Measures of generated images in [0, 1], and distances of what they are to be compared with.

    Args:
        c: by `classifier_config`.
        judge: by `sample_judge`.
        images: as many as the judge has real ones, `[n, height, width, channels]`.
        labels: those that the images were made for, `[n]`, if they were.

    Returns:
        What `measure_samples` does; and "floor_frechet_distance", of as many training images, and
        "gaussian_frechet_distance", of samples of a Gaussian, and likewise of the kernel distance.
    """
    measured = measure_samples(c, judge, jnp.round(judge.brightest * images), labels)
    for name in ("frechet_distance", "kernel_distance"):
        measured |= {f"floor_{name}": judge.floor[name], f"gaussian_{name}": judge.gaussian[name]}
    return measured


def measure_samples(
    c: ImageClassification, judge: SampleJudge, images: jax.Array, labels: jax.Array | None = None
) -> Measures:
    """Measures of generated raw images `[n, height, width, channels]`, in the classifier's features.

    Returns:
        "frechet_distance" and "kernel_distance" from real examples; "sample_precision", the share of samples
        among real ones, and "sample_recall", of real ones among samples; "modes", the classes that make up
        5 % of the samples or more, and "least_mode", the share of the rarest, both nan where a sample is
        no number; where there are labels, "label_accuracy", the share of samples that look like theirs.
    """
    found, scores = features(c, judge.classifier, images)
    precision, recall = metrics.sample_precision_recall(judge.real, found)
    shares, known = metrics.mode_shares(scores.argmax(-1), scores.shape[-1]), jnp.isfinite(scores).all()
    of_labels = {} if labels is None else {"label_accuracy": metrics.accuracy(scores.argmax(-1), labels)}
    return {
        **of_labels,
        "frechet_distance": metrics.frechet_distance(judge.real, found),
        "kernel_distance": metrics.kernel_distance(judge.real, found),
        "sample_precision": precision,
        "sample_recall": recall,
        "modes": jnp.where(known, metrics.modes_covered(shares).astype(jnp.float32), jnp.nan),
        "least_mode": jnp.where(known, shares.min(), jnp.nan),
    }
