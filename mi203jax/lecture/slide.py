"""What a slide is: formulas and claims, the functions that implement them, and where they are seen."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mi203jax.lecture.judges import Judge


class Ran(NamedTuple):
    """What one types after `python launch.py --exp=`."""

    experiment: str
    sweep: str = ""  # "": none


class Shown(NamedTuple):
    """A figure.

    Attributes:
        file: its name in the `figures/` of a run.
        docs: what stands for it in `docs/`; "": the same name in `docs/figures/`.
        of_sweep: whether only a sweep has it.
    """

    file: str
    docs: str = ""
    of_sweep: bool = False

    @property
    def target(self) -> str:
        """Where `docs/course.md` leads to."""
        return self.docs or f"figures/{self.file}"


class Row(NamedTuple):
    """A formula or a claim.

    Attributes:
        text: what the slide says.
        functions: dotted names of what implements it.
        runs: where it is seen; figures and numbers are of the first.
        figures: where to look.
        remark: words after the functions.
        standard: dotted names of the standard form, where the slide's own is another.
        metrics: the numbers that tell of it.
        judge: says whether the claim holds; None: it states no order of numbers, unless it `is_seen`.
        is_seen: whether it claims something that only the figures show.
    """

    text: str
    functions: tuple[str, ...]
    runs: tuple[Ran, ...]
    figures: tuple[Shown, ...]
    remark: str = ""
    standard: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    judge: Judge | None = None
    is_seen: bool = False


class Slide(NamedTuple):
    """A slide, by its title, or several of one topic."""

    title: str
    rows: tuple[Row, ...]
    language: str = "fr"  # of the title


def experiments_of(slides: Iterable[Slide]) -> list[str]:
    """The experiments, each once, in the order of the slides."""
    return list(dict.fromkeys(ran.experiment for s in slides for row in s.rows for ran in row.runs))


def draws_own(experiment: str, slides: Iterable[Slide]) -> bool:
    """Whether one of its own figures is on a slide, or it is on none: a sweep's figures are drawn anyway."""
    own = [row for s in slides for row in s.rows if experiment in [ran.experiment for ran in row.runs]]
    return not own or any(not shown.of_sweep for row in own for shown in row.figures)


def in_order(names: Iterable[str], slides: Sequence[Slide]) -> list[str]:
    """The names in the order of the slides; those that no slide has at the end, as they come."""
    names, order = list(names), experiments_of(slides)
    return [n for n in order if n in names] + [n for n in names if n not in order]


def named(module: str, *names: str) -> tuple[str, ...]:
    """`"mi203jax.nn.conv", "conv2d"` -> `("mi203jax.nn.conv.conv2d",)`."""
    return tuple(f"{module}.{name}" for name in names)
