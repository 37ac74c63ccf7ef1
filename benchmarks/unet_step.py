"""One training step of `segmentation` beside PyTorch's: the same U-Net, loss, optimiser and scenes.

    python -m benchmarks.unet_step        (extra `bench`, and a CPU build of torch)

The task is the one of `python launch.py --exp=segmentation`, with its fields' defaults: 8 images of 64 ×
64, 11 classes, stages of 16, 32, 64 and 64 filters with two convolutions each, batch norm, cross-entropy,
AdamW whose step size follows one cycle. Each side is timed as one trains with it: ours as the compiled loop
of all runs (`mi203jax.core.loop.advance`) around the task's own step, torch's as a Python loop.

In, on both sides: taking a batch that lies in memory as bytes, standardising it, the network forwards and
backwards with its running estimates, the step size, the optimiser. In on ours only, as the task has them:
accuracy, the gradient's norm, clipping at infinity, looking for what is not finite. Out: the scenes, which
the task makes in its step and which are made before here; the animation's frames (`frames=0`); evaluation;
records.
"""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional as f

from benchmarks.torch_twins import STEPS, Ours, channels_first, compare, conv, count, print_machine
from mi203jax import schedules
from mi203jax.configs import Segmentation
from mi203jax.core.task import PyTree
from mi203jax.data.feed import Data, Window
from mi203jax.data.squares import UNKNOWN
from mi203jax.tasks import segmentation

BATCHES = 16
"""That lie in memory; they go round."""


def resident(c: Segmentation) -> Data:
    """The task's data with some of its training batches made before."""
    data = segmentation.data(replace(c, eval_scenes=1))
    key = jax.random.key(1)
    made = jax.jit(lambda t: data.train.batch(key, t, c.batch_size))
    batches = [made(jnp.int32(t)) for t in range(BATCHES)]
    arrays = {name: jnp.stack([b[name] for b in batches]) for name in ("image", "classes")}
    return data._replace(train=Window(arrays))


class UNet(torch.nn.Module):
    """The task's network with the same weights."""

    def __init__(self, params: PyTree, stages: int, convs: int):
        super().__init__()
        numbers = itertools.count()

        def stage() -> torch.nn.Sequential:
            layers = []
            for _ in range(convs):
                of = params[f"Conv_{next(numbers)}"]
                norm = torch.nn.BatchNorm2d(of["w"].shape[-1])
                layers += [conv(of, padding=1), norm, torch.nn.ReLU(inplace=True)]
            return torch.nn.Sequential(*layers)

        self.down = torch.nn.ModuleList(stage() for _ in range(stages))
        self.up = torch.nn.ModuleList(stage() for _ in range(stages - 1))
        last = params["Dense_0"]
        self.scores = conv({**last, "w": last["w"][None, None]})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for stage in self.down:
            x = stage(f.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for stage, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = stage(torch.cat([f.interpolate(x, scale_factor=2.0), skip], 1))
        return self.scores(x)


class Theirs:
    """The task's step in PyTorch."""

    def __init__(
        self,
        c: Segmentation,
        params: PyTree,
        data: Data,
        layout: torch.memory_format = torch.contiguous_format,
        compiled: bool = False,
    ):
        self.model = UNet(params, len(c.channels), c.convs).to(memory_format=layout)
        assert sum(p.numel() for p in self.model.parameters()) == count(params)
        arrays = {name: np.array(values) for name, values in data.train.arrays.items()}
        assert (arrays["classes"] != UNKNOWN).all()  # so that each image's mean is of as many pixels
        self.images = [channels_first(x, layout) for x in arrays["image"]]
        self.classes = list(torch.from_numpy(arrays["classes"]).long())
        statistics = (torch.tensor(np.array(s))[:, None, None] for s in data.statistics.image)
        self.mean, self.deviation = statistics
        self.cost = torch.compile(self._cost) if compiled else self._cost
        weights = [p for p in self.model.parameters() if p.ndim >= 2]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [
            {"params": weights, "weight_decay": c.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW(groups, betas=(c.momentum, 0.999), fused=True)
        progress = jnp.arange(c.num_iterations) / c.num_iterations
        self.rates = (c.learning_rate * schedules.schedule(c.schedule, progress, c.warmup)).tolist()
        self.t = 0

    def _cost(self, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        x = (images.float() - self.mean) / self.deviation
        return f.cross_entropy(self.model(x), classes)

    def __call__(self, steps: int = STEPS) -> torch.Tensor:
        losses = []
        for t in range(self.t, self.t + steps):
            for group in self.adam.param_groups:
                group["lr"] = self.rates[t]
            self.adam.zero_grad()
            slot = t % len(self.images)
            value = self.cost(self.images[slot], self.classes[slot])
            value.backward()
            self.adam.step()
            losses.append(value.detach())
        self.t += steps
        return torch.stack(losses)[:, None]


def main() -> None:
    """Measures and prints."""
    print_machine()
    c = replace(Segmentation(), frames=0)
    data = resident(c)
    ours = Ours(segmentation.task, c, data, jax.random.key(0))
    params = jax.device_get(ours.carry.state.params)
    print(f"U-Net, {count(params):,} parameters, {c.batch_size} images of {c.size} × {c.size}")
    compare(ours, lambda layout, compiled: Theirs(c, params, data, layout, compiled), ("loss",))


if __name__ == "__main__":
    main()
