"""One signal in each phase of a run, while the interpreter does not come to Python's handlers: it ends in time.

`launch.py` runs in a process of its own, where one function of the phase never comes back, as C does that works
for minutes: that it ends at all is what is tested.
"""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

import launch
from tests.core.running import metrics
from tests.core.slow_toy import EXPERIMENT
from tests.launching import CODE, LAUNCH, ROOT, wait_until

NEW = ("--exp=toy", "noise=0.5", "learning_rate=0.1,0.2", "total_steps=16", "eval_every=8")

BLOCKING = """
import hashlib, importlib, os, pathlib
from jax import monitoring
from mi203jax.core import interruption

interruption.GRACE = interruption.BRIEF = 0.5

def block(*args, **kwargs):
    pathlib.Path(os.environ["REACHED"]).touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

def compile(event, **kwargs):
    if event.endswith("compile_requests_use_cache") and "pieces" in os.listdir(os.environ["RUN"]):
        block()

module, _, name = os.environ["PHASE"].partition(":")
if name:
    setattr(importlib.import_module(module), name, block)
else:
    monitoring.register_event_listener(compile)
"""


@pytest.fixture
def stopped(tmp_path):
    """(phase, arguments, signal) -> (status, errors) of launch.py, told to stop where it is blocked."""

    def run(phase, *arguments, number=signal.SIGTERM):
        reached = tmp_path / "reached"
        reached.unlink(missing_ok=True)
        own = {"PHASE": phase, "REACHED": str(reached), "RUN": str(tmp_path / "run"), "PAUSE": "1"}
        command = [sys.executable, "-c", BLOCKING + CODE, *arguments]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(reached.exists, process)
            process.send_signal(number)
            while number == signal.SIGINT and process.poll() is None:  # again and again, as users do
                process.send_signal(number)
                time.sleep(0.05)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, errors

    return run


def told(number, what, flag, folder):
    command = shlex.join(["python", LAUNCH, f"--{flag}={folder}"])
    return 128 + number, f"launch.py: {number.name}: stopped at once. {what}. Go on with: {command}\n"


@pytest.mark.parametrize("mode", ["--dry-run", "--out"])
def test_before_anything_is_written(mode, stopped, tmp_path):
    flag = mode if mode == "--dry-run" else f"--out={tmp_path / 'run'}"
    assert stopped("mi203jax.core.plan:available", *NEW, flag) == (
        143,
        "launch.py: SIGTERM: nothing was written.\n",
    )
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_stopped_in_every_phase_comes_to_the_same_records(stopped, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    kept = told(signal.SIGTERM, "What was saved before stays", "resume", folder)
    assert stopped("compiling", *NEW, f"--out={folder}") == kept
    for phase in ("time:sleep", "mi203jax.core.checkpoint:sync"):  # in an iteration, of a checkpoint
        assert stopped(phase, f"--resume={folder}") == kept
    told_twice = told(signal.SIGINT, "What was saved before stays", "resume", folder)
    figures = "mi203jax.core.session:sweep_figures"
    assert stopped(figures, f"--resume={folder}", number=signal.SIGINT) == told_twice
    assert stopped("mi203jax.core.session:write_report", f"--resume={folder}") == told(
        signal.SIGTERM, "The results are whole", "report", folder
    )
    assert stopped("mi203jax.core.html_report:page", f"--report={folder}") == (
        143,
        "launch.py: SIGTERM: nothing was written.\n",
    )
    assert not (folder / "report.html").exists()
    monkeypatch.setattr("experiments.get", lambda name: EXPERIMENT)
    assert launch.main(["launch.py", f"--report={folder}"]) == 0
    assert launch.main(["launch.py", *NEW, f"--out={tmp_path / 'whole'}"]) == 0
    assert metrics(folder) == metrics(tmp_path / "whole")
    assert {p.name for p in folder.iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


def test_a_last_word_that_nobody_reads_is_not_waited_for():
    code = "import time; from mi203jax.core.interruption import *; end_process(lambda: time.sleep(900), 143)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 143
