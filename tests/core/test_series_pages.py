"""A series that was finished and then lost something: what a resume runs again, and what its pages are told."""

import contextlib
import shutil

import numpy as np
import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.files import lock
from mi203jax.core.html_report.reading import read_run
from mi203jax.core.interruption import Interruption
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.series import Conclusion, Part, Series, begin_series, resume_series
from mi203jax.core.series_pages import DAMAGED, RUNNING, open_run, write_pages
from mi203jax.core.task import Animation
from mi203jax.core.trials import Sweep
from tests.core.documents import edit
from tests.core.test_series import EXPERIMENT, QUIET, Marks, Two, find_toy, found
from tests.core.toy import Toy


@pytest.fixture
def tolerant(tmp_path):
    """A series of two parts that do without each other, which was finished.

    What finds it, what goes on with it, and what its conclusion was told last.
    """
    told = {}

    def next_of(c, find, ended):
        return {f"of_{d}": Part("toy", [Toy(dimension=d)]) for d in (1, 2) if f"of_{d}" not in ended}

    def conclude(c, find, ended, provenance):
        told.update(rows={n: part.rows for n, part in ended.items()}, origin=provenance)
        still = Animation([np.zeros((8, 8, 3), np.uint8)], 5.0)
        return Conclusion("", {"a.json": "[1]"}, {"still": still}, {"page.txt": lambda path: path.name})

    experiment = EXPERIMENT._replace(series=Series(next_of, conclude, is_tolerant=True))

    def find(name):
        return experiment if name == "two" else find_toy(name)

    def go_on():
        with Interruption() as interruption:
            asked = (QUIET, interruption, find, Marks("done"))
            return resume_series(open_run(str(tmp_path), find), experiment, *asked)

    with Interruption() as interruption:
        asked = (str(tmp_path), QUIET, interruption, find, Marks("done"))
        begin_series("two", experiment, Sweep(Two()), *asked)
    return find, go_on, told


class TestResume:
    def test_a_part_that_is_lost_runs_again(self, tmp_path, tolerant):
        _, go_on, _ = tolerant
        with pytest.raises(UsageError, match="this run is finished"):
            go_on()
        other = (tmp_path / "parts/of_1/provenance.json").read_text()
        shutil.rmtree(tmp_path / "parts/of_2")
        assert [row["status"] for row in go_on()] == ["done", "done"]
        assert "finished" in found(tmp_path / "parts/of_2", "provenance")
        assert (tmp_path / "parts/of_1/provenance.json").read_text() == other
        assert "finished" in found(tmp_path, "provenance")
        assert len(found(tmp_path, "provenance")["resumed"]) == 1
        with pytest.raises(UsageError, match="this run is finished"):
            go_on()

    @pytest.mark.parametrize("file", ["config.json", "provenance.json", "pieces/0/status.json"])
    def test_a_damaged_part_stays_until_it_is_deleted(self, tmp_path, tolerant, file):
        _, go_on, _ = tolerant
        damaged = tmp_path / "parts/of_1" / file
        damaged.write_text("{")
        first, second = go_on()
        assert f"{damaged} is damaged" in first["error"]
        folder = tmp_path / "parts/of_1"
        assert f"Delete {folder}, and --resume={tmp_path} runs it again." in first["error"]
        assert second["status"] == "done"
        assert damaged.read_text() == "{"
        assert "finished" not in found(tmp_path, "provenance")
        shutil.rmtree(folder)
        assert [row["status"] for row in go_on()] == ["done", "done"]
        assert "finished" in found(tmp_path, "provenance")

    def test_a_part_without_its_configuration_is_not_overwritten(self, tmp_path, tolerant):
        _, go_on, _ = tolerant
        (tmp_path / "parts/of_1/config.json").unlink()
        assert f"Delete {tmp_path / 'parts/of_1'}, and" in go_on()[0]["error"]

    def test_a_list_of_parts_that_is_damaged_is_written_anew(self, tmp_path, tolerant):
        _, go_on, _ = tolerant
        (tmp_path / "parts.json").write_text("{")
        go_on()
        assert list(found(tmp_path, "parts")["parts"]) == ["of_1", "of_2"]


class TestPages:
    @pytest.mark.parametrize("file", ["config.json", "provenance.json"])
    def test_pages_are_told_which_file_is_damaged(self, tmp_path, tolerant, file):
        find, _, told = tolerant
        (tmp_path / "parts/of_1" / file).write_text("{")
        assert write_pages(tmp_path, find) == [tmp_path / "page.txt"]
        (row,) = told["rows"]["of_1"]
        assert f"{tmp_path / 'parts/of_1' / file} is damaged" in row["error"]
        assert (row["status"], row[DAMAGED]) == ("failed", str(tmp_path / "parts/of_1"))
        assert told["rows"]["of_2"][0]["status"] == "done"
        shutil.rmtree(tmp_path / "parts/of_1")
        write_pages(tmp_path, find)
        assert list(told["rows"]) == ["of_2"]

    def test_pages_are_told_why_a_part_failed_before_it_had_a_trial(self, tmp_path, tolerant):
        find, _, told = tolerant
        shutil.rmtree(tmp_path / "parts/of_1")
        edit(tmp_path / "parts.json", parts={"of_1": "ValueError: no luck", "of_2": ""})
        write_pages(tmp_path, find)
        assert told["rows"]["of_1"] == [{"trial": 0, "status": "failed", "error": "ValueError: no luck"}]

    def test_texts_and_figures_that_are_lost_are_written_anew(self, tmp_path, tolerant):
        find, _, told = tolerant
        own, still = tmp_path / "page.txt", tmp_path / "figures/still.gif"
        for damage in (lambda path: path.unlink(), lambda path: path.write_text("{")):
            damage(tmp_path / "a.json")
            damage(still)
            assert write_pages(tmp_path, find) == [tmp_path / "a.json", still, own]
            assert (tmp_path / "a.json").read_text() == "[1]"
        assert write_pages(tmp_path, find) == [own]
        assert not {RUNNING, "finished", "files"} & set(told["origin"])

    def test_but_not_beside_a_run_that_goes_on_meanwhile(self, tmp_path, tolerant, monkeypatch):
        find, _, _ = tolerant
        (tmp_path / "a.json").unlink()

        def read(*args, **others):
            found = read_run(*args, **others)
            held.append(lock(tmp_path))
            return found

        held = []
        monkeypatch.setattr("mi203jax.core.series_pages.read_run", read)
        with pytest.raises(UsageError, match="is in use by another process"):
            write_pages(tmp_path, find)
        held[0].release()

    def test_but_not_while_it_is_going_on(self, tmp_path, tolerant):
        find, _, told = tolerant
        edit(tmp_path / "provenance.json", finished=None)
        (tmp_path / "a.json").unlink()
        with contextlib.closing(RunDirectory.open(str(tmp_path), lambda _: Two())):
            assert write_pages(tmp_path, find) == [tmp_path / "page.txt"]
        assert told["origin"][RUNNING]
