"""Ctrl-C and SIGTERM: noted at once, obeyed where the state can be saved, and in time wherever the run is.

Python runs a handler between two steps of the main thread: not while XLA compiles, nor before a long call has
come back. So a thread waits for what the system's own handler writes into a pipe, and ends the process where
it does not stop by itself. All that a run writes is replaced as a whole or appended: what is lost is the time
since the last checkpoint.
"""

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C, the system's wish, and a terminal that went away."""

GRACE = 7.0
"""Seconds that a run has to save and to stop after SIGTERM: of ten, as systems give, some are a reserve."""

BRIEF = 1.0
"""The same where nothing is to be saved, or after a second Ctrl-C; and seconds for the last words."""


class Interrupted(Exception):
    """The run was asked to stop; what it had done is saved in `folder`, or nothing was written."""

    def __init__(self, signal_number: int, folder: Path | None, at_once: bool = False):
        """
        Args:
            signal_number: which signal it was.
            folder: of the run; None: nothing was written.
            at_once: whether what came after the last checkpoint is lost.
        """  # noqa: D205, D212
        super().__init__(signal_number, folder, at_once)  # as they are, so that it can be pickled
        self.exit_code = 128 + signal_number
        self.folder = folder
        self.at_once = at_once
        self._name = signal.Signals(signal_number).name

    def __str__(self) -> str:
        return self._name


class Interruption:
    """Notes `SIGNALS` while it is entered. A second Ctrl-C stops at once.

    Attributes:
        signal: the number of the one that came; None: none.
        folder: where everything that was done is saved; None: nothing was written yet.
        is_saved: whether all of it is; False where a worker was ended before it could.
    """

    def __init__(self, end: Callable[[Interrupted], object] | None = None) -> None:
        """`end` ends the process, if it does not stop in time; None: it stops when it can."""
        self.signal: int | None = None
        self.folder: Path | None = None
        self.is_saved = True
        self._before: dict[int, Any] = {}
        self._watchdog = _Watchdog(self, end) if end else None

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        if self._watchdog:
            self._watchdog.start()
        self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        came = self._watchdog.stop() if self._watchdog else None
        if came and kind is SystemExit:  # which a library raised, before `listen` took the signal back
            raise Interrupted(came, self.folder, at_once=True)

    def listen(self) -> None:
        """Takes the signals, again after a library took them for itself."""
        for number in SIGNALS:
            is_asked = number in (signal.SIGINT, signal.SIGTERM)
            if is_asked or signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps SIGHUP away
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def check(self) -> None:
        """Stops here if that was asked for: everything that was done is saved.

        Raises:
            Interrupted: if a signal came.
        """
        if self.signal is not None:
            raise Interrupted(self.signal, self.folder, at_once=not self.is_saved)


class _Watchdog:
    """A thread that ends the process when the time is over that a signal leaves it."""

    def __init__(self, interruption: Interruption, end: Callable[[Interrupted], object]):
        self._interruption, self._end = interruption, end
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._came: list[tuple[float, int]] = []  # when, and which

    def start(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread.start()

    def stop(self) -> int | None:
        """Gives the last signal that came, if one did."""
        signal.set_wakeup_fd(self._before)
        os.write(self._writer, b"\0")
        self._thread.join()  # for good, if it is about to end the process
        os.close(self._writer)
        os.close(self._reader)
        return self._came[-1][1] if self._came else None

    def _watch(self) -> None:
        while time.monotonic() < self._deadline():
            if select.select([self._reader], [], [], 0.1 if self._came else None)[0]:
                number = os.read(self._reader, 1)[0]
                if not number:
                    return
                if number in SIGNALS:
                    self._came.append((time.monotonic(), number))
        self._end(Interrupted(self._came[-1][1], self._interruption.folder, at_once=True))

    def _deadline(self) -> float:
        """When the process is to be ended, as far as is known: the run's folder may be made meanwhile."""
        ends = (then + self._grace(number, i > 0) for i, (then, number) in enumerate(self._came))
        return min(ends, default=math.inf)

    def _grace(self, number: int, was_told: bool) -> float:
        if self._interruption.folder is None or (was_told and number == signal.SIGINT):
            return BRIEF
        return math.inf if number == signal.SIGINT else GRACE


def end_process(say: Callable[[], object], status: int) -> NoReturn:
    """Ends this process with a last word.

    Nothing is waited for: not for what libraries compute in threads of theirs, as an orderly end would, and
    not for long for a reader that is blocked.

    Args:
        say: says it.
        status: the exit status.
    """

    def speak() -> None:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # which a progress bar takes for itself
        with contextlib.suppress(OSError, ValueError):  # nobody hears it
            if sys.__stdout__ and sys.__stdout__.isatty():
                print(end="\r\033[K\033[?25h", flush=True)  # without the bar, with the cursor that it hid
            say()
            print(end="", flush=True)

    speech = threading.Thread(target=speak, daemon=True)
    speech.start()
    speech.join(BRIEF)
    os._exit(status)
