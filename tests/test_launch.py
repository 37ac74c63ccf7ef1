"""The command line, as a user types it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import experiments
import launch
from mi203jax.core import session
from mi203jax.core.errors import FiguresFailed, UsageError
from tests.core.toy import EXPERIMENT
from tests.launching import ROOT


def main(*arguments):
    """launch.py in this process."""
    return launch.main(["launch.py", *map(str, arguments)])


class TestWithoutJax:
    """What is answered at once."""

    def test_does_not_import_jax(self):
        """All in one process, whose own imports take longest."""
        expected = {
            ("--list",): 0,
            ("--help",): 0,
            ("--exp=dqn", "--describe"): 0,
            ("--exp=dqm",): 2,
            ("--exp=dqn", "gamma=1.5"): 2,
            ("--exp=dqn", "env=Breakout"): 2,
            ("--exp=dqn", "--sedes=3"): 2,
            ("--exp=dqn", "--describe", "gamma=0.9,0.8", "--seeds=3"): 0,
            ("--exp=dqn", "--help"): 0,
            ("--exp=pqn", "env=DeepSea-bsuite"): 2,
            ("--exp=dqn", "--out=tests"): 2,
            ("--resume=nowhere",): 2,
            ("--resume=tests",): 2,
            ("--report=nowhere",): 2,
        }
        code = (
            "import sys, launch\n"
            f"for arguments, status in {expected}.items():\n"
            "    found = launch.main(['launch.py', *arguments])\n"
            "    assert found == status, (arguments, found)\n"
            "    assert 'jax' not in sys.modules, arguments\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def test_list_has_a_line_for_each_experiment(self, capsys):
        assert main("--list") == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == experiments.names()
        assert all(len(line.split()) > 4 for line in lines)

    def test_describe_folds_a_long_value(self, capsys):
        assert main("--exp=lecture", "--describe") == 0
        told = capsys.readouterr().out
        assert max(map(len, told.splitlines())) < 140
        value = "".join(line[7:55].strip() for line in told.splitlines()[2:])
        assert value.startswith("(vectors,mlp_vs_cnn,image_classification,")

    def test_describe_shows_the_values_that_would_run(self, capsys):
        assert main("--exp=dqn", "--describe", "gamma=0.5") == 0
        out = capsys.readouterr().out
        assert re.search(r"gamma +0\.5 +float in \[0, 1\] +together +discount γ", out)


BAD = [
    (["--exp=dqm"], "Unknown experiment 'dqm'. Did you mean 'dqn'?"),
    ([], "Nothing to do: expected --exp=NAME"),
    (["--sedes=3", "--exp=dqn"], "Unknown flag --sedes. Did you mean 'seeds'?"),
    (["--exp=dqn", "--seeds=many"], "flag --seeds=many"),
    (["--exp=dqn", "--seeds=0"], "--seeds=0: expected"),
    (["--exp=dqn", "--seed=-1"], "seed=-1: expected a whole number in [0, 2147483647]"),
    (["--exp=dqn", "--seed=1", "seed=2"], "--seed=1 contradicts the field seed"),
    (["--exp=dqn", "learning_rte=1"], "Unknown field 'learning_rte'. Did you mean 'learning_rate'?"),
    (["--exp=dqn", "learning_rate"], "'learning_rate' has no value"),
    (["--exp=dqn", "learning_rate=fast"], "learning_rate=fast: expected a finite number in (0, inf)"),
    (["--exp=dqn", "learning_rate=inf"], "learning_rate=inf: expected a finite number"),
    (["--exp=dqn", "gamma=1.5"], "gamma=1.5: expected a finite number in [0, 1]"),
    (["--exp=dqn", "num_envs=0"], "num_envs=0: expected a whole number in [1, inf)"),
    (
        ["--exp=dqn", "batch_size=200_000"],
        "batch_size=200000 is larger than the replay: expected at most replay_size=100000",
    ),
    (["--exp=dqn", "num_envs=200_000"], "num_envs=200000 is larger than the replay"),
    (["--exp=dqn", "learning_starts=1e9"], "learning_starts=1000000000 is not before the end"),
    (["--exp=dqn", "env=Breakout"], "Unknown env=Breakout. Did you mean 'Breakout-MinAtar'?"),
    (["--exp=dqn", "env=Pendulum-v1"], "env=Pendulum-v1 has continuous actions"),
    (["--exp=dqn", "loss=l2"], "loss=l2: expected one of squared, huber"),
    (["--exp=pqn", "minibatches=3"], "minibatches=3 does not divide num_envs * num_steps = 4096"),
    (["--exp=pqn", "env=DeepSea-bsuite"], "num_steps=32 is longer than the episodes"),
    (["--exp=dqn", "--checkpoint-every=0"], "--checkpoint-every=0.0: expected seconds in (0, inf)"),
    (["--exp=dqn", "--checkpoint-every=nan"], "--checkpoint-every=nan: expected seconds in (0, inf)"),
    (["--exp=dqn", "total_steps=3e9"], "total_steps=3000000000: expected a whole number in [1, 2000000000]"),
    (
        ["--exp=dqn", "replay_size=1e12"],
        "replay_size=1000000000000: expected a whole number in [1, inf), and of a size",
    ),
    (
        ["--exp=dqn", "learning_rate=1e39"],
        "learning_rate=1e+39: expected a finite number in (0, inf), and of a size",
    ),
    (
        ["--exp=dqn", "learning_rate=1e-50"],
        "learning_rate=1e-50: expected a finite number in (0, inf), and of a size",
    ),
    (["--exp=dqn", "gradient_steps=1e6"], "gradient_steps=1000000 makes more than 2147483647 gradient steps"),
    (
        ["--exp=dqn", "--gamma=0.9"],
        "Unknown flag --gamma: it is a field of dqn. Write gamma=VALUE, without dashes.",
    ),
    (["--exp=dqn", "seeds=3"], "seeds=3: seeds is a flag. Write --seeds=3."),
    (["--exp=dqn", "env=Pendulum-V1"], "Unknown env=Pendulum-V1. Did you mean 'Pendulum-v1'?"),
    (["exp=dqn"], "Nothing to do: expected --exp=NAME, --list or --help. Did you mean --exp=dqn?"),
    (["dqn"], "Nothing to do: expected --exp=NAME, --list or --help. Did you mean --exp=dqn?"),
    (
        ["--exp=dqn", "--chekpoint-every=3"],
        "Unknown flag --chekpoint_every. Did you mean 'checkpoint-every'?",
    ),
    (["--exp=dqn", "--resume=somewhere"], "--exp contradicts --resume"),
    (["--exp=dqn", "--list"], "--exp contradicts --list"),
    (["--describe"], "--describe needs an experiment"),
    (["--exp=dqn", "--describe", "--out=x"], "--out contradicts --describe"),
    (["--list", "gamma=1"], "gamma=1 contradicts --list"),
    (["--resume=nowhere"], "--resume=nowhere: there is no such folder"),
    (["--resume=."], "--resume=.: no run in this folder"),
    (["--resume="], "--resume=: expected a folder"),
    (["--report=nowhere"], "--report=nowhere: there is no such folder"),
    (["--report=."], "--report=.: no run in this folder"),
    (["--report="], "--report=: expected a folder"),
    (["--report=x", "--seed=3"], "--seed contradicts --report"),
    (["--report=x", "--report=y"], "--report is given twice: expected --report=DIR DIR."),
    (["--exp=dqn", "--exp=pqn"], "--exp is given twice: expected it once."),
    (["--exp=dqn", "--max-memory=1", "--max_memory=2"], "--max-memory is given twice: expected it once."),
    ([f"--resume={__file__}"], f"--resume={__file__}: this is a file, expected the folder of a run."),
    (["--exp="], "Unknown experiment ''"),
    (["--exp=dqn", "--out="], "--out=: expected a folder"),
    (["--exp=vectors", "--out=/proc/run"], "--out=/proc/run cannot be written"),
    (["--exp=dqn", "-x"], "Unknown flag"),
    (["--exp=dqn", "--sweep=xyz"], "Unknown --sweep=xyz. Choose one of: breakout, games, "),
    (["--exp=image_classification", "--sweep=bets"], "Unknown --sweep=bets. Did you mean 'best'?"),
    (["--exp=image_classification", "augment=(afine)"], "augment=(afine): Did you mean 'affine'?"),
    (
        ["--exp=image_classification", "optimizer=adma"],
        "optimizer=adma: expected one of sgd, normalized_gradi",
    ),
    (["--exp=image_classification", "data=mnist_5"], "Unknown data=mnist_5: "),
    (["--exp=image_classification", "data_dir=/nowhere"], "data_dir=/nowhere: there is no such folder"),
    (["--exp=image_classification", "eval_split=val"], "mnist_5k has no split 'val'"),
    (
        ["--exp=image_classification", "batch_size=4001"],
        "batch_size=4001 is larger than train of mnist_5k/1.0.0: expected at most 4000, all of it",
    ),
    (["--exp=vectors", "data=moon"], "Unknown data=moon"),
    (["--exp=vectors", "learning_rate=log(1,0.1,3)"], "learning_rate=log(1,0.1,3): expected the lower bound"),
    (["--exp=vectors", "weight_decay=log(0,1,3)"], "weight_decay=log(0,1,3): expected bounds above 0"),
    (["--exp=vectors", "noise=uniform(0,1)"], "noise=uniform(0,1): noise shapes the program"),
    (["--exp=vectors", "momentum=uniform(0,0.9)"], "momentum is drawn: expected --trials=COUNT beside it."),
    (["--exp=vectors", "momentum=uniform(0,0.9)", "--trials=0"], "--trials=0: expected a whole number"),
    (["--exp=vectors", "--trials=9"], "--trials=9: nothing is drawn."),
    (["--exp=vectors", "--search=sobol"], "--search=sobol: nothing is drawn."),
    (["--exp=vectors", "--search=grid"], "flag --search=grid: value should be one of <random|sobol|optuna>"),
    (["--exp=vectors", "--seeds=1001"], "1,001 trials: expected --yes beside more than 1,000."),
    (
        ["--exp=vectors", "learning_rate=1,2", "momentum=uniform(0,0.9)", "--trials=3", "--search=optuna"],
        "--search=optuna draws each field that varies: expected learning_rate=choice(VALUE,VALUE).",
    ),
    (["--dry-run"], "--dry-run needs an experiment"),
    (["--exp=dqn", "--dry-run", "--out=x"], "--out contradicts --dry-run"),
    (["--exp=dqn", "--devices=0"], "--devices=0: expected a number in (0, inf)"),
    (["--exp=dqn", "--max-memory=-1"], "--max-memory=-1.0: expected gigabytes in (0, 1e+09)"),
    (["--exp=dqn", "--devices=2", "--parallel=devices"], "--devices divides batches, --parallel=devices"),
    (["--exp=vectors", "--devices=64"], "--devices=64: expected at most 1, as many as there are."),
    (["--exp=dqn", "--ray-cpus=2"], "--ray-cpus is of Ray: expected --engine=ray beside it."),
    (["--exp=dqn", "--engine=ray", "--ray-cpus=nan"], "--ray-cpus=nan: expected cores in (0, inf)"),
    (["--exp=dqn", "--engine=ray", "--ray-cpus=0"], "--ray-cpus=0.0: expected cores in (0, inf)"),
    (["--exp=dqn", "--engine=ray", "--ray-gpus=-1"], "--ray-gpus=-1.0: expected a number in [0, inf)"),
    (["--exp=vectors", "--max-memory=1e-6"], "--max-memory=1e-06: one trial takes about"),
    (["--exp=dqn", "--engine=slurm"], "flag --engine=slurm: value should be one of <local|ray>"),
    (["--exp=dqn", "--engine=ray", "--ray-address=x"], "--ray-address=x: expected HOST:PORT"),
    (["--exp=dqn", "--engine=ray", "--ray-address=localhost:1"], "--ray-address=localhost:1: not reachable"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(a) or "nothing" for a, _ in BAD])
def test_bad_input(arguments, message, tmp_path, monkeypatch, capsys):
    """One line on stderr, exit 2, nothing written."""
    monkeypatch.chdir(tmp_path)
    assert main(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"launch.py: {message}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("tensorboardX", "tensorboard", ["--tensorboard"]),
        ("optuna", "optuna", ["gamma=uniform(0.5,1)", "--trials=2", "--search=optuna"]),
        ("ray", "ray", ["--engine=ray"]),
    ],
)
def test_without_the_package_of_an_extra(monkeypatch, tmp_path, capsys, package, extra, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    assert main("--exp=dqn", *arguments) == 2
    assert f"pip install 'mi203jax[{extra}]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class TestRuns:
    @pytest.fixture(autouse=True)
    def toy(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(experiments, "get", lambda name: EXPERIMENT)

    def test_in_a_folder_of_its_own(self, tmp_path, capsys):
        assert main("--exp=toy", "--quiet") == 0
        folder = Path(capsys.readouterr().out.strip())
        assert folder.parent == Path("runs/toy")
        assert (tmp_path / folder / "results.csv").exists()

    def test_a_report_can_be_written_anew_and_compare(self, tmp_path, capsys):
        for name, rate in (("a", 0.1), ("b", 0.2)):
            assert main("--exp=toy", f"learning_rate={rate}", f"--out={name}", "--quiet") == 0
        first = (tmp_path / "a" / "report.html").read_text()
        (tmp_path / "a" / "report.html").unlink()
        capsys.readouterr()
        assert main("--report=a") == 0
        assert capsys.readouterr().out == "a/report.html\n"
        assert (tmp_path / "a" / "report.html").read_text() == first
        assert main("--report=a", "b", "--out=both.html") == 0
        assert "2 runs compared" in (tmp_path / "both.html").read_text()

    @pytest.mark.usefixtures("undrawn")
    def test_flags_may_follow_fields(self, tmp_path):
        assert (
            main("--exp=toy", "learning_rate=0.1,0.2", "--seeds=2", "--seed=5", "--out=here", "--quiet") == 0
        )
        config = json.loads((tmp_path / "here" / "config.json").read_text())
        assert [t["seed"] for t in config["trials"]] == [5, 6, 5, 6]

    @pytest.mark.usefixtures("undrawn")
    def test_every_trial_diverged(self, capsys):
        assert main("--exp=toy", "learning_rate=1e30", "--out=x", "--quiet") == 1
        assert capsys.readouterr().err.startswith("launch.py: trial 0 diverged: ")

    def test_some_trials_diverged(self, capsys):
        assert main("--exp=toy", "learning_rate=1e30,0.1", "--out=x") == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert "diverged" in out

    def test_an_error_of_the_task_is_one_line(self, capsys):
        assert main("--exp=toy", "fail=true") == 1
        assert capsys.readouterr().err == "launch.py: ValueError: the toy is broken (--debug shows where)\n"
        with pytest.raises(ValueError, match="the toy is broken"):
            main("--exp=toy", "fail=true", "--debug")

    def test_figures_that_fail_say_what_is_left_to_do(self, monkeypatch, capsys):
        def fail(*_):
            raise FiguresFailed(ValueError("no ink"), Path("x"))

        monkeypatch.setattr(launch, "run", fail)
        assert main("--exp=toy") == 1
        assert capsys.readouterr().err == (
            "launch.py: ValueError: no ink. The figures failed, the numbers are in x/report.html; "
            "once it is mended, --resume=x draws them (--debug shows where)\n"
        )

    def test_debug_shows_where_a_mistake_was_found(self):
        with pytest.raises(UsageError):
            main("--exp=toy", "dimension=0", "--debug")

    @pytest.mark.usefixtures("undrawn")
    def test_figures_that_fail_leave_the_results(self, tmp_path, capsys):
        assert main("--exp=toy", "fail_late=true", "--out=x") == 1
        assert "no paint left" in capsys.readouterr().err
        assert "done" in (tmp_path / "x" / "results.csv").read_text()
        lines = (tmp_path / "x" / "pieces" / "0" / "metrics.jsonl").read_text()
        assert main("--resume=x") == 1
        assert (
            tmp_path / "x" / "pieces" / "0" / "metrics.jsonl"
        ).read_text() == lines  # the training is not repeated

    def test_figures_that_fail_leave_a_report_and_say_how_to_go_on(self, tmp_path, capsys):
        assert main("--exp=toy", "fail_late=true", "--out=x", "--quiet") == 1
        assert "once it is mended, --resume=x draws them" in capsys.readouterr().err
        page = (tmp_path / "x" / "report.html").read_text()
        assert "unfinished and stopped (trials: 1 done)" in page
        assert "Learning curve" in page

    def test_dry_run_shows_trials_programs_and_memory(self, tmp_path, capsys):
        assert (
            main("--exp=toy", "dimension=1,2", "learning_rate=log(0.01,1,3)", "--seeds=2", "--dry-run") == 0
        )
        out = capsys.readouterr().out
        size = re.search(r"program 1: 6 trials side by side, about (.*) MB", out)
        assert 1e-5 < float(size[1]) < 1e-2  # two numbers, a key and a few metrics for each trial
        assert "program 2: 6 trials" in out
        assert "trial 11 dimension=2 learning_rate=1 seed=1" in out
        assert "12 trials in all; nothing was run and nothing was written." in out
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.usefixtures("undrawn")
    def test_a_named_sweep_of_draws_takes_its_number_from_the_command_line(
        self, tmp_path, monkeypatch, capsys
    ):
        drawn = EXPERIMENT._replace(sweeps={"rates": ("learning_rate=loguniform(0.01,1)",)})
        monkeypatch.setattr(experiments, "get", lambda name: drawn)
        assert main("--exp=toy", "--sweep=rates") == 2
        assert "learning_rate is drawn: expected --trials=COUNT" in capsys.readouterr().err
        assert main("--exp=toy", "--sweep=rates", "--trials=3", "--quiet", "--out=x") == 0
        assert len((tmp_path / "x" / "results.csv").read_text().splitlines()) == 4

    def test_fail_fast(self, tmp_path, capsys):
        """The first program diverges; the second one waits for a resume."""
        arguments = ("--exp=toy", "learning_rate=1e30", "dimension=1,2", "--out=x", "--fail-fast")
        assert main(*arguments) == 1
        out, err = capsys.readouterr()
        assert "stopped at the first trial that was lost; --resume=x goes on" in out
        assert err.startswith("launch.py: trial 0 diverged")
        assert [line.split(",")[1] for line in (tmp_path / "x" / "results.csv").read_text().splitlines()[1:]] == [
            "diverged", "waiting",
        ]  # fmt: skip
        assert main("--resume=x", "--quiet") == 1
        assert main("--exp=toy", "learning_rate=0.1,1e30", "--out=y", "--fail-fast", "--quiet") == 1
        assert "launch.py: trial 1 diverged: " in capsys.readouterr().err
        assert "waiting" not in (tmp_path / "x" / "results.csv").read_text()

    @pytest.mark.usefixtures("undrawn")
    def test_a_resume_keeps_the_layout(self, tmp_path, monkeypatch):
        seen = []
        run = session.Session.run
        monkeypatch.setattr(
            session.Session, "run", lambda self: (seen.append(self.options.parallel), run(self))[1]
        )
        assert main("--exp=toy", "fail_late=true", "--parallel=map", "--out=x", "--quiet") == 1
        assert main("--resume=x", "--quiet") == 1
        assert main("--resume=x", "--quiet", "--parallel=vmap") == 1
        assert seen == ["map", "map", "vmap"]

    def test_a_report_shows_on_a_terminal_how_far_it_is(self, capsys, monkeypatch):
        assert main("--exp=toy", "--out=x", "--quiet") == 0
        capsys.readouterr()
        assert main("--report=x") == 0
        assert "picture" not in capsys.readouterr().err
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert main("--report=x") == 0
        assert "picture 1 of " in capsys.readouterr().err

    @pytest.mark.usefixtures("undrawn")
    def test_resume_of_a_finished_run(self, capsys):
        assert main("--exp=toy", "--out=x", "--quiet") == 0
        assert main("--resume=x") == 2
        assert "this run is finished" in capsys.readouterr().err
