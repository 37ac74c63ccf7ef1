"""Generation: one network makes images, one classes them (slide "Classification → génération")."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mi203jax import adversarial, optim
from mi203jax.configs import GAN
from mi203jax.core.parallel import split_batch
from mi203jax.core.task import Figure, Metrics, Task
from mi203jax.data.feed import Arrays, Data, Feed, order_key
from mi203jax.data.splits import split_source, supervised_data
from mi203jax.models import Decoder, Encoder
from mi203jax.nn.initializers import INITIALIZERS
from mi203jax.tasks.gan_figures import figures
from mi203jax.tasks.labelled_images import FEATURES, halved_images
from mi203jax.tasks.sample_judge import SampleJudge, classifier_config, judge_samples, sample_judge
from mi203jax.tasks.supervised import Keys, with_snapshot

PyTree = Any
SHOWN = 64
"""Samples that the animation shows."""
SLOPE = 0.2
"""Of both networks' relu below 0."""


class Opponent(NamedTuple):
    """A network that learns."""

    params: PyTree
    layers: PyTree  # running estimates, singular vectors
    optimizer: optax.OptState


class Moments(NamedTuple):
    """What is kept of some moments of the run, `[frames, ...]`."""

    samples: jax.Array  # of the same latent numbers, [frames, SHOWN, height, width, channels], uint8
    losses: jax.Array  # of discriminator and generator, means of the last iterations, [frames, 2]


class State(NamedTuple):
    """Everything that the next iteration needs."""

    generator: Opponent
    discriminator: Opponent
    average: PyTree  # of the generator's parameters over the last iterations: what is judged
    losses: jax.Array  # likewise of the losses, [2]
    moments: Moments
    keys: Keys


def data(c: GAN) -> Data:
    """Images with their labels, and who judges samples.

    Raises:
        UsageError: if the set cannot be read or used.
    """
    halved_images(c)
    splits = {"train_split": c.train_split, "eval_split": c.eval_split, "data_dir": c.data_dir}
    found = supervised_data(
        c.data, "image", **splits, standardization="none", batch_size=c.batch_size, feed="memory"
    )
    return found.shared.with_statistics(sample_judge(classifier_config(c)))


def classes(c: GAN) -> tuple[str, ...]:
    """Names of the classes of the configuration's set."""
    return split_source(c.data, c.train_split, c.data_dir, FEATURES)[1].classes


def num_classes(c: GAN) -> int:
    """Number of labels that an image may be made for; 1 if it is made for none."""
    return len(classes(c)) if c.conditional else 1


def generator(c: GAN, data: Data) -> Decoder:
    """The network that makes images, without its parameters."""
    height, width, channels = data.test["image"].shape[1:]
    return Decoder(
        channels,
        c.channels[::-1],
        c.convs,
        c.normalization,
        kernel_init=INITIALIZERS[c.initializer](1.0),
        slope=SLOPE,
        shape=(height, width),
        hidden=c.hidden[::-1],
    )


def discriminator(c: GAN) -> Encoder:
    """The network that scores images, one score for each label, without its parameters."""
    init = INITIALIZERS[c.initializer](1.0)
    return Encoder(
        num_classes(c),
        c.channels,
        c.convs,
        "none",
        spectral=c.spectral_norm,
        kernel_init=init,
        slope=SLOPE,
        hidden=c.hidden,
        pooling="none",
    )


