"""What judges say of rows: each claim holds of some numbers and fails of others."""

import json

import pytest

from mi203jax.lecture import judges
from mi203jax.lecture.judges import Evidence, NotMeasuredError, Verdict, verdicts_of
from mi203jax.lecture.slides import SLIDES


def rows(*trials, status="done"):
    return Evidence([{"trial": i, "status": status, "seed": "0"} | t for i, t in enumerate(trials)])


def images(plain, dense, convolutional):
    found = {("mlp", "plain"): plain, ("mlp", "shifted"): dense, ("cnn", "shifted"): convolutional}
    return rows(*({"model": m, "images": i, "eval/accuracy": a} for (m, i), a in found.items()))


def layers(alone, neither, both=0.9):
    found = {("batch", "false"): alone, ("none", "false"): neither, ("batch", "true"): both}
    return rows(*({"normalization": n, "residual": r, "eval/accuracy": a} for (n, r), a in found.items()))


def batches(**right):
    return rows(*({"batch_size": n.strip("_"), "eval/accuracy": a} for n, a in right.items()))


def cells(**errors):
    return rows(*({"cell": c, "eval/loss": e, "eval/baseline": 0.167} for c, e in errors.items()))


def scores(sparse, dense):
    return rows({"score": "sparse", "eval/wins": sparse}, {"score": "dense", "eval/wins": dense})


def objectives(relu, td, won=1.0, by_td=1.0):
    found = {"relu": (relu, won), "td": (td, by_td)}
    return rows(*({"objective": o, "eval/q_error": e, "eval/return": r} for o, (e, r) in found.items()))


def optimizers(sgd, momentum):
    """Accuracy of each, of λ = 0.1, 1 and 10."""
    found = [("sgd", sgd), ("momentum_ema", momentum)]
    values = [(n, v, a) for n, of in found for v, a in zip(("0.1", "1", "10"), of, strict=True)]
    return rows(*({"optimizer": n, "learning_rate": v, "eval/accuracy": a} for n, v, a in values))


def beside(own, windows):
    other = [{"status": "done", "step": 2_400, "eval/ap50": windows}]
    return rows({"step": 6_000, "eval/ap50": own})._replace(beside={"sliding_window": other})


def named(**metrics):
    return rows({f"eval/{n}": v for n, v in metrics.items()})


