"""Runs the course's experiments, one or a sweep of them: python launch.py --exp=NAME [field=value ...]"""

import contextlib
import logging
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

import experiments
from mi203jax.core.config import BaseConfig
from mi203jax.core.errors import FiguresFailed, UsageError, did_you_mean
from mi203jax.core.experiment import Experiment
from mi203jax.core.extras import require_optuna, require_ray, require_tensorboard
from mi203jax.core.fields import describe
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.preview import print_fields, print_programs
from mi203jax.core.run_directory import check_new
from mi203jax.core.trials import Sweep, counted, group, label, varied_fields

USAGE = """\
python launch.py --list                     the experiments
python launch.py --exp=NAME                 run one with its defaults
python launch.py --exp=NAME --describe      its fields: value, limits, meaning; nothing runs
python launch.py --exp=NAME learning_rate=1e-4,1e-3 --seeds=4
                                            a sweep: every value with every seed
python launch.py --exp=NAME 'learning_rate=log(1e-4,1e-1,7)'
                                            a grid of 7 values at equal ratios; lin(a,b,n): at equal distances
python launch.py --exp=NAME 'learning_rate=loguniform(1e-4,1e-1)' 'optimizer=choice(sgd,adam)' --trials=32
                                            32 draws; --search=sobol spreads them, --search=optuna learns
python launch.py --exp=NAME --sweep=NAME    a sweep, or a configuration, that the experiment names
python launch.py --exp=NAME ... --dry-run   the trials, their programs and their memory; nothing runs
python launch.py --resume=DIR               go on where a run stopped: what is missing, or failed
python launch.py --report=DIR [DIR ...]     write a run's pages anew (report.html); of several, compare them
"""

MANY_TRIALS = 1_000  # more need --yes

# What may be given along with what says what to do.
LAYOUT = {"parallel", "devices", "engine", "ray_address", "ray_cpus", "ray_gpus"}
RUNNING = {"checkpoint_every", "cache", "quiet", "tensorboard", "fail_fast"} | LAYOUT
NEW = {"out", "max_memory"}
ASKED = {"exp", "sweep", "seed", "seeds", "trials", "search", "at_once", "yes"}
ALONG = {
    "help": {"exp", "list", "describe", "resume"},
    "list": set(),
    "describe": ASKED,
    "dry_run": ASKED | LAYOUT | {"max_memory"},
    "resume": RUNNING,
    "report": {"out"},
    "exp": ASKED | NEW | RUNNING,
}


def define_flags() -> flags.FlagValues:
    """The flags, not yet parsed."""
    own = flags.FlagValues()
    own.set_gnu_getopt(True)  # flags may follow field=value
    flags.DEFINE_bool("help", False, "show this text", flag_values=own)
    flags.DEFINE_bool("list", False, "list the experiments", flag_values=own)
    flags.DEFINE_string("exp", None, "the experiment to run", flag_values=own)
    flags.DEFINE_bool("describe", False, "show the experiment's fields; nothing runs", flag_values=own)
    flags.DEFINE_string("sweep", None, "a sweep that is named in the experiment", flag_values=own)
    flags.DEFINE_integer("seed", None, "seed of the run, or the first of --seeds", flag_values=own)
    flags.DEFINE_integer("seeds", 1, "seeds that each configuration runs with", flag_values=own)
    flags.DEFINE_integer("trials", None, "how often fields that are drawn are drawn", flag_values=own)
    searches = ["random", "sobol", "optuna"]
    flags.DEFINE_enum("search", "random", searches, "how fields are drawn", flag_values=own)
    flags.DEFINE_integer("at_once", 8, "draws that optuna is asked for at once", flag_values=own)
    flags.DEFINE_bool("dry_run", False, "show the trials of a sweep; nothing runs", flag_values=own)
    flags.DEFINE_bool("yes", False, f"run more than {MANY_TRIALS:,} trials", flag_values=own)
    flags.DEFINE_string("out", None, "folder of the run (runs/NAME/TIME); or report", flag_values=own)
    flags.DEFINE_string("report", None, "a run's folder, or several: write report.html", flag_values=own)
    flags.DEFINE_string("resume", None, "the folder of a run to go on with", flag_values=own)
    flags.DEFINE_float("checkpoint_every", 60.0, "seconds between checkpoints", flag_values=own)
    flags.DEFINE_bool("cache", True, "keep compiled programs for the next run", flag_values=own)
    flags.DEFINE_bool("quiet", False, "print the run's folder and nothing else", flag_values=own)
    flags.DEFINE_bool("tensorboard", False, "write TensorBoard events too", flag_values=own)
    flags.DEFINE_bool("fail_fast", False, "stop at the first trial that fails or diverges", flag_values=own)
    modes = ["auto", "vmap", "map", "devices"]
    flags.DEFINE_enum("parallel", "auto", modes, "how trials of a program share it", flag_values=own)
    flags.DEFINE_integer("devices", 1, "devices among which each batch is divided", flag_values=own)
    flags.DEFINE_float("max_memory", None, "gigabytes that a program may take", flag_values=own)
    flags.DEFINE_enum("engine", "local", ["local", "ray"], "where programs run", flag_values=own)
    flags.DEFINE_string("ray_address", None, "host:port of a Ray cluster (one of its own)", flag_values=own)
    flags.DEFINE_float("ray_cpus", 1.0, "cores that Ray gives a program", flag_values=own)
    flags.DEFINE_float("ray_gpus", 0.0, "GPUs that Ray gives a program", flag_values=own)
    flags.DEFINE_bool("debug", False, "show the traceback of an error", flag_values=own)
    return own


