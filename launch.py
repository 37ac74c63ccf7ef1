"""Runs the course's experiments, one or a sweep of them: python launch.py --exp=NAME [field=value ...]"""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until someone listens: no traceback out of an import

import contextlib
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

import experiments
from mi203jax.core.command_line import MANY_TRIALS, USAGE, mode_of, parse, sweep_of, told
from mi203jax.core.config import BaseConfig
from mi203jax.core.errors import Damaged, Fault, FiguresFailed, UsageError
from mi203jax.core.experiment import Experiment
from mi203jax.core.extras import expect_ray, require_tensorboard
from mi203jax.core.interruption import Interrupted, Interruption, end_process
from mi203jax.core.outputs import read_provenance
from mi203jax.core.preview import print_fields, print_first_parts, print_parts, print_programs
from mi203jax.core.run_directory import check_new
from mi203jax.core.trials import counted, group


def main(argv: list[str], is_alone: bool = False) -> int:
    """Does what the command line says and gives the exit status; errors are one line each.

    Args:
        argv: the program and its arguments.
        is_alone: whether the process is there for this alone: a signal may end it.
    """

    def leave(stopped: Interrupted) -> int:
        def say() -> int:
            return complain(after(stopped, argv[0]), stopped.exit_code)

        return end_process(say, stopped.exit_code) if is_alone else say()

    debug, interruption = False, Interruption(leave if is_alone else None)
    try:
        with interruption:
            own, assignments = parse(argv, experiments)
            debug = own.debug
            return obey(own, assignments, interruption)
    except Interrupted as stopped:
        return leave(stopped)
    except KeyboardInterrupt:
        return leave(Interrupted(signal.SIGINT, interruption.folder, at_once=True))
    except Exception as error:
        if debug:
            raise
        return failed(error, interruption.folder, argv[0])


def failed(error: Exception, folder: Path | None, program: str) -> int:
    """Says what went wrong, in one line, and gives the exit status."""
    if isinstance(error, Damaged) and folder and not (folder / "config.json").exists():
        return complain(f"{error.what} {DELETED.capitalize()}", 1)
    if isinstance(error, UsageError):
        return complain(error, 2)
    if isinstance(error, Fault):
        return complain(f"{error}{after_fault(folder, program)}", 1)
    if isinstance(error, BrokenPipeError):  # whoever read the output, such as head, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    what = error if isinstance(error, FiguresFailed) else f"{type(error).__name__}: {error}"
    return complain(f"{what} (--debug shows where)", 1)


def after(stopped: Interrupted, program: str) -> str:
    """What to say after a signal."""
    if stopped.folder is None:
        return f"{stopped}: nothing was written."
    if not stopped.folder.exists():
        return f"{stopped}: {DELETED}"
    what, command = what_is_there(stopped.folder, program)
    return f"{stopped}: {f'stopped at once. {what}' if stopped.at_once else 'saved'}. Go on with: {command}"


DELETED = "the folder of the run was deleted, and nothing of it is left."


def command_on(flag: str, folder: Path, program: str) -> str:
    """What to type to do something with a run."""
    return shlex.join(["python", program, f"--{flag}={folder}"])


def after_fault(folder: Path | None, program: str) -> str:
    """What to say after the machine failed."""
    if folder is None:
        return "."
    if not folder.exists():
        return f". {DELETED.capitalize()}"
    what, command = what_is_there(folder, program)
    return f". {what}; once that is mended, go on with: {command}"


def what_is_there(folder: Path, program: str) -> tuple[str, str]:
    """What of a run is kept, however it ended, and the command that goes on."""
    is_whole = False
    with contextlib.suppress(UsageError):  # it may be gone, too
        is_whole = "finished" in read_provenance(folder)
    command = command_on("report" if is_whole else "resume", folder, program)
    return "The results are whole" if is_whole else "What was saved before stays", command


def obey(own: flags.FlagValues, assignments: list[str], interruption: Interruption) -> int:
    """Does what the flags say and gives the exit status."""
    mode = mode_of(own, assignments, experiments)
    if mode == "help":
        print(USAGE + "\n" + "\n".join(f"--{n.replace('_', '-'):<18} {own[n].help}" for n in own))
    elif mode == "list":
        print("\n".join(f"{n:<24}{experiments.summary(n)}" for n in experiments.names()))
    elif mode == "describe":
        print_fields(sweep_of(own, assignments, experiments))
        for name, named in experiments.get(own.exp).sweeps.items():
            print(f"--sweep={name:<12} {shlex.join(named)}")
    elif mode == "dry_run":
        dry_run(own, assignments)
    elif mode == "report":
        from mi203jax.core.html_report import write_report  # numpy and Pillow take their time
        from mi203jax.core.series_pages import write_pages

        folders = [Path(folder) for folder in (own.report, *assignments)]
        is_elsewhere = own.out or len(folders) > 1
        with progress_shown():
            report = write_report(folders, experiments.get, own.out and Path(own.out), looks=True)
            interruption.folder = None if is_elsewhere else folders[0]
            pages = [] if is_elsewhere else write_pages(folders[0], experiments.get)
        print(*pages, report, sep="\n")
    else:
        return run(own, assignments, interruption)
    return 0


