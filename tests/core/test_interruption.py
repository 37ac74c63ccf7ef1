"""What an interruption takes, it gives back; what a library takes, it takes again."""

import os
import pickle
import signal
import threading

import pytest

from mi203jax.core.interruption import SIGNALS, Interrupted, Interruption
from mi203jax.core.ray_engine import RayEngine


def handlers():
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return descriptor, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


def test_all_is_as_it_was_after_any_number_of_them():
    before = handlers(), threading.active_count(), len(os.listdir("/dev/fd"))
    for _ in range(3):
        with Interruption(print), Interruption(print) as interruption:
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(Interrupted, match="SIGTERM"):
                interruption.check()
    assert (handlers(), threading.active_count(), len(os.listdir("/dev/fd"))) == before


def test_a_second_ctrl_c_raises():
    with Interruption(print) as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_are_taken_back_from_a_library():
    with Interruption() as interruption:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        interruption.listen()
        signal.raise_signal(signal.SIGTERM)
        assert interruption.signal == signal.SIGTERM


def test_a_library_that_exits_by_a_signal_of_ours_does_not_have_the_last_word(tmp_path):
    def exits(number, frame):
        raise SystemExit(number)

    def run():
        with Interruption(print) as interruption:
            interruption.folder = tmp_path
            signal.signal(signal.SIGTERM, exits)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted) as raised:
        run()
    assert (raised.value.exit_code, raised.value.folder) == (143, tmp_path)
    with pytest.raises(SystemExit), Interruption(print):
        raise SystemExit(2)


def test_it_can_be_sent_to_another_process(tmp_path):
    sent = pickle.loads(pickle.dumps(Interrupted(signal.SIGTERM, tmp_path, at_once=True)))
    assert (str(sent), sent.exit_code, sent.folder, sent.at_once) == ("SIGTERM", 143, tmp_path, True)


class Cluster:
    """A Ray whose tasks end when they are told to, or when they are forced."""

    def __init__(self, busy):
        self.busy, self.cancelled = busy, []

    def cancel(self, reference, force):
        self.cancelled.append((reference, force))

    def wait(self, references, num_returns, timeout):
        return [r for r in references if r not in self.busy], self.busy


@pytest.mark.parametrize("busy", [[], ["b"]])
def test_workers_that_do_not_save_in_time_are_ended(busy):
    engine, interruption = RayEngine(), Interruption()
    engine._ray = Cluster(busy)
    engine._stop(["a", "b"], interruption)
    assert engine._ray.cancelled == [("a", False), ("b", False), *((r, True) for r in busy)]
    assert interruption.is_saved != bool(busy)


@pytest.mark.parametrize("number", SIGNALS)
def test_what_nohup_keeps_away_stays_away_and_nothing_else(number):
    """A shell's script ignores SIGINT for what it starts in the background: who sends it means it."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), number)
            assert interruption.signal == (None if number == signal.SIGHUP else number)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)