def main(argv: list[str]) -> int:
    """Does what the command line says and gives the exit status; errors are one line each."""
    debug = False
    try:
        with Interruption() as interruption:
            own, assignments = parse(argv)
            debug = own.debug
            return obey(own, assignments, interruption)
    except Interrupted as stopped:
        return complain(after(stopped, argv[0]), stopped.exit_code)
    except KeyboardInterrupt:
        return complain("stopped at once; what was saved before can go on with --resume=DIR", 130)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, UsageError):
            return complain(error, 2)
        what = error if isinstance(error, FiguresFailed) else f"{type(error).__name__}: {error}"
        return complain(f"{what} (--debug shows where)", 1)


def after(stopped: Interrupted, program: str) -> str:
    """What to say after a signal."""
    if stopped.folder is None:
        return f"{stopped}: nothing was written."
    command = shlex.join(["python", program, f"--resume={stopped.folder}"])
    return f"{stopped}: saved. Go on with: {command}"


def obey(own: flags.FlagValues, assignments: list[str], interruption: Interruption) -> int:
    """Does what the flags say and gives the exit status."""
    mode = mode_of(own, assignments)
    if mode == "help":
        print(USAGE + "\n" + "\n".join(f"--{n.replace('_', '-'):<18} {own[n].help}" for n in own))
    elif mode == "list":
        print("\n".join(f"{n:<24}{experiments.summary(n)}" for n in experiments.names()))
    elif mode == "describe":
        print_fields(sweep_of(own, assignments))
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


