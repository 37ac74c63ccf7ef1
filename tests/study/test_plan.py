"""Claims in settings, as trials. The toy stands for experiments: its loss is known in closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mi203jax.configs import ImageClassification
from mi203jax.core.errors import UsageError
from mi203jax.study.claim import Arm, Claim, Setting
from mi203jax.study.plan import (
    Effort,
    arms_of,
    cells,
    changed,
    judging_trials,
    studies,
    tuned,
    tuning_trials,
)
from tests.core.toy import Toy

CLAIM = Claim(
    "a slide",
    Arm("small", ("dimension=1",)),
    Arm("large", ("dimension=2",)),
    ("learning_rate=loguniform(1e-2,1)",),
    experiments=("toy",),
)
EFFORT = Effort(draws=4, tuning_seeds=2, judging_seeds=3, search="sobol", seed=0)


class TestCells:
    def test_one_without_a_name_where_nothing_varies(self):
        assert cells(Toy(), Setting("toy", ("noise=0.5",))) == {"": Toy(noise=0.5)}

    def test_one_for_each_combination_of_listed_values(self):
        found = cells(Toy(), Setting("toy", ("dimension=1,2", "total_steps=20,30", "noise=0.5")))
        assert list(found) == [
            "total_steps=20 dimension=1",
            "total_steps=30 dimension=1",
            "total_steps=20 dimension=2",
            "total_steps=30 dimension=2",
        ]
        assert found["total_steps=30 dimension=2"] == Toy(noise=0.5, dimension=2, total_steps=30)

    def test_as_many_as_are_asked_for_of_drawn_ones(self):
        setting = Setting("toy", ("noise=uniform(0,1)", "dimension=choice(1,2,3)"))
        found = cells(Toy(), setting, looks=6, seed=5)
        assert len(found) == 6
        assert {c.seed for c in found.values()} == {0}
        assert len({c.noise for c in found.values()}) == 6
        assert found == cells(Toy(), setting, looks=6, seed=5)
        assert found != cells(Toy(), setting, looks=6, seed=6)

    def test_tuples_are_one_value(self):
        (c,) = cells(ImageClassification(), Setting("image_classification", ("channels=(8,16)",))).values()
        assert c.channels == (8, 16)


class TestArms:
    setting = Setting("image_classification", (), microseconds={16: 3.0, 32: 2.0, 128: 0.9})
    cell = ImageClassification(batch_size=32, total_steps=6_400)

    def arms(self, budget, setting=setting):
        claim = CLAIM._replace(
            first=Arm("large", ("batch_size=128",)), second=Arm("small", ("batch_size=16",)), budget=budget
        )
        found = arms_of(claim, setting, self.cell)
        if budget != "examples":
            assert [c.eval_every for c in found] == [c.total_steps for c in found]  # measured at the end
        return [(c.batch_size, c.total_steps, c.num_iterations) for c in found]

    def test_equal_examples(self):
        assert self.arms("examples") == [(128, 6_400, 50), (16, 6_400, 400)]

    def test_equal_updates(self):
        assert self.arms("updates") == [(128, 25_600, 200), (16, 3_200, 200)]

    def test_equal_seconds(self):
        # 6,400 examples at 2 µs are 12.8 ms
        assert [(b, n) for b, n, _ in self.arms("seconds")] == [(128, 14_222), (16, 4_267)]

    @pytest.mark.parametrize("unknown", [16, 32])  # of an arm, of the setting
    def test_seconds_that_nobody_measured(self, unknown):
        known = {b: 1.0 for b in (16, 32, 128) if b != unknown}
        with pytest.raises(UsageError, match=f"batches of {unknown} is not known.*benchmarks.batch_time"):
            self.arms("seconds", Setting("image_classification", (), microseconds=known))

    def test_common_fields_and_an_arms_own_come_after_the_settings(self):
        claim = CLAIM._replace(common=("noise=0.1", "dimension=7"))
        first, second = arms_of(claim, Setting("toy", ()), Toy(noise=0.3, dimension=9, total_steps=20))
        assert first == Toy(noise=0.1, dimension=1, total_steps=20)
        assert second == Toy(noise=0.1, dimension=2, total_steps=20)


TOYS = {"plain": Setting("toy", ()), "grid": Setting("toy", ("noise=0,0.1",))}


class TestStudies:
    def test_every_claim_in_every_setting_that_fits(self):
        claims = {"size": CLAIM, "other": CLAIM._replace(experiments=("toy", "dqn"))}
        found = studies(claims, TOYS, lambda name: Toy())
        assert [(s.claim, s.setting, s.cell) for s in found] == [
            (claim, *where)
            for claim in claims
            for where in [("plain", ""), ("grid", "noise=0"), ("grid", "noise=0.1")]
        ]

    def test_cells_that_differ_in_what_the_arms_decide_are_one(self):
        grid = Setting("toy", ("dimension=3,4", "noise=0,0.1"))
        found = studies({"size": CLAIM}, {"grid": grid}, lambda name: Toy())
        assert [s.cell for s in found] == ["noise=0", "noise=0.1"]

    def test_so_are_cells_that_differ_in_what_both_arms_are_given(self):
        grid = Setting("toy", ("total_steps=20,40", "noise=0,0.1"))
        claim = CLAIM._replace(common=("total_steps=40",))
        found = studies({"size": claim}, {"grid": grid}, lambda name: Toy())
        assert [s.cell for s in found] == ["noise=0", "noise=0.1"]

    def test_names_stay_apart(self):
        grid = Setting("toy", ("total_steps=20,40", "noise=0,0.1"))
        claim = CLAIM._replace(common=("total_steps=40",), budget="updates")
        found = studies({"size": claim}, {"grid": grid}, lambda name: Toy())
        assert len({s.cell for s in found}) == len(found) == 4

    def test_a_setting_without_a_claim(self):
        settings = {"near": Setting("toy", ()), "far": Setting("nothing", ())}
        with pytest.raises(UsageError, match=r"settings=\(far\) is of nothing: none of the claims is asked"):
            studies({"size": CLAIM}, settings, lambda name: Toy())

    def test_a_claim_without_a_setting(self):
        with pytest.raises(UsageError, match=r"claims=\(far\) is asked of dqn: expected a setting of that"):
            studies({"size": CLAIM, "far": CLAIM._replace(experiments=("dqn",))}, TOYS, lambda name: Toy())


class TestTrials:
    setting = Setting("toy", (), tune=(("noise=0.1",),))

    def test_both_arms_get_the_same_draws_and_seeds(self):
        first, second = (tuning_trials(Toy(dimension=d), CLAIM, self.setting, EFFORT) for d in (1, 2))
        assert [replace(c, dimension=2) for c in first] == second
        assert len({c.learning_rate for c in first}) == 4
        assert [c.seed for c in first] == [0, 1] * 4
        assert {c.noise for c in first} == {0.1}

    def test_each_fold_gets_the_same_draws(self):
        folds = Setting("toy", (), tune=(("noise=0.1",), ("noise=0.2",)))
        trials = tuning_trials(Toy(), CLAIM, folds, EFFORT)
        first, second = trials[:8], trials[8:]
        assert [replace(c, noise=0.2) for c in first] == second
        scores = [0.1 * k for k in range(16)]
        found = tuned(trials, scores, "max", CLAIM)
        of_draws = [np.mean([scores[2 * k + i] for i in (0, 1, 8, 9)]) for k in range(4)]
        assert found.scores == pytest.approx(of_draws)
        assert found.values == [{"learning_rate": c.learning_rate} for c in first[::2]]

    def test_they_are_drawn_as_was_asked(self):
        def sixteenths(search):
            effort = EFFORT._replace(draws=16, tuning_seeds=1, search=search)
            trials = tuning_trials(Toy(), CLAIM, self.setting, effort)
            return sorted(int(8 * math.log10(100 * c.learning_rate)) for c in trials)

        assert sixteenths("sobol") == list(range(16))  # one in each: what a Sobol sequence is for
        assert sixteenths("random") != list(range(16))

    def test_judging_uses_fresh_seeds(self):
        found = judging_trials(Toy(dimension=2), {"learning_rate": 0.5}, EFFORT)
        assert found == [Toy(dimension=2, learning_rate=0.5, seed=s) for s in (100, 101, 102)]

    def test_studies_of_other_seeds_share_nothing(self):
        def seeds_and_draws(seed):
            effort = EFFORT._replace(seed=seed, tuning_seeds=100, judging_seeds=900)
            tuning = tuning_trials(Toy(), CLAIM, self.setting, effort)
            judging = judging_trials(Toy(), {}, effort)
            assert not {c.seed for c in tuning} & {c.seed for c in judging}
            return {c.seed for c in tuning + judging}, {c.learning_rate for c in tuning}

        (seeds, draws), (others, other_draws) = seeds_and_draws(3), seeds_and_draws(4)
        assert not seeds & others
        assert not draws & other_draws


TRIALS = [Toy(learning_rate=r, seed=s) for r in (0.1, 0.2, 0.3) for s in (7, 8)]


class TestTuned:
    def test_the_best_mean_over_seeds(self):
        found = tuned(TRIALS, [0.0, 1.0, 0.7, 0.7, 0.9, 0.1], "max", CLAIM)
        assert found.scores == pytest.approx([0.5, 0.7, 0.5])
        assert found.values == [{"learning_rate": r} for r in (0.1, 0.2, 0.3)]
        assert (found.best, found.chosen) == (1, {"learning_rate": 0.2})
        assert tuned(TRIALS, [0.0, 1.0, 0.7, 0.7, 0.9, 0.0], "min", CLAIM).best == 2

    def test_what_lost_a_seed_is_not_chosen(self):
        found = tuned(TRIALS, [0.9, None, 0.7, 0.7, None, None], "max", CLAIM)
        assert found.scores == [None, 0.7, None]
        assert found.best == 1

    def test_of_equals_the_middle_one(self):
        assert tuned(TRIALS, [0.5] * 6, "max", CLAIM).chosen == {"learning_rate": 0.2}
        assert tuned(TRIALS[::-1], [0.5] * 6, "max", CLAIM).chosen == {"learning_rate": 0.2}

    def test_of_two_in_the_middle_the_smaller_one(self):
        trials = [Toy(learning_rate=r) for r in (0.3, 0.1, 0.4, 0.2)]
        assert tuned(trials, [0.5] * 4, "max", CLAIM).chosen == {"learning_rate": 0.2}
        assert tuned(trials[:2], [0.5] * 2, "min", CLAIM).chosen == {"learning_rate": 0.1}
        assert tuned(trials, [0.5, 0.4, 0.5, 0.4], "max", CLAIM).chosen == {"learning_rate": 0.3}

    def test_the_middle_by_the_first_field_that_is_tuned(self):
        trials = [Toy(learning_rate=r, noise=n) for r, n in ((0.3, 0.2), (0.1, 0.3), (0.2, 0.1))]
        claim = CLAIM._replace(space=("learning_rate=loguniform(1e-2,1)", "noise=uniform(0,1)"))
        assert tuned(trials, [0.5] * 3, "max", claim).chosen == {"learning_rate": 0.2, "noise": 0.1}

    def test_nothing_measured(self):
        found = tuned(TRIALS, [None] * 6, "max", CLAIM)
        assert found.best is None
        assert math.isnan(found.top)
        with pytest.raises(ValueError, match="no configuration has a score"):
            _ = found.chosen


class TestChanged:
    def test_of_a_field_given_twice_the_last_counts(self):
        assert changed(Toy(), ("noise=0.1", "dimension=3", "noise=0.2")) == Toy(noise=0.2, dimension=3)

    def test_mistakes_name_the_nearest(self):
        with pytest.raises(UsageError, match="Unknown field 'nois'. Did you mean 'noise'?"):
            changed(Toy(), ("nois=0.1",))
