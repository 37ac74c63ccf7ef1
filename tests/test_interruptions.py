"""The command line, killed, stopped and left alone: nothing that was done is lost."""

import json
import shlex
import signal

import numpy as np
import pytest

import experiments
import launch
from tests.core.documents import edit
from tests.core.slow_toy import EXPERIMENT
from tests.launching import LAUNCH, start, wait_until

SWEEP = ("--exp=toy", "noise=1", "learning_rate=0.1,0.2", "--seeds=2", "total_steps=1000")  # 101 evaluations
SLOWLY = "0.1"  # seconds of an evaluation, of each trial: it does not end before it is stopped


def records(folder):
    lines = (folder / "pieces" / "0" / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def saved(folder):
    """Iterations of the checkpoints that are complete."""
    return [int(path.stem) for path in (folder / "pieces" / "0" / "checkpoints").glob("*.json")]


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


def go(folder, *arguments):
    """Begins, or goes on, slowly: the process, once more is recorded than there was."""
    metrics = folder / "pieces" / "0" / "metrics.jsonl"
    before = metrics.read_text().count("\n") if metrics.exists() else 0
    process = start(*arguments, PAUSE=SLOWLY)
    wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") > before + 8, process)
    return process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A sweep that nobody interrupted, though its reader went away: its process, its errors, its folder."""
    folder = tmp_path_factory.mktemp("été")  # which ASCII cannot tell
    process = start(*SWEEP, f"--out={folder}", PYTHONIOENCODING="ascii")
    process.stdout.readline()
    process.stdout.close()
    return process, process.communicate(timeout=120)[1], folder


def test_a_reader_that_goes_away_does_not_stop_the_run(undisturbed):
    process, err, folder = undisturbed
    assert process.returncode == 0, err
    assert (folder / "results.csv").exists()


def test_kills_and_signals_lose_no_bit(undisturbed, tmp_path):
    """A run and its resume, each killed; the next two told to stop; the last one left alone."""
    folder = tmp_path / "été 1"
    resume = f"--resume={folder}"
    for arguments in ((*SWEEP, f"--out={folder}"), (resume,)):
        process = go(folder, *arguments, "--checkpoint-every=0.3")
        wait_until(lambda: saved(folder), process)
        process.kill()
        process.communicate()
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = go(folder, resume)
        refused = start(resume)
        assert "is in use by another process" in refused.communicate(timeout=60)[1]
        assert refused.returncode == 2
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == status
        command = shlex.join(["python", LAUNCH, resume])
        assert err == f"launch.py: {signal.Signals(number).name}: saved. Go on with: {command}\n"
        assert saved(folder) == [records(folder)[-1]["step"]]
        assert not (folder / "results.csv").exists()
    last = start(resume)
    _, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert records(folder) == records(undisturbed[-1])
    stopped, whole = final_state(folder), final_state(undisturbed[-1])
    assert stopped.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(stopped[name], value, err_msg=name)


def test_a_signal_before_anything_is_written(tmp_path):
    process = start(*SWEEP, f"--out={tmp_path / 'run'}", ASKED=str(tmp_path / "asked"))
    wait_until((tmp_path / "asked").exists, process)  # it is somewhere in its imports
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == "launch.py: SIGTERM: nothing was written.\n"
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_gets_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(experiments, "get", lambda name: EXPERIMENT)
    folder = tmp_path / "run"
    assert launch.main(["launch.py", "--exp=toy", f"--out={folder}", "--quiet"]) == 0
    edit(folder / "provenance.json", finished=None)
    file = max((f for f in (folder / "pieces").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    capfd.readouterr()
    assert launch.main(["launch.py", f"--resume={folder}"]) == 2
    told = capfd.readouterr().err
    assert "is damaged" in told
    assert told.count("\n") == 1
