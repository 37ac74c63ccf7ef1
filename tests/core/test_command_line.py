"""What is told of a mistake, and arguments that are refused before they are read."""

import pytest

import experiments
from mi203jax.core.command_line import parse, told
from mi203jax.core.errors import UsageError


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("a\n  b\tc", "a b c"),
        ("\x1b[31mred\x00", "\\x1b[31mred\\x00"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\udcff", "\\udcff"),
        ("λ – é", "λ – é"),
        (ValueError("why"), "why"),
    ],
)
def test_one_line_that_no_terminal_obeys(message, line):
    assert told(message) == line


def test_both_ends_of_what_is_long():
    word = told(f"name={'9' * 10_000}: expected a number.")
    assert word.startswith("name=999")
    assert word.endswith("9: expected a number.")
    assert len(word) < 350
    line = told("name=" + "a b " * 10_000 + ": expected a number.")
    assert line.startswith("name=a b ")
    assert line.endswith("a b : expected a number.")
    assert len(line) == 1_500
    assert told(line) == line
    path = "/" + "folder/" * 40
    assert told(f"Go on with --resume={path}") == f"Go on with --resume={path}"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--flagfile=/etc/passwd", "Unknown flag --flagfile."),
        ("-undefok=zz", "Unknown flag --undefok."),
        ("--noquiet=3", "--noquiet=3 does not take an argument. See python launch.py --help."),
        ("data=\x1b", "data=\x1b: expected a text without control characters, in UTF-8."),
        ("--out=\udcff", "--out=\udcff: expected a text without"),
        ("data=" + "a" * 20_000, "data=aaaaa"),
    ],
)
def test_arguments_that_are_refused(argument, message):
    with pytest.raises(UsageError) as error:
        parse(["launch.py", "--exp=vectors", argument], experiments)
    assert str(error.value).startswith(message)
