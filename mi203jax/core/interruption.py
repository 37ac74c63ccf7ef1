"""Ctrl-C and SIGTERM: asked for at once, done when the state can be saved."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """The run was asked to stop, and its state is saved."""

    def __init__(self, signal_number: int, folder: Path):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number
        self.folder = folder


class Interruption:
    """Remembers SIGINT and SIGTERM while it is entered. A second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
