"""Runs of the toy that were stopped, or damaged, and go on."""

import json
import os
import shutil
import signal

import jax.numpy as jnp
import pytest

from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.errors import UsageError
from mi203jax.core.interruption import Interrupted
from mi203jax.core.loop import Group
from mi203jax.core.piece import Options
from mi203jax.core.piece_folder import PieceFolder
from mi203jax.core.trials import Sweep
from tests.core.documents import edit
from tests.core.running import begin, interrupting, metrics, parameters, resume, statuses
from tests.core.toy import EXPERIMENT, Toy, task


@pytest.fixture
def heard():
    """SIGHUP is not ignored, as it is where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("undrawn")
class TestResume:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_after_a_signal_to_the_same_bits(self, tmp_path, number, undisturbed, heard):
        arguments = ("noise=1.0", "learning_rate=0.1,0.2")
        experiment = interrupting(20, number)
        with pytest.raises(Interrupted) as interrupted:
            begin(tmp_path / "a", *arguments, seeds=2, experiment=experiment)
        assert interrupted.value.exit_code == 128 + number
        assert interrupted.value.folder == tmp_path / "a"
        assert max(r["step"] for r in metrics(tmp_path / "a")) == 20
        resume(tmp_path / "a", experiment)
        whole = undisturbed(*arguments, seeds=2)
        assert metrics(tmp_path / "a") == metrics(whole)
        like = Group(task, Sweep(Toy(), arguments, 2).trials(), None).abstract()
        assert parameters(tmp_path / "a", like) == parameters(whole, like)
        assert parameters(whole, like)[0] == 40

    def test_records_after_the_checkpoint_are_cut_and_made_again(self, tmp_path, undisturbed):
        """Killed long after its last checkpoint: here, its metrics hold what the checkpoint does not."""
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "noise=1.0", experiment=interrupting(20))
        with open(tmp_path / "a" / "pieces" / "0" / "metrics.jsonl", "a") as file:
            file.write('{"trial": 0, "step": 30, "seconds": 1.0, "eval/loss": 99.0}\n{"trial": 0, "st')
        resume(tmp_path / "a", interrupting(10**9))
        assert metrics(tmp_path / "a") == metrics(undisturbed("noise=1.0"))

    def test_without_its_folder_a_piece_begins_anew_and_says_so(self, tmp_path, undisturbed, capsys):
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "noise=1.0", experiment=interrupting(20))
        shutil.rmtree(tmp_path / "a" / "pieces" / "0" / "checkpoints")
        with pytest.raises(
            UsageError, match=r"checkpoints/20.json is missing. Delete .*/a/pieces/0, and --res"
        ):
            resume(tmp_path / "a", interrupting(10**9))
        shutil.rmtree(tmp_path / "a" / "pieces" / "0")
        resume(tmp_path / "a", interrupting(10**9), Options())
        assert "pieces/0 is not there: its trials begin anew" in capsys.readouterr().out
        assert metrics(tmp_path / "a") == metrics(undisturbed("noise=1.0"))

    def test_what_was_done_is_not_done_again(self, tmp_path, monkeypatch):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        done, run = [], Group.run
        monkeypatch.setattr(
            Group, "run", lambda self, pace, saved: (done.append(saved[0]), run(self, pace, saved))[1]
        )
        resume(tmp_path, interrupting(10**9))
        assert done == [20]

    def test_a_signal_that_comes_after_nothing_was_saved_is_obeyed_where_it_is(self, tmp_path, monkeypatch):
        """What is told to be saved is saved."""
        write, sent = PieceFolder.save_statuses, []

        def late(self):
            write(self)
            if self.statuses[0].step == 20 and not sent:
                sent.append(os.kill(os.getpid(), signal.SIGTERM))

        monkeypatch.setattr(PieceFolder, "save_statuses", late)
        monkeypatch.setattr("mi203jax.core.piece.STATUS_EVERY", 0.0)
        with pytest.raises(Interrupted):
            begin(tmp_path)
        assert int(max((tmp_path / "pieces/0/checkpoints").glob("*.json")).stem) > 20

    def test_what_a_user_put_beside_the_pieces_stays(self, tmp_path):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        others = [tmp_path / "pieces" / name for name in ("0.bak", ".DS_Store")]
        others[0].mkdir()
        others[1].touch()
        resume(tmp_path, interrupting(10**9))
        assert all(path.exists() for path in others)

    def test_finished(self, tmp_path):
        begin(tmp_path)
        with pytest.raises(UsageError, match="this run is finished; its results are in"):
            resume(tmp_path)

    def test_a_checkpoint_of_another_configuration_is_refused(self, tmp_path):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        asked = json.loads((tmp_path / "config.json").read_text())["config"]
        edit(tmp_path / "config.json", config=asked | {"total_steps": 80})
        with pytest.raises(UsageError, match="in config.json are not those that it was made with"):
            resume(tmp_path, interrupting(10**9))

    def test_a_checkpoint_of_another_program_is_refused(self, tmp_path):
        """Its code was changed meanwhile."""
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))

        def init(c, data, key):
            return task.init(c, data, key)._replace(x=jnp.zeros(c.dimension + 1))

        words = r"20 is of another program: \.state\.x was float32\[1, 2\], and is float32\[1, 3\]\. Delete"
        with pytest.raises(UsageError, match=words):
            resume(tmp_path, EXPERIMENT._replace(task=task._replace(init=init)))

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
        packages = json.loads((tmp_path / "provenance.json").read_text())["packages"]
        edit(tmp_path / "provenance.json", packages=packages | {"jaxlib": "0.0.1"})
        resume(tmp_path, interrupting(10**9), Options())
        assert "begun with jaxlib 0.0.1, going on with" in capsys.readouterr().out
        assert len(json.loads((tmp_path / "provenance.json").read_text())["resumed"]) == 1


class TestFiguresAfterAStop:
    def test_finished_but_for_its_figures(self, tmp_path):
        """What was trained is not trained again."""
        begin(tmp_path)
        lines = metrics(tmp_path)
        (tmp_path / "figures" / "learning_curve.png").unlink()
        edit(tmp_path / "provenance.json", finished=None)
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
