"""launch.py in a process of its own, as a user starts it, whose one experiment is a toy that can be slowed down."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAUNCH = str(ROOT / "launch.py")
CODE = f"""
import importlib, os, pathlib, runpy, sys
import experiments

def get(name):
    if "ASKED" in os.environ:
        pathlib.Path(os.environ["ASKED"]).touch()
    return importlib.import_module("tests.core.slow_toy").EXPERIMENT  # only now, as real ones

experiments.get = get
sys.argv[0] = {LAUNCH!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def start(*arguments, **environment):
    """A process that runs; it makes the file `ASKED` when it begins to import what is to run."""
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, **pipes)


def wait_until(condition, process, seconds=120):
    """Until something is there that the process, which goes on, makes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
