"""Runs the course's experiments, one or a sweep of them: python launch.py --exp=NAME [field=value ...]"""

import sys
from typing import Any

from absl import flags

import experiments
from mi203jax.core.config import RunConfig, describe
from mi203jax.core.errors import UsageError, did_you_mean
from mi203jax.core.interruption import Interrupted
from mi203jax.core.trials import expand

USAGE = """\
python launch.py --list                     the experiments
python launch.py --exp=NAME                 run one with its defaults
python launch.py --exp=NAME --describe      its fields: value, limits, meaning; nothing runs
python launch.py --exp=NAME learning_rate=1e-4,1e-3 --seeds=4
                                            a sweep: every value with every seed
python launch.py --resume=DIR               go on where a run stopped
"""

# What may be given along with what says what to do.
ALONG = {
    "help": set(),
    "list": set(),
    "describe": {"exp"},
    "resume": {"checkpoint_every", "cache", "quiet", "tensorboard"},
    "exp": {"seed", "seeds", "out", "checkpoint_every", "cache", "quiet", "tensorboard"},
}


def define_flags() -> flags.FlagValues:
    """The flags, not yet parsed."""
    own = flags.FlagValues()
    own.set_gnu_getopt(True)  # flags may follow field=value
    flags.DEFINE_bool("help", False, "show this text", flag_values=own)
    flags.DEFINE_bool("list", False, "list the experiments", flag_values=own)
    flags.DEFINE_string("exp", None, "the experiment to run", flag_values=own)
    flags.DEFINE_bool("describe", False, "show the experiment's fields; nothing runs", flag_values=own)
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
    try:
        return obey(argv)
    except Interrupted as stopped:
        print(f"{stopped}: saved. Go on with: python launch.py --resume={stopped.folder}", file=sys.stderr)
        return stopped.exit_code
    except KeyboardInterrupt:
        return complain("stopped at once. What was saved before can go on: --resume=DIR", 130)
    except Exception as error:
        if "--debug" in argv:
            raise
        if isinstance(error, UsageError):
            return complain(error, 2)
        return complain(f"{type(error).__name__}: {error} (--debug shows where)", 1)


def obey(argv: list[str]) -> int:
    """Does what the command line says and gives the exit status."""
    own, assignments = parse(argv)
    mode = mode_of(own, assignments)
    if mode == "help":
        print(USAGE + "\n" + "\n".join(f"--{n:<18} {own[n].help}" for n in own))
    elif mode == "list":
        print("\n".join(f"{n:<24}{experiments.summary(n)}" for n in experiments.names()))
    elif mode == "describe":
        print_fields(expand(experiments.get(own.exp).config, assignments)[0])
    else:
        return run(own, assignments)
    return 0


def parse(argv: list[str]) -> tuple[flags.FlagValues, list[str]]:
    """The flags, and the `field=value`s."""
    own = define_flags()
    try:
        return own, own([_spelling(a, own) for a in argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(f"Unknown flag --{error.flagname}. {did_you_mean(error.flagname, own)}") from None
    except flags.Error as error:
        raise UsageError(f"{error}. See python launch.py --help.") from None


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
        raise UsageError("Nothing to do: expected --exp=NAME. See --list for the names, --help for the rest.")
    if mode == "describe" and "exp" not in given:
        raise UsageError("--describe needs an experiment: expected --exp=NAME --describe.")
    for name in sorted(given - {mode} - ALONG[mode]):
        raise UsageError(f"--{name} contradicts --{mode}: expected one of them.")
    if assignments and mode not in ("exp", "describe"):
        raise UsageError(f"{assignments[0]} contradicts --{mode}: expected nothing beside it.")
    for name in ("resume", "out"):
        if own[name].value == "":
            raise UsageError(f"--{name}=: expected a folder.")
    if own.checkpoint_every <= 0:
        raise UsageError(f"--checkpoint-every={own.checkpoint_every}: expected seconds in (0, inf).")
    return mode


def trials_of(own: flags.FlagValues, assignments: list[str]) -> list[RunConfig]:
    """The trials that --exp, the fields and the seeds ask for."""
    if own.seed is not None:
        if any(a.startswith("seed=") for a in assignments):
            raise UsageError(f"--seed={own.seed} contradicts the field seed: expected one of them.")
        assignments = [*assignments, f"seed={own.seed}"]
    return expand(experiments.get(own.exp).config, assignments, own.seeds)


def run(own: flags.FlagValues, assignments: list[str]) -> int:
    """Runs, or goes on with, an experiment."""
    trials = trials_of(own, assignments) if own.exp else []  # before jax, which takes its time
    from mi203jax.core import session
    from mi203jax.core.compilation_cache import use_compilation_cache

    if own.cache:
        use_compilation_cache()
    options = session.Options(own.checkpoint_every, own.quiet, own.tensorboard, own.debug)
    if own.resume:
        rows = session.resume(own.resume, experiments.get, options)
    else:
        rows = session.begin(own.exp, experiments.get(own.exp), trials, own.out, options)
    lost = [r for r in rows if r["status"] != "done"]
    if not any(r["status"] == "failed" for r in lost) and len(lost) < len(rows):
        return 0
    return complain(f"trial {lost[0]['trial']} {lost[0]['status']}: {lost[0]['error']}", 1)


def print_fields(config: RunConfig) -> None:
    """A line a field."""
    rows = describe(config)
    rows.insert(0, {column: column for column in rows[0]})
    width = {column: max(len(r[column]) for r in rows) for column in rows[0]}
    for row in rows:
        print("  ".join(row[c].ljust(width[c]) for c in row).rstrip())
    print("\ntogether: values of a sweep share one compiled program; apart: each has its own.")


def complain(error: Any, status: int) -> int:
    """One line on standard error."""
    print("launch.py: " + " ".join(str(error).split()), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv))
