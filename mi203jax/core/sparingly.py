"""What takes longer the more there is, done often enough to be of use and seldom enough not to be felt.

Does not import jax.
"""

import time
from collections.abc import Callable

PAUSE = 20
"""After it was done, times as long as that took until it is done again."""


class Sparingly:
    """A function that is called only if that does not take a good part of the time."""

    def __init__(self, act: Callable[..., object]):
        self._act = act
        self._due = 0.0

    def __call__(self, *args: object) -> None:
        """Calls it with these, unless it was called a short while ago."""
        begun = time.monotonic()
        if begun >= self._due:
            self._act(*args)
            now = time.monotonic()
            self._due = now + PAUSE * (now - begun)
