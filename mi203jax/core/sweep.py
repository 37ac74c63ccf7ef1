"""A sweep as a function, for one's own code: no folder, no screen."""

from collections.abc import Sequence
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp

from mi203jax.core.config import RunConfig
from mi203jax.core.loop import Group, Values, trial
from mi203jax.core.parallel import Layout, Parallel, layout_of
from mi203jax.core.task import PyTree, Task
from mi203jax.core.trials import group


class Trained(NamedTuple):
    """What came of a trial."""

    state: PyTree  # the last
    metrics: Values  # name -> [evaluations], as `mi203jax.train` gives them; NaN: nothing was measured


def sweep(
    task: Task,
    configs: Sequence[RunConfig],
    data: PyTree = None,
    keys: jax.Array | None = None,
    parallel: Parallel = "auto",
) -> list[Trained]:
    """Trains a trial for each configuration, with one compilation for those that share a program.

    The results are those of `mi203jax.train`, up to rounding, whatever stands beside a trial.

    Args:
        task: what is learnt.
        configs: the configurations; they may differ in static fields too.
        data: what all of them learn from; None: each program asks the task for its own.
        keys: each trial's key, `[trials]`; None: of the configurations' seeds, as the command line does.
        parallel: how trials of a program share it: see `mi203jax.core.parallel.choose_layout`.

    Returns:
        What came of each, in the order of the configurations.

    Raises:
        ValueError: if there are not as many keys as configurations, or no such `parallel`.
        UsageError: if a configuration cannot work.
    """
    if keys is not None and len(keys) != len(configs):
        raise ValueError(f"sweep: expected {len(configs)} keys, one for each configuration, got {len(keys)}.")
    if parallel not in get_args(Parallel):
        raise ValueError(f"sweep: parallel={parallel!r}: expected one of {', '.join(get_args(Parallel))}.")
    trained: dict[int, Trained] = {}
    for members in group(configs):
        chosen = [configs[i] for i in members]
        layout = layout_of(task, chosen, parallel)
        given = data if data is not None else task.shared_data(chosen[0])
        own_keys = None if keys is None else keys[jnp.array(members)]
        ended = _run(task, chosen, given, own_keys, layout)
        trained |= dict(zip(members, ended, strict=True))
    return [trained[i] for i in range(len(configs))]


def _run(
    task: Task, configs: Sequence[RunConfig], data: PyTree, keys: jax.Array | None, layout: Layout
) -> list[Trained]:
    program = Group(task, configs, data, layout, keys)
    evaluations: list[Values] = []
    for progress in program.run(lambda: program.config.num_iterations):
        if progress.iteration > 0 and progress.evaluation is not None:
            evaluations.append(progress.evaluation)
    state = program.own(progress.carry).state
    metrics = {n: jnp.stack([e[n] for e in evaluations], axis=1) for n in evaluations[0]}
    return [Trained(trial(state, i), trial(metrics, i)) for i in range(len(configs))]
