"""Runs of the toy, from trials to figures, for the tests."""

import json
import os
import signal

import jax
import numpy as np

from mi203jax.core import session
from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.interruption import Interruption
from mi203jax.core.piece import Options
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.core.toy import EXPERIMENT, Toy, task

QUIET = Options(quiet=True)


def begin(path, *assignments, seeds=1, experiment=EXPERIMENT, options=QUIET):
    sweep = Sweep(Toy(), assignments, seeds)
    with Interruption() as interruption:
        return session.begin("toy", experiment, sweep, str(path), options, interruption)


def resume(path, experiment=EXPERIMENT, options=QUIET):
    with Interruption() as interruption:
        directory = RunDirectory.open(str(path), lambda name: Toy())
        return session.resume(directory, experiment, options, interruption)


def metrics(path):
    """The lines of each metrics.jsonl without the wall time."""
    files = sorted(path.glob("pieces/*/metrics.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def statuses(path):
    files = sorted(path.glob("pieces/*/status.json"))
    return [row for file in files for row in json.loads(file.read_text())["trials"]]


def parameters(path, like):
    """The iteration and the values of the newest checkpoint of a run's first piece.

    Args:
        path: the run's folder.
        like: what is in it, as `Group.abstract` tells.
    """
    run = RunDirectory.read(str(path), lambda name: Toy())
    run.close()
    configs = [run.trials[i] for i in run.pieces[0].members]
    iteration, carry, _ = Checkpoints(run.pieces[0], configs).restore(like)

    def plain(x):
        return jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x

    return iteration, [np.asarray(plain(x)).tobytes() for x in jax.tree.leaves(carry)]


def interrupting(at, number=signal.SIGTERM):
    """The toy, whose process is sent a signal once, in the evaluation after `at` iterations."""
    sent = []

    def evaluate(c, state, data):
        def send(t):
            if t >= at and not sent:
                sent.append(t)
                os.kill(os.getpid(), number)

        jax.debug.callback(send, state.t)
        return task.evaluate(c, state, data)

    return EXPERIMENT._replace(task=task._replace(evaluate=evaluate))
