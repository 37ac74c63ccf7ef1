"""Runs of the toy, from trials to figures, for the tests."""

import json
import os
import signal

import jax

from mi203jax.core import session
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
    return [row for file in sorted(path.glob("pieces/*/status.json")) for row in json.loads(file.read_text())]


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
