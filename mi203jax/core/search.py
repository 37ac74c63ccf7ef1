"""How the values of a sweep are drawn: at random, by a Sobol sequence, or by Optuna after what came before.

Does not import jax.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from mi203jax.core.errors import UsageError
from mi203jax.core.extras import require_optuna
from mi203jax.core.files import replacing
from mi203jax.core.space import Distribution

Values = dict[str, Any]  # field -> value


class Tried(NamedTuple):
    """Values that were drawn, and what came of them."""

    values: Values
    objective: float | None  # None: it failed or diverged


def draw(space: Mapping[str, Distribution], count: int, search: str, seed: int) -> list[Values]:
    """Draws `count` times from a space; of a larger count the first ones are the same.

    Args:
        space: field -> what it is drawn from.
        count: how many values each field gets.
        search: "random", or "sobol" (scrambled; Owen 1998), which covers the space more evenly.
        seed: of the draws.
    """
    if search == "sobol":
        from scipy.stats import qmc

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it prefers powers of 2, and says so
            quantiles = qmc.Sobol(len(space), rng=np.random.default_rng(seed)).random(count)
    else:
        quantiles = np.random.default_rng(seed).random((count, len(space)))
    rows = quantiles.tolist()
    return [{n: d.at(u) for (n, d), u in zip(space.items(), row, strict=True)} for row in rows]


def propose(
    space: Mapping[str, Distribution],
    count: int,
    seed: int,
    tried: Sequence[Tried],
    best: Literal["max", "min"],
    works: Callable[[Values], bool] = lambda values: True,
) -> list[Values]:
    """What Optuna's TPE sampler (Watanabe 2023) would try next; the same for the same arguments.

    Args:
        space: field -> what it is drawn from.
        count: how many it is asked for at once.
        seed: of the draws.
        tried: what was tried before.
        best: whether a larger or a smaller objective is better.
        works: whether values may be tried; others are as if they had failed.

    Raises:
        UsageError: if optuna is not installed, or hardly any values may be tried.
    """
    optuna = require_optuna()
    distributions = {n: _as_optuna(d) for n, d in space.items()}
    # What was proposed at once is kept apart, and each round has chances of its own.
    sampler = optuna.samplers.TPESampler(seed=(seed + 7919 * len(tried)) % 2**32, constant_liar=True)
    study = optuna.create_study(direction=_DIRECTION[best], sampler=sampler)
    study.add_trials(_trials(space, tried))
    proposed: list[Values] = []
    for _ in range(50 * count):
        trial = study.ask(distributions)
        values = {n: _from_optuna(d, trial.params[n]) for n, d in space.items()}
        if not works(values):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        proposed.append(values)
        if len(proposed) == count:
            return proposed
    raise UsageError(f"--search=optuna: hardly any values of {', '.join(space)} go together.")


def save_study(
    path: str, space: Mapping[str, Distribution], tried: Sequence[Tried], best: Literal["max", "min"]
) -> None:
    """Writes Optuna's storage, a file, anew with what was tried, for its own tools."""
    optuna = require_optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with replacing(Path(path)) as temporary:
        storage = JournalStorage(JournalFileBackend(str(temporary)))
        study = optuna.create_study(study_name="mi203jax", storage=storage, direction=_DIRECTION[best])
        study.add_trials(_trials(space, tried))


_DIRECTION = {"max": "maximize", "min": "minimize"}


def _trials(space: Mapping[str, Distribution], tried: Sequence[Tried]) -> list[Any]:
    from optuna.trial import TrialState, create_trial

    return [
        create_trial(
            params={n: _to_optuna(d, t.values[n]) for n, d in space.items()},
            distributions={n: _as_optuna(d) for n, d in space.items()},
            value=t.objective,
            state=TrialState.FAIL if t.objective is None else TrialState.COMPLETE,
        )
        for t in tried
    ]


def _as_optuna(d: Distribution) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if d.kind == "choice":  # Optuna takes numbers and texts; a tuple goes by its place
        return CategoricalDistribution(list(range(len(d.choices))))
    log = d.kind == "loguniform"
    if d.is_whole:
        return IntDistribution(int(d.low), int(d.high), log=log)
    return FloatDistribution(d.low, d.high, log=log)


def _to_optuna(d: Distribution, value: Any) -> Any:
    return d.choices.index(value) if d.kind == "choice" else value


def _from_optuna(d: Distribution, value: Any) -> Any:
    return d.choices[value] if d.kind == "choice" else d.rounded(value)
