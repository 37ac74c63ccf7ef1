"""What docs/reproducibility.md says is equal: to the bit, or to rounding."""

import json

import numpy as np
import pytest

from mi203jax.core.loop import Group
from mi203jax.core.plan import plan
from mi203jax.core.trials import Sweep
from tests.core.running import QUIET, begin, metrics, parameters
from tests.core.toy import Toy, task
from tests.launching import start

ASKED = ("noise=1.0", "learning_rate=0.1,0.2,0.3")


@pytest.fixture(scope="module")
def like():
    return Group(task, Sweep(Toy(), ASKED).trials(), None).abstract()


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    path = tmp_path_factory.mktemp("once") / "run"
    begin(path, *ASKED)
    return path


def by_trial(path):
    return sorted(metrics(path), key=lambda r: (r["trial"], r["step"]))


@pytest.mark.usefixtures("undrawn")
class TestToTheBit:
    @pytest.mark.parametrize(
        "options", [{}, {"checkpoint_every": 0.0}, {"tensorboard": True}, {"quiet": False}]
    )
    @pytest.mark.usefixtures("compiled_once")
    def test_again_however_it_is_kept_and_shown(self, once, tmp_path, like, options):
        begin(tmp_path, *ASKED, options=QUIET._replace(**options))
        assert metrics(tmp_path) == metrics(once)
        assert parameters(tmp_path, like) == parameters(once, like)

    def test_in_another_process_with_other_hashes(self, tmp_path):
        """The order of Python's sets differs; nothing may go by it."""
        asked = ("--exp=toy", "noise=1", "dimension=2,3", "learning_rate=0.1,0.2")
        runs = [start(*asked, f"--out={tmp_path / n}", PYTHONHASHSEED=n) for n in "12"]
        for process in runs:
            assert process.wait() == 0
        first, second = (tmp_path / n for n in "12")
        assert metrics(first) == metrics(second)
        configs = [json.loads((path / "config.json").read_text()) for path in (first, second)]
        assert configs[0]["trials"] == configs[1]["trials"]
        assert configs[0]["pieces"] == configs[1]["pieces"]


@pytest.mark.usefixtures("undrawn")
class TestToRounding:
    @pytest.mark.parametrize("layout", ["map", "devices", "auto", "pieces", "alone"])
    def test_whatever_the_plan(self, once, tmp_path, layout):
        options, asked = QUIET, [ASKED]
        if layout == "pieces":
            options = QUIET._replace(max_memory=plan(task, Sweep(Toy(), ASKED).trials(), QUIET)[0].bytes // 2)
        elif layout == "alone":
            asked = [("noise=1.0", f"learning_rate={rate}") for rate in (0.1, 0.2, 0.3)]
        else:
            options = QUIET._replace(parallel=layout)
        found = []
        for number, fields in enumerate(asked):
            begin(tmp_path / f"{number}", *fields, options=options)
            found += [r | {"trial": r["trial"] + number} for r in by_trial(tmp_path / f"{number}")]
        expected = by_trial(once)
        assert [list(r) for r in found] == [list(r) for r in expected]
        for own, like in zip(found, expected, strict=True):
            np.testing.assert_allclose(list(own.values()), list(like.values()), rtol=1e-5)
