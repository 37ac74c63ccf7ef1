"""The stages of a study: tune both arms, choose, judge on fresh seeds; as parts of a series."""

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mi203jax.core.config import RunConfig
from mi203jax.core.results import Row
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
        looked_before: pairs of a claim and a cell that were looked at in an earlier search: intervals are
            corrected for these too.
    """

    claims: Mapping[str, Claim]
    settings: Mapping[str, Setting]
    effort: Effort
    looks: int = 0
    candidates: int = 3
    looked_before: int = 0


class Found(NamedTuple):
    """What a study found.

    Attributes:
        results: of each claim in each cell that was judged.
        looked: every cell that was tuned in search of counter-examples; none where nothing was searched for.
        left_out: in words, what could not be judged, since an arm gave no number.
    """

    results: list[Result]
    looked: list[Looked]
    left_out: list[str]


def next_parts(plan: Plan, find: Find, ended: Mapping[str, Ended]) -> dict[str, Part]:
    """What is to run now: the tuning of every arm in a part for each experiment, then all judging."""
    so_far = _SoFar(plan, find, ended)
    tuning = ((s, t) for s in so_far.asked for i in (0, 1) for t in so_far.tuning(s, i))
    parts = so_far.missing("tuning", tuning)
    if parts:
        return parts
    judging = ((m.study, t) for m in so_far.judged for i in (0, 1) for t in so_far.judging(m, i))
    return so_far.missing("judging", judging)


def found(plan: Plan, find: Find, ended: Mapping[str, Ended]) -> Found:
    """What came of each claim, once every part has ended."""
    so_far = _SoFar(plan, find, ended)
    tried = [(m, so_far.result(m)) for m in so_far.judged]
    results = [r for _, r in tried if isinstance(r, Result)]
    left_out = [_words(m.study, m.missing) for m in so_far.measured if m.missing]
    left_out += [_words(m.study, r) for m, r in tried if isinstance(r, str)]
    whole = [m for m in so_far.measured if not m.missing]
    looked = [Looked(*m.study[:3], so_far.advantage(m)) for m in whole] if plan.looks else []
    return Found(results, looked, left_out)


def asked_of(plan: Plan, find: Find) -> list[Study]:
    """Every claim in every cell of every setting where it can be asked."""
    seed = plan.effort.seed
    return studies(plan.claims, plan.settings, lambda name: find(name).config, plan.looks, seed)


def _words(study: Study, reason: str) -> str:
    return f"{study.claim} in {study.setting} {study.cell}".strip() + f": {reason}"


class _Measured(NamedTuple):
    """A study, and the tuning of its arms."""

    study: Study
    arms: tuple[Tuned, Tuned]

    @property
    def missing(self) -> str:
        """Why there is nothing to judge; empty if there is."""
        lost = [name for name, arm in zip(("first", "second"), self.arms, strict=True) if arm.best is None]
        return f"no configuration of the {' and the '.join(lost)} arm gave a number" if lost else ""


class _SoFar:
    """A study, as far as its parts have ended."""

    def __init__(self, plan: Plan, find: Find, ended: Mapping[str, Ended]):
        self._plan, self._find, self._ended = plan, find, ended
        self._rows: dict[RunConfig, Row] = {}
        for part in ended.values():
            self._rows |= zip(part.trials, part.rows, strict=True)

    @functools.cached_property
    def asked(self) -> list[Study]:
        """All that is asked."""
        return asked_of(self._plan, self._find)

    @functools.cached_property
    def measured(self) -> list[_Measured]:
        """The tuning of all that is asked."""
        return [_Measured(s, (self._tuned(s, 0), self._tuned(s, 1))) for s in self.asked]

    @functools.cached_property
    def judged(self) -> list[_Measured]:
        """What goes on to be judged: everything; with looks, the most reversed cells of each claim."""
        whole = [m for m in self.measured if not m.missing]
        if not self._plan.looks:
            return whole
        kept = []
        for name in self._plan.claims:
            own = [m for m in whole if m.study.claim == name]
            kept += sorted(own, key=self.advantage)[: self._plan.candidates]
        return kept

    def missing(self, stage: str, trials: Iterable[tuple[Study, RunConfig]]) -> dict[str, Part]:
        """The trials of a stage by experiment, each once, without the parts that have ended."""
        by_experiment: dict[str, dict[RunConfig, None]] = {}
        for study, trial in trials:
            by_experiment.setdefault(self._setting(study).experiment, {})[trial] = None
        parts = {f"{stage}_{name}": Part(name, list(own)) for name, own in by_experiment.items()}
        return {name: part for name, part in parts.items() if name not in self._ended}

    def tuning(self, study: Study, i: int) -> list[RunConfig]:
        """The trials that tune an arm."""
        return tuning_trials(study.arms[i], self._claim(study), self._setting(study), self._plan.effort)

    def judging(self, measured: _Measured, i: int) -> list[RunConfig]:
        """The trials that judge an arm."""
        return judging_trials(measured.study.arms[i], measured.arms[i].chosen, self._plan.effort)

    def advantage(self, measured: _Measured) -> float:
        """By how much the first arm's choice is better on held-out data."""
        first, second = (arm.top for arm in measured.arms)
        return first - second if self._task(measured.study).best == "max" else second - first

    def result(self, measured: _Measured) -> Result | str:
        """What came of a study that was judged; in words, if an arm has no number of some seed."""
        study, claim, task = measured.study, self._claim(measured.study), self._task(measured.study)
        arms = []
        for i, name in enumerate((claim.first.name, claim.second.name)):
            trials = self.judging(measured, i)
            scores = [s for s in (self._score(study, t) for t in trials) if s is not None]
            if len(scores) < len(trials):
                return f"{len(trials) - len(scores)} of {len(trials)} seeds of {name} gave no number"
            own, tuning = measured.arms[i], self.tuning(study, i)
            lost, unstable = self._diverged(trials), self._diverged(tuning) / len(tuning)
            arms.append(ArmResult(name, own.values, own.scores, own.chosen, scores, lost, unstable))
        return Result(
            claim=study.claim,
            slide=claim.slide,
            setting=study.setting,
            cell=study.cell,
            experiment=self._setting(study).experiment,
            metric=task.objective,
            best=task.best,
            budget=claim.budget,
            first=arms[0],
            second=arms[1],
            looked_at=self._plan.looked_before + len(self.asked) if self._plan.looks else 1,
        )

    def _tuned(self, study: Study, i: int) -> Tuned:
        trials = self.tuning(study, i)
        scores = [self._score(study, t) for t in trials]
        return tuned(trials, scores, self._task(study).best, self._claim(study))

    def _score(self, study: Study, trial: RunConfig) -> float | None:
        """The last value of the objective; of a run that diverged, what the setting says that it is worth."""
        row, worth = self._rows[trial], self._setting(study).diverged
        if row["status"] == "diverged" and worth is not None:
            return worth
        return row.get(self._task(study).objective)

    def _diverged(self, trials: Iterable[RunConfig]) -> int:
        return sum(self._rows[t]["status"] == "diverged" for t in trials)

    def _claim(self, study: Study) -> Claim:
        return self._plan.claims[study.claim]

    def _setting(self, study: Study) -> Setting:
        return self._plan.settings[study.setting]

    def _task(self, study: Study) -> Task:
        return self._find(self._setting(study).experiment).load_task()
