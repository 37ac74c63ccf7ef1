"""How bad input is answered: what the tests of it share."""

import contextlib
import io
import os
import tempfile

from hypothesis import HealthCheck, Phase, configuration, settings

import launch

configuration.set_hypothesis_home_dir(tempfile.mkdtemp(prefix="hypothesis-"))  # else where the tests run

LONGEST = 1_500
"""Characters of a line on the screen."""


class Ran(BaseException):
    """What was to be refused would have run: its test fails at once, not after minutes."""


def would_run(seeds):
    """In the place of what is called when a run begins to write."""
    raise Ran


def many(number):
    """So many examples, the same whenever the test runs."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def say(argv):
    """Exit status, standard output and standard error of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = launch.main(["launch.py", *map(str, argv)])
    return status, out.getvalue(), err.getvalue()


def check_refused(argv, names, inside=()):
    """One line with one of the names in it, and exit status 2; in this folder is nothing but what was there."""
    status, out, err = say(argv)
    told = f"{[ascii(a)[:100] for a in argv]}, {names}: {status}, {out[:100]!r}, {err[:500]!a}"
    assert (status, out) == (2, ""), told
    assert err.startswith("launch.py: "), told
    assert err.endswith("\n"), told
    assert err[:-1].isprintable(), told
    assert len(err) <= LONGEST + len("launch.py: \n"), told
    assert any(name in err for name in names), told
    assert sorted(os.listdir()) == sorted(inside), told
