"""Auto-encoders: predict the input while losing information (slide "Classification → autoencoder")."""

import functools
import sys
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from mi203jax import augment, codes, metrics
from mi203jax.configs import Autoencoder
from mi203jax.core.errors import UsageError
from mi203jax.core.task import Figure, Metrics
from mi203jax.data.feed import Arrays, Data, Resident, Streamed
from mi203jax.data.splits import source_sample, split_source
from mi203jax.data.standardize import Statistics, standardize
from mi203jax.models import AutoEncoder, Coded, Decoder, Encoder
from mi203jax.pca import PCA, fit_pca, linear_probe
from mi203jax.tasks import supervised
from mi203jax.tasks.autoencoder_figures import figures
from mi203jax.tasks.labelled_images import FEATURES, halved_images
from mi203jax.tasks.motion import MOTIONS, random_motion
from mi203jax.tasks.sample_judge import SampleJudge, classifier_config, judge_samples, sample_judge
from mi203jax.tasks.supervised import Problem, State, examples, layer_options, supervised_task

PROBED = 2_000
"""Training examples whose codes a linear classifier learns from."""


class ImageStatistics(NamedTuple):
    """Of the training images; and the best linear code of as many numbers, to compare with."""

    image: Statistics
    brightest: jax.Array  # the value that becomes 1
    pca: PCA  # of pixels in [0, 1]
    probed: Arrays  # training examples for the linear classifier of codes
    pca_error: jax.Array  # squared error of an image that is judged
    pca_probe: jax.Array  # share of those that the linear classifier gets right
    judge: SampleJudge | None  # of a variational code's samples


def data(c: Autoencoder) -> Data | Streamed:
    """Images, with the labels by which codes are judged.

    Raises:
        UsageError: if the set cannot be read or used.
    """
    height, width, channels = halved_images(c)
    if c.information_loss == "masking" and (height % c.patch or width % c.patch):
        raise UsageError(f"patch={c.patch}: expected a divisor of the image's {height}×{width} pixels.")
    pixels = height * width * channels
    if c.code >= pixels:
        print(f"warning: code={c.code} loses nothing of images of {pixels} numbers.", file=sys.stderr)
    found = examples(c, "image")
    resident = found.shared.train
    if isinstance(resident, Resident):
        train = resident.arrays
    else:
        train = source_sample(split_source(c.data, c.train_split, c.data_dir, FEATURES)[0])
    return found.with_statistics(_fitted(c, found.shared, train))


def _fitted(c: Autoencoder, data: Data, train: Any) -> ImageStatistics:
    brightest = jnp.asarray(train["image"].max(), jnp.float32)

    def pixels(images):
        return (jnp.asarray(images, jnp.float32) / brightest).reshape(len(images), -1)

    x, test = pixels(train["image"]), pixels(data.test["image"])
    linear = fit_pca(x, min(c.code, *x.shape))
    probed = {name: jnp.asarray(train[name][:PROBED]) for name in FEATURES}
    found = linear.encode(test)
    guess = linear_probe(linear.encode(x[:PROBED]), probed["label"], len(classes(c)), found)
    error = jnp.square(linear.decode(found) - test).sum(-1).mean()
    right = metrics.accuracy(guess, data.test["label"])
    judge = sample_judge(classifier_config(c)) if c.information_loss == "variational" else None
    return ImageStatistics(data.statistics, brightest, linear, probed, error, right, judge)


def classes(c: Autoencoder) -> tuple[str, ...]:
    """Names of the classes of the configuration's set."""
    return split_source(c.data, c.train_split, c.data_dir, FEATURES)[1].classes


def network(c: Autoencoder, data: Data) -> AutoEncoder:
    """The network of the configuration, without its parameters."""
    *_, height, width, channels = (data.test or cast(Any, data.train).arrays)["image"].shape
    options = {**layer_options(c), "convs": c.convs}
    variational = c.information_loss == "variational"
    outputs = 2 * c.code if variational else c.code
    return AutoEncoder(
        Encoder(outputs, c.channels, hidden=c.hidden, **options),
        Decoder(channels, c.channels[::-1], shape=(height, width), hidden=c.hidden[::-1], **options),
        variational,
        bounded=c.information_loss == "sparsity",
        dropout=c.dropout if c.information_loss == "dropout" else None,
    )


