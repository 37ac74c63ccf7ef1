"""How values are drawn."""

import numpy as np
import pytest
from scipy import stats

from mi203jax.core import search
from mi203jax.core.errors import UsageError
from mi203jax.core.search import Tried
from mi203jax.core.space import Distribution

SPACE = {
    "rate": Distribution("loguniform", 1e-4, 1.0),
    "noise": Distribution("uniform", -1.0, 3.0),
    "width": Distribution("uniform", 1, 6, is_whole=True),
    "kind": Distribution("choice", choices=("a", (3, 4), 2.5)),
}


@pytest.mark.parametrize("method", ["random", "sobol"])
class TestDraw:
    def test_follows_the_distributions(self, method):
        drawn = search.draw(SPACE, 1024, method, seed=3)
        rate = np.log([d["rate"] for d in drawn])
        assert stats.kstest(rate, stats.uniform(np.log(1e-4), -np.log(1e-4)).cdf).pvalue > 0.01
        noise = [d["noise"] for d in drawn]
        assert stats.kstest(noise, stats.uniform(-1, 4).cdf).pvalue > 0.01
        counts = [sum(d["width"] == k for d in drawn) for k in range(1, 7)]
        assert stats.chisquare(counts).pvalue > 0.01
        assert (
            stats.chisquare([sum(d["kind"] == k for d in drawn) for k in SPACE["kind"].choices]).pvalue > 0.01
        )

    def test_more_begin_with_the_same(self, method):
        assert search.draw(SPACE, 50, method, 1)[:20] == search.draw(SPACE, 20, method, 1)
        assert search.draw(SPACE, 5, method, 1) != search.draw(SPACE, 5, method, 2)


def test_sobol_covers_more_evenly():
    plane = {n: Distribution("uniform", 0.0, 1.0) for n in "xy"}

    def discrepancy(method):
        points = [[d["x"], d["y"]] for d in search.draw(plane, 64, method, 0)]
        return stats.qmc.discrepancy(np.clip(points, 0, 1))

    assert discrepancy("sobol") < discrepancy("random") / 4


class TestOptuna:
    @staticmethod
    def objective(values):
        return (np.log10(values["rate"]) + 2) ** 2 + (values["kind"] != (3, 4))

    def tried(self, rounds, best="min"):
        tried = []
        for _ in range(rounds):
            proposed = search.propose(SPACE, 8, 5, tried, best)
            sign = 1 if best == "min" else -1
            tried += [Tried(v, sign * self.objective(v)) for v in proposed]
        return tried

    def test_the_same_arguments_give_the_same(self):
        tried = self.tried(2)
        assert search.propose(SPACE, 4, 5, tried, "min") == search.propose(SPACE, 4, 5, tried, "min")
        assert search.propose(SPACE, 4, 5, [], "min") != search.propose(SPACE, 4, 6, [], "min")

    @pytest.mark.parametrize("best", ["min", "max"])
    def test_learns_where_it_is_good(self, best):
        tried = self.tried(6, best)
        cost = [self.objective(t.values) for t in tried]
        assert np.mean(cost[-16:]) < np.mean(cost[:16]) / 2
        assert all(1e-4 <= t.values["rate"] <= 1.0 and type(t.values["width"]) is int for t in tried)

    def test_what_does_not_go_together_is_passed_over(self):
        def works(values):
            return values["width"] > 4

        proposed = search.propose(SPACE, 8, 5, [], "min", works)
        assert [works(v) for v in proposed] == [True] * 8
        with pytest.raises(UsageError, match="hardly any values of rate, noise, width, kind go together"):
            search.propose(SPACE, 2, 5, [], "min", lambda values: False)

    def test_what_failed_is_left_out(self):
        tried = [Tried(v, None) for v in search.propose(SPACE, 4, 5, [], "min")]
        assert len(search.propose(SPACE, 4, 5, tried, "min")) == 4

    def test_storage_is_optunas_own(self, tmp_path):
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        tried = self.tried(2)
        path = str(tmp_path / "optuna.log")
        for some in (tried[:8], tried, tried):
            search.save_study(path, SPACE, some, "min")
        study = optuna.load_study(study_name="mi203jax", storage=JournalStorage(JournalFileBackend(path)))
        assert [t.value for t in study.trials] == [t.objective for t in tried]
        assert study.best_params["rate"] == min(tried, key=lambda t: t.objective).values["rate"]
