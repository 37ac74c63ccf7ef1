"""Runs of the toy that were stopped, or damaged, and go on."""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.errors import UsageError
from mi203jax.core.interruption import Interrupted
from mi203jax.core.loop import Group
from mi203jax.core.piece import Options
from mi203jax.core.trials import Sweep
from tests.core.running import begin, interrupting, metrics, resume, statuses
from tests.core.toy import EXPERIMENT, Toy, task


@pytest.mark.usefixtures("undrawn")
class TestResume:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_after_a_signal_to_the_same_bits(self, tmp_path, number, undisturbed):
        arguments = ("noise=1.0", "learning_rate=0.1,0.2")
        trials = Sweep(Toy(), arguments, 2).trials()
        experiment = interrupting(20, number)
        with pytest.raises(Interrupted) as interrupted:
            begin(tmp_path / "a", *arguments, seeds=2, experiment=experiment)
        assert interrupted.value.exit_code == 128 + number
        assert interrupted.value.folder == tmp_path / "a"
        assert max(r["step"] for r in metrics(tmp_path / "a")) == 20
        resume(tmp_path / "a", experiment)
        whole = undisturbed(*arguments, seeds=2)
        assert metrics(tmp_path / "a") == metrics(whole)
        self.same_checkpoint((tmp_path / "a", whole), trials)

    @staticmethod
    def same_checkpoint(folders, trials):
        like = Group(task, trials, None).abstract()
        carries = [Checkpoints(f / "pieces" / "0" / "checkpoints", trials).restore(like) for f in folders]
        (step_a, a), (step_b, b) = carries
        assert step_a == step_b == 40
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_array_equal(
                *(jax.random.key_data(v) if v.dtype.name.startswith("key") else v for v in (x, y))
            )

    def test_records_after_the_checkpoint_are_cut_and_made_again(self, tmp_path, undisturbed):
        """Killed long after its last checkpoint: here, its metrics hold what the checkpoint does not."""
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "noise=1.0", experiment=interrupting(20))
        with open(tmp_path / "a" / "pieces" / "0" / "metrics.jsonl", "a") as file:
            file.write('{"trial": 0, "step": 30, "seconds": 1.0, "eval/loss": 99.0}\n{"trial": 0, "st')
        resume(tmp_path / "a", interrupting(10**9))
        assert metrics(tmp_path / "a") == metrics(undisturbed("noise=1.0"))

    def test_without_a_checkpoint_it_begins_anew(self, tmp_path, undisturbed):
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "noise=1.0", experiment=interrupting(20))
        shutil.rmtree(tmp_path / "a" / "pieces" / "0" / "checkpoints")
        resume(tmp_path / "a", interrupting(10**9))
        assert metrics(tmp_path / "a") == metrics(undisturbed("noise=1.0"))

    def test_finished(self, tmp_path):
        begin(tmp_path)
        with pytest.raises(UsageError, match="this run is finished; its results are in"):
            resume(tmp_path)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda f: f.write_bytes(f.read_bytes()[:10]), "is not what was written"),
            (lambda f: f.write_bytes(bytes([f.read_bytes()[0] ^ 1]) + f.read_bytes()[1:]), "is not what was"),
            (lambda f: f.unlink(), "is not what was written"),
        ],
        ids=["cut", "one bit", "gone"],
    )
    def test_a_damaged_checkpoint_is_named(self, tmp_path, damage, message):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        before = {f: f.read_bytes() for f in tmp_path.rglob("*.json*")}
        damage(
            max(
                (f for f in tmp_path.glob("pieces/0/checkpoints/**/*") if f.is_file()),
                key=lambda f: f.stat().st_size,
            )
        )
        with pytest.raises(
            UsageError,
            match=rf"pieces/0/checkpoints/20 is damaged: .*{message}.*Delete .* to begin its trials anew",
        ):
            resume(tmp_path, interrupting(10**9))
        assert before == {f: f.read_bytes() for f in tmp_path.rglob("*.json*")}

    def test_a_checkpoint_of_another_configuration_is_refused(self, tmp_path):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        config = (tmp_path / "config.json").read_text()
        (tmp_path / "config.json").write_text(config.replace('"total_steps": 40', '"total_steps": 80'))
        with pytest.raises(UsageError, match="in config.json are not those that it was made with"):
            resume(tmp_path, interrupting(10**9))

    def test_stopped_in_the_last_evaluation(self, tmp_path):
        """Everything is computed and saved, but nothing concluded."""
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", experiment=interrupting(40))
        assert resume(tmp_path / "a", interrupting(10**9))[0]["status"] == "done"

    def test_killed_between_the_last_checkpoint_and_the_end(self, tmp_path, monkeypatch, undisturbed):
        save = Checkpoints.save

        def dies(self, iteration, carry):
            save(self, iteration, carry)
            if iteration == 40:
                raise SystemExit

        monkeypatch.setattr(Checkpoints, "save", dies)
        with pytest.raises(SystemExit):
            begin(tmp_path / "a")
        monkeypatch.undo()
        assert statuses(tmp_path / "a")[0]["status"] == "running"
        assert resume(tmp_path / "a")[0]["status"] == "done"
        assert metrics(tmp_path / "a") == metrics(undisturbed())

    def test_a_failed_group_leaves_its_traceback(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Group, "run", lambda *args: 1 / 0)
        assert begin(tmp_path)[0]["status"] == "failed"
        assert "ZeroDivisionError" in (tmp_path / "pieces" / "0" / "errors.txt").read_text()

    def test_a_diverged_trial_stays_so(self, tmp_path, undisturbed):
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "learning_rate=0.1,1e30", experiment=interrupting(20))
        resume(tmp_path / "a", interrupting(10**9))
        whole = undisturbed("learning_rate=0.1,1e30")
        assert metrics(tmp_path / "a") == metrics(whole)
        assert statuses(tmp_path / "a") == statuses(whole)

    def test_says_so_when_jaxlib_changed(self, tmp_path, capsys):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        provenance = json.loads((tmp_path / "provenance.json").read_text())
        provenance["packages"]["jaxlib"] = "0.0.1"
        (tmp_path / "provenance.json").write_text(json.dumps(provenance))
        resume(tmp_path, interrupting(10**9), Options())
        assert "begun with jaxlib 0.0.1, going on with" in capsys.readouterr().out
        assert len(json.loads((tmp_path / "provenance.json").read_text())["resumed"]) == 1


class TestFiguresAfterAStop:
    def test_finished_but_for_its_figures(self, tmp_path):
        """What was trained is not trained again."""
        begin(tmp_path)
        lines = metrics(tmp_path)
        (tmp_path / "figures" / "learning_curve.png").unlink()
        provenance = json.loads((tmp_path / "provenance.json").read_text())
        del provenance["finished"]
        (tmp_path / "provenance.json").write_text(json.dumps(provenance))
        assert resume(tmp_path)[0]["status"] == "done"
        assert metrics(tmp_path) == lines
        assert (tmp_path / "figures" / "learning_curve.png").exists()

    def test_stopped_while_figures_are_drawn(self, tmp_path):
        def figures(*args):
            os.kill(os.getpid(), signal.SIGINT)
            return {}

        with pytest.raises(Interrupted) as interrupted:
            begin(tmp_path, experiment=EXPERIMENT._replace(task=task._replace(figures=figures)))
        assert interrupted.value.folder == tmp_path
        assert (tmp_path / "results.csv").exists()
        assert resume(tmp_path)[0]["status"] == "done"
        assert (tmp_path / "figures" / "still.gif").exists()
