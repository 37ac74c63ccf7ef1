"""Who reads goes away, and what was written for readers is lost: the run goes on, and can be made whole."""

import errno
import os
import sys
import warnings

import pytest

from mi203jax.core import compilation_cache
from mi203jax.core.errors import Damaged, UsageError
from mi203jax.core.interruption import Interruption
from mi203jax.core.piece import Options
from mi203jax.core.results import load_metrics, load_results
from mi203jax.core.series_pages import open_run
from mi203jax.core.session import resume
from tests.core.running import QUIET, begin, metrics
from tests.core.toy import EXPERIMENT

pytestmark = pytest.mark.usefixtures("compiled_once")


class Gone:
    """Standard output to a terminal that is not there any more."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, text):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def flush(self):
        self.write("")


@pytest.mark.usefixtures("undrawn")
def test_a_terminal_that_is_gone_stops_nothing(tmp_path, monkeypatch):
    with open(tmp_path / "out", "w") as file:
        monkeypatch.setattr(sys, "stdout", Gone(file))
        rows = begin(tmp_path / "run", "learning_rate=0.1,0.2", options=Options())
        monkeypatch.undo()
    assert [row["status"] for row in rows] == ["done", "done"]


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "run"
    begin(path, "dimension=1,2")
    return path


def go_on(path):
    with Interruption() as interruption:
        directory = open_run(str(path), lambda name: EXPERIMENT)
        return resume(directory, EXPERIMENT, QUIET, interruption)


@pytest.mark.parametrize("name", ["results.csv", "figures/still.gif", "figures/learning_curve.png"])
@pytest.mark.parametrize("lost", [True, False], ids=["gone", "changed"])
def test_a_finished_run_writes_anew_what_it_lost(finished, name, lost):
    before, records = (finished / name).read_bytes(), metrics(finished)
    (finished / name).unlink() if lost else (finished / name).write_bytes(b"3")
    go_on(finished)
    assert (finished / name).read_bytes() == before
    assert metrics(finished) == records
    load_results(finished)
    with pytest.raises(UsageError, match="this run is finished"):
        go_on(finished)


@pytest.mark.usefixtures("undrawn")
def test_metrics_of_a_run_that_lost_a_piece_are_not_half_of_them(finished):
    for file in (finished / "pieces" / "1").rglob("*"):
        file.unlink() if file.is_file() else None
    (finished / "pieces" / "1").rename(finished / "elsewhere")
    with pytest.raises(Damaged, match=r"pieces/1 is missing. --resume=.* begins its trials anew"):
        load_metrics(finished)


def test_of_programs_that_are_damaged_one_line_is_told_and_they_begin_anew(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "torn").touch()
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *more, **others: shown.append(str(message)))
    with warnings.catch_warnings():
        compilation_cache._empty_where_damaged(folder)
        for name in ("jit_a", "jit_b"):
            warnings.showwarning(
                UserWarning(f"Error reading persistent compilation cache entry for '{name}': x"),
                UserWarning,
                "",
                0,
            )
        warnings.showwarning(UserWarning("another"), UserWarning, "", 0)
    assert capsys.readouterr().err == f"{folder}, the compiled programs, was damaged: it begins anew.\n"
    assert shown == ["another"]
    assert folder.is_dir()
    assert not list(folder.iterdir())
