"""From trials to pieces: what one program can run, cut where it would not fit into memory."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax

from mi203jax.core.config import RunConfig
from mi203jax.core.errors import UsageError
from mi203jax.core.loop import Group
from mi203jax.core.memory import SHARE, Need, available, in_words
from mi203jax.core.parallel import layout_of
from mi203jax.core.piece import Options
from mi203jax.core.task import Task
from mi203jax.core.trials import group


class Planned(NamedTuple):
    """A piece to be."""

    members: list[int]  # numbers of the trials
    group: Group  # their program
    bytes: int  # that it takes


def plan(task: Task, trials: Sequence[RunConfig], options: Options, workers: int = 1) -> list[Planned]:
    """The pieces of trials; each program is traced, so that mistakes show before anything is written.

    A group is cut where it would not fit into memory, and where workers would stand idle.

    Args:
        task: what they learn.
        trials: their configurations.
        options: how they are to run.
        workers: how many processes will share the pieces of each program.

    Raises:
        UsageError: if a configuration cannot work.
    """
    groups = group(trials)
    limit = options.max_memory or int(SHARE * available() / workers)  # as if all were on this machine
    pieces = []
    for members in groups:
        for part in _shares(members, -(-workers // len(groups))):
            pieces += _fitting(task, trials, part, options, limit)
    return pieces


def program(task: Task, configs: Sequence[RunConfig], options: Options) -> Group:
    """The program of a piece."""
    layout = layout_of(task, configs, options.parallel, options.devices)
    return Group(task, configs, task.shared_data(configs[0]), layout)


def _fitting(
    task: Task, trials: Sequence[RunConfig], members: list[int], options: Options, limit: int
) -> list[Planned]:
    whole = program(task, [trials[i] for i in members], options)
    need = whole.need()
    outside = trials[members[0]].bytes_outside if jax.default_backend() == "cpu" else 0
    if options.max_memory and need.of_one + outside > limit:
        takes = in_words(need.of_one + outside)
        raise UsageError(f"--max-memory={limit / 1e9:g}: one trial takes about {takes}.")
    if not options.max_memory:
        _check_one_fits(need, outside)
    count = -(-len(members) // need.at_most(limit))
    if count == 1:
        return [Planned(members, whole, need.most + outside)]
    parts = _shares(members, count)
    groups = [program(task, [trials[i] for i in part], options) for part in parts]
    return [Planned(p, g, g.need().most) for p, g in zip(parts, groups, strict=True)]


def _check_one_fits(need: Need, outside: int) -> None:
    """Whether there is room for what a trial keeps, whatever it computes: else the system ends the process.

    Raises:
        UsageError: if there is not.
    """
    kept, free = need.shared + need.copies * need.kept / need.trials + outside, available()
    if kept > free:
        raise UsageError(
            f"One trial keeps {in_words(kept)} in memory, {in_words(free)} are free: expected smaller values "
            "of the fields by which its state grows (--max-memory=GIGABYTES sets another limit)."
        )


def _shares(members: list[int], count: int) -> list[list[int]]:
    """Divides into so many parts, as equal as can be; fewer if there are fewer members."""
    count = min(count, len(members))
    ends = [len(members) * k // count for k in range(count + 1)]
    return [members[a:b] for a, b in itertools.pairwise(ends)]
