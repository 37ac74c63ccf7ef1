"""The stages of a study: tune both arms, choose, judge on fresh seeds; as parts of a series."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mi203jax.core.config import RunConfig
from mi203jax.core.errors import UsageError
from mi203jax.core.series import Ended, Find, Part
from mi203jax.core.task import Task
from mi203jax.study.claim import Claim, Setting
from mi203jax.study.plan import Effort, Study, Tuned, judging_trials, studies, tuned, tuning_trials
from mi203jax.study.result import ArmResult, Looked, Result


class Plan(NamedTuple):
    """What is asked, and how much is spent on it.

    Attributes:
        claims: by name.
        settings: by name.
        effort: spent on each claim in each setting.
        looks: cells drawn of each setting, to look for counter-examples; 0: the settings are what they are.
        candidates: with looks, the cells of each claim that look most reversed: these alone are judged.
    """

    claims: Mapping[str, Claim]
    settings: Mapping[str, Setting]
    effort: Effort
    looks: int = 0
    candidates: int = 3


class _Measured(NamedTuple):
    """A study, and the tuning of its arms."""

    study: Study
    arms: tuple[Tuned, Tuned]

    @property
    def is_whole(self) -> bool:
        """Whether there is something to judge."""
        return None not in (self.arms[0].chosen, self.arms[1].chosen)


def next_parts(plan: Plan, find: Find, ended: Mapping[str, Ended]) -> dict[str, Part]:
    """What is to run now: the tuning of every arm in a part for each experiment, then all judging."""
    asked = asked_of(plan, find)
    trials = [(s, t) for s in asked for arm in s.arms for t in _tuning(plan, s, arm)]
    missing = _missing("tuning", plan, trials, ended)
    if missing:
        return missing
    judged = _judged(plan, find, asked, ended)
    trials = [(m.study, t) for m in judged for i in (0, 1) for t in _judging(plan, m, i)]
    return _missing("judging", plan, trials, ended)


def results(plan: Plan, find: Find, ended: Mapping[str, Ended]) -> list[Result]:
    """What came of each claim, once every part has ended.

    Raises:
        UsageError: if a trial failed, so that arms cannot be compared.
    """
    asked = asked_of(plan, find)
    scores = _scores(find, ended)
    return [_result(plan, find, m, scores, len(asked)) for m in _judged(plan, find, asked, ended)]


def looked(plan: Plan, find: Find, ended: Mapping[str, Ended]) -> list[Looked]:
    """Every cell that was tuned in search of counter-examples; none where nothing was searched for."""
    if not plan.looks:
        return []
    measured = _measured(plan, find, asked_of(plan, find), ended)
    return [Looked(*m.study[:3], _advantage(_task(plan, find, m.study), m)) for m in measured]


def asked_of(plan: Plan, find: Find) -> list[Study]:
    seed = plan.effort.seed
    return studies(plan.claims, plan.settings, lambda name: find(name).config, plan.looks, seed)


def _tuning(plan: Plan, study: Study, arm: RunConfig) -> list[RunConfig]:
    return tuning_trials(arm, plan.claims[study.claim], plan.settings[study.setting], plan.effort)


def _judging(plan: Plan, measured: _Measured, i: int) -> list[RunConfig]:
    """The trials that judge one of the arms."""
    study, chosen = measured.study, measured.arms[i].chosen
    assert chosen is not None
    return judging_trials(study.arms[i], chosen, plan.settings[study.setting], plan.effort)


def _missing(
    stage: str, plan: Plan, trials: Sequence[tuple[Study, RunConfig]], ended: Mapping[str, Ended]
) -> dict[str, Part]:
    """The trials of a stage by experiment, each once, without the parts that have ended."""
    by_experiment: dict[str, dict[RunConfig, None]] = {}
    for study, trial in trials:
        by_experiment.setdefault(plan.settings[study.setting].experiment, {})[trial] = None
    parts = {f"{stage}_{name}": Part(name, list(own)) for name, own in by_experiment.items()}
    return {name: part for name, part in parts.items() if name not in ended}


def _judged(plan: Plan, find: Find, asked: Sequence[Study], ended: Mapping[str, Ended]) -> list[_Measured]:
    """What goes on to be judged: everything; with looks, the most reversed cells of each claim."""
    whole = _measured(plan, find, asked, ended)
    if not plan.looks:
        return whole
    kept = []
    for name in plan.claims:
        own = [m for m in whole if m.study.claim == name]
        kept += sorted(own, key=lambda m: _advantage(_task(plan, find, m.study), m))[: plan.candidates]
    return kept


def _measured(plan: Plan, find: Find, asked: Sequence[Study], ended: Mapping[str, Ended]) -> list[_Measured]:
    """The tuning of every study in which both arms have a choice."""
    scores = _scores(find, ended)
    measured = [_Measured(s, _tuned(plan, find, s, scores)) for s in asked]
    return [m for m in measured if m.is_whole]


def _advantage(task: Task, measured: _Measured) -> float:
    """By how much the first arm's choice is better on held-out data."""
    first, second = (arm.scores[arm.best] or 0.0 for arm in measured.arms if arm.best is not None)
    return first - second if task.best == "max" else second - first


def _tuned(
    plan: Plan, find: Find, study: Study, scores: Mapping[RunConfig, float | None]
) -> tuple[Tuned, Tuned]:
    task, claim = _task(plan, find, study), plan.claims[study.claim]

    def of(arm: RunConfig) -> Tuned:
        trials = _tuning(plan, study, arm)
        return tuned(trials, [scores[t] for t in trials], task.best, claim)

    return of(study.arms[0]), of(study.arms[1])


def _task(plan: Plan, find: Find, study: Study) -> Task:
    return find(plan.settings[study.setting].experiment).load_task()


def _scores(find: Find, ended: Mapping[str, Ended]) -> dict[RunConfig, float | None]:
    """The last value of the objective of each trial; of one that diverged, what it had come to."""
    found: dict[RunConfig, float | None] = {}
    for name, part in ended.items():
        objective = find(name.partition("_")[2]).load_task().objective
        found |= {c: row.get(objective) for c, row in zip(part.trials, part.rows, strict=True)}
    return found


def _result(
    plan: Plan,
    find: Find,
    measured: _Measured,
    scores: Mapping[RunConfig, float | None],
    looked_at: int,
) -> Result:
    study, task = measured.study, _task(plan, find, measured.study)
    claim = plan.claims[study.claim]

    def of(i: int, name: str) -> ArmResult:
        arm, own = measured.arms[i], [scores[t] for t in _judging(plan, measured, i)]
        known = [s for s in own if s is not None]
        if len(known) < len(own):
            raise UsageError(
                f"{study.claim} in {study.setting} {study.cell}: {len(own) - len(known)} seeds of {name} "
                "failed: see errors.txt in the pieces of parts/, and --resume."
            )
        return ArmResult(name, arm.values, arm.scores, arm.chosen or {}, known)

    return Result(
        study.claim,
        claim.slide,
        study.setting,
        study.cell,
        plan.settings[study.setting].experiment,
        task.objective,
        task.best,
        claim.budget,
        of(0, claim.first.name),
        of(1, claim.second.name),
        looked_at if plan.looks else 1,
    )
