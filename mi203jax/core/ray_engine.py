"""Pieces on many machines by Ray, which places them, tries them again, and lends cores and GPUs.

Ours is the task: one piece, in its folder on a disk that all machines share, from its checkpoint on. So a
worker that is killed loses nothing but the time since then.
"""

import functools
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.compilation_cache import use_compilation_cache
from mi203jax.core.errors import Fault, UsageError
from mi203jax.core.experiment import Experiment
from mi203jax.core.extras import expect_ray, lock_ray
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.parallel import use_cpu_devices
from mi203jax.core.piece import Options, OutOfMemory, Piece, Watch, fail
from mi203jax.core.piece_folder import PieceFolder
from mi203jax.core.plan import program
from mi203jax.core.run_directory import piece_folder, read_config
from mi203jax.core.session import Session

RETRIES = 5
"""Times that a piece is begun again after its worker died."""

SAVING = 4.0
"""Seconds that workers have to save what they did when a run is stopped: less than it has itself."""


class RayEngine:
    """Pieces run as Ray's tasks; a context manager that connects to a cluster, or starts one here."""

    def __init__(self, address: str | None = None, cpus: float = 1.0, gpus: float = 0.0):
        """
        Args:
            address: `"host:port"` of a cluster; None: RAY_ADDRESS, or one of this process's own.
            cpus: cores for a piece.
            gpus: GPUs for a piece.
        """  # noqa: D205, D212
        self._address, self._cpus, self._gpus = address, cpus, gpus
        self.workers = 1
        self.threads = max(1, int(cpus))  # of a piece: as many as it has cores, so that none contend

    def __enter__(self) -> "RayEngine":
        """Connects.

        Raises:
            UsageError: if Ray is not installed, or the cluster is not reachable or has no such resources.
        """
        expect_ray()
        address = self._address or os.environ.get("RAY_ADDRESS")
        if address:
            _check_reachable(address)
        else:
            lock_ray()
        import ray  # only now

        self._ray: Any = ray
        try:
            self._ray.init(
                address=address or "local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except Exception as error:  # Ray raises whatever it meets
            reason = str(error).strip().splitlines()[0][:200]
            raise UsageError(f"--engine=ray: Ray did not start: {reason}") from error
        there = self._ray.cluster_resources()
        asked = {"CPU": self._cpus, "GPU": self._gpus}
        for name, count in asked.items():
            if count < 0 or count > there.get(name, 0):
                flag = f"--ray-{name.lower()}s={count:g}"
                self._ray.shutdown()
                raise UsageError(f"{flag}: the cluster has {there.get(name, 0):g} in all.")
        self.workers = max(1, min(int(there.get(n, 0) // c) for n, c in asked.items() if c > 0))
        return self

    def __exit__(self, *exception: object) -> None:
        self._ray.shutdown()

    def run(self, session: Session, pieces: Sequence[PieceFolder]) -> None:
        """See `Engine`."""
        pending = {self._start(session, folder): folder for folder in pieces}
        broken: list[Exception] = []
        try:
            while pending and not session.is_stopped:
                ended, _ = self._ray.wait(list(pending), timeout=1.0)
                for folder in pending.values():
                    folder.read()
                for reference in ended:
                    try:
                        again = self._end(reference, pending.pop(reference), session)
                    except (UsageError, Fault) as error:  # perhaps of one machine: the others go on
                        broken.append(error)
                        continue
                    pending |= {self._start(session, folder): folder for folder in again}
                session.show()
                if session.interruption.signal is not None:
                    break
        finally:
            self._stop(list(pending), session.interruption)
        session.interruption.check()
        if broken:
            raise broken[0]

    def _start(self, session: Session, folder: PieceFolder) -> Any:
        environment = {"NPROC": str(self.threads), "PYTHONPATH": os.pathsep.join(_paths())}
        task = self._ray.remote(_run_piece).options(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            max_retries=RETRIES,
            retry_exceptions=[Interrupted],  # where the worker alone was told to stop, which saves
            runtime_env={"env_vars": environment},
        )
        run = str(session.directory.path.absolute())
        return task.remote(run, folder.number, session.experiment, session.options)

    def _end(self, reference: Any, folder: PieceFolder, session: Session) -> list[PieceFolder]:
        """Tells of a piece that ended; gives those that are to run in its place, if it was too large.

        Raises:
            UsageError: if one of its files is damaged.
            Fault: if one cannot be written.
        """
        try:
            self._ray.get(reference)
        except Exception as error:
            folder.read()
            cause = getattr(error, "cause", None) or error  # what the worker raised, if it lived
            if isinstance(cause, OutOfMemory):
                return session.halve(folder)
            if isinstance(cause, UsageError | Fault):
                raise cause from None  # not of the trials, which may go on from where they are
            fail(folder, f"{type(cause).__name__}: {cause}", str(error))
        folder.read()
        session.ended(folder)
        return []

    def _stop(self, references: list[Any], interruption: Interruption) -> None:
        """Interrupts what still runs, which saves; ends what does not within a few seconds."""
        for reference in references:
            self._ray.cancel(reference, force=False)
        if references:
            _, busy = self._ray.wait(references, num_returns=len(references), timeout=SAVING)
            for reference in busy:
                self._ray.cancel(reference, force=True)
            interruption.is_saved = not busy


def _run_piece(run: str, number: int, experiment: Experiment, options: Options) -> None:
    """Runs a piece in a worker of Ray's."""
    use_compilation_cache()
    use_cpu_devices(options.devices)
    contents = read_config(Path(run), lambda name: experiment.config)
    folder = piece_folder(Path(run), number, contents.pieces[number], contents.run_id)
    folder.read()
    task, configs = experiment.load_task(), [contents.trials[i] for i in folder.members]
    make_group = functools.partial(program, task, configs, options)
    with Interruption() as interruption:
        Piece(folder, configs, make_group, task.objective, options).try_run(Watch(), interruption)


def _paths() -> list[str]:
    """Where this process finds the experiments, for workers on the same machine."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [p for p in dict.fromkeys([os.getcwd(), *given]) if p]


def _check_reachable(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host and address in ("auto", "local"):
        return
    if not host or not port.isdecimal():
        raise UsageError(f"--ray-address={address}: expected HOST:PORT, as `ray start --head` prints it.")
    try:
        socket.create_connection((host, int(port)), timeout=3.0).close()
    except OSError as error:
        raise UsageError(
            f"--ray-address={address}: not reachable ({error}). Is `ray start --head` there?"
        ) from None
