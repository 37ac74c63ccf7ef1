"""An experiment made of runs of other experiments, stage after stage: what comes next depends on what came.

Each run is a folder like any other (`mi203jax.core.run_directory`), under `parts/` of the series' own, whose
`parts.json` names them in their order, each with why it failed, if it did before it had a trial.
"""

import shlex
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from mi203jax.core.config import RunConfig
from mi203jax.core.display import Display
from mi203jax.core.documents import write_document
from mi203jax.core.engine import Engine, Here
from mi203jax.core.errors import Damaged, Fault, UsageError
from mi203jax.core.experiment import Experiment, Find
from mi203jax.core.figures import save_figure
from mi203jax.core.files import make_folder, remove, write_text
from mi203jax.core.html_report import write_report
from mi203jax.core.html_report.command import typed
from mi203jax.core.html_report.reading import PARTS, is_locked
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.piece import Options, Watch
from mi203jax.core.piece_folder import Status
from mi203jax.core.plan import Planned, plan
from mi203jax.core.provenance import provenance
from mi203jax.core.results import Row
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.session import Session, check_checkpoints, note_resumed
from mi203jax.core.trials import Sweep, counted, group


class Part(NamedTuple):
    """Trials of one experiment that run together; with figures they get a report too."""

    experiment: str  # its name
    trials: Sequence[RunConfig]
    figures: Literal["none", "of_trials", "all"] = "none"  # "of_trials": without the task's own
    command: str = ""  # what makes the same trials alone; "": no single command does


class Ended(NamedTuple):
    """A part that came to its end."""

    trials: Sequence[RunConfig]
    rows: Sequence[Row]  # of each trial, as `mi203jax.core.results.results` gives them
    work: Mapping[str, Any] = MappingProxyType({})  # what it took: trials, programs, seconds, when


class Conclusion(NamedTuple):
    """What a series comes to."""

    summary: str  # for the screen
    texts: Mapping[str, str] = {}  # file name -> what is written
    figures: Mapping[str, Any] = {}  # file name -> figure
    pages: Mapping[str, Callable[[Path], str]] = {}  # file name -> what is made of the folder at the end


class Series(NamedTuple):
    """What the parts are, and what they come to.

    Attributes:
        next: (configuration, registry, parts that ended by name) -> parts to run now, by name; none: it is
            over. It must depend on nothing else, since a run that is resumed asks again.
        conclude: (configuration, registry, all parts, the run's provenance) -> what it comes to.
        is_tolerant: whether parts do without each other: one that fails is told of in its rows, and the
            others go on.
    """

    next: Callable[[Any, Find, Mapping[str, Ended]], dict[str, Part]]
    conclude: Callable[[Any, Find, Mapping[str, Ended], Mapping[str, Any]], Conclusion]
    is_tolerant: bool = False


def begin_series(
    name: str,
    experiment: Experiment,
    sweep: Sweep,
    out: str | None,
    options: Options,
    interruption: Interruption,
    find: Find,
    engine: Engine | None = None,
) -> list[Row]:
    """Runs a series in a new folder and gives the rows of all parts: see `mi203jax.core.session.begin`.

    Args:
        name: the experiment's name.
        experiment: the experiment.
        sweep: the configuration that was asked for: one.
        out: the folder; None: one under `runs/`.
        options: how the runs are kept, shown and laid out.
        interruption: asked now and then whether to stop.
        find: gives the experiments of the parts.
        engine: where they run; None: here.

    Raises:
        UsageError: if a configuration or the folder cannot work; nothing was written.
        Interrupted: after Ctrl-C or SIGTERM, with everything saved.
    """
    engine, (config,) = engine or Here(), sweep.trials()
    series = experiment.load_series()
    display = Display(options.quiet, "")
    parts = series.next(config, find, {})
    # Where a mistake is of its part alone, it shows when its turn comes.
    planned = {} if series.is_tolerant else plan_parts(parts, find, options, engine.workers, display)
    interruption.check()
    layout = {"layout": {"parallel": options.parallel, "devices": options.devices}}
    directory = RunDirectory.create(out, name, sweep, provenance([config.seed]) | layout)
    interruption.folder = directory.path
    try:
        directory.add([config], [[0]])
        return _Course(series, directory, options, interruption, find, engine, planned).run()
    finally:
        directory.close()


def resume_series(
    directory: RunDirectory,
    experiment: Experiment,
    options: Options,
    interruption: Interruption,
    find: Find,
    engine: Engine | None = None,
) -> list[Row]:
    """Goes on with the series in a folder: see `mi203jax.core.session.resume`; closes the folder.

    One that was finished gets the parts that it lost.
    """
    interruption.folder = directory.path
    try:
        series = experiment.load_series()
        course = _Course(series, directory, options, interruption, find, engine or Here(), {})
        if directory.is_finished:
            course.display.say("it was finished; what is lost of it runs again")
            _reopen(directory)
        note_resumed(directory, course.display)
        return course.run()
    finally:
        directory.close()


