"""Pieces on Ray's workers, on this machine."""

import json
import os
import pickle
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

import experiments
import launch
from mi203jax.core.errors import Damaged, Fault
from mi203jax.core.ray_engine import RayEngine
from tests.core.slow_toy import EXPERIMENT
from tests.launching import start, wait_until

SWEEP = ("--exp=toy", "noise=1", "dimension=2,3")  # two programs


def statuses(folder):
    files = sorted(folder.glob("pieces/*/status.json"))
    return [row for file in files for row in json.loads(file.read_text())["trials"]]


def records(folder):
    lines = [
        json.loads(line)
        for f in sorted(folder.glob("pieces/*/metrics.jsonl"))
        for line in f.read_text().splitlines()
    ]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def workers(mark):
    """Processes that run a piece for the driver whose environment has this mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            runs = entry.name.isdigit() and b"ray::_run_piece" in (entry / "cmdline").read_bytes()
            if runs and f"MARK={mark}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds workers by /proc")
@pytest.mark.usefixtures("undrawn")
def test_a_killed_worker_loses_nothing(tmp_path, monkeypatch):
    mark, sweep = str(tmp_path), [*SWEEP, "total_steps=400"]
    folder = tmp_path / "ray"
    process = start(
        *sweep, "--engine=ray", "--checkpoint-every=0.3", f"--out={folder}", MARK=mark, PAUSE="0.1"
    )
    wait_until(lambda: len(records(folder)) > 12 and workers(mark), process)
    (killed, *_) = workers(mark)
    assert b"RAY_AUTH_MODE=token" in Path(f"/proc/{killed}/environ").read_bytes()  # nobody else gets in
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: set(workers(mark)) - {killed}, process)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [s["status"] for s in statuses(folder)] == ["done", "done"]
    monkeypatch.setattr(experiments, "get", lambda name: EXPERIMENT)
    assert launch.main(["launch.py", *sweep, "--parallel=vmap", f"--out={tmp_path / 'alone'}"]) == 0
    assert records(folder) == records(tmp_path / "alone")


@pytest.mark.parametrize(
    "error", [Fault(Path("x"), "cannot be written", OSError(28, "full")), Damaged("x", "y")]
)
def test_what_is_wrong_with_the_folder_is_no_trials_fault(error):
    """It stops the run, as in one process."""

    def get(reference):
        raise pickle.loads(pickle.dumps(error))

    engine = RayEngine()
    engine._ray = SimpleNamespace(get=get)
    with pytest.raises(type(error), match="x"):
        engine._end(None, SimpleNamespace(read=lambda: True), None)


def test_the_other_pieces_go_on_before_it_is_told():
    def get(reference):
        if reference == "b":
            raise Damaged("x", "y")

    ended = []
    engine = RayEngine()
    engine._ray = SimpleNamespace(get=get, wait=lambda references, timeout: (references[:1], references[1:]))
    engine._start = lambda session, folder: folder.name
    session = SimpleNamespace(
        is_stopped=False,
        show=lambda: None,
        ended=lambda folder: ended.append(folder.name),
        interruption=SimpleNamespace(signal=None, check=lambda: None),
    )
    folders = [SimpleNamespace(name=name, read=lambda: True) for name in "abc"]
    with pytest.raises(Damaged):
        engine.run(session, folders)
    assert ended == ["a", "c"]


def test_sigterm_saves(tmp_path):
    folder = tmp_path / "ray"
    process = start(*SWEEP, "total_steps=4000", "--engine=ray", f"--out={folder}", PAUSE="0.1")
    wait_until(lambda: len(records(folder)) > 4, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "saved. Go on with: " in err
    assert any(folder.glob("pieces/*/checkpoints/*.json"))