def parse(argv: list[str]) -> tuple[flags.FlagValues, list[str]]:
    """The flags, and the `field=value`s."""
    own = define_flags()
    try:
        assignments = own([_spelling(a, own) for a in argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_unknown_flag(error.flagname, argv, own)) from None
    except flags.Error as error:
        raise UsageError(f"{error}. See python launch.py --help.") from None
    if twice := next((n for n in own if own[n].present > 1), None):
        instead = "--report=DIR DIR" if twice == "report" else "it once"
        raise UsageError(f"--{twice.replace('_', '-')} is given twice: expected {instead}.")
    return own, assignments


def _unknown_flag(name: str, argv: list[str], own: flags.FlagValues) -> str:
    asked = next((a.partition("=")[2] for a in argv if a.startswith("--exp=")), "")
    if asked in experiments.names() and name in fields_of(asked):
        return f"Unknown flag --{name}: it is a field of {asked}. Write {name}=VALUE, without dashes."
    return f"Unknown flag --{name}. {did_you_mean(name, [n.replace('_', '-') for n in own])}"


def fields_of(name: str) -> list[str]:
    """The fields of an experiment."""
    return [row["field"] for row in describe(experiments.get(name).config)]


def _spelling(argument: str, own: flags.FlagValues) -> str:
    """--checkpoint-every and --no-cache as absl knows them: --checkpoint_every, --nocache."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    name = name.replace("-", "_")
    if name.startswith("no_") and name[3:] in own:
        name = "no" + name[3:]
    return f"--{name}{equals}{value}"


def mode_of(own: flags.FlagValues, assignments: list[str]) -> str:
    """What the flags ask for.

    Raises:
        UsageError: if they ask for nothing, or contradict each other.
    """
    given = {n for n in own if own[n].present and n != "debug"}
    mode = next((m for m in ALONG if m in given and own[m].value not in (False, None)), None)
    if mode is None:
        meant = next((a for a in assignments if a.removeprefix("exp=") in experiments.names()), None)
        hint = f" Did you mean --exp={meant.removeprefix('exp=')}?" if meant else ""
        raise UsageError(f"Nothing to do: expected --exp=NAME, --list or --help.{hint}")
    if mode in ("describe", "dry_run") and "exp" not in given:
        flag = mode.replace("_", "-")
        raise UsageError(f"--{flag} needs an experiment: expected --exp=NAME --{flag}.")
    for name in sorted(given - {mode} - ALONG[mode]):
        one, other = name.replace("_", "-"), mode.replace("_", "-")
        raise UsageError(f"--{one} contradicts --{other}: expected one of them.")
    if assignments and mode not in ("exp", "describe", "dry_run", "help", "report"):
        raise UsageError(f"{assignments[0]} contradicts --{mode}: expected nothing beside it.")
    for name in ("resume", "report", "out"):
        if own[name].value == "":
            raise UsageError(f"--{name}=: expected a folder.")
    if not 0 <= own.ray_gpus < float("inf"):
        raise UsageError(f"--ray-gpus={own.ray_gpus}: expected a number in [0, inf).")
    positive = {"checkpoint_every": "seconds", "max_memory": "gigabytes", "devices": "a number"}
    for name, what in {**positive, "ray_cpus": "cores"}.items():
        value = own[name].value
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')}={value}: expected {what} in (0, inf).")
    for name in sorted(n for n in given if n.startswith("ray_")):
        if own.engine != "ray":
            raise UsageError(f"--{name.replace('_', '-')} is of Ray: expected --engine=ray beside it.")
    if own.devices > 1 and own.parallel == "devices":
        raise UsageError("--devices divides batches, --parallel=devices trials: expected one of them.")
    return mode


def sweep_of(own: flags.FlagValues, assignments: list[str]) -> Sweep:
    """The sweep that --exp, the fields, the draws and the seeds ask for."""
    if own.seed is not None:
        if any(a.startswith("seed=") for a in assignments):
            raise UsageError(f"--seed={own.seed} contradicts the field seed: expected one of them.")
        assignments = [*assignments, f"seed={own.seed}"]
    refuse_flags(own, assignments)
    sweep = experiments.get(own.exp).sweep(own.sweep, assignments)
    sweep = sweep._replace(seeds=own.seeds, draws=own.trials, search=own.search, at_once=own.at_once)
    if sweep.search == "optuna":
        require_optuna()
    count = sweep.num_trials()
    if count > 1 and experiments.get(own.exp).series:
        raise UsageError(
            f"{own.exp} is made of sweeps of its own: expected one value of each field and no --seeds."
        )
    if count > MANY_TRIALS and not (own.yes or own.dry_run):
        raise UsageError(f"{count:,} trials: expected --yes beside more than {MANY_TRIALS:,}.")
    return sweep


def refuse_flags(own: flags.FlagValues, assignments: Sequence[str]) -> None:
    """What was typed as a field, and is a flag."""
    for assignment in assignments:
        name = assignment.partition("=")[0]
        if name.replace("-", "_") in own and name not in fields_of(own.exp):
            raise UsageError(f"{assignment}: {name} is a flag. Write --{assignment}.")


def run(own: flags.FlagValues, assignments: list[str], interruption: Interruption) -> int:
    """Runs, or goes on with, an experiment."""
    # Whatever can be wrong is looked for before jax is imported, which takes its time.
    if own.tensorboard:
        require_tensorboard()
    if own.engine == "ray":
        require_ray()
    if not own.resume:
        experiment, sweep = experiments.get(own.exp), sweep_of(own, assignments)
        together = at_once(experiment, sweep.trials())
        check_new(own.out)
        options = prepare(own, together)
        from mi203jax.core import series, session

        with engine_of(own) as engine:
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

        with engine_of(own) as engine:
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


def engine_of(own: flags.FlagValues) -> Any:
    """Where the programs run, as a context manager."""
    if own.engine == "local":
        from mi203jax.core.session import Here

        return contextlib.nullcontext(Here())
    from mi203jax.core.ray_engine import RayEngine

    return RayEngine(own.ray_address, own.ray_cpus, own.ray_gpus)


def verdict(rows: list[dict[str, Any]], fail_fast: bool) -> int:
    """The exit status of a run: 1 if a trial failed, or all of them are lost."""
    lost = [r for s in ("failed", "diverged") for r in rows if r["status"] == s]
    if not lost or (lost[0]["status"] != "failed" and len(lost) < len(rows) and not fail_fast):
        return 0
    return complain(f"trial {lost[0]['trial']} {lost[0]['status']}: {lost[0]['error']}", 1)


def dry_run(own: flags.FlagValues, assignments: list[str]) -> None:
    """The trials, the programs that run them, and the memory of each."""
    experiment, sweep = experiments.get(own.exp), sweep_of(own, assignments)
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
        return dry_run_all(foreseen(series, config, experiments.get))
    parts = series.next(config, experiments.get, {})
    for name, planned in plan_parts(parts, experiments.get, options).items():
        print(f"{name}: {counted(len(parts[name].trials), 'trial')} of {parts[name].experiment}")
        print_programs(parts[name].trials, planned, names=False)
    print("\nWhat comes after depends on what comes of these; nothing was run and nothing was written.")


def dry_run_all(parts: Mapping[str, Any]) -> None:
    """The trials of parts that do without each other."""
    for name, part in parts.items():
        if part is None:
            print(f"{name}: more trials, which depend on what came before")
            continue
        print(f"{name}: {counted(len(part.trials), 'trial')} of {part.experiment}")
        fields = varied_fields(part.trials)
        for c in part.trials if fields else ():
            print(f"    {label(c, fields)}")
    print("\nPrograms are planned when their part runs; nothing was run and nothing was written.")


def complain(error: Any, status: int) -> int:
    """One line on standard error."""
    print("launch.py: " + " ".join(str(error).split()), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv))
