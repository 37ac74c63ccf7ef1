"""What a command line asks for: its flags, and the `field=value`s beside them.

Whatever can be wrong is looked for here, before jax is imported, which takes its time.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from absl import flags

from mi203jax.core.errors import UsageError, did_you_mean
from mi203jax.core.experiment import Experiment
from mi203jax.core.extras import require_optuna
from mi203jax.core.fields import describe, is_text
from mi203jax.core.trials import Sweep


class Registry(Protocol):
    """The experiments, by name: the package `experiments` is one."""

    def names(self) -> list[str]:
        """All of them."""

    def get(self, name: str) -> Experiment:
        """The one of that name.

        Raises:
            UsageError: if there is none.
        """


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
LONGEST = 20_000  # characters of an argument, so that nothing takes long that is made of one
LONGEST_WORD, LONGEST_LINE = 300, 1_500  # characters that are told
ABSLS = ("flagfile", "undefok")  # flags that absl knows by itself: one reads any file, one hides mistakes

# What may be given along with what says what to do.
LAYOUT = {"parallel", "devices", "engine", "ray_address", "ray_cpus", "ray_gpus", "max_memory"}
RUNNING = {"checkpoint_every", "cache", "quiet", "tensorboard", "fail_fast"} | LAYOUT
ASKED = {"exp", "sweep", "seed", "seeds", "trials", "search", "at_once", "yes"}
ALONG = {
    "help": {"exp", "list", "describe", "resume"},
    "list": set(),
    "describe": ASKED,
    "dry_run": ASKED | LAYOUT,
    "resume": RUNNING,
    "report": {"out"},
    "exp": ASKED | {"out"} | RUNNING,
}

POSITIVE = {
    "checkpoint_every": ("seconds", math.inf),
    "max_memory": ("gigabytes", 1e9),  # as bytes it is a whole number
    "devices": ("a number", math.inf),
    "ray_cpus": ("cores", math.inf),
}
"""Flags -> what they count, and what they stay below."""


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


def parse(argv: list[str], registry: Registry) -> tuple[flags.FlagValues, list[str]]:
    """The flags, and the `field=value`s."""
    own = define_flags()
    for argument in argv[1:]:
        _check_argument(argument, argv, own, registry)
    try:
        assignments = own([_spelling(a, own) for a in argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_unknown_flag(error.flagname, argv, own, registry)) from None
    except (flags.Error, ValueError) as error:
        raise UsageError(f"{error}. See python launch.py --help.") from None
    if twice := next((n for n in own if own[n].present > 1), None):
        instead = "--report=DIR DIR" if twice == "report" else "it once"
        raise UsageError(f"--{twice.replace('_', '-')} is given twice: expected {instead}.")
    return own, assignments


def _check_argument(argument: str, argv: list[str], own: flags.FlagValues, registry: Registry) -> None:
    name = argument.lstrip("-").partition("=")[0]
    if argument.startswith("-") and name in ABSLS:
        raise UsageError(_unknown_flag(name, argv, own, registry))
    if not is_text(argument):
        raise UsageError(f"{argument}: expected a text without control characters, in UTF-8.")
    if len(argument) > LONGEST:
        raise UsageError(f"{argument}: {len(argument):,} characters, expected at most {LONGEST:,}.")


def told(message: object) -> str:
    """A message as it is told: one line, without what a terminal would obey; of a long one, both ends."""
    line = " ".join(_short(word, LONGEST_WORD) for word in str(message).split())
    return _short("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line), LONGEST_LINE)


def _short(text: str, most: int) -> str:
    end = most // 5
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[-end:]}"


def _unknown_flag(name: str, argv: list[str], own: flags.FlagValues, registry: Registry) -> str:
    asked = next((a.partition("=")[2] for a in argv if a.startswith("--exp=")), "")
    if asked in registry.names() and name in fields_of(registry, asked):
        return f"Unknown flag --{name}: it is a field of {asked}. Write {name}=VALUE, without dashes."
    return f"Unknown flag --{name}. {did_you_mean(name, [n.replace('_', '-') for n in own])}"


def fields_of(registry: Registry, name: str) -> list[str]:
    """The fields of an experiment."""
    return [row["field"] for row in describe(registry.get(name).config)]


def _spelling(argument: str, own: flags.FlagValues) -> str:
    """--checkpoint-every and --no-cache as absl knows them: --checkpoint_every, --nocache."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    name = name.replace("-", "_")
    if name.startswith("no_") and name[3:] in own:
        name = "no" + name[3:]
    return f"--{name}{equals}{value}"


