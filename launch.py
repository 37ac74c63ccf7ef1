"""Runs the course's experiments, one or a sweep of them: python launch.py --exp=NAME [field=value ...]"""

import shlex
import sys
from typing import Any

from absl import flags

import experiments
from mi203jax.core.config import RunConfig, describe, format_value
from mi203jax.core.errors import UsageError, did_you_mean
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.run_directory import RunDirectory, check_new
from mi203jax.core.tensorboard import require_tensorboard
from mi203jax.core.trials import group, varied_fields

USAGE = """\
python launch.py --list                     the experiments
python launch.py --exp=NAME                 run one with its defaults
python launch.py --exp=NAME --describe      its fields: value, limits, meaning; nothing runs
python launch.py --exp=NAME learning_rate=1e-4,1e-3 --seeds=4
                                            a sweep: every value with every seed
python launch.py --exp=NAME --sweep=NAME    a sweep, or a configuration, that the experiment names
python launch.py --resume=DIR               go on where a run stopped
"""

# What may be given along with what says what to do.
RUNNING = {"checkpoint_every", "cache", "quiet", "tensorboard"}
ALONG = {
    "help": {"exp", "list", "describe", "resume"},
    "list": set(),
    "describe": {"exp", "sweep", "seed", "seeds"},
    "resume": RUNNING,
    "exp": {"sweep", "seed", "seeds", "out"} | RUNNING,
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
    flags.DEFINE_string("out", None, "the run's folder, new or empty (runs/NAME/TIME)", flag_values=own)
    flags.DEFINE_string("resume", None, "the folder of a run to go on with", flag_values=own)
    flags.DEFINE_float("checkpoint_every", 60.0, "seconds between checkpoints", flag_values=own)
    flags.DEFINE_bool("cache", True, "keep compiled programs for the next run", flag_values=own)
    flags.DEFINE_bool("quiet", False, "print the run's folder and nothing else", flag_values=own)
    flags.DEFINE_bool("tensorboard", False, "write TensorBoard events too", flag_values=own)
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
        return complain(f"{type(error).__name__}: {error} (--debug shows where)", 1)


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
        print_fields(trials_of(own, assignments))
        for name, named in experiments.get(own.exp).sweeps.items():
            print(f"--sweep={name:<12} {shlex.join(named)}")
    else:
        return run(own, assignments, interruption)
    return 0


def parse(argv: list[str]) -> tuple[flags.FlagValues, list[str]]:
    """The flags, and the `field=value`s."""
    own = define_flags()
    try:
        return own, own([_spelling(a, own) for a in argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_unknown_flag(error.flagname, argv, own)) from None
    except flags.Error as error:
        raise UsageError(f"{error}. See python launch.py --help.") from None


def _unknown_flag(name: str, argv: list[str], own: flags.FlagValues) -> str:
    asked = next((a.partition("=")[2] for a in argv if a.startswith("--exp=")), "")
    if asked in experiments.names():
        fields = [row["field"] for row in describe(experiments.get(asked).config)]
        if name in fields:
            return f"Unknown flag --{name}: it is a field of {asked}. Write {name}=VALUE, without dashes."
    return f"Unknown flag --{name}. {did_you_mean(name, [n.replace('_', '-') for n in own])}"


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
    if mode == "describe" and "exp" not in given:
        raise UsageError("--describe needs an experiment: expected --exp=NAME --describe.")
    for name in sorted(given - {mode} - ALONG[mode]):
        raise UsageError(f"--{name.replace('_', '-')} contradicts --{mode}: expected one of them.")
    if assignments and mode not in ("exp", "describe", "help"):
        raise UsageError(f"{assignments[0]} contradicts --{mode}: expected nothing beside it.")
    for name in ("resume", "out"):
        if own[name].value == "":
            raise UsageError(f"--{name}=: expected a folder.")
    if not 0 < own.checkpoint_every < float("inf"):
        raise UsageError(f"--checkpoint-every={own.checkpoint_every}: expected seconds in (0, inf).")
    return mode


def trials_of(own: flags.FlagValues, assignments: list[str]) -> list[RunConfig]:
    """The trials that --exp, the fields and the seeds ask for."""
    if own.seed is not None:
        if any(a.startswith("seed=") for a in assignments):
            raise UsageError(f"--seed={own.seed} contradicts the field seed: expected one of them.")
        assignments = [*assignments, f"seed={own.seed}"]
    return experiments.get(own.exp).trials(own.sweep, assignments, own.seeds)


def run(own: flags.FlagValues, assignments: list[str], interruption: Interruption) -> int:
    """Runs, or goes on with, an experiment."""
    # Whatever can be wrong is looked for before jax is imported, which takes its time.
    if own.tensorboard:
        require_tensorboard()
    if own.resume:
        directory = RunDirectory.open(own.resume, lambda name: type(experiments.get(name).config))
    else:
        trials = trials_of(own, assignments)
        check_new(own.out)
    from mi203jax.core import session
    from mi203jax.core.compilation_cache import use_compilation_cache

    if own.cache:
        use_compilation_cache()
    options = session.Options(own.checkpoint_every, own.quiet, own.tensorboard, own.debug)
    if own.resume:
        experiment = experiments.get(directory.experiment)
        rows = session.resume(directory, experiment, options, interruption)
    else:
        rows = session.begin(own.exp, experiments.get(own.exp), trials, own.out, options, interruption)
    lost = sorted((r for r in rows if r["status"] != "done"), key=lambda r: r["status"] != "failed")
    if not lost or (lost[0]["status"] != "failed" and len(lost) < len(rows)):
        return 0
    return complain(f"trial {lost[0]['trial']} {lost[0]['status']}: {lost[0]['error']}", 1)


def print_fields(trials: list[RunConfig]) -> None:
    """A line a field, and what a run would be."""
    rows = [{column: column for column in describe(trials[0])[0]}, *describe(trials[0])]
    varied = varied_fields(trials)
    for row in rows[1:]:
        if row["field"] in varied:
            values = dict.fromkeys(format_value(getattr(c, row["field"])) for c in trials)
            row["value"] = ",".join(values)
    width = {column: max(len(r[column]) for r in rows) for column in rows[0]}
    for row in rows:
        print("  ".join(row[c].ljust(width[c]) for c in row).rstrip())
    c, programs = trials[0], len(group(trials))
    steps, every = (n * c.steps_per_iteration for n in (c.num_iterations, c.eval_iterations))
    print("\ntogether: values of a sweep share one compiled program; apart: each has its own.")
    print(f"{len(trials)} trials in {programs} programs; {steps:,} steps, evaluated every {every:,}.")


def complain(error: Any, status: int) -> int:
    """One line on standard error."""
    print("launch.py: " + " ".join(str(error).split()), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv))
