"""Fields of the lecture, and the form in which each experiment is part of it."""

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


FORMS: Mapping[str, Form] = {
    "memory": Form("cells"),
    "sliding_window": Form("", ("total_steps=8_000", "eval_every=8_000")),
    "trends": Form(
        "",
        (
            "claims=(momentum,large_batch,batch_norm)",
            "settings=(spirals)",  # of small networks
            "draws=4",
            "judging_seeds=5",
        ),
        ("full",),
    ),
}
"""Of experiments that take longer than three minutes by default, or whose slide asks for more than one trial.

All others run as `--exp=NAME` alone does.
"""


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