H, F = "holds", "fails"
MOMENTUM = judges.BestAhead("optimizer", "momentum_ema", "sgd", "learning_rate")
CASES = [
    (judges.signs, named(accuracy=0.9), [H], "90.0 %"),
    (judges.signs, named(accuracy=0.89), [F], "89.0 %"),
    (judges.needs_images, images(0.842, 0.69, 0.94), [F, H], "84.2 % of the digits right, 8.4 times"),
    (judges.needs_images, images(0.19, 0.7, 0.6), [H, F], "70.0 %"),
    (judges.needs_images, images(0.2, 0.7, 0.6), [F, F], "asked: more with them"),
    (judges.hundred_layers, layers(0.11, 0.5), [F], "with batch norm and skips at 90.0 %"),
    (judges.hundred_layers, layers(0.6, 0.5, None), [H], "batch norm with skips has no number"),
    (judges.Ahead("normalization", "batch", "none"), layers(0.6, 0.5, None), [H], "60.0 % with normalization=batch"),
    (judges.Ahead("normalization", "batch", "none"), layers(0.4, 0.5, None), [F], "50.0 % with normalization=none"),
    (judges.Ahead("normalization", "batch", "none"), layers(0.5, 0.5, None), ["undecided"], "50.0 %"),
    (judges.Ahead("normalization", "batch", "none"), layers(0.509, 0.5, None), ["undecided"], "too close"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.7, 0.95, 0.2)), [H], "95.0 % with optimizer=momentum_ema learning_rate=1,"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.7, 0.8, 0.2)), [F], "90.0 % with optimizer=sgd"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.9, 0.905, 0.2)), ["undecided"], "too close"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.7, 0.75, 0.8)), ["undecided"], "best at the last learning_rate"),
    (MOMENTUM, optimizers((0.7, 0.75, 0.8), (0.8, 0.9, None)), ["undecided"], "90.0 % with optimizer=momentum_ema"),
    (judges.enlarges_receptive_field, rows(), [H], "sees 18×18 pixels; 7×7 without"),
    (judges.labels_pixels, named(mean_iou=0.496), [H], "0.496"),
    (judges.labels_pixels, named(mean_iou=0.09), [F], "1/11 = 0.091"),
    (judges.everywhere_at_once, beside(0.863, 0.369), [H], "0.863 everywhere at once, after 6,000"),
    (judges.everywhere_at_once, beside(0.3, 0.369), [F], "0.369 window by window, after 2,400."),
    (judges.counts_weights, rows(), [H], "With n = 12 and d = 64, 19,712 numbers"),
    (judges.neither_all_nor_one, batches(_1=0.96, _16=0.98, _128=0.95, _1437=0.59), [H, H], "of 16 at 98.0 %"),
    (judges.neither_all_nor_one, batches(_1=0.96, _16=0.9, _128=0.95, _1437=0.94), [H, F], "of 128 at 95.0 %"),
    (judges.beats_components, named(squared_error=5.02, pca_squared_error=14.13), [H], "14.13"),
    (judges.beats_components, named(squared_error=15, pca_squared_error=14.13), [F], "15.00"),
    (
        judges.generates,
        named(frechet_distance=1.4, gaussian_frechet_distance=22.3, floor_frechet_distance=0.45),
        [H],
        "0.45",
    ),
    (
        judges.generates,
        named(frechet_distance=30, gaussian_frechet_distance=22.3, floor_frechet_distance=0.45),
        [F],
        "30.00",
    ),
    (judges.remembers, cells(rnn=0.167, lstm=0.0003, gru=0.083), [F, H, H], "rnn: squared error 0.1670"),
    (judges.remembers, cells(lstm=0.084), [F], "0.0840"),
    (judges.reads_any_length, named(accuracy=0.987), [H], "98.7 %"),
    (judges.reads_any_length, named(accuracy=0.5), [F], "50.0 %"),
    (judges.predicts_characters, named(bits=3.22, five_gram_bits=3.39), [H], "3.22"),
    (judges.predicts_characters, named(bits=3.4, five_gram_bits=3.39), [F], "3.39"),
    (judges.wins_without_score, scores(0.0, 1.0), [F, H], "wins 0.0 %"),
    (judges.wins_without_score, scores(0.51, 0.5), [H, F], "wins 51.0 %"),
    (judges.fundamental_equation, named(value_iteration_error=1e-9), [H], "1.0e-09"),
    (judges.fundamental_equation, named(value_iteration_error=1e-3), [F], "1.0e-03"),
    (
        judges.linear_program_is_exact,
        named(linear_program_error=1e-9, per_successor_error=2.5),
        [H, F],
        "an optimist's Q",
    ),
    (judges.linear_program_is_exact, named(linear_program_error=1, per_successor_error=0), [F, H], "off by 0."),
    (judges.equals_dijkstra, named(right=1.0, sweeps=97), [H], "after 97 sweeps"),
    (judges.equals_dijkstra, named(right=0.999, sweeps=97), [F], "99.9 %"),
    (judges.relu_alone, objectives(139.0, 1.2), [F], "139 off Q*"),
    (judges.relu_alone, objectives(2.4, 1.2), [H], "1.2 off"),
    (judges.relu_alone, objectives(65.1, 52.2, won=0.0, by_td=100.0), [F], "a return of 0;"),
    (judges.relu_alone, objectives(65.1, 65.8, won=0.0, by_td=0.0), ["undecided"], "with 0."),
]  # fmt: skip
TRIED = {judge for judge, *_ in CASES} | {judges.tendencies}


