"""What the tests of faults share: programs that are compiled once, whatever happens to their runs."""

import pytest
from PIL import Image

from mi203jax.core import plan, session


@pytest.fixture(scope="module")
def programs():
    """(task, trials, options) -> their program."""
    return {}


@pytest.fixture
def compiled_once(monkeypatch, programs):
    """Equal trials share a program between runs: it has no state."""
    make = plan.program

    def program(task, configs, options):
        key = tuple(map(id, task)), tuple(configs), options.parallel
        if key not in programs:
            programs[key] = task, make(task, configs, options)  # the task, so that its id stays its own
        return programs[key][1]

    monkeypatch.setattr(plan, "program", program)
    monkeypatch.setattr(session, "program", program)


class Plain:
    """A figure that takes no time."""

    def savefig(self, path, dpi):
        Image.new("RGB", (4, 3)).save(path)


@pytest.fixture(scope="module")
def plain_figures():
    """A figure of a sweep is written, and costs nothing."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session, "sweep_figures", lambda *args: {"learning_curve": Plain()})
        yield
