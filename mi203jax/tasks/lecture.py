"""The lecture: every experiment in the order of the slides, and the page that they come to."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mi203jax.configs import Lecture
from mi203jax.configs.lecture import Form, forms_of
from mi203jax.core.config import RunConfig
from mi203jax.core.experiment import Experiment, Find
from mi203jax.core.series import Conclusion, Ended, Part, Series
from mi203jax.core.trials import Sweep
from mi203jax.lecture.outcome import NOT_DRAWN, NOT_RUN, STOPPED, Outcome, own_name
from mi203jax.lecture.page import NAME, page, told
from mi203jax.lecture.slide import draws_own
from mi203jax.lecture.slides import SLIDES


class Own(NamedTuple):
    """A run of the lecture.

    Attributes:
        name: what it is called in the lecture.
        experiment: which experiment it is.
        form: in which it runs.
        seed: the lecture's.
    """

    name: str
    experiment: str
    form: Form
    seed: int = 0


def runs_of(c: Lecture) -> list[Own]:
    """The runs, in the order of the experiments and of their forms."""
    return [Own(name, e, form, c.seed) for e in c.parts for name, form in forms_of(e).items()]


def sweep_of(experiment: Experiment, form: Form, seed: int = 0) -> Sweep:
    """The trials of a form.

    Args:
        experiment: the experiment.
        form: what is typed after it.
        seed: added to those that it has by itself.
    """
    sweep = experiment.sweep(form.sweep or None, form.assignments)
    if not seed:
        return sweep
    seeds = [str(own + seed) for own in dict.fromkeys(c.seed for c in sweep.trials())]
    return experiment.sweep(form.sweep or None, [*form.assignments, f"seed={','.join(seeds)}"])


def command_of(experiment: str, form: Form, seed: int = 0, sweep: Sweep | None = None) -> str:
    """What runs an experiment alone, as it is part of the lecture.

    Args:
        experiment: its name.
        form: what is typed after it.
        seed: the lecture's.
        sweep: what `sweep_of` gave; None: it gave nothing.
    """
    words = ["python", "launch.py", f"--exp={experiment}", *[f"--sweep={form.sweep}"] * bool(form.sweep)]
    seeds = [a for a in sweep.assignments if a.startswith("seed=")] if sweep and seed else []
    return shlex.join([*words, *form.assignments, *seeds])


def next_of(c: Lecture, find: Find, ended: Mapping[str, Ended]) -> dict[str, Part]:
    """The parts of the first run that is not over."""
    for own in runs_of(c):
        if parts := waiting(own, find, ended):
            return parts
    return {}


def waiting(own: Own, find: Find, ended: Mapping[str, Ended]) -> dict[str, Part]:
    """The parts of a run that are to run now; none: it is over."""
    name, experiment, form, seed = own
    if name in ended:
        return {}
    try:
        found = find(experiment)
        sweep = sweep_of(found, form, seed)
        trials = sweep.trials()
        if not found.series:
            has_own = name == experiment and draws_own(experiment, SLIDES)
            command = command_of(experiment, form, seed, sweep)
            return {name: Part(experiment, trials, "all" if has_own else "of_trials", command)}
        inner = found.load_series().next(trials[0], find, own_of(name, ended))
    except Exception:
        # It shall fail in its turn, as a trial of its own that the rows tell of. `outcome` says why.
        return {name: Part(experiment, [RunConfig()])}
    return {own_name(name, n): part for n, part in inner.items()}


def own_of(name: str, ended: Mapping[str, Ended]) -> dict[str, Ended]:
    """The parts of a series, as it calls them itself."""
    prefix = own_name(name, "")
    return {n.removeprefix(prefix): part for n, part in ended.items() if n.startswith(prefix)}


def conclude(c: Lecture, find: Find, ended: Mapping[str, Ended], provenance: Mapping[str, Any]) -> Conclusion:
    """The page, and what series among the parts come to."""
    outcomes: list[Outcome] = []
    texts: dict[str, str] = {}
    figures: dict[str, Any] = {}
    for own in runs_of(c):
        came, inner = outcome(own, find, ended, provenance)
        name = own.name
        outcomes.append(came)
        texts |= {own_name(name, n): _renamed(name, text) for n, text in inner.texts.items()}
        figures |= {own_name(name, n): figure for n, figure in inner.figures.items()}
    pages = {NAME: lambda folder: page(folder, SLIDES, outcomes, provenance)}
    return Conclusion(told(SLIDES, outcomes), texts, figures, pages)


def _renamed(name: str, text: str) -> str:
    """A text of a series, whose figures have other names here."""
    return text.replace("](figures/", f"](figures/{own_name(name, '')}")


def outcome(
    own: Own, find: Find, ended: Mapping[str, Ended], provenance: Mapping[str, Any]
) -> tuple[Outcome, Conclusion]:
    """What came of a run, and the conclusion of one that is a series."""
    name, experiment, form, seed = own
    parts = {n: part for n, part in ended.items() if n == name or n.startswith(own_name(name, ""))}
    rows = [row for part in parts.values() for row in part.rows]
    came = Outcome(
        name=name,
        experiment=experiment,
        form=form,
        command=command_of(experiment, form),
        rows=rows,
        parts=tuple(parts),
        error=reason(rows) or (NOT_DRAWN if any(map(is_undrawn, parts.values())) else ""),
        seconds=sum(part.work.get("seconds", 0.0) for part in parts.values()),
    )
    inner = Conclusion("")
    try:
        found = find(experiment)
        sweep = sweep_of(found, form, seed)
        command = command_of(experiment, form, seed, sweep)
        came = came._replace(command=command, is_series=bool(found.series))
        if found.series and waiting(own, find, ended):
            came = came._replace(error=came.error or STOPPED)
        elif found.series:
            (config,) = sweep.trials()
            inner = found.load_series().conclude(config, find, own_of(name, ended), provenance)
    except Exception as error:  # whatever it is, the others are shown
        came = came._replace(error=f"{type(error).__name__}: {error}")
    return came._replace(texts=inner.texts), inner


def is_undrawn(part: Ended) -> bool:
    """Whether a part that was begun was not finished, though its trials may have been."""
    return bool(part.work.get("begun")) and not part.work.get("finished")


def reason(rows: Sequence[Mapping[str, Any]]) -> str:
    """Why an experiment failed, or why there is nothing yet; "" if it ended well."""
    failed = [row for row in rows if row["status"] == "failed"]
    if not failed:
        is_going_on = any(row["status"] in ("waiting", "running") for row in rows)
        return STOPPED if is_going_on else "" if rows else NOT_RUN
    return (f"{len(failed)} of {len(rows)} trials: " if len(rows) > 1 else "") + str(failed[0]["error"])


series = Series(next_of, conclude, is_tolerant=True)