def prepare(
    c: Autoencoder, batch: Arrays, statistics: ImageStatistics, key: jax.Array | None = None
) -> Arrays:
    """Standardised images "x", and their pixels in [0, 1] as "target"; for training, "x" is corrupted."""
    target = jnp.asarray(batch["image"], jnp.float32) / statistics.brightest
    x = target
    if key is not None:
        motion_key, corruption_key = jax.random.split(key)
        if MOTIONS & set(c.augment):
            motions = jax.vmap(functools.partial(random_motion, c))(jax.random.split(motion_key, len(target)))
            target = jax.vmap(augment.warp)(target, motions)
        x = corrupted(c, corruption_key, target)
    return {"x": standardize(x * statistics.brightest, statistics.image), "target": target}


def corrupted(c: Autoencoder, key: jax.Array, images: jax.Array) -> jax.Array:
    """What the encoder sees of the images in training, where it is to restore them."""
    if c.information_loss == "noise":
        keys = jax.random.split(key, len(images))
        return jax.vmap(augment.noise, (0, 0, None))(keys, images, c.corruption)
    return codes.mask(key, images, c.masked, c.patch) if c.information_loss == "masking" else images


def loss(c: Autoencoder, coded: Coded, batch: Arrays) -> jax.Array:
    """Squared error of each image, and what its code costs."""
    error = squared_error(coded, batch)
    if c.information_loss == "variational":
        return error + c.penalty * codes.gaussian_kl(coded.code, coded.log_variance)
    if c.information_loss == "sparsity":
        return error + c.penalty * codes.sparsity_penalty(coded.code, c.activity)
    return error


def squared_error(coded: Coded, batch: Arrays) -> jax.Array:
    """Sum over pixels, for each image, `[batch]` (the unit of Hinton & Salakhutdinov 2006)."""
    return jnp.square(coded.image - batch["target"]).sum((1, 2, 3))


def measure(c: Autoencoder, coded: Coded, batch: Arrays) -> dict[str, jax.Array]:
    """Squared error of an image and of a pixel, and the information in a variational code."""
    error = squared_error(coded, batch)
    found = {"squared_error": error, "squared_error_per_pixel": error / batch["target"][0].size}
    if c.information_loss == "variational":
        found["kl"] = codes.gaussian_kl(coded.code, coded.log_variance)
    return found


def encode(c: Autoencoder, state: State, data: Data, images: jax.Array) -> jax.Array:
    """Codes of raw images, `[n, height, width, channels]` -> `[n, code]`."""
    x = prepare(c, {"image": images}, state.statistics)["x"]
    return supervised.predict(problem, c, state, data, x).code


def decode(c: Autoencoder, state: State, data: Data, code: jax.Array) -> jax.Array:
    """Images in [0, 1] of codes, `[n, code]` -> `[n, height, width, channels]`."""
    variables = {"params": state.params, **state.layers}
    return network(c, data).apply(variables, code, method="decode")  # type: ignore[return-value]


def evaluate(c: Autoencoder, state: State, data: Data) -> Metrics:
    """Errors, beside those of as many principal components, and what a linear classifier reads in codes."""

    def coded(images):
        some = supervised.at_once(problem, c, data)
        return supervised.in_chunks(lambda i: encode(c, state, data, i), images, some)

    statistics = state.statistics
    number, test = len(classes(c)), data.test
    guess = linear_probe(
        coded(statistics.probed["image"]), statistics.probed["label"], number, coded(test["image"])
    )
    measured = supervised.evaluate(problem, c, state, data)
    error = measured["squared_error"]
    assert isinstance(error, supervised.Mean)
    if statistics.judge is not None:
        number = len(statistics.judge.real)
        drawn = decode(c, state, data, jax.random.normal(state.keys.order, (number, c.code)))
        measured |= judge_samples(classifier_config(c), statistics.judge, drawn)
    return measured | {
        "probe_accuracy": metrics.accuracy(guess, test["label"]),
        "pca_squared_error": statistics.pca_error,
        "pca_probe_accuracy": statistics.pca_probe,
        "pca_error_ratio": statistics.pca_error * error.weight / error.total,
    }


problem = Problem(data, network, prepare, loss, measure)


def figures_of(c: Autoencoder, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained auto-encoder."""
    return figures(problem, c, state, data, functools.partial(decode, c, state, data), classes(c))


task = supervised_task(problem, figures_of, objective="squared_error")._replace(
    evaluate=evaluate, best="min", beside=("eval/pca_squared_error",)
)