def draw(c: GAN, key: jax.Array, n: int, labels: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """What n images are made of: random numbers, and labels, which go round if they are not given."""
    labels = jnp.arange(n) % num_classes(c) if labels is None else labels
    z = jax.random.normal(key, (n, c.latent))
    return (jnp.concatenate([z, jax.nn.one_hot(labels, num_classes(c))], 1) if c.conditional else z), labels


def generate(
    c: GAN, data: Data, params: PyTree, layers: PyTree, z: jax.Array, train: bool = False
) -> tuple[jax.Array, PyTree]:
    """Images in [0, 1] of latent numbers, `[n, …]` -> `[n, height, width, channels]`; and the new layers."""
    variables = {"params": params, **layers}
    if not train:
        return jax.nn.sigmoid(generator(c, data).apply(variables, z)), layers  # type: ignore[arg-type]
    x, layers = generator(c, data).apply(variables, z, train=True, mutable=list(layers))
    return jax.nn.sigmoid(x), layers


def score(
    c: GAN, params: PyTree, layers: PyTree, images: jax.Array, labels: jax.Array, train: bool = False
) -> tuple[jax.Array, PyTree]:
    """How real images in [0, 1] look, given their labels, `[n]`; and the new layers."""
    x, variables = 2 * images - 1, {"params": params, **layers}
    if train:
        scores, layers = discriminator(c).apply(variables, x, train=True, mutable=list(layers))
    else:
        scores = discriminator(c).apply(variables, x)
    if not c.conditional:
        return scores[:, 0], layers
    return jnp.take_along_axis(scores, labels[:, None], 1)[:, 0], layers


def optimizer(c: GAN, of_discriminator: bool) -> optax.GradientTransformation:
    """Adam with the network's own step size."""
    rate = c.learning_rate * (c.time_scale if of_discriminator else 1.0)
    return optim.make("adam", rate, momentum=c.momentum, beta2=c.beta2)


def init(c: GAN, data: Data, key: jax.Array) -> State:
    """Both networks before any training."""
    make_key, judge_key, run_key = jax.random.split(key, 3)
    z, _ = draw(c, make_key, 1)
    images = jnp.zeros((1, *data.test["image"].shape[1:]))
    opponents = []
    networks = ((False, generator(c, data), z, make_key), (True, discriminator(c), images, judge_key))
    for of_discriminator, network, x, k in networks:
        variables = network.init(k, x)
        params = variables["params"]
        layers = {name: kept for name, kept in variables.items() if name != "params"}
        opponents.append(Opponent(params, layers, optimizer(c, of_discriminator).init(params)))
    keys = Keys(run_key, order_key(key))
    losses = jnp.zeros(2)
    first = shown(c, data, opponents[0].params, opponents[0].layers, keys)
    moments = Moments(jnp.stack([first] * c.frames), jnp.full((c.frames, 2), jnp.nan))
    return State(opponents[0], opponents[1], opponents[0].params, losses, moments, keys)


def shown(c: GAN, data: Data, params: PyTree, layers: PyTree, keys: Keys) -> jax.Array:
    """The samples that the animation shows, `[SHOWN, height, width, channels]`, uint8."""
    z, _ = draw(c, jax.random.fold_in(keys.order, 1), SHOWN)
    images, _ = generate(c, data, params, layers, z)
    return jnp.round(255 * images).astype(jnp.uint8)


def step(c: GAN, state: State, data: Data, t: jax.Array) -> tuple[State, Metrics]:
    """Steps of the discriminator, each on a batch of its own, then one of the generator."""
    run_key = jax.random.fold_in(state.keys.run, t)
    assert isinstance(data.train, Feed)
    judge = state.discriminator
    measures: dict[str, jax.Array] = {}
    for j in range(c.discriminator_steps):
        raw = data.train.batch(state.keys.order, t * c.discriminator_steps + j, c.batch_size)
        batch = _ready(data, split_batch(raw))
        judge, measures = discriminator_step(
            c, state._replace(discriminator=judge), data, batch, jax.random.fold_in(run_key, j)
        )
    last_key = jax.random.fold_in(run_key, c.discriminator_steps)
    maker, more = generator_step(c, state._replace(discriminator=judge), data, batch, last_key)
    measures |= more
    progress = jnp.asarray(t, jnp.float32)
    decay = jnp.minimum(c.average, (1 + progress) / (10 + progress))  # at first there is little to average
    average = optax.incremental_update(maker.params, state.average, 1 - decay)
    now = jnp.stack([measures["discriminator_loss"], measures["generator_loss"]])
    losses = jnp.where(t == 0, now, decay * state.losses + (1 - decay) * now)
    moments = with_snapshot(
        state.moments,
        lambda: Moments(shown(c, data, average, maker.layers, state.keys), losses),
        t,
        c.num_iterations,
    )
    return State(maker, judge, average, losses, moments, state.keys), {**measures}


def _ready(data: Data, batch: Arrays) -> Arrays:
    judge: SampleJudge = data.statistics
    return {**batch, "image": jnp.asarray(batch["image"], jnp.float32) / judge.brightest}


def discriminator_step(
    c: GAN, state: State, data: Data, batch: Arrays, key: jax.Array
) -> tuple[Opponent, dict[str, jax.Array]]:
    """The discriminator after a step towards telling real images from made ones."""
    own, (z_key, penalty_key) = state.discriminator, jax.random.split(key)
    real, labels = batch["image"], batch["label"]
    z, _ = draw(c, z_key, len(real), labels)
    fake, _ = generate(c, data, state.generator.params, state.generator.layers, z, train=True)
    opposing = adversarial.LOSSES[c.loss]

    def loss(params):
        both, twice = jnp.concatenate([real, fake]), jnp.concatenate([labels, labels])
        scores, layers = score(c, params, own.layers, both, twice, train=True)
        of_real, of_fake = jnp.split(scores, 2)
        more = (c.smoothing,) if opposing.smooths else ()
        value = opposing.discriminator(of_real, of_fake, *more).mean()
        penalties = penalty(c, lambda x: score(c, params, own.layers, x, labels)[0], real, fake, penalty_key)
        return value + c.penalty * penalties, (value, penalties, scores, layers)

    (_, (value, penalties, scores, layers)), gradient = jax.value_and_grad(loss, has_aux=True)(own.params)
    updates, opt_state = optimizer(c, True).update(gradient, own.optimizer, own.params)
    of_real, of_fake = jnp.split(scores, 2)
    measures = {
        "discriminator_loss": value,
        "penalty": penalties,
        "real_score": of_real.mean(),
        "fake_score": of_fake.mean(),
    }
    return Opponent(optax.apply_updates(own.params, updates), layers, opt_state), measures


def penalty(c: GAN, f, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """What the discriminator pays for being steep."""
    total = jnp.zeros(())
    if "r1" in c.penalties:
        total += adversarial.r1(f, real).mean()
    if "r2" in c.penalties:
        total += adversarial.r2(f, fake).mean()
    if "gradient_penalty" in c.penalties:
        total += adversarial.gradient_penalty(f, real, fake, key).mean()
    return total


def generator_step(
    c: GAN, state: State, data: Data, batch: Arrays, key: jax.Array
) -> tuple[Opponent, dict[str, jax.Array]]:
    """The generator after a step towards images that are taken for real."""
    own, judge, labels = state.generator, state.discriminator, batch["label"]
    z, _ = draw(c, key, len(labels), labels)

    def loss(params):
        fake, layers = generate(c, data, params, own.layers, z, train=True)
        of_fake, _ = score(c, judge.params, judge.layers, fake, labels)
        of_real, _ = score(c, judge.params, judge.layers, batch["image"], labels)
        return adversarial.LOSSES[c.loss].generator(of_real, of_fake).mean(), layers

    (value, layers), gradient = jax.value_and_grad(loss, has_aux=True)(own.params)
    updates, opt_state = optimizer(c, False).update(gradient, own.optimizer, own.params)
    measures = {"generator_loss": value, "generator_gradient_norm": optax.tree.norm(gradient)}
    return Opponent(optax.apply_updates(own.params, updates), layers, opt_state), measures


def samples(c: GAN, state: State, data: Data, n: int) -> tuple[jax.Array, jax.Array]:
    """Images in [0, 1] by the averaged generator, always the same ones of a trial, and their labels."""
    z, labels = draw(c, jax.random.fold_in(state.keys.order, 2), n)
    return generate(c, data, state.average, state.generator.layers, z)[0], labels


def evaluate(c: GAN, state: State, data: Data) -> Metrics:
    """Measures of samples, and, by the same judge, those of real images and of a Gaussian's samples."""
    judge: SampleJudge = data.statistics
    images, labels = samples(c, state, data, len(judge.real))
    return {**judge_samples(classifier_config(c), judge, images, labels if c.conditional else None)}


def figures_of(c: GAN, state: State, data: Data) -> dict[str, Figure]:
    """All figures of two trained opponents."""

    def made(z):
        return generate(c, data, state.average, state.generator.layers, z)[0]

    names = classes(c) if c.conditional else ()
    measured = jax.jit(functools.partial(evaluate, c))(state, data)
    return figures(c, state, data, functools.partial(draw, c), jax.jit(made), measured, names)


task = Task(
    init,
    step,
    evaluate,
    figures_of,
    data,
    objective="eval/frechet_distance",
    best="min",
    on_cpu="map",
    beside=("eval/floor_frechet_distance", "eval/gaussian_frechet_distance"),
)