@pytest.mark.parametrize(("judge", "evidence", "kinds", "words"), CASES)
def test_by_their_numbers(judge, evidence, kinds, words):
    found = judge(evidence)
    assert [v.kind for v in found] == kinds
    assert any(words in v.words for v in found)


def test_each_judge_is_tried():
    used = {row.judge for slide in SLIDES for row in slide.rows if row.judge}
    classes = (judges.Ahead, judges.BestAhead)
    kinds = [{type(j) if isinstance(j, classes) else j for j in of} for of in (used, TRIED)]
    assert kinds[0] == kinds[1]


def result(claim, first, second):
    arms = [{"name": n, "values": [], "tuning": [], "chosen": {}, "scores": s} for n, s in (first, second)]
    return {
        "claim": claim, "slide": "", "setting": "spirals", "cell": "", "experiment": "vectors",
        "metric": "eval/accuracy", "best": "max", "budget": "examples", "first": arms[0], "second": arms[1],
    }  # fmt: skip


def test_tendencies_are_told_by_their_intervals():
    good, bad = [0.91, 0.93, 0.92, 0.95, 0.94], [0.5, 0.51, 0.53, 0.5, 0.52]
    even = [0.9, 0.94, 0.92, 0.96, 0.93]
    arms = [("A", good), ("B", bad)]
    results = [result("up", *arms), result("down", *arms[::-1]), result("even", arms[0], ("C", even))]
    texts = {"study.json": json.dumps({"results": results, "left_out": ["batch_norm in spirals: no number"]})}
    found = judges.tendencies(Evidence([], texts))
    assert [v.kind for v in found] == ["holds", "fails", "undecided", "undecided"]
    assert found[0].words.startswith("A > B on spirals: +0.418 (+")
    assert found[1].words.endswith("over 5 seeds), reversed.")
    assert found[3].words == "batch_norm in spirals: no number."
    for texts in ({}, {"study.json": '{"results": []}'}):
        with pytest.raises(NotMeasuredError):
            judges.tendencies(Evidence([], texts))


class TestEvidence:
    def test_the_mean_is_of_trials_that_ended_well_with_these_values(self):
        e = Evidence(
            [
                {"status": "done", "a": "1", "eval/x": 1.0},
                {"status": "done", "a": "1", "eval/x": 3.0},
                {"status": "diverged", "a": "1", "eval/x": 50.0},
                {"status": "done", "a": "1", "eval/x": None},
                {"status": "done", "a": "2", "eval/x": 7.0},
            ]
        )
        assert e.mean("eval/x", a="1") == 2.0
        assert e.mean("eval/x") == pytest.approx(11 / 3)

    def test_what_is_not_there_is_undecided(self):
        lost = rows({"error": "no such luck"}, status="failed")
        assert verdicts_of(judges.signs, lost) == [
            Verdict("undecided", "No trial ended with a number of eval/accuracy.")
        ]
        (found,) = verdicts_of(judges.needs_images, images(None, 1, 1))
        assert "with model=mlp images=plain ended" in found.words

    def test_what_is_lost_was_not_run(self):
        (found,) = verdicts_of(judges.signs, rows(), is_lost=True)
        assert found == Verdict("not run", "No trial ended with a number of eval/accuracy.")
        assert [v.kind for v in verdicts_of(judges.signs, named(accuracy=1.0), is_lost=True)] == [H]

    def test_what_no_other_run_measured_is_not_made_up(self):
        (found,) = verdicts_of(judges.everywhere_at_once, named(ap50=0.8))
        assert found == Verdict("undecided", "No trial ended with a number of eval/ap50.")
        (found,) = verdicts_of(MOMENTUM, rows())
        assert found == Verdict(
            "undecided", "No trial of several learning_rate ended with a number of eval/accuracy."
        )

    def test_a_judge_that_breaks_does_not_break_the_page(self):
        (found,) = verdicts_of(lambda e: 1 / 0, rows())
        assert found == Verdict("undecided", "It could not be judged: ZeroDivisionError: division by zero.")
