"""The course's claims as a study; no network is trained here: see tests/study/test_stages.py for whole studies."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import experiments
import launch
from mi203jax.configs import Trends
from mi203jax.configs.claims import CLAIMS, SETTINGS
from mi203jax.core.errors import UsageError
from mi203jax.core.series import Ended
from mi203jax.data import load
from mi203jax.data.shapes import SHAPES
from mi203jax.study.plan import Effort, cells, judging_trials, studies, tuning_trials
from mi203jax.study.result import from_json
from mi203jax.study.stages import asked_of
from mi203jax.tasks.depth_map import Gradient
from mi203jax.tasks.trends import gradients, plan, series

ORIGIN = {
    "time": "2026-01-31T10:00:00+01:00",
    "command": "python launch.py --exp=trends",
    "cores": 2,
    "devices": ["cpu: cpu"],
    "packages": {"jax": "0.0"},
    "git": None,
}
WORK = {"programs": 2, "seconds": 60.0}
ONE = Effort(draws=1, tuning_seeds=1, judging_seeds=2, search="sobol", seed=0)


def config_of(name):
    return experiments.get(name).config


def overlap(train, test):
    """Percents of the training examples that two splits share."""

    def percents(split):
        for part in split.split("+"):
            low, high = part.removeprefix("train[").removesuffix("]").replace("%", "").split(":")
            yield from range(int(low or 0), int(high or 100))

    return len(set(percents(train)) & set(percents(test)))


def trends_of(sweep):
    (c,) = experiments.get("trends").sweep(sweep).trials()
    return c


def differing(a, b):
    return {f.name for f in dataclasses.fields(a) if getattr(a, f.name) != getattr(b, f.name)}


class TestClaims:
    @pytest.mark.parametrize("name", CLAIMS)
    def test_arms_differ_in_one_choice_alone(self, name):
        claim = CLAIMS[name]
        places = {n: s for n, s in SETTINGS.items() if s.experiment in claim.experiments}
        places = {n: s for n, s in places.items() if claim.budget != "seconds" or s.microseconds}
        found = studies({name: claim}, places, config_of, looks=2)
        assert {s.setting for s in found} == set(places)
        chosen = {f.partition("=")[0] for f in claim.first.fields + claim.second.fields}
        length = {"total_steps", "eval_every"} if claim.budget != "examples" else set()
        for study in found:
            assert differing(*study.arms) <= chosen | length
            assert differing(*study.arms) & chosen

    @pytest.mark.parametrize("name", CLAIMS)
    def test_tuning_leaves_the_test_split_alone(self, name):
        for place, setting in SETTINGS.items():
            if setting.experiment not in ("image_classification", "vectors") or not setting.fields:
                continue
            if setting.experiment not in CLAIMS[name].experiments or CLAIMS[name].budget == "seconds":
                continue
            (study, *_) = studies({name: CLAIMS[name]}, {place: setting}, config_of, looks=1)
            for trial in tuning_trials(study.arms[0], CLAIMS[name], setting, ONE):
                if trial.data in ("moons", "circles", "blobs", "spirals", "xor"):
                    assert trial.data_seed != study.arms[0].data_seed
                else:
                    assert trial.eval_split.startswith("train[")
                    assert overlap(trial.train_split, trial.eval_split) == 0
            judged, _ = judging_trials(study.arms[0], {}, ONE)
            assert (judged.train_split, judged.eval_split) == ("train", "test")

    def test_updates_and_seconds_are_made_equal(self):
        asked = {n: CLAIMS[n] for n in ("large_batch_updates", "large_batch_seconds")}
        for study in studies(asked, {"digits": SETTINGS["digits"]}, config_of):
            large, small = study.arms
            if study.claim == "large_batch_updates":
                assert large.num_iterations == small.num_iterations
            else:
                cost = SETTINGS["digits"].microseconds
                times = [c.total_steps * cost[c.batch_size] for c in (large, small)]
                assert times[0] == pytest.approx(times[1], rel=1e-3)


def test_what_diverged_counts_as_always_saying_the_most_frequent_class():
    worth = {}
    for setting in (s for s in SETTINGS.values() if s.diverged is not None):
        for c in cells(config_of(setting.experiment), setting, looks=24).values():
            worth.setdefault(c.data, set()).add(setting.diverged)
    assert set(worth) == {"mnist_5k", "digits/blocks", "breast_cancer", "moons", "circles", "spirals", "xor"}
    for name, counted in worth.items():
        made = name in SHAPES
        labels = SHAPES[name](jax.random.key(0), 1_000)[1] if made else load(name, "test").arrays["label"]
        _, counts = np.unique(labels, return_counts=True)
        assert [*counted] == pytest.approx([counts.max() / len(labels)], rel=1e-12)


class TestSweeps:
    """Of the experiment."""

    def test_counter_examples_with_a_name_share_no_seed_with_the_search_that_found_them(self):
        found = {n: trends_of(n).effort.seed for n in experiments.get("trends").sweeps}
        assert {n for n, seed in found.items() if seed} == {n for n in found if n.endswith("_counterexample")}
        assert set(found.values()) == {0, 1}

    def test_the_second_search_pays_for_what_the_first_looked_at(self):
        first, second = trends_of("search"), trends_of("search_momentum")
        assert (first.looked_before, second.looked_before) == (0, len(asked_of(plan(first), experiments.get)))


class TestConfig:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"claims": ("momentun",)}, "claims=(momentun): Did you mean 'momentum'?"),
            ({"settings": ("digit",)}, "settings=(digit): Did you mean 'digits'?"),
            ({"claims": ()}, "claims=(): expected one or more of momentum, heavy_ball"),
            ({"claims": ("adam", "adam")}, "claims=(adam,adam) has adam twice: expected it once."),
            (
                {"settings": ("any_points",)},
                "settings=(any_points) is drawn: expected looks=COUNT beside it.",
            ),
            ({"looks": 3}, "looks=3: settings=(digits) is fixed: expected one of any_points, any_"),
            ({"looked_before": 3}, "looked_before=3 is of a search: expected looks=COUNT beside it."),
            ({"looked_before": -1}, "looked_before=-1: expected a whole number in [0, 4000]"),
            ({"seed": 2_147_483}, "seed=2147483: expected at most 2147482."),
            ({"judging_seeds": 901}, "judging_seeds=901: expected a whole number in [5, 900]"),
        ],
    )
    def test_mistakes(self, fields, message):
        with pytest.raises(UsageError) as error:
            Trends(**fields)
        assert message in str(error.value)

    def test_effort(self):
        c = Trends(draws=2, tuning_seeds=3, judging_seeds=5, search="random", seed=7)
        assert c.effort == Effort(draws=2, tuning_seeds=3, judging_seeds=5, search="random", seed=7)

    def test_seeds_of_the_last_study_are_seeds(self):
        c = Trends(seed=2_147_482, judging_seeds=900)
        (part,) = [p for p in series.next(c, experiments.get, {}).values() if p.experiment == "vectors"]
        assert max(t.seed for t in part.trials) < 2**31


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--seeds=2"], "trends is made of sweeps of its own: expected one value of each field"),
            (["draws=4,8"], "trends is made of sweeps of its own: expected one value of each field"),
            (["claims=(dropout,adamm)"], "Did you mean 'adam'?"),
            (
                ["claims=(replay)"],
                "settings=(digits) is of image_classification: none of the claims is asked",
            ),
            (["claims=(large_batch_seconds)", "settings=(deep_digits)"], "python -m benchmarks.batch_time"),
        ],
    )
    def test_mistakes_are_answered_in_a_line(self, arguments, message, capsys, tmp_path):
        assert launch.main(["launch.py", "--exp=trends", f"--out={tmp_path / 'run'}", *arguments]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
        assert not (tmp_path / "run").exists()

    def test_describe(self, capsys):
        assert launch.main(["launch.py", "--exp=trends", "--describe"]) == 0
        said = capsys.readouterr().out
        assert "judging_seeds" in said
        assert "--sweep=full" in said

    def test_dry_run(self, capsys):
        fields = ["claims=(momentum)", "settings=(spirals)", "draws=3"]
        assert launch.main(["launch.py", "--exp=trends", "--dry-run", *fields]) == 0
        said = capsys.readouterr().out
        assert "tuning_vectors: 18 trials of vectors" in said
        assert "program 6: 3 trials" in said
        assert "What comes after depends on what comes of these" in said


def made_up(c, find=experiments.get):
    """All parts of a study, with scores that were drawn instead of trained for."""
    rng, ended = np.random.default_rng(0), {}
    while parts := series.next(c, find, ended):
        for name, part in parts.items():
            scores = rng.uniform(0.5, 1, len(part.trials)).tolist()
            rows = [{"eval/accuracy": s, "status": "done"} for s in scores]
            ended[name] = Ended(part.trials, rows, WORK | {"trials": len(rows)})
    return ended


class TestConclude:
    def test_the_record_holds_all_that_was_found(self):
        c = Trends(claims=("momentum", "batch_norm"), draws=2, judging_seeds=5)
        ended = made_up(c)
        conclusion = series.conclude(c, experiments.get, ended, ORIGIN)
        record = json.loads(conclusion.texts["study.json"])
        assert record["provenance"] == ORIGIN
        assert record["effort"]["judging_seeds"] == 5
        assert record["work"]["judging_vectors"] == WORK | {"trials": 15}
        found = [from_json(r) for r in record["results"]]
        assert [(r.claim, r.setting) for r in found] == [
            (claim, place) for claim in ("momentum", "batch_norm") for place in ("digits", "spirals")
        ]
        assert set(record["microseconds"]) == {"digits", "spirals"}
        assert record["guess"] == {n: SETTINGS[n].diverged for n in ("digits", "spirals")}
        assert {"forest", "luck", "where"} <= set(conclusion.figures)
        for name in conclusion.figures:
            assert f"(figures/{name}.png)" in conclusion.texts["study.md"]
        assert conclusion.summary.count("\n") == 7  # four rows, the head, what † means, two notes

    def test_a_search_tells_what_it_looked_at(self):
        c = Trends(
            claims=("momentum",), settings=("any_points",), draws=2, looks=4, candidates=1, looked_before=3
        )
        conclusion = series.conclude(c, experiments.get, made_up(c), ORIGIN)
        record = json.loads(conclusion.texts["study.json"])
        assert [record["effort"][n] for n in ("looks", "candidates", "looked_before")] == [4, 1, 3]
        assert record["microseconds"] == {}  # they are of settings that know them
        assert len(record["looked"]) == 4
        (result,) = record["results"]
        assert result["looked_at"] == 7
        assert result["cell"] == min(record["looked"], key=lambda x: x["advantage"])["cell"]
        assert "looks_momentum" in conclusion.figures

    def test_what_could_not_be_judged_is_told(self, monkeypatch):
        monkeypatch.setattr("mi203jax.tasks.trends.figures", lambda results, looked: {})
        c = Trends(claims=("momentum",), settings=("spirals",), draws=1, judging_seeds=5)
        ended = made_up(c)
        ended["judging_vectors"].rows[-1]["eval/accuracy"] = None
        conclusion = series.conclude(c, experiments.get, ended, ORIGIN)
        record = json.loads(conclusion.texts["study.json"])
        assert record["left_out"] == ["momentum in spirals: 1 of 5 seeds of SGD gave no number"]
        assert record["results"] == []
        assert "Not judged: momentum in spirals: 1 of 5" in conclusion.summary

    def test_gradients_are_kept_and_drawn(self, monkeypatch):
        own = Gradient("he", "none", residual=False, norms=[2.0, 1.0], growth=2.0, theory=None)
        for name, value in (("figures", {}), ("gradients", [own]), ("depth_map", "drawn")):
            monkeypatch.setattr(f"mi203jax.tasks.trends.{name}", lambda *of, value=value: value)
        c = Trends(claims=("momentum",), settings=("spirals",), draws=1, judging_seeds=5)
        conclusion = series.conclude(c, experiments.get, made_up(c), ORIGIN)
        assert json.loads(conclusion.texts["study.json"])["gradients"] == [own._asdict()]
        assert conclusion.figures == {"depth_map": "drawn"}

    def test_gradients_are_of_the_first_setting_with_depth(self, monkeypatch):
        asked = []
        monkeypatch.setattr("mi203jax.tasks.trends.initial_gradients", lambda *of: asked.append(of) or [])
        settings = ("spirals", "deep_breast_cancer", "deep_digits")
        gradients(Trends(claims=("batch_norm",), settings=settings), experiments.get)
        ((experiment, configs),) = asked
        assert experiment == "vectors"
        assert {c.data for c in configs} == {"breast_cancer"}
        assert len(configs) == 5 * 2 * 5 * 2  # depths, with and without skips, first weights, arms

    def test_without_depth_there_are_none(self):
        assert gradients(Trends(), experiments.get) == []
