"""Two processes on one folder, sweeps of the same moment, a lock whose process died."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mi203jax.core import files
from mi203jax.core.errors import UsageError
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.core.toy import Toy

MANY = 16


def create(path=None):
    """A new run with one trial that waits, or why there is none."""
    try:
        run = RunDirectory.create(path and str(path), "toy", Sweep(Toy()), {})
        run.add([Toy()], [[0]])
    except UsageError as error:
        return str(error)
    return run


def open_run(path):
    try:
        return RunDirectory.open(str(path), lambda name: Toy())
    except UsageError as error:
        return str(error)


def at_once(act, *args):
    """What it comes to, done by many threads; their locks exclude each other as those of processes do."""
    with ThreadPoolExecutor(MANY) as pool:
        found = [future.result() for future in [pool.submit(act, *args) for _ in range(MANY)]]
    runs = [run for run in found if isinstance(run, RunDirectory)]
    return runs, [refusal for refusal in found if isinstance(refusal, str)]


def test_sweeps_of_one_second_get_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs, refusals = at_once(create)
    assert not refusals
    assert len({run.path for run in runs}) == len({run.run_id for run in runs}) == MANY
    for run in runs:
        run.close()
        assert open_run(run.path).run_id == run.run_id


@pytest.mark.parametrize("closes", [False, True], ids=["goes on", "is over soon"])
def test_one_folder_is_for_one_of_them(tmp_path, closes):
    def act():
        run = create(tmp_path / "run")
        if closes and isinstance(run, RunDirectory):
            run.close()
        return run

    (run,), refusals = at_once(act)
    told = ("holds a run already", "is in use by another process")  # as they come
    assert all(any(words in refusal for words in told) for refusal in refusals)
    run.close()
    again = open_run(tmp_path / "run")
    assert (again.run_id, again.trials) == (run.run_id, [Toy()])


def test_one_of_them_goes_on(tmp_path):
    create(tmp_path).close()
    (run,), refusals = at_once(open_run, tmp_path)
    assert set(refusals) == {f"{tmp_path} is in use by another process: wait until it ends."}
    run.close()


def test_who_waited_for_the_lock_sees_what_was_written_meanwhile(tmp_path, monkeypatch):
    """Else it would take the pieces that the first one made for leftovers."""
    first, take = create(tmp_path), files.lock

    def divide_and_take(path):
        first.divide(first.pieces[0], [[0]])
        first.close()
        return take(path)

    monkeypatch.setattr("mi203jax.core.run_directory.lock", divide_and_take)
    second = open_run(tmp_path)
    assert [piece.number for piece in second.pieces] == [1]
    assert not second.lost
    second.close()


def test_a_look_at_a_run_keeps_nobody_out(tmp_path):
    create(tmp_path).close()
    held = files.lock(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(open_run, tmp_path)
        time.sleep(0.2)
        held.release()
        found.result().close()


def test_the_lock_of_a_process_that_was_killed_is_taken_over(tmp_path):
    code = (
        "import sys, time; from mi203jax.core.run_directory import RunDirectory; "
        "from mi203jax.core.trials import Sweep; from tests.core.toy import Toy; "
        "run = RunDirectory.create(sys.argv[1], 'toy', Sweep(Toy()), {}); run.add([Toy()], [[0]]); "
        "print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    assert "is in use by another process" in open_run(tmp_path / "run")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "run" / ".lock").exists()
    open_run(tmp_path / "run").close()
