"""One training step of `gan` beside PyTorch's: the same two networks, losses, penalties and optimisers.

    python -m benchmarks.gan_step        (extra `bench`, and a CPU build of torch)

The task is the one of `python launch.py --exp=gan`, with its fields' defaults: 64 digits of 28 × 28, a step
of the discriminator with the relativistic loss, R1 and R2, one of the generator with batch norm, Adam for
each, and the running average of the generator's weights; no spectral norm. Each side is timed as one trains
with it: ours as the compiled loop of all runs (`mi203jax.core.loop.advance`) around the task's own step,
torch's as a Python loop, with what it need not compute left out: R1 and R2 are of the scores that the loss
is of, and what does not learn has no gradient. (The task passes real and made images through the
discriminator for the loss, and again for each penalty.)

In, on both sides: gathering a batch of bytes, drawing the latent numbers, both networks with their running
estimates, both optimisers, the average. In on ours only, as the task has them: the order of the examples
(torch is given it), the generator's gradient norm, means of scores and losses, clipping at infinity,
looking for what is not finite. Out: the animation's samples (`frames=2`: before the first step and after
the last), evaluation, the classifier that judges samples, records.
"""

import copy
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional as f

from benchmarks.torch_twins import (
    CHECKED,
    STEPS,
    Ours,
    channels_first,
    compare,
    conv,
    count,
    dense,
    print_machine,
)
from mi203jax.configs import GAN
from mi203jax.core.task import PyTree
from mi203jax.data.feed import Data
from mi203jax.data.order import batch_indices
from mi203jax.data.splits import supervised_data
from mi203jax.tasks import gan
from mi203jax.tasks.sample_judge import SampleJudge
from mi203jax.tasks.supervised import Keys

LOSSES = ("discriminator_loss", "penalty", "generator_loss")


def unjudged(c: GAN) -> Data:
    """The task's data without the classifier that judges samples, of which a step needs nothing."""
    data = supervised_data(c.data, "image", standardization="none", batch_size=c.batch_size, feed="memory")
    return with_brightest(data.shared)


def with_brightest(data: Data) -> Data:
    """The data with what a step needs of who judges samples."""
    brightest = data.train.arrays["image"].max().astype(jnp.float32)
    return data.with_statistics(SampleJudge((), brightest, (), {}, {}))


def rows_of(c: GAN, keys: Keys, examples: int) -> np.ndarray:
    """Which examples the task takes in each step, `[iterations, batch]`."""
    batches = jnp.arange(c.num_iterations)
    order = jax.vmap(lambda t: batch_indices(keys.order, t, c.batch_size, examples))
    return np.array(jax.jit(order)(batches))


def latents_of(c: GAN, keys: Keys, steps: int) -> np.ndarray:
    """What the task draws for the discriminator and the generator, `[steps, 2, batch, latent]`."""

    def draws(t):
        key = jax.random.fold_in(keys.run, t)
        of_discriminator, _ = jax.random.split(jax.random.fold_in(key, 0))
        both = (of_discriminator, jax.random.fold_in(key, 1))
        return jnp.stack([gan.draw(c, k, c.batch_size)[0] for k in both])

    return np.array(jax.jit(jax.vmap(draws))(jnp.arange(steps)))


def generator(params: PyTree, c: GAN, side: int) -> torch.nn.Sequential:
    """The task's generator of images of `side` pixels with the same weights, up to its sigmoid."""
    coarse, channels = side // 2 ** len(c.channels), c.channels[::-1]
    layers: list[torch.nn.Module] = []
    for i in range(len(c.hidden) + 1):
        of = params[f"Dense_{i}"]
        if i == len(c.hidden):  # torch unflattens channels first
            w = of["w"].reshape(-1, coarse, coarse, channels[0])
            of = {"w": w.transpose(0, 3, 1, 2).reshape(of["w"].shape)}
        layers += [dense(of), torch.nn.BatchNorm1d(of["w"].shape[1]), _relu()]
    layers += [torch.nn.Unflatten(1, (channels[0], coarse, coarse))]
    for i, filters in enumerate(channels):
        layers += [conv(params[f"Conv_{i}"], padding=1), torch.nn.BatchNorm2d(filters), _relu()]
        layers += [torch.nn.Upsample(scale_factor=2)]
    last = conv(params[f"Conv_{len(channels)}"], padding=1)
    return torch.nn.Sequential(*layers, last, torch.nn.Sigmoid())


def discriminator(params: PyTree, c: GAN, side: int) -> torch.nn.Sequential:
    """The task's discriminator of images of `side` pixels with the same weights."""
    coarse = side // 2 ** len(c.channels)
    layers: list[torch.nn.Module] = []
    for i in range(len(c.channels)):
        # What "SAME" is for even sides, filters of 3 and a stride of 2.
        layers += [torch.nn.ZeroPad2d((0, 1, 0, 1)), conv(params[f"Conv_{i}"], stride=2), _relu()]
    layers += [torch.nn.Flatten()]
    for i in range(len(c.hidden) + 1):
        of = params[f"Dense_{i}"]
        if i == 0:  # torch flattens channels first
            w = of["w"].reshape(coarse, coarse, c.channels[-1], -1)
            of = {**of, "w": w.transpose(2, 0, 1, 3).reshape(of["w"].shape)}
        layers += [dense(of), _relu()]
    return torch.nn.Sequential(*layers[:-1])


