"""What benchmarks look at, without measuring."""

from types import SimpleNamespace

import pytest

import experiments
from benchmarks import atari, sweep


def test_the_registry_is_swept_but_for_series(monkeypatch):
    monkeypatch.setattr(
        sweep, "beside_one_by_one", lambda name, c, count, rounds: (name, c.total_steps, count)
    )
    looked_at = sweep.registry()
    single = [n for n in experiments.names() if not experiments.get(n).series]
    assert looked_at == [(n, sweep.SHORT.get(n, 2_000), count) for n in single for count in (2, 8)]


@pytest.mark.parametrize(("envs", "iterations", "steps"), [(16, 2, 1024), (128, 1, 4096), (3, 11, 1056)])
def test_speeds_are_of_the_steps_that_are_played(envs, iterations, steps, monkeypatch):
    """Also where they are more than were asked for, or no multiple of the environments."""

    class Learns:
        def __init__(self, *_):
            pass

        def run(self, length):
            while True:
                yield SimpleNamespace(carry=length())

    monkeypatch.setattr(atari, "Group", Learns)
    monkeypatch.setattr(atari, "STEPS", 1024)
    played = atari.learning(envs, 32, 512)
    assert (played.call(), played.steps) == (iterations, steps)
    if envs == 3:
        assert atari.by_hand(3).steps == 342 * 3
