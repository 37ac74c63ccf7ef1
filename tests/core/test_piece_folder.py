"""The folder of a piece: what is written, what is read back, what is refused."""

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.piece_folder import PieceFolder, Status


def folder(tmp_path, members=(0, 1), run="a"):
    return PieceFolder(tmp_path / "pieces" / "0", members, run)


@pytest.fixture
def records():
    steps = ((s, i) for s in (0, 10, 20) for i in (0, 1))
    return [{"trial": i, "step": s, "seconds": 0.1, "eval/loss": 0.5 * s + i} for s, i in steps]


@pytest.fixture
def piece(tmp_path):
    found = folder(tmp_path)
    found.save_statuses()
    return found


class TestRecords:
    def test_come_back(self, tmp_path, piece, records):
        piece.append(records[:4])
        piece.append(records[4:])
        piece.save_statuses()
        again = folder(tmp_path)
        assert again.read()
        assert [*again.records()] == [*piece.records()] == records

    def test_not_finite_is_null(self, piece):
        piece.append([{"trial": 0, "step": 0, "seconds": 0.0, "eval/loss": float("nan"), "x": float("inf")}])
        assert [*piece.records()] == [{"trial": 0, "step": 0, "seconds": 0.0, "eval/loss": None, "x": None}]

    @pytest.mark.parametrize(
        "torn",
        ['{"trial": 0, "st', "3\n", '{"trial": 7, "step": 0, "seconds": 0}\n', '{"trial": 0}\n', "\xff\n"],
    )
    def test_what_the_status_does_not_tell_of_is_read_up_to_where_it_is_torn(
        self, tmp_path, piece, records, torn
    ):
        piece.append(records[:2])
        piece.save_statuses()
        piece.append(records[2:])
        with open(piece.metrics, "a") as file:
            file.write(torn + '{"trial": 0, "step": 30, "seconds": 0}\n')
        again = folder(tmp_path)
        again.read()
        assert [*again.records()] == records

    def test_and_not_at_all_where_all_is_over(self, piece, records):
        piece.append(records)
        piece.statuses = [Status("done", 20)] * 2
        with open(piece.metrics, "a") as file:
            file.write('{"trial": 0, "step": 30, "seconds": 0}\n')
        assert [*piece.records()] == records

    def test_what_it_tells_of_is_as_it_was_written(self, piece, records):
        piece.append(records)
        whole = piece.metrics.read_text()
        for text, how in (
            (whole[:-1], "is damaged"),
            (whole.replace("10", "11"), "is damaged"),
            (None, "is missing"),
        ):
            piece.metrics.unlink() if text is None else piece.metrics.write_text(text)
            with pytest.raises(
                UsageError, match=f"metrics.jsonl {how}.* status.json tells.* Delete .*/pieces/0, and"
            ):
                piece.records()

    def test_rewind_drops_what_comes_after(self, tmp_path, piece, records):
        piece.append(records[:4])
        then = piece.written
        piece.append(records[4:])
        piece.save_statuses()
        again = folder(tmp_path)
        again.read()
        assert [*again.rewind(then)] == records[:4]
        again.save_statuses()
        again.cut()
        again.append(records[4:])
        assert [*again.records()] == records
        with pytest.raises(
            UsageError, match=r"metrics.jsonl is damaged: it is not what a checkpoint tells of"
        ):
            again.rewind(then._replace(sha256="0"))


class TestStatuses:
    def test_come_back(self, tmp_path):
        statuses = [
            Status("done", 40, objective=0.5),
            Status("diverged", 10, "loss not finite"),
            Status("failed", 0, "no"),
        ]
        piece = folder(tmp_path, [3, 4, 7])
        piece.statuses, piece.checkpoint = statuses, 40
        piece.save_statuses()
        again = folder(tmp_path, [3, 4, 7])
        assert again.read()
        assert (again.statuses, again.checkpoint) == (statuses, 40)
        assert [s.is_final for s in again.statuses] == [True, True, False]
        assert not again.is_final

    def test_of_another_run_or_piece_are_refused(self, tmp_path, piece):
        with pytest.raises(UsageError, match=r"status.json is of another run than the files beside it"):
            folder(tmp_path, run="b").read()
        with pytest.raises(UsageError, match=r"status.json is of another piece"):
            folder(tmp_path, [0, 2]).read()

    def test_that_are_gone_are_missed(self, tmp_path, piece):
        (piece.path / "status.json").unlink()
        with pytest.raises(
            UsageError, match=r"status.json is missing. Delete .*/pieces/0, and --resume begins"
        ):
            folder(tmp_path).read()

    def test_a_folder_that_is_gone(self, tmp_path):
        piece = folder(tmp_path)
        assert not piece.read()
        assert piece.statuses == [Status(), Status()]
        assert [*piece.records()] == []
        assert not piece.path.exists()
