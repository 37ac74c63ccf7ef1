"""A study of the toy, whose loss after 40 updates is d/2 (1 − λ)^80 for d numbers: all is known but noise."""

import json
from pathlib import Path

import numpy as np
import pytest

from mi203jax.core.config import BaseConfig, config
from mi203jax.core.experiment import Experiment
from mi203jax.core.interruption import Interruption
from mi203jax.core.piece import Options
from mi203jax.core.series import Conclusion, Ended, Series, begin_series
from mi203jax.core.trials import Sweep
from mi203jax.study.claim import Arm, Claim, Setting
from mi203jax.study.plan import Effort, studies, tuning_trials
from mi203jax.study.result import from_json, to_json
from mi203jax.study.stages import Plan, found, next_parts
from tests.core import toy
from tests.core.toy import Toy, exact_loss

RATES = ("learning_rate=loguniform(1e-2,0.2)",)
FEWER = Claim(
    "slide", Arm("one", ("dimension=1",)), Arm("two", ("dimension=2",)), RATES, experiments=("toy",)
)
SAME = FEWER._replace(first=Arm("quiet", ("noise=0.1",)), second=Arm("noisy", ("noise=0.11",)))
SETTINGS = {"plain": Setting("toy", (), tune=(("total_steps=20",),))}
PLAN = Plan({"fewer": FEWER, "same": SAME}, SETTINGS, Effort(4, 2, 6, "sobol", seed=3))


def find(name):
    assert name == "toy"
    return toy.EXPERIMENT


