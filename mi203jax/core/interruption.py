"""Ctrl-C and SIGTERM: noted at once, obeyed where the state can be saved."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """The run was asked to stop; what it had done is saved in `folder`, or nothing was written."""

    def __init__(self, signal_number: int, folder: Path | None):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number
        self.folder = folder


class Interruption:
    """Notes SIGINT and SIGTERM while it is entered. A second Ctrl-C stops at once.

    Attributes:
        signal: the number of the one that came; None: none.
        folder: where everything that was done is saved; None: nothing was written yet.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.folder: Path | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
            raise Interrupted(self.signal, self.folder)
