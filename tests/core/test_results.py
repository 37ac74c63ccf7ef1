"""Tables of trials and arms."""

import numpy as np
import pytest
from scipy import stats

from mi203jax.core.errors import UsageError
from mi203jax.core.piece_folder import Status
from mi203jax.core.recorded import Recorded
from mi203jax.core.results import arm_rows, load_metrics, load_results, results, t_interval, write_csv
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.core.toy import Toy

TRIALS = Sweep(Toy(), ("learning_rate=0.1,0.2,0.3",), seeds=3).trials()


def rows(values, statuses=None):
    records = [
        {"trial": i, "step": 40, "seconds": 1.0, "eval/loss": v}
        for i, v in enumerate(values)
        if v is not None
    ]
    return results(TRIALS, statuses or [Status("done", 40)] * 9, Recorded("eval/loss", "min").add(records))


class TestArms:
    def test_mean_interval_and_order(self):
        values = [3.0, 4.0, 5.0, 1.0, 2.0, 3.5, 9.0, 9.1, 9.2]
        first, second, third = arm_rows(TRIALS, rows(values), "eval/loss", "min")
        assert [r["learning_rate"] for r in (first, second, third)] == ["0.2", "0.1", "0.3"]
        assert second["mean"] == 4.0
        # 4 ± t₂(0.975) s / √3, with s = 1 and t₂ = 4.302653 of the tables
        assert second["low"] == pytest.approx(4 - 4.302653 / 3**0.5, rel=1e-6)
        assert second["high"] == pytest.approx(4 + 4.302653 / 3**0.5, rel=1e-6)
        assert arm_rows(TRIALS, rows(values), "eval/loss", "max")[0]["learning_rate"] == "0.3"

    def test_ties_are_of_pairs(self):
        """Arms that differ little, but alike on each seed, are distinguishable."""
        base = np.array([1.0, 5.0, 9.0])
        close, noisy = base + np.array([0.1, 0.11, 0.09]), base + np.array([2.0, -1.0, 0.5])
        better, tied, other = arm_rows(TRIALS, rows([*base, *close, *noisy]), "eval/loss", "min")
        assert (better["tie"], tied["tie"], other["tie"]) == (True, False, True)
        assert stats.ttest_rel(base, noisy).pvalue > 0.05

    def test_one_seed_tells_nothing(self):
        trials = Sweep(Toy(), ("learning_rate=0.1,0.2",)).trials()
        records = [{"trial": i, "step": 40, "seconds": 1.0, "eval/loss": v} for i, v in enumerate((2.0, 1.0))]
        table = results(trials, [Status("done", 40)] * 2, Recorded("eval/loss", "min").add(records))
        first, second = arm_rows(trials, table, "eval/loss", "min")
        assert (first["mean"], first["low"], second["tie"]) == (1.0, None, None)

    def test_what_is_lost_is_counted_and_left_out(self):
        statuses = [Status("done", 40)] * 9
        statuses[0], statuses[1] = Status("diverged", 40, "loss"), Status("failed", 40, "no")
        statuses[6:] = [Status("failed", 0, "no")] * 3
        values = [0.0, 0.0, 5.0, 6.0, 7.0, 8.0, None, None, None]
        first, second, third = arm_rows(TRIALS, rows(values, statuses), "eval/loss", "min")
        assert (first["mean"], first["seeds"], first["lost"]) == (5.0, 1, 2)
        assert (second["mean"], second["lost"]) == (7.0, 0)
        assert (third["mean"], third["seeds"], third["lost"]) == (None, 0, 3)


def test_interval_covers_the_mean_as_often_as_it_says():
    values = np.random.default_rng(0).normal(size=(2000, 4))
    covered = np.mean([low <= 0 <= high for low, high in map(t_interval, values)])
    assert stats.binomtest(int(covered * 2000), 2000, 0.95).pvalue > 0.01
    assert t_interval([1.0]) == (None, None)
    assert t_interval([2.0, 2.0]) == (2.0, 2.0)


class TestFrames:
    def test_metrics_of_a_run_that_goes_on(self, tmp_path):
        """With the fields that vary; a line that is being written is left out."""
        run = RunDirectory.create(str(tmp_path / "run"), "toy", Sweep(Toy(), ("learning_rate=0.1,0.2",)), {})
        (piece,) = run.add(run.sweep.trials(), [[0, 1]])
        piece.save_statuses()
        piece.append(
            {"trial": i, "step": s, "seconds": 0.1, "eval/loss": 10.0 * i + s} for s in (0, 5) for i in (0, 1)
        )
        with open(piece.path / "metrics.jsonl", "a") as file:
            file.write('{"trial": 0, "st')
        frame = load_metrics(tmp_path / "run")
        assert list(frame["eval/loss"]) == [0, 5, 10, 15]
        assert list(frame["learning_rate"]) == [0.1, 0.1, 0.2, 0.2]
        run.close()

    def test_results(self, tmp_path):
        run = RunDirectory.create(str(tmp_path), "toy", Sweep(Toy()), {})
        run.add([Toy()], [[0]])
        write_csv(tmp_path / "results.csv", rows(range(9)))
        with pytest.raises(
            UsageError, match="has no table: a run writes it at its end, .* load_metrics gives"
        ):
            load_results(tmp_path)
        run.finish([tmp_path / "results.csv"])
        run.close()
        frame = load_results(str(tmp_path))
        assert list(frame["eval/loss"]) == list(range(9))
        assert frame.groupby("learning_rate")["eval/loss"].mean().to_dict() == {0.1: 1, 0.2: 4, 0.3: 7}

    def test_refusals(self, tmp_path):
        for load in (load_results, load_metrics):
            with pytest.raises(UsageError, match=r"no run in this folder"):
                load(tmp_path)