def run(plan, path):
    """All stages by the engine; the results and what was looked at, and each part's trials and rows."""
    kept = {}

    def conclude(c, find, ended, provenance):
        kept["ended"] = dict(ended)
        return Conclusion(
            "", {"study.json": json.dumps([to_json(r) for r in found(plan, find, ended).results])}
        )

    @config
    class Nothing(BaseConfig):
        """No field of its own."""

    series = Series(lambda c, find, ended: next_parts(plan, find, ended), conclude)
    with Interruption() as interruption:
        experiment = Experiment(Nothing(), "", series=series)
        registry = {"study": experiment}
        begin_series(
            "study",
            experiment,
            Sweep(Nothing()),
            str(path),
            Options(quiet=True),
            interruption,
            lambda name: registry.get(name) or find(name),
        )
    kept_results = [from_json(r) for r in json.loads((Path(path) / "study.json").read_text())]
    return kept_results, kept["ended"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    return run(PLAN, tmp_path_factory.mktemp("study") / "run")


class TestStages:
    def test_tuning_then_judging_by_experiment(self, ran):
        _, ended = ran
        assert list(ended) == ["tuning_toy", "judging_toy"]
        # Two claims of two arms with 4 draws of 2 seeds; then 6 seeds of each choice.
        assert [len(part.trials) for part in ended.values()] == [32, 24]
        assert {c.total_steps for c in ended["tuning_toy"].trials} == {20}
        assert {c.total_steps for c in ended["judging_toy"].trials} == {40}
        assert not {c.seed for c in ended["tuning_toy"].trials} & {
            c.seed for c in ended["judging_toy"].trials
        }

    def test_without_noise_the_largest_step_is_chosen_and_the_difference_is_exact(self, ran):
        fewer, _ = ran[0]
        draws = [v["learning_rate"] for v in fewer.first.values]
        assert [v["learning_rate"] for v in fewer.second.values] == draws
        for arm, d in ((fewer.first, 1), (fewer.second, 2)):
            assert arm.chosen == {"learning_rate": max(draws)}
            exact = [exact_loss(Toy(dimension=d, learning_rate=r), 20) for r in draws]
            assert arm.tuning == pytest.approx(exact, rel=1e-4)
            last = exact_loss(Toy(dimension=d, learning_rate=max(draws)), 40)
            assert arm.scores == pytest.approx([last] * 6, rel=1e-4)
        c = fewer.comparison
        assert (c.verdict, c.n, c.wins) == ("holds", 6, 1.0)  # a smaller loss is better
        assert c.difference == pytest.approx(last / 2, rel=1e-3)

    def test_scores_of_seeds_are_paired(self, ran):
        (_, same), ended = ran
        by_config = dict(zip(ended["judging_toy"].trials, ended["judging_toy"].rows, strict=True))
        for arm, noise in ((same.first, 0.1), (same.second, 0.11)):
            own = [Toy(noise=noise, seed=3_100 + k, **arm.chosen) for k in range(6)]
            assert arm.scores == [by_config[c]["eval/loss"] for c in own]

    def test_without_looks_there_is_nothing_to_correct_for(self, ran):
        results, ended = ran
        assert {r.looked_at for r in results} == {1}
        assert found(PLAN, find, ended).looked == []

    def test_trials_that_claims_share_run_once(self):
        twice = PLAN._replace(claims={"fewer": FEWER, "again": FEWER})
        (part,) = next_parts(twice, find, {}).values()
        assert len(part.trials) == 16


def with_rows(part, change):
    rows = [dict(row) | change(c) for c, row in zip(part.trials, part.rows, strict=True)]
    return part._replace(rows=rows)


class TestFailures:
    def test_an_arm_without_all_its_seeds_is_not_judged_and_the_others_are(self, ran):
        _, ended = ran
        lost = ended["judging_toy"].trials[0]
        broken = ended | {
            "judging_toy": with_rows(ended["judging_toy"], lambda c: {"eval/loss": None} if c == lost else {})
        }
        came = found(PLAN, find, broken)
        assert [r.claim for r in came.results] == ["same"]
        assert came.left_out == ["fewer in plain: 1 of 6 seeds of one gave no number"]

    def test_nor_is_a_claim_of_which_nothing_could_be_tuned(self, ran):
        _, ended = ran
        broken = ended | {
            "tuning_toy": with_rows(
                ended["tuning_toy"], lambda c: {"eval/loss": None} if c.noise == 0.11 else {}
            )
        }
        came = found(PLAN, find, broken)
        assert [r.claim for r in came.results] == ["fewer"]
        assert came.left_out == ["same in plain: no configuration of the second arm gave a number"]

    def test_what_diverged_counts_what_the_setting_says(self, ran):
        _, ended = ran
        change = {"status": "diverged", "eval/loss": 1e30}
        lost = ended["judging_toy"].trials[0]
        broken = ended | {
            "judging_toy": with_rows(ended["judging_toy"], lambda c: change if c == lost else {})
        }
        for worth, counted in ((0.7, 0.7), (0.0, 0.0), (None, 1e30)):
            plan = PLAN._replace(settings={"plain": SETTINGS["plain"]._replace(diverged=worth)})
            fewer, same = found(plan, find, broken).results
            assert fewer.first.scores[0] == counted
            assert fewer.first.scores[1:] == ran[0][0].first.scores[1:]
            assert (fewer.first.diverged, fewer.second.diverged, same.first.diverged) == (1, 0, 0)
            assert (fewer.first.unstable, fewer.second.unstable) == (0, 0)  # while tuning none did

    def test_so_it_does_while_tuning(self, ran):
        tuning = ran[1]["tuning_toy"]
        *_, second, largest = sorted({c.learning_rate for c in tuning.trials})
        change = {"status": "diverged", "eval/loss": 0.0}
        lost = (1, largest)
        broken = with_rows(tuning, lambda c: change if (c.dimension, c.learning_rate) == lost else {})
        plan = PLAN._replace(
            claims={"fewer": FEWER}, settings={"plain": SETTINGS["plain"]._replace(diverged=5.0)}
        )
        (part,) = next_parts(plan, find, {"tuning_toy": broken}).values()
        assert {(c.dimension, c.learning_rate) for c in part.trials} == {(1, second), (2, largest)}
        ended = {
            "tuning_toy": broken,
            "judging_toy": Ended(part.trials, [{"eval/loss": 1.0, "status": "done"}] * 12),
        }
        (fewer,) = found(plan, find, ended).results
        assert (fewer.first.unstable, fewer.second.unstable) == (0.25, 0)  # one draw of four


class TestLooks:
    setting = Setting("toy", ("noise=uniform(0,1)", "per_iteration=choice(1,2,4)"))
    plan = Plan({"fewer": FEWER}, {"any": setting}, PLAN.effort._replace(draws=2), looks=5, candidates=2)

    def tuning(self, advantages):
        """The tuning as ended, made up: in cell k the first arm is better by advantages[k]."""
        asked = studies(self.plan.claims, self.plan.settings, lambda n: Toy(), 5, self.plan.effort.seed)
        scores = {}
        for study, advantage in zip(asked, advantages, strict=True):
            for arm, loss in zip(study.arms, (1.0, 1.0 + advantage), strict=True):
                trials = tuning_trials(arm, FEWER, self.setting, self.plan.effort)
                scores |= {c: loss + 5 * (k > 1) for k, c in enumerate(trials)}
        rows = [{"eval/loss": loss, "status": "done"} for loss in scores.values()]
        return {"tuning_toy": Ended(list(scores), rows)}, asked

    def test_the_most_reversed_are_judged_at_a_level_for_all_that_were_looked_at(self):
        ended, asked = self.tuning([0.3, -0.2, 0.1, -0.4, 0.0])
        (part,) = next_parts(self.plan, find, ended).values()
        judged = {(c.noise, c.per_iteration, c.dimension) for c in part.trials}
        assert judged == {(a.noise, a.per_iteration, a.dimension) for k in (1, 3) for a in asked[k].arms}
        rng = np.random.default_rng(0)
        noise = 0.1 * rng.standard_normal(len(part.trials))
        rows = [
            {"eval/loss": 2.0 / c.dimension + e, "status": "done"}
            for c, e in zip(part.trials, noise, strict=True)
        ]
        ended |= {"judging_toy": Ended(part.trials, rows)}
        results = found(self.plan, find, ended).results
        assert [r.cell for r in results] == [asked[3].cell, asked[1].cell]  # the most reversed first
        assert {r.looked_at for r in results} == {5}
        assert {r.comparison.verdict for r in results} == {"reversed"}
        assert results[0].comparison.level == pytest.approx(1 - 0.05 / 5)
        results = found(self.plan._replace(looked_before=7), find, ended).results
        assert {r.looked_at for r in results} == {12}
        assert results[0].comparison.level == pytest.approx(1 - 0.05 / 12)

    def test_all_of_them_are_told(self):
        advantages = [0.3, -0.2, 0.1, -0.4, 0.0]
        ended, asked = self.tuning(advantages)
        (part,) = next_parts(self.plan, find, ended).values()
        ended["judging_toy"] = Ended(part.trials, [{"eval/loss": 1.0, "status": "done"}] * len(part.trials))
        looked = found(self.plan, find, ended).looked
        assert [x.cell for x in looked] == [s.cell for s in asked]
        assert [x.advantage for x in looked] == pytest.approx(advantages)

    def test_where_more_is_better_the_others_are_the_most_reversed(self):
        def find_max(name):
            return toy.EXPERIMENT._replace(task=toy.task._replace(best="max"))

        advantages = [0.3, -0.2, 0.1, -0.4, 0.0]  # of a loss
        ended, asked = self.tuning(advantages)
        (part,) = next_parts(self.plan, find_max, ended).values()
        judged = {(c.noise, c.per_iteration, c.dimension) for c in part.trials}
        assert judged == {(a.noise, a.per_iteration, a.dimension) for k in (0, 2) for a in asked[k].arms}
        tried = [list(dict.fromkeys(c.learning_rate for c in t.trials)) for t in ended.values()]
        assert {c.learning_rate for c in part.trials} == {tried[0][1]}  # `tuning` gives it the largest loss
        ended["judging_toy"] = Ended(part.trials, [{"eval/loss": 1.0, "status": "done"}] * len(part.trials))
        came = found(self.plan, find_max, ended)
        assert [x.advantage for x in came.looked] == pytest.approx([-a for a in advantages])
        assert {r.best for r in came.results} == {"max"}

    def test_as_many_of_each_claim(self):
        plan = self.plan._replace(claims={"fewer": FEWER, "again": FEWER})
        ended, asked = self.tuning([0.3, -0.2, 0.1, -0.4, 0.0])
        (part,) = next_parts(plan, find, ended).values()
        ended["judging_toy"] = Ended(part.trials, [{"eval/loss": 1.0, "status": "done"}] * len(part.trials))
        results = found(plan, find, ended).results
        cells = (asked[3].cell, asked[1].cell)
        assert [(r.claim, r.cell) for r in results] == [
            (n, cell) for n in ("fewer", "again") for cell in cells
        ]

    def test_a_cell_without_a_number_is_told_and_counts_as_looked_at(self):
        ended, asked = self.tuning([0.3, -0.2, 0.1, -0.4, 0.0])
        lost = asked[3].arms[0]
        ended["tuning_toy"] = with_rows(
            ended["tuning_toy"],
            lambda c: {"eval/loss": None} if (c.noise, c.dimension) == (lost.noise, 1) else {},
        )
        (part,) = next_parts(self.plan, find, ended).values()
        ended["judging_toy"] = Ended(part.trials, [{"eval/loss": 1.0, "status": "done"}] * len(part.trials))
        came = found(self.plan, find, ended)
        assert [r.cell for r in came.results] == [asked[1].cell, asked[4].cell]
        assert [x.cell for x in came.looked] == [asked[k].cell for k in (0, 1, 2, 4)]
        assert {r.looked_at for r in came.results} == {5}
        told = f"fewer in any {asked[3].cell}: no configuration of the first arm gave a number"
        assert came.left_out == [told]