def _reopen(directory: RunDirectory) -> None:
    """Marks a series that was finished as one that is not."""
    directory.save_provenance({n: v for n, v in directory.provenance().items() if n != "finished"})
    for piece in directory.pieces:
        piece.statuses = [Status() for _ in piece.statuses]
        piece.save_statuses()


def plan_parts(
    parts: Mapping[str, Part], find: Find, options: Options, workers: int = 1, display: Display | None = None
) -> dict[str, list[Planned]]:
    """The programs of each part, all traced: mistakes show before anything runs.

    Args:
        parts: by name.
        find: gives their experiments.
        options: how they are to run.
        workers: how many processes will share the pieces of each program.
        display: what tells that it takes a while.
    """
    planned = {}
    for name, part in parts.items():
        if display:
            display.say(f"{name}: tracing {_size(part.trials, len(group(part.trials)))}")
        planned[name] = plan(find(part.experiment).load_task(), part.trials, options, workers)
    return planned


def _size(trials: Sequence[RunConfig], programs: int) -> str:
    return f"{counted(len(trials), 'trial')} in {counted(programs, 'program')}"


class _TerseSession(Session):
    """A session that tells less, since its programs may be hundreds."""

    def watch(self) -> Watch:
        """Without a line for each evaluation and each trial that diverged."""
        return Watch(progress=super().watch().progress)


def foreseen(series: Series, config: Any, find: Find) -> dict[str, Part | None]:
    """The parts of a series whose parts do without each other, before any has run.

    None stands for those of a series among them that depend on what comes before, whose names come with it.
    """
    ended: dict[str, Ended] = {}
    found: dict[str, Part | None] = {}
    while parts := series.next(config, find, ended):
        ended |= {name: Ended(part.trials, []) for name, part in parts.items()}
        found |= {n: None if _is_series(part.experiment, find) else part for n, part in parts.items()}
    return found


def _is_series(experiment: str, find: Find) -> bool:
    try:
        return bool(find(experiment).series)
    except Exception:  # it shall fail in its turn
        return False


