"""Memory that does not suffice although the estimate said so: pieces are halved, and nothing is lost."""

import json

import jax
import pytest

from mi203jax.core.loop import Group
from mi203jax.core.piece import Options
from mi203jax.core.plan import plan
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.core.running import QUIET, begin, interrupting, metrics, resume, statuses
from tests.core.toy import Toy, task
from tests.faults.injection import Killed

ASKED = ("noise=1.0", "learning_rate=lin(0.1,0.5,5)")
OUT_OF_MEMORY = jax.errors.JaxRuntimeError(
    "RESOURCE_EXHAUSTED: Out of memory allocating 1099511627776 bytes."
)
IN_TURN = QUIET._replace(parallel="map")  # so that no bit depends on how many run together

pytestmark = pytest.mark.usefixtures("undrawn", "compiled_once")


def by_trial(path):
    """What was recorded, whatever the pieces."""
    return sorted(metrics(path), key=lambda r: (r["trial"], r["step"]))


def members(path):
    return sorted(json.loads((path / "config.json").read_text())["pieces"].values())


@pytest.fixture
def room(monkeypatch):
    """Programs of more than so many trials run out of memory, after half of their steps."""
    run = Group.run

    def limit(trials, error=OUT_OF_MEMORY):
        def limited(self, *args):
            for progress in run(self, *args):
                if self._count > trials and progress.iteration >= 20:
                    raise error
                yield progress

        monkeypatch.setattr(Group, "run", limited)

    return limit


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    begin(path, *ASKED, options=IN_TURN)
    return path


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, MemoryError()])
def test_a_piece_that_is_too_large_is_halved_which_is_said_once(room, whole, tmp_path, capsys, error):
    room(2, error)
    begin(tmp_path, *ASKED, options=Options(parallel="map", checkpoint_every=0.0))
    told = capsys.readouterr().out
    assert told.count("5 trials together took more memory than there is: halved") == told.count("halved") == 1
    assert members(tmp_path) == [[0, 1], [2], [3, 4]]
    assert by_trial(tmp_path) == by_trial(whole)
    assert {row["status"] for row in statuses(tmp_path)} == {"done"}
    assert len(list((tmp_path / "pieces").iterdir())) == 3


def test_one_trial_that_is_too_large_fails(room, tmp_path):
    room(0)
    rows = begin(tmp_path, *ASKED)
    assert {row["status"] for row in rows} == {"failed"}
    assert "Out of memory" in rows[0]["error"]
    assert members(tmp_path) == [[0], [1], [2], [3], [4]]


def test_another_error_halves_nothing(room, tmp_path):
    room(2, jax.errors.JaxRuntimeError("INTERNAL: no"))
    assert {row["status"] for row in begin(tmp_path, *ASKED)} == {"failed"}
    assert members(tmp_path) == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("moment", ["before it counts", "after it counts"])
def test_killed_while_it_is_halved(room, whole, tmp_path, monkeypatch, moment):
    def dies(*args):
        raise Killed

    room(2)
    write = RunDirectory._write_config
    with monkeypatch.context() as patched:
        if moment == "after it counts":
            patched.setattr("mi203jax.core.run_directory.remove_folder", dies)
        else:
            patched.setattr(
                RunDirectory, "_write_config", lambda run: write(run) if run.pieces[0].number == 0 else dies()
            )
        with pytest.raises(Killed):
            begin(tmp_path, *ASKED, options=IN_TURN)
    resume(tmp_path, options=IN_TURN)
    assert by_trial(tmp_path) == by_trial(whole)
    assert members(tmp_path) == [[0, 1], [2], [3, 4]]


def test_a_run_that_goes_on_may_take_less(whole, tmp_path, capsys):
    """After the system ended it, whose free memory told too much."""
    with pytest.raises(Exception, match="SIGTERM"):
        begin(tmp_path, *ASKED, experiment=interrupting(20), options=IN_TURN)
    need = plan(task, Sweep(Toy(), ASKED).trials(), IN_TURN)[0].bytes
    resume(tmp_path, interrupting(10**9), Options(parallel="map", max_memory=need - 1))
    assert "5 trials begin anew, in smaller pieces" in capsys.readouterr().out
    assert len(members(tmp_path)) > 1
    assert by_trial(tmp_path) == by_trial(whole)