def _relu() -> torch.nn.LeakyReLU:
    return torch.nn.LeakyReLU(gan.SLOPE, inplace=True)


def without_estimates(model: torch.nn.Module) -> torch.nn.Module:
    """The same network, sharing its parameters, whose running estimates are its own."""
    other = copy.deepcopy(model)
    for mine, its in zip(other.modules(), model.modules(), strict=True):
        mine._parameters = its._parameters
    return other


class Theirs:
    """The task's step in PyTorch."""

    def __init__(
        self,
        c: GAN,
        params: tuple[PyTree, PyTree],
        data: Data,
        rows: np.ndarray,
        latents: np.ndarray,
        layout: torch.memory_format = torch.contiguous_format,
        compiled: bool = False,
    ):
        """
        Args:
            c: with one convolution a stage, a batch norm in the generator only, no labels.
            params: of generator and discriminator.
            data: images of even height and the same width.
            rows: by `rows_of`.
            latents: by `latents_of`, for the first steps; later ones draw.
            layout: of images and filters.
            compiled: whether by torch.compile.
        """  # noqa: D205, D212
        side = data.test["image"].shape[1]
        self.c = c
        self.maker = generator(params[0], c, side).to(memory_format=layout)
        self.judge = discriminator(params[1], c, side).to(memory_format=layout)
        for model, tree in zip((self.maker, self.judge), params, strict=True):
            assert sum(p.numel() for p in model.parameters()) == count(tree)
        self.average = [p.detach().clone() for p in self.maker.parameters()]
        # The task makes the discriminator's images in training mode and drops the new running estimates.
        self.made = without_estimates(self.maker)
        self.images = channels_first(data.train.arrays["image"], layout)
        self.brightest = float(data.statistics.brightest)
        self.rows, self.latents = torch.from_numpy(rows).long(), torch.from_numpy(latents)
        options = {"betas": (c.momentum, c.beta2), "fused": True}
        self.of_maker = torch.optim.Adam(self.maker.parameters(), c.learning_rate, **options)
        self.of_judge = torch.optim.Adam(self.judge.parameters(), c.learning_rate * c.time_scale, **options)
        self.slopes = self._traced_slopes if compiled else self._slopes
        functions = (self.made, self._judge_cost, self._maker_cost)
        if compiled:
            functions = tuple(torch.compile(function) for function in functions)
        self.make, self.judge_cost, self.maker_cost = functions
        self.t = 0

    def _score(self, images: torch.Tensor) -> torch.Tensor:
        return self.judge(2 * images - 1)[:, 0]

    def _slopes(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images.requires_grad_()
        scores = self._score(images)
        return torch.autograd.grad(scores.sum(), images, create_graph=True)[0], scores

    def _traced_slopes(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same, of which torch.compile makes a graph that has a gradient itself."""

        def total(images):
            scores = self._score(images)
            return scores.sum(), scores

        return torch.func.grad(total, has_aux=True)(images)

    def _judge_cost(self, real: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slopes, scores = self.slopes(torch.cat([real, fake]))
        of_real, of_fake = scores.chunk(2)
        return f.softplus(of_fake - of_real).mean(), slopes.square().sum() / len(real)

    def _maker_cost(self, real: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            of_real = self._score(real)
        return f.softplus(of_real - self._score(self.maker(z))).mean()

    def _drawn(self, t: int) -> torch.Tensor:
        if t < len(self.latents):
            return self.latents[t]
        return torch.randn(2, self.c.batch_size, self.c.latent)

    def step(self, t: int) -> torch.Tensor:
        """The losses of both, after each has stepped once, `[losses]`."""
        c = self.c
        real = self.images[self.rows[t]].float() / self.brightest
        of_judge, of_maker = self._drawn(t)
        with torch.no_grad():
            fake = self.make(of_judge)
        self.of_judge.zero_grad()
        value, penalty = self.judge_cost(real, fake)
        (value + c.penalty * penalty).backward(inputs=list(self.judge.parameters()))
        self.of_judge.step()
        self.of_maker.zero_grad()
        self.judge.requires_grad_(False)
        cost = self.maker_cost(real, of_maker)
        cost.backward()
        self.judge.requires_grad_(True)
        self.of_maker.step()
        decay = min(c.average, (1 + t) / (10 + t))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.maker.parameters()], 1 - decay)
        return torch.stack([value.detach(), penalty.detach(), cost.detach()])

    def __call__(self, steps: int = STEPS) -> torch.Tensor:
        losses = [self.step(t) for t in range(self.t, self.t + steps)]
        self.t += steps
        return torch.stack(losses)


def main() -> None:
    """Measures and prints."""
    print_machine()
    c = replace(GAN(), frames=2)
    data = unjudged(c)
    ours = Ours(gan.task, c, data, jax.random.key(0))
    state = ours.carry.state
    params = jax.device_get((state.generator.params, state.discriminator.params))
    given = rows_of(c, state.keys, data.train.num_examples), latents_of(c, state.keys, CHECKED)
    of_each = " and ".join(f"{count(tree):,}" for tree in params)
    print(f"generator and discriminator of {of_each} parameters, {c.batch_size} images of 28 × 28")
    compare(ours, lambda layout, compiled: Theirs(c, params, data, *given, layout, compiled), LOSSES)


if __name__ == "__main__":
    main()
