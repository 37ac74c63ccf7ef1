"""Texts as numbers: against dictionaries and counts in plain Python."""

import builtins
import math
from collections import Counter, defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mi203jax import UsageError
from mi203jax.data import text
from mi203jax.data.feed import Feed

OF_PYTHON = "PYTHON SOFTWARE FOUNDATION LICENSE\nas it is"


class TestLicence:
    def test_is_what_this_python_prints(self):
        printer = builtins.license
        printer._Printer__setup()
        expected = "\n".join(printer._Printer__lines)
        if "PYTHON SOFTWARE FOUNDATION LICENSE" not in expected:
            pytest.skip("this Python came without its licence")
        assert text.licence_text().split("\n") == expected.split("\n")

    @pytest.mark.parametrize("name", ["LICENSE.txt", "LICENSE"])
    def test_the_first_that_is_there_and_of_python(self, tmp_path, monkeypatch, name):
        folders = tuple(tmp_path / f for f in ("absent", "other", "bytes", "right", "later"))
        for folder in folders[1:]:
            folder.mkdir()
        (folders[1] / "LICENSE.txt").write_text("Apache License", "utf-8")
        (folders[2] / "LICENSE.txt").write_bytes(b"\xff\xfe")
        (folders[3] / name).write_text(OF_PYTHON, "utf-8")
        (folders[4] / "LICENSE.txt").write_text(OF_PYTHON + "!", "utf-8")
        monkeypatch.setattr(text, "_folders", lambda: folders)
        assert text.licence_text() == OF_PYTHON

    def test_never_of_the_working_directory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "LICENSE").write_text(OF_PYTHON, "utf-8")
        monkeypatch.setattr(text.os, "__file__", str(tmp_path / "a" / "b" / "os.py"))
        monkeypatch.setattr(text.sys, "base_prefix", str(tmp_path / "c"))
        monkeypatch.setattr(text.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path / "d")})
        with pytest.raises(UsageError, match="this Python came without that file: pass text=FILE"):
            text.licence_text()


class TestReadText:
    @pytest.mark.parametrize("raw", ["é\nü – 🐍", "\ufeffé\nü – 🐍"])
    def test_reads_utf8_with_and_without_its_mark(self, tmp_path, raw):
        file = tmp_path / "a.txt"
        file.write_bytes(raw.encode())
        assert text.read_text(str(file)) == "é\nü – 🐍"

    @pytest.mark.parametrize(
        ("raw", "message"), [(b"", "is empty"), (b"abc\xe9d", "is not UTF-8, from byte 3 on")]
    )
    def test_contents_that_cannot_be_used(self, tmp_path, raw, message):
        file = tmp_path / "a.txt"
        file.write_bytes(raw)
        with pytest.raises(UsageError, match=f"text=.*a.txt {message}"):
            text.read_text(str(file))

    @pytest.mark.parametrize(
        ("name", "message"),
        [("absent.txt", "there is no such file"), (".", "is a folder"), ("a\0b", "cannot be read")],
    )
    def test_files_that_cannot_be_read(self, tmp_path, monkeypatch, name, message):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match=message):
            text.read_text(name)


class TestCodes:
    def test_are_places_in_the_sorted_characters(self):
        written = "banana\n– 🐍é"
        alphabet = text.alphabet_of(written)
        assert list(alphabet) == sorted(set(written))
        codes = text.encode(written, alphabet)
        assert codes.dtype == np.int32
        assert codes.tolist() == [alphabet.index(k) for k in written]
        assert text.decode(codes, alphabet) == written

    def test_unknown_characters_share_the_last_code(self):
        codes = text.encode("azb0\U0010ffff\udcff", "ab")
        assert codes.tolist() == [0, 2, 1, 2, 2, 2]
        assert text.decode(codes, "ab") == "a\ufffdb\ufffd\ufffd\ufffd"

    def test_of_no_text(self):
        assert text.encode("", "ab").shape == (0,)


class TestCorpus:
    def test_the_alphabet_is_of_the_first_part(self):
        parts = text.corpus("cabacdbe", 4, 7)
        assert parts.alphabet == "abc"
        assert parts.train.tolist() == [2, 0, 1, 0]
        assert parts.judged.tolist() == [2, 3, 1]

    @pytest.mark.parametrize(("begin", "end"), [(0, 2), (2, 2), (2, 9), (-1, 2)])
    def test_refusals(self, begin, end):
        with pytest.raises(ValueError, match="corpus: expected 0 < begin < end ≤ 8, the text's length"):
            text.corpus("cabacdbe", begin, end)