def mode_of(own: flags.FlagValues, assignments: list[str], registry: Registry) -> str:
    """What the flags ask for.

    Raises:
        UsageError: if they ask for nothing, or contradict each other.
    """
    given = {n for n in own if own[n].present and n != "debug"}
    mode = next((m for m in ALONG if m in given and own[m].value not in (False, None)), None)
    if mode is None:
        meant = next((a for a in assignments if a.removeprefix("exp=") in registry.names()), None)
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
    _check_values(own, given)
    for folder in assignments if mode == "report" else ():
        _check_folder("report", folder)
    return mode


def _check_values(own: flags.FlagValues, given: set[str]) -> None:
    for name, folder in (("resume", own.resume), ("report", own.report), ("out", own.out)):
        if folder is not None:
            _check_folder(name, folder)
    if not 0 <= own.ray_gpus < math.inf:
        raise UsageError(f"--ray-gpus={own.ray_gpus}: expected a number in [0, inf).")
    for name, (what, limit) in POSITIVE.items():
        value = own[name].value
        if value is not None and not 0 < value < limit:
            raise UsageError(f"--{name.replace('_', '-')}={value}: expected {what} in (0, {limit:g}).")
    for name in sorted(n for n in given if n.startswith("ray_")):
        if own.engine != "ray":
            raise UsageError(f"--{name.replace('_', '-')} is of Ray: expected --engine=ray beside it.")
    if own.devices > 1 and own.parallel == "devices":
        raise UsageError("--devices divides batches, --parallel=devices trials: expected one of them.")


def _check_folder(flag: str, folder: str) -> None:
    """Whether it can be looked for, and looked into if it is there."""
    if not folder:
        raise UsageError(f"--{flag}=: expected a folder.")
    if not folder.isprintable():
        raise UsageError(f"--{flag}={folder} cannot be used: expected a name without line breaks.")
    try:
        path = Path(folder).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, RuntimeError, ValueError) as error:  # too long; a loop of links; no such home; a NUL
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise UsageError(f"--{flag}={folder} cannot be used: {reason}.") from None
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise UsageError(f"--{flag}={folder} may not be read: change its permissions.")


def sweep_of(own: flags.FlagValues, assignments: list[str], registry: Registry) -> Sweep:
    """The sweep that --exp, the fields, the draws and the seeds ask for."""
    if own.seed is not None:
        if any(a.startswith("seed=") for a in assignments):
            raise UsageError(f"--seed={own.seed} contradicts the field seed: expected one of them.")
        assignments = [*assignments, f"seed={own.seed}"]
    refuse_flags(own, assignments, registry)
    sweep = registry.get(own.exp).sweep(own.sweep, assignments)
    sweep = sweep._replace(seeds=own.seeds, draws=own.trials, search=own.search, at_once=own.at_once)
    if sweep.search == "optuna":
        require_optuna()
    count = sweep.num_trials()
    if count > 1 and registry.get(own.exp).series:
        raise UsageError(
            f"{own.exp} is made of sweeps of its own: expected one value of each field and no --seeds."
        )
    if count > MANY_TRIALS and not (own.yes or own.dry_run):
        raise UsageError(f"{count:,} trials: expected --yes beside more than {MANY_TRIALS:,}.")
    return sweep


def refuse_flags(own: flags.FlagValues, assignments: Sequence[str], registry: Registry) -> None:
    """What was typed as a field, and is a flag."""
    for assignment in assignments:
        name = assignment.partition("=")[0]
        if name.replace("-", "_") in own and name not in fields_of(registry, own.exp):
            raise UsageError(f"{assignment}: {name} is a flag. Write --{assignment}.")
