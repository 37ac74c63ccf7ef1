"""The folder of a piece: what is written, what is read back, what is refused."""

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.piece_folder import PieceFolder, Status


class TestRecords:
    @pytest.fixture
    def records(self):
        steps = ((s, i) for s in (0, 10, 20) for i in (0, 1))
        return [{"trial": i, "step": s, "seconds": 0.1, "eval/loss": 0.5 * s + i} for s, i in steps]

    def test_come_back(self, tmp_path, records):
        piece = PieceFolder(tmp_path, [0, 1])
        piece.append(records[:4])
        piece.append(records[4:])
        assert piece.records() == records

    def test_not_finite_is_null(self, tmp_path):
        piece = PieceFolder(tmp_path, [0, 1])
        piece.append([{"trial": 0, "step": 0, "seconds": 0.0, "eval/loss": float("nan"), "x": float("inf")}])
        assert piece.records() == [{"trial": 0, "step": 0, "seconds": 0.0, "eval/loss": None, "x": None}]

    def test_a_torn_last_line_is_left_out(self, tmp_path, records):
        piece = PieceFolder(tmp_path, [0, 1])
        piece.append(records)
        path = tmp_path / "metrics.jsonl"
        path.write_text(path.read_text()[:-9])
        assert piece.records() == records[:-1]

    def test_another_damaged_line_is_named(self, tmp_path, records):
        piece = PieceFolder(tmp_path, [0, 1])
        piece.append(records)
        path = tmp_path / "metrics.jsonl"
        path.write_text(path.read_text().replace('"step": 10', '"stp": 10', 1))
        with pytest.raises(UsageError, match="metrics.jsonl: line 3 is damaged"):
            piece.records()

    def test_cut_drops_what_comes_after(self, tmp_path, records):
        piece = PieceFolder(tmp_path, [0, 1])
        piece.append(records)
        kept = piece.cut(10)
        assert kept == piece.records() == [r for r in records if r["step"] <= 10]

    def test_cut_drops_a_torn_line(self, tmp_path, records):
        """Else the next record would be written behind it."""
        piece = PieceFolder(tmp_path, [0, 1])
        piece.append(records)
        path = tmp_path / "metrics.jsonl"
        path.write_text(path.read_text()[:-9])
        piece.cut(20)
        piece.append(records[-1:])
        assert piece.records() == records


def test_statuses_come_back(tmp_path):
    statuses = [
        Status("done", 40, objective=0.5),
        Status("diverged", 10, "loss not finite"),
        Status("failed", 0, "no"),
    ]
    piece = PieceFolder(tmp_path / "0", [3, 4, 7])
    piece.statuses = statuses
    piece.save_statuses()
    again = PieceFolder(tmp_path / "0", [3, 4, 7])
    again.read()
    assert again.statuses == statuses
    assert [s.is_final for s in again.statuses] == [True, True, False]
    assert not again.is_final


def test_a_piece_that_was_not_begun(tmp_path):
    piece = PieceFolder(tmp_path / "0", [3, 4])
    piece.read()
    assert piece.statuses == [Status(), Status()]
    assert piece.records() == piece.cut(0) == []
    assert not (tmp_path / "0").exists()