class _Course:
    """The parts of a series, one after the other."""

    def __init__(
        self,
        series: Series,
        directory: RunDirectory,
        options: Options,
        interruption: Interruption,
        find: Find,
        engine: Engine,
        planned: dict[str, list[Planned]],
    ):
        self._series, self._directory, self._options = series, directory, options
        self._interruption, self._find, self._engine = interruption, find, engine
        self._planned = planned  # of parts that were planned already
        self.display = Display(options.quiet, "")
        self._is_lost = False  # a trial failed, on which the next parts would have depended
        self._undrawn: list[Row] = []  # of parts whose figures failed, for the exit status alone
        self._errors: dict[str, str] = {}  # of the parts in their order; "": none
        self._later: list[str] = []  # parts that are to come, as far as one can know

    def run(self) -> list[Row]:
        """Runs what is missing and gives the rows of all parts.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with everything saved.
        """
        path, config = self._directory.path, self._directory.trials[0]
        self.display.say(f"run directory: {path}")
        self._directory.remove_others()
        ended: dict[str, Ended] = {}
        if self._series.is_tolerant:
            self._later = [name for name, part in foreseen(self._series, config, self._find).items() if part]
        while self._goes_on() and (parts := self._series.next(config, self._find, ended)):
            self._note(dict.fromkeys(parts, ""))
            for name, part in parts.items():
                if not (self._is_lost and self._options.fail_fast):
                    ended[name] = self._try(name, part)
        if self._goes_on():
            self.display.say("drawing the figures")
            provenance = self._directory.provenance()
            self._conclude(self._series.conclude(config, self._find, ended, provenance))
        if self._is_lost:
            what = "some of it failed" if self._goes_on() else "what comes next needs all of it"
            self.display.say(f"{what}; --resume={path} goes on")
        return [*(row for part in ended.values() for row in part.rows), *self._undrawn]

    def _goes_on(self) -> bool:
        """Whether what is lost leaves anything to do."""
        return not self._is_lost or (self._series.is_tolerant and not self._options.fail_fast)

    def _try(self, name: str, part: Part) -> Ended:
        """Runs a part; if the others do without it, a mistake is its own."""
        remove(self._directory.path / "parts" / name / "errors.txt")  # of the last try
        try:
            return self._run(name, part)
        except (Interrupted, Fault):
            raise
        except Exception as error:
            lost = {"status": "failed", "error": self._bear(name, error)}
            self.display.say(f"{name} failed: {lost['error']}")
            return Ended(part.trials, [{"trial": i} | lost for i in range(len(part.trials))])

    def _bear(self, name: str, error: Exception) -> str:
        """Keeps what broke a part, in words and as a traceback, in its `errors.txt`; gives the words.

        Raises:
            Exception: the error itself, if the others depend on the part.
        """
        text = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        self._note({name: text})
        if not self._series.is_tolerant or self._options.debug:
            raise error
        self._is_lost = True
        where = self._directory.path / "parts" / name
        make_folder(where, self._directory.path)
        write_text(where / "errors.txt", "\n\n".join([text, "".join(traceback.format_exception(error))]))
        return text

    def _note(self, errors: Mapping[str, str]) -> None:
        """Writes down which parts there are, and why they failed; those that are to come stand last."""
        self._errors |= errors
        later = {name: "" for name in self._later if name not in self._errors}
        parts = {"parts": self._errors | later}
        write_document(self._directory.path / PARTS, self._directory.run_id, parts)

    def _run(self, name: str, part: Part) -> Ended:
        """Runs a part, or what is missing of it."""
        self._interruption.check()
        experiment = self._find(part.experiment)
        directory, is_new = self._open(name, part)
        try:
            session = _TerseSession(experiment, directory, self._options, self._interruption, self._engine)
            if is_new:
                session.add(part.trials, self._planned.pop(name, []) or self._plan(name, part))
            elif not all(piece.is_final for piece in directory.pieces):
                check_checkpoints(session)
            self.display.say(f"{name}: {_size(part.trials, len(directory.pieces))}")
            rows = session.train(f"{self._directory.experiment} {name}")
            if not directory.is_finished:
                if part.figures == "none":
                    directory.finish([directory.path / "results.csv"])
                else:
                    self._draw(name, session, rows, part.figures == "all")
            self._is_lost |= not directory.is_finished or session.is_stopped
            return Ended(part.trials, rows, _work(directory, rows))
        finally:
            directory.close()

    def _draw(self, name: str, session: Session, rows: Sequence[Row], has_own: bool) -> None:
        """Draws a part's figures; if the others do without it, a mistake leaves its numbers as they are."""
        try:
            session.draw(rows, has_own)
        except (Interrupted, Fault):
            raise
        except Exception as error:
            text = self._bear(name, error)
            self.display.say(f"{name}: its figures failed: {text}")
            self._undrawn.append({"trial": f"of {name}: its figures", "status": "failed", "error": text})

    def _open(self, name: str, part: Part) -> tuple[RunDirectory, bool]:
        """The folder of a part, and whether it is new.

        Raises:
            UsageError: if it is damaged, in use, or of other trials.
        """
        path, experiment = self._directory.path, self._find(part.experiment)
        where, is_new = path / "parts" / name, not (path / "parts" / name / "config.json").is_file()
        noted = provenance([]) | experiment.load_task().compared_by | self._again(part) if is_new else {}
        try:
            if is_new:
                return RunDirectory.create(str(where), part.experiment, Sweep(experiment.config), noted), True
            directory = RunDirectory.read(str(where), lambda _: experiment.config)
        except UsageError as error:
            if not where.exists() or is_locked(where):
                raise
            # What a user may want to keep is not overwritten.
            what = error.what if isinstance(error, Damaged) else str(error)
            raise Damaged(what, f"Delete {where}, and --resume={path} runs it again.") from None
        if list(directory.trials) != list(part.trials):
            directory.close()
            raise UsageError(f"{where} holds other trials than this version asks for: begin anew.")
        return directory, False

    def _again(self, part: Part) -> dict[str, Any]:
        """What makes a part again: alone, and with the others."""
        name, sweep = self._directory.experiment, self._directory.sweep
        layout = {"parallel": self._options.parallel, "devices": self._options.devices}
        series = shlex.join(typed(name, self._find(name), sweep))
        return {"alone": part.command, "series": series, "layout": layout}

    def _plan(self, name: str, part: Part) -> list[Planned]:
        parts = {name: part}
        return plan_parts(parts, self._find, self._options, self._engine.workers, self.display)[name]

    def _conclude(self, conclusion: Conclusion) -> None:
        path = self._directory.path
        for name, text in conclusion.texts.items():
            write_text(path / name, text)
        files = [path / name for name in conclusion.texts]
        drawn = [save_figure(path / "figures" / n, f) for n, f in conclusion.figures.items()]
        files += drawn
        if not self._is_lost:
            piece = self._directory.pieces[0]
            piece.statuses = [Status("done")]
            piece.save_statuses()
        self._directory.finish(files)
        self.display.say("writing the pages")
        for name, page in conclusion.pages.items():
            write_text(path / name, page(path))
            files.append(path / name)
        files.append(write_report([path], self._find))
        for line in (conclusion.summary, *files):
            self.display.say(f"{line}")
        if self._options.quiet:
            print(path)
        self.display.say(f"run directory: {path}")


def _work(directory: RunDirectory, rows: Sequence[Row]) -> dict[str, Any]:
    """What a part took; the seconds are those of its programs, one after the other."""
    ends = [[rows[i]["seconds"] or 0.0 for i in piece.members] for piece in directory.pieces]
    seconds = float(sum(max(own) for own in ends))  # the trials of a program end together
    return work_of(len(rows), len(directory.pieces), seconds, directory.provenance())


def work_of(trials: int, programs: int, seconds: float, origin: Mapping[str, Any]) -> dict[str, Any]:
    """What a part took, by the provenance of its folder, as `Ended` has it."""
    when = {"begun": origin.get("time"), "finished": origin.get("finished")}
    return {"trials": trials, "programs": programs, "seconds": seconds} | when
