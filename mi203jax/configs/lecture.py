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


DIGITS = (
    *("data=digits/blocks", "channels=(16,32)", "translation=1"),
    *("total_steps=14_370", "eval_every=14_370"),
)
"""Ten passes over images of 8×8, by a small network."""

CHOICES = (
    *("pooling", "standardize", "augment", "invariance", "batch_size", "optimizer", "initializer"),
    *("normalization", "loss", "dropout", "clipping", "spectral_norm"),
)
"""Sweeps of `image_classification`, each of one choice that a slide is about."""

ALSO = {"batch_size": ("batch_size=1,16,128,1437",)}  # one example, some, all

FORMS: Mapping[str, tuple[Form, ...]] = {
    "image_classification": (Form(), *[Form(s, (*DIGITS, *ALSO.get(s, ()))) for s in CHOICES]),
    "memory": (Form("cells"),),
    "sliding_window": (Form("", ("total_steps=8_000", "eval_every=8_000")),),
    "trends": (
        Form(
            "",
            (
                "claims=(momentum,large_batch,batch_norm)",
                "settings=(spirals)",  # of small networks
                "draws=4",
                "judging_seeds=5",
            ),
            ("full",),
        ),
    ),
    "sequences": (Form(), Form("cell", ("total_steps=5_000", "eval_every=5_000"))),
    "vectors": (Form(), Form("losses")),
}
"""Of experiments that take longer than three minutes by default, or whose slides ask for more than one trial.

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
