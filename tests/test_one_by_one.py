"""What runs one by one would take: commands and estimates; nothing is run."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import experiments
from benchmarks import one_by_one
from mi203jax.core import command_line


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("vectors", {"learning_rate": 0.003, "hidden": (8, 8), "data": "spirals", "seed": 7}),
        ("image_classification", {"channels": (), "use_dropout": True, "augment": ("affine",)}),
        ("rewards", {"step_size": 0.125}),  # alone it would be a sweep over scores and seeds
    ],
)
def test_the_command_of_a_trial_gives_that_trial(name, fields, tmp_path):
    c = dataclasses.replace(experiments.get(name).config, **fields)
    python, *argv = one_by_one.command(name, c, tmp_path / "run")
    own, assignments = command_line.parse(argv, experiments)
    assert command_line.sweep_of(own, assignments, experiments).trials() == [c]
    assert (own.out, own.quiet) == (str(tmp_path / "run"), True)
    assert os.path.basename(python).startswith("python")


def test_a_run_alone_takes_until_its_results_are_written(monkeypatch):
    def run(command, **options):
        (out,) = (Path(w.removeprefix("--out=")) for w in command if w.startswith("--out="))
        out.mkdir()
        (out / "results.csv").write_text("")
        os.utime(out / "results.csv", (1_000_007.5, 1_000_007.5))

    monkeypatch.setattr(one_by_one.subprocess, "run", run)
    monkeypatch.setattr(one_by_one.time, "time", lambda: 1_000_000.0)
    assert one_by_one.alone("vectors", experiments.get("vectors").config) == 7.5


def test_two_trials_of_each_program_that_has_them(monkeypatch):
    monkeypatch.setattr(one_by_one, "alone", lambda experiment, c: (experiment == "vectors") * c)
    contents = SimpleNamespace(
        experiment="vectors",
        pieces={0: [0], 1: [1, 2, 3], 2: [4, 5]},
        trials=[0.5, 10.0, 1.0, 99.0, 14.0, 3.0],
    )
    found = one_by_one.part(contents, sample=6)
    assert sorted(found.tolist()) == [[10.0, 1.0], [14.0, 3.0]]
    assert one_by_one.part(contents, sample=1).shape == (1, 2)


def test_the_estimate_and_its_error():
    """Four programs of ten trials: by the first 4 · 10 + 6 · 1 = 46 seconds, by the second 4 · 14 + 6 · 3 = 74."""
    seconds, error = one_by_one.estimate(np.array([[10.0, 1.0], [14.0, 3.0]]), programs=4, trials=10)
    assert seconds == 60
    assert error == pytest.approx(14)  # √((14² + 14²) / 1) / √2
    seconds, error = one_by_one.estimate(np.array([[10.0, 1.0]]), programs=4, trials=10)
    assert seconds == 46
    assert np.isnan(error)
