"""What tests of a study's figures share: results that are made up, and what is read back of figures."""

import itertools

import numpy as np
from matplotlib.text import Text

from mi203jax.study.result import ArmResult, Looked, Result
from tests.tasks.shown import points

HOLDS = (0.02, 0.03, 0.025, 0.031, 0.02, 0.028)
REVERSED = tuple(-2 * d for d in HOLDS)
UNSURE = (-0.01, 0.02, 0.0, 0.01, -0.02, 0.006)
UNLIMITED = (0.0, 0.0, 0.0, 0.0, 0.0, 0.5)  # most resamples have no variance: the interval has no upper end
TUNING = ([0.5, None, 0.9], [0.6, 0.7, None])
ACCURACY = ("eval/accuracy", "max")
LONG = "data=circles noise=0.05 hidden=(16,16,16,16,16,16) batch_size=128 total_steps=16000"


def made(
    differences=HOLDS,
    claim="momentum",
    setting="digits",
    cell="",
    *,
    arms=("momentum", "SGD"),
    metric=ACCURACY,
    budget="examples",
    tuning=TUNING,
    looked_at=1,
):
    """What came of a claim whose first arm is better by these differences."""
    second = np.linspace(0.8, 0.9, len(differences))
    first = second + np.array(differences) * (1 if metric[1] == "max" else -1)
    names, scores = arms, (first.tolist(), second.tolist())
    of = [ArmResult(n, [{}] * len(t), list(t), {}, s) for n, t, s in zip(names, tuning, scores, strict=True)]
    return Result(claim, "slide", setting, cell, "e", *metric, budget, *of, looked_at)


def scaled(factor, **options):
    return made(tuple(factor * d for d in HOLDS), **options)


def texts(artists):
    return [t.get_text() for t in artists]


def everything_written(figure):
    return "\n".join(texts(figure.findobj(Text)))


def dots_and_intervals(figure):
    lines = [(line, points(line)) for line in figure.axes[0].lines]
    dots = [(line, xy[:, 0]) for line, xy in lines if xy.shape == (2, 1)]
    return dots, [(line, xy) for line, xy in lines if xy.shape == (2, 2) and xy[1, 0] == xy[1, 1]]


def written_at(axes):
    return {tuple(t.get_position()): t.get_text() for t in axes.texts}


def grid(*fields, differences=None, **options):
    """A result for each combination of values, with a mean difference of its place / 100."""
    lists = [[f"{n}={v}" for v in values] for n, values in fields]
    cells = [" ".join(parts) for parts in itertools.product(*lists)]
    return [
        made(tuple(0.01 * i + d / 1000 for d in UNSURE), "init", "deep", cell, arms=("he", "one"), **options)
        for i, cell in enumerate(cells)
    ]


DEPTH = ("depth", (5, 10, 100))
RESIDUAL = ("residual", ("false", "true"))
INITIALIZER = ("initializer", ("uniform", "he", "delta", "gaussian"))
SMALL = np.mean(UNSURE) / 1000


def seen(*cells, claim="momentum", setting="any"):
    return [Looked(claim, setting, cell, a) for cell, a in cells]
