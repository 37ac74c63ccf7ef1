"""Fields of the lecture, and the forms in which each experiment is part of it."""

from collections.abc import Mapping
from typing import NamedTuple

from mi203jax.core.config import BaseConfig, config, static
from mi203jax.core.errors import UsageError, check_names


class Form(NamedTuple):
    """What is typed after `--exp=NAME`.

    Attributes:
        sweep: of the experiment; "": its default.
        assignments: `"field=value"`.
        covers: sweeps of which this is a short form.
    """

    sweep: str = ""
    assignments: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()

    def tells_of(self, sweep: str) -> bool:
        """Whether a slide that names this sweep is told of."""
        return sweep in ("", self.sweep, *self.covers)


def steps(total: int, every: int = 0) -> tuple[str, str]:
    """A run of so many steps, judged every so many; 0: at the end alone."""
    return f"total_steps={total}", f"eval_every={every or total}"


DIGITS = ("data=digits/blocks", "channels=(16,32)", "translation=1", *steps(10_059))
"""Seven passes over images of 8×8, by a small network."""

CHOICES = (
    *("pooling", "standardize", "augment", "invariance", "batch_size", "optimizer", "initializer"),
    *("normalization", "loss", "dropout", "clipping", "spectral_norm"),
)
"""Sweeps of `image_classification`, each of one choice that a slide is about."""

ALSO = {
    "batch_size": ("batch_size=1,16,128,1437",),  # one example, some, all
    "standardize": ("augment=()",),  # moved images light pixels that a deviation of next to nothing divides
}

TRENDS = (
    "claims=(momentum,large_batch,batch_norm)",
    *("settings=(spirals)", "draws=4", "judging_seeds=5"),  # of small networks
)

GAMES = ("claims=(dense_score)", "settings=(treasures)", "draws=8", "tuning_seeds=1", "judging_seeds=10")

FORMS: Mapping[str, tuple[Form, ...]] = {
    "autoencoder": (Form("", steps(150_000, 50_000)),),
    "characters": (Form("", steps(4_000, 1_000)),),
    "depth": (Form("", steps(12_000, 4_000)),),
    "detection": (Form("", ("eval_scenes=200", *steps(6_000, 3_000))),),
    "dqn": (Form("", steps(256_000, 25_600)),),
    "gan": (Form("", steps(38_400, 12_800)),),
    "image_classification": (
        Form("", steps(16_000, 4_000)),
        *[Form(s, (*DIGITS, *ALSO.get(s, ()))) for s in CHOICES],
    ),
    "memory": (Form("cells", ("length=50", *steps(19_200, 4_800))),),
    "mlp_vs_cnn": (Form("", steps(4_800)),),
    "pixels": (Form("", steps(12_000, 4_000)),),
    "pqn": (Form("", steps(491_520, 40_960)),),
    "relu_q": (Form("", steps(25_600, 6_400)),),
    "segmentation": (Form("", ("eval_scenes=200", *steps(4_800, 1_600))),),
    "sequences": (Form(), Form("cell", steps(8_000))),
    "sliding_window": (Form("", ("eval_scenes=50", *steps(2_400))),),
    "trends": (Form("", TRENDS, ("full",)), Form("reinforcement", GAMES)),
    "vectors": (Form(), Form("losses")),
}
"""Shorter than by default, so that all of it may take half an hour on two cores; and what slides compare.

All others run as `--exp=NAME` alone does.
"""


def forms_of(experiment: str) -> dict[str, Form]:
    """The forms of an experiment, by what they are called in the lecture: the first as the experiment."""
    first, *others = FORMS.get(experiment, (Form(),))
    return {experiment: first, **{f"{experiment}.{form.sweep}": form for form in others}}


@config
class Lecture(BaseConfig):
    """Every experiment in a short form, in the order of the slides.

    The seed is added to those that the experiments have by themselves.
    """

    parts: tuple[str, ...] = static((), "experiments to run, in this order")

    def check(self) -> None:
        """Each part once."""
        super().check()
        if not self.parts:
            raise UsageError("parts=(): expected one experiment or more.")
        check_names("parts", self.parts)