class TestWindows:
    codes, length = jnp.arange(100, 140), 7
    windows = text.TextWindows(codes, length)

    def test_are_parts_of_the_text(self, key):
        assert isinstance(self.windows, Feed)
        batch = jax.jit(lambda t: self.windows.batch(key, t, 16))(3)["codes"]
        assert batch.shape == (16, self.length + 1)
        np.testing.assert_array_equal(batch - batch[:, :1], np.tile(np.arange(self.length + 1), (16, 1)))

    def test_begin_anywhere_as_often(self, key):
        first = np.asarray(self.windows.batch(key, 0, 6_600)["codes"][:, 0]) - 100
        last = len(self.codes) - self.length - 1
        counts = np.bincount(first, minlength=last + 1)
        assert len(counts) == last + 1
        assert stats.chisquare(counts).pvalue > 0.001

    def test_are_others_at_each_step(self, key):
        one, again, other = (self.windows.batch(key, t, 16)["codes"] for t in (0, 0, 1))
        np.testing.assert_array_equal(one, again)
        assert (one != other).any()

    def test_the_longest_is_the_whole_text(self, key):
        whole = text.TextWindows(self.codes, len(self.codes) - 1).batch(key, 0, 2)["codes"]
        np.testing.assert_array_equal(whole, jnp.stack([self.codes] * 2))


class TestPieces:
    @pytest.mark.parametrize("size", [1, 3, 8, 50])
    @pytest.mark.parametrize("learnt", [1, 4, 30])
    @pytest.mark.parametrize("judged", [1, 9, 16])
    def test_the_second_part_in_order_after_the_end_of_the_first(self, size, learnt, judged):
        train, second = np.arange(1, learnt + 1), np.arange(1_000, 1_000 + judged)
        cut = text.pieces(text.Corpus("", train, second), size)
        read, following = cut["codes"][:, :-1].ravel(), cut["codes"][:, 1:].ravel()
        np.testing.assert_array_equal(following[cut["judged"].ravel()], second)
        np.testing.assert_array_equal(cut["codes"][1:, 0], cut["codes"][:-1, -1])
        past = min(learnt, size + 1)
        np.testing.assert_array_equal(read[: past + judged - 1], np.concatenate([train[-past:], second])[:-1])
        assert cut["judged"][-1].any()
        assert cut["codes"].shape == (len(cut["judged"]), size + 1)


def witten_bell(train, judged, number, order):
    """In plain Python, one character after the other."""
    counts = defaultdict(Counter)
    for n in range(order):
        for i in range(n, len(train)):
            counts[tuple(train[i - n : i])][train[i]] += 1

    def p(past, x):
        if not past:
            return (counts[()][x] + 1) / (len(train) + number)
        shorter, seen = p(past[1:], x), counts.get(past, {})
        if not seen:
            return shorter
        return (seen.get(x, 0) + len(seen) * shorter) / (sum(seen.values()) + len(seen))

    whole = [*train, *judged]
    costs = []
    for i in range(len(train), len(whole)):
        past = tuple(whole[max(0, i - order + 1) : i])
        costs.append(-math.log2(p(past, whole[i])))
    return sum(costs) / len(costs)


class TestNgrams:
    @pytest.mark.parametrize("order", [1, 2, 3, 5])
    def test_against_dictionaries(self, order):
        rng = np.random.default_rng(0)
        letters = "".join(rng.choice(list("aab cde"), 400))
        for written, begin in ((letters + "xyx" + letters[:50], 380), ("abab", 2), ("ab" * 20 + "c", 30)):
            parts = text.corpus(written, begin, len(written))
            expected = witten_bell(
                parts.train.tolist(), parts.judged.tolist(), len(parts.alphabet) + 1, order
            )
            assert text.ngram_bits(parts, order) == pytest.approx(expected, rel=1e-10)

    def test_closed_forms(self):
        """As many of each of four characters, and one for the unknown: 26 of 105 counts."""
        parts = text.corpus("abcd" * 50, 100, 200)
        assert text.ngram_bits(parts, 1) == pytest.approx(math.log2(105 / 26))
        one = text.corpus("a" * 12, 10, 12)  # (9 + 11/12) / (9 + 1) after an a
        assert text.ngram_bits(one, 2) == pytest.approx(-math.log2((9 + 11 / 12) / 10))

    def test_is_a_distribution(self):
        """The probabilities of all that may come next add up to 1."""
        alphabet = text.alphabet_of("banana")
        train = text.encode("banana", alphabet)
        for order in (1, 2, 3, 4):
            total = sum(
                2 ** -text.ngram_bits(text.Corpus(alphabet, train, np.array([x])), order) for x in range(4)
            )
            assert total == pytest.approx(1)
