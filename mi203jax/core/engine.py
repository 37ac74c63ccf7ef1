"""Where the pieces of a run run: in this process; by Ray, see `mi203jax.core.ray_engine`."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mi203jax.core.piece import OutOfMemory
from mi203jax.core.piece_folder import PieceFolder

if TYPE_CHECKING:
    from mi203jax.core.session import Session


class Engine(Protocol):
    """Where pieces run."""

    workers: int
    """How many run at the same time."""

    def run(self, session: "Session", pieces: Sequence[PieceFolder]) -> None:
        """Runs them, in any order, and keeps the session's display going.

        Raises:
            UsageError: if a checkpoint is damaged.
            Fault: if a file of the run cannot be written.
            Interrupted: after a signal, with everything saved.
        """


class Here:
    """Pieces run in this process, one after the other."""

    workers = 1

    def run(self, session: "Session", pieces: Sequence[PieceFolder]) -> None:
        """See `Engine`."""
        waiting = deque(pieces)
        while waiting and not session.is_stopped:
            folder = waiting.popleft()
            session.interruption.check()
            piece = session.piece(folder)
            try:
                piece.try_run(session.watch(), session.interruption)
            except OutOfMemory:
                waiting.extendleft(reversed(session.halve(folder)))
            else:
                session.ended(folder, piece)
