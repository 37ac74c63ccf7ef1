"""Pieces on Ray's workers, on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SWEEP = (
    "--exp=dqn env=Catch-bsuite num_envs=8 replay_size=512 learning_starts=64 batch_size=16 hidden=(16,) "
    "eval_episodes=4 play_frames=10 double_q=false,true"
).split()
SHORT, LONG = ((f"total_steps={n}", f"eval_every={n // 50}") for n in (100_000, 400_000))


def launch(*arguments, **environment):
    command = [sys.executable, str(ROOT / "launch.py"), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, **pipes)


def statuses(folder):
    return [
        row for file in sorted(folder.glob("pieces/*/status.json")) for row in json.loads(file.read_text())
    ]


def records(folder):
    lines = [
        json.loads(line)
        for f in sorted(folder.glob("pieces/*/metrics.jsonl"))
        for line in f.read_text().splitlines()
    ]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def wait_until(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
def test_a_killed_worker_loses_nothing(tmp_path):
    mark, sweep = str(tmp_path), [*SWEEP, *SHORT]
    process = launch(*sweep, "--engine=ray", "--checkpoint-every=0.5", f"--out={tmp_path / 'ray'}", MARK=mark)
    wait_until(lambda: len(records(tmp_path / "ray")) > 8 and workers(mark), process)
    (killed, *_) = workers(mark)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: set(workers(mark)) - {killed}, process)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [s["status"] for s in statuses(tmp_path / "ray")] == ["done", "done"]
    # As many threads as a worker has: the same program, and so the same bits.
    alone = launch(*sweep, "--parallel=vmap", f"--out={tmp_path / 'alone'}", NPROC="1")
    _, err = alone.communicate(timeout=300)
    assert alone.returncode == 0, err
    assert records(tmp_path / "ray") == records(tmp_path / "alone")


def test_ctrl_c_saves(tmp_path):
    process = launch(*SWEEP, *LONG, "--engine=ray", f"--out={tmp_path / 'ray'}")
    wait_until(lambda: len(records(tmp_path / "ray")) > 4, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "saved. Go on with: " in err
    assert any((tmp_path / "ray").glob("pieces/*/checkpoints/*.json"))