@contextlib.contextmanager
def progress_shown() -> Iterator[None]:
    """Shows on a terminal how far a report is."""
    handler, log = logging.StreamHandler(), logging.getLogger("mi203jax.core.html_report")
    handler.terminator = "\033[K\r"  # each line in the place of the last
    if sys.stderr.isatty():
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        if handler in log.handlers:
            log.info("")
            log.removeHandler(handler)


def run(own: flags.FlagValues, assignments: list[str], interruption: Interruption) -> int:
    """Runs, or goes on with, an experiment."""
    # Whatever can be wrong is looked for before jax is imported, which takes its time.
    if own.tensorboard:
        require_tensorboard()
    if own.engine == "ray":
        expect_ray()
    if not own.resume:
        experiment, sweep = experiments.get(own.exp), sweep_of(own, assignments, experiments)
        together = at_once(experiment, sweep.trials())
        check_new(own.out)
        options = prepare(own, together)
        from mi203jax.core import series, session

        with engine_of(own, interruption) as engine:
            asked = (own.exp, experiment, sweep, own.out, options, interruption)
            if experiment.series:
                rows = series.begin_series(*asked, experiments.get, engine)
            else:
                rows = session.begin(*asked, engine)
        return verdict(rows, own.fail_fast)
    from mi203jax.core.series_pages import open_run

    with contextlib.closing(open_run(own.resume, experiments.get)) as directory:
        experiment = experiments.get(directory.experiment)
        together = at_once(experiment, directory.trials)
        options = prepare(own, together, directory.provenance().get("layout"))
        from mi203jax.core import series, session

        with engine_of(own, interruption) as engine:
            begun = (directory, experiment, options, interruption)
            if experiment.series:
                rows = series.resume_series(*begun, experiments.get, engine)
            else:
                rows = session.resume(*begun, engine)
        return verdict(rows, own.fail_fast)


def at_once(experiment: Experiment, trials: Sequence[BaseConfig]) -> int:
    """The most trials that a program may have."""
    return MANY_TRIALS if experiment.series else max(map(len, group(trials)))


def prepare(own: flags.FlagValues, together: int, before: Any = None) -> Any:
    """The options of a session, with jax set up for it.

    Args:
        own: the flags.
        together: the most trials that a program may have.
        before: the layout that the run had before, for flags that are not given.
    """
    from mi203jax.core.compilation_cache import use_compilation_cache
    from mi203jax.core.machine import cores
    from mi203jax.core.parallel import use_cpu_devices
    from mi203jax.core.piece import Options

    if own.cache:
        use_compilation_cache()
    layout = {"parallel": own.parallel, "devices": own.devices}
    if isinstance(before, dict):
        layout |= {n: v for n, v in before.items() if n in layout and not own[n].present}
    spreads = layout["parallel"] in ("auto", "devices") and own.engine == "local"
    use_cpu_devices(min(cores(), max(layout["devices"], together if spreads else 1)))
    limit = None if own.max_memory is None else int(own.max_memory * 1e9)
    return Options(
        checkpoint_every=own.checkpoint_every,
        quiet=own.quiet,
        tensorboard=own.tensorboard,
        debug=own.debug,
        fail_fast=own.fail_fast,
        max_memory=limit,
        **layout,
    )


@contextlib.contextmanager
def engine_of(own: flags.FlagValues, interruption: Interruption) -> Iterator[Any]:
    """Where the programs run."""
    if own.engine == "local":
        from mi203jax.core.engine import Here

        yield Here()
        return
    from mi203jax.core.ray_engine import RayEngine

    with RayEngine(own.ray_address, own.ray_cpus, own.ray_gpus) as engine:
        interruption.listen()  # Ray, when it starts, takes SIGTERM for itself
        yield engine


def verdict(rows: list[dict[str, Any]], fail_fast: bool) -> int:
    """The exit status of a run: 1 if a trial failed, or all of them are lost."""
    lost = [r for s in ("failed", "diverged") for r in rows if r["status"] == s]
    if not lost or (lost[0]["status"] != "failed" and len(lost) < len(rows) and not fail_fast):
        return 0
    return complain(f"trial {lost[0]['trial']} {lost[0]['status']}: {lost[0]['error']}", 1)


def dry_run(own: flags.FlagValues, assignments: list[str]) -> None:
    """The trials, the programs that run them, and the memory of each."""
    experiment, sweep = experiments.get(own.exp), sweep_of(own, assignments, experiments)
    trials = sweep.trials()
    options = prepare(own, at_once(experiment, trials))
    if experiment.series:
        return dry_run_series(experiment, trials[0], options)
    from mi203jax.core.plan import plan

    print_programs(trials, plan(experiment.load_task(), trials, options))
    print(f"\n{counted(sweep.num_trials(), 'trial')} in all; nothing was run and nothing was written.")
    if sweep.num_trials() > len(trials):
        print(f"These are the first: optuna proposes the others {sweep.at_once} at a time.")


def dry_run_series(experiment: Experiment, config: BaseConfig, options: Any) -> None:
    """The programs of a series' first parts; of one whose parts do without each other, the trials of all."""
    from mi203jax.core.series import foreseen, plan_parts

    series = experiment.load_series()
    if series.is_tolerant:
        return print_parts(foreseen(series, config, experiments.get))
    parts = series.next(config, experiments.get, {})
    print_first_parts(parts, plan_parts(parts, experiments.get, options))


def complain(error: Any, status: int) -> int:
    """One line on standard error."""
    print(f"launch.py: {told(error)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    if sys.stdout is None:  # closed by who started it
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv, is_alone=True))
