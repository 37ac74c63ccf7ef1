"""What a run notes of the packages that only some runs use, and what it is told when these change."""

import importlib.metadata
import sys
from types import ModuleType

from mi203jax.core.provenance import differences, provenance


def test_ale_py_is_noted_and_compared_only_where_it_is_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", ModuleType("ale_py"))
    plays = provenance([])
    assert plays["packages"]["ale-py"] == importlib.metadata.version("ale-py")
    monkeypatch.delitem(sys.modules, "ale_py")
    other = provenance([])
    assert "ale-py" not in other["packages"]
    older = plays | {"packages": plays["packages"] | {"ale-py": "0.1"}}
    (told,) = differences(older, plays)
    assert told.startswith("begun with ale-py 0.1, going on with ")
    assert differences(older, other) == differences(other, plays) == []
