"""The command line, killed, stopped and left alone: nothing that was done is lost."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.launching import ROOT, SMALL, run


def without_time(folder):
    lines = (folder / "pieces" / "0" / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def final_state(folder):
    """Every array of the last checkpoint."""
    import jax
    import orbax.checkpoint as ocp

    (step,) = (p for p in (folder / "pieces" / "0" / "checkpoints").iterdir() if p.is_dir())
    tree = ocp.StandardCheckpointer().restore(step.absolute())
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(p): np.asarray(
            jax.random.key_data(x) if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        )
        for p, x in leaves
    }


def wait_until(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


SWEEP = ("--exp=dqn", *SMALL, "learning_rate=1e-3,1e-4", "--seeds=2")
SHORT = (*SWEEP, "total_steps=40_000", "eval_every=2_000")
LONG = (*SWEEP, "total_steps=160_000", "eval_every=8_000")  # does not end before it is stopped


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a sweep that nobody interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(*SHORT, f"--out={folder}", check=0)
    return folder


class TestInterrupted:
    def test_kill_9_and_resume_gives_the_same_bits(self, undisturbed, tmp_path):
        """A run, and its resume, each killed."""
        folder = tmp_path / "killed"
        start = [sys.executable, str(ROOT / "launch.py"), "--checkpoint-every=0.3"]
        command = [*start, *SHORT, f"--out={folder}"]
        for k in range(2):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            # 20 evaluations of 4 trials: killed after some more of them than the time before.
            lines = 4 * (1 + 19 * (k + 1) // 3)
            metrics = folder / "pieces" / "0" / "metrics.jsonl"
            wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") >= lines, process)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert not (folder / "results.csv").exists()
            command = [*start, f"--resume={folder}"]
        run(f"--resume={folder}", check=0)
        assert without_time(folder) == without_time(undisturbed)
        killed, whole = final_state(folder), final_state(undisturbed)
        assert killed.keys() == whole.keys()
        for name, value in whole.items():
            np.testing.assert_array_equal(killed[name], value, err_msg=name)

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signals_save_and_say_how_to_go_on(self, tmp_path, number, status):
        folder = tmp_path / "été 1"
        command = [sys.executable, str(ROOT / "launch.py"), *LONG, f"--out={folder}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until((folder / "pieces" / "0" / "metrics.jsonl").exists, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == status
        command = shlex.join(["python", str(ROOT / "launch.py"), f"--resume={folder}"])
        assert err == f"launch.py: {signal.Signals(number).name}: saved. Go on with: {command}\n"
        assert list((folder / "pieces" / "0" / "checkpoints").iterdir())
        second = subprocess.Popen(
            [sys.executable, str(ROOT / "launch.py"), f"--resume={folder}"], stdout=subprocess.DEVNULL
        )
        lines = len(without_time(folder))
        wait_until(lambda: len(without_time(folder)) > lines, second)
        refused = run(f"--resume={folder}")
        assert refused.returncode == 2
        assert "is in use by another process" in refused.stderr
        os.kill(second.pid, signal.SIGKILL)
        second.wait()


def test_a_signal_before_anything_is_written(tmp_path):
    command = [sys.executable, str(ROOT / "launch.py"), *LONG, f"--out={tmp_path / 'run'}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1.0)  # somewhere in its imports
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == "launch.py: SIGTERM: nothing was written.\n"
    assert not (tmp_path / "run").exists()


def test_a_reader_that_goes_away_does_not_stop_the_run(tmp_path):
    small = [*SMALL, "total_steps=16_000", "eval_every=1_000"]
    command = [sys.executable, str(ROOT / "launch.py"), "--exp=dqn", *small, f"--out={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0, process.stderr.read()
    assert (tmp_path / "run" / "results.csv").exists()


def test_a_damaged_checkpoint_gets_one_line(undisturbed, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    provenance = json.loads((folder / "provenance.json").read_text())
    del provenance["finished"]
    (folder / "provenance.json").write_text(json.dumps(provenance))
    file = max((f for f in (folder / "pieces").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    done = run(f"--resume={folder}", check=2)
    assert "is damaged" in done.stderr
    assert done.stderr.count("\n") == 1
