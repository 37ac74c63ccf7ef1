"""launch.py in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SMALL = (
    "env=Catch-bsuite num_envs=8 replay_size=512 learning_starts=64 batch_size=16 hidden=(16,) eval_episodes=4 "
    "play_frames=10"
).split()


def run(*arguments, cwd=ROOT, check=None):
    """launch.py in a process of its own."""
    command = [sys.executable, str(ROOT / "launch.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=300)
    if check is not None:
        assert done.returncode == check, done.stderr
    return done
