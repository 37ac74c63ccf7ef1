"""What the documentation tells users to type."""

import doctest
import json
import re
import shlex
from pathlib import Path

import pytest

import experiments
from benchmarks.trends_page import page
from mi203jax.core import command_line
from mi203jax.core.run_directory import RunDirectory

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(path, language):
    found = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind == language]


def commands():
    """In blocks, and between backticks in the text and in tables, where `python launch.py` may be left out."""
    for path in [p for p in PAGES if p.stem != "add_a_task"]:  # whose example is not registered here
        for block in [*blocks(path, ""), *blocks(path, "sh")]:
            for line in block.replace("\\\n", " ").splitlines():
                if "python launch.py" in line:
                    yield line[line.index("python launch.py") :]
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`([^`]+)`", text):
            words = " ".join(span.split()).replace("\\|", "|")
            if re.match(r"(python launch\.py )?--exp=[a-z]", words) and not re.search("…|NAME", words):
                yield words if words.startswith("python") else f"python launch.py {words}"


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_are_understood(command):
    """Up to the point where they would run."""
    _, *argv = shlex.split(re.sub(r"=K\b", "=1", command), comments=True)
    own, assignments = command_line.parse(argv, experiments)
    if command_line.mode_of(own, assignments, experiments) in ("exp", "describe", "dry_run"):
        assert command_line.sweep_of(own, assignments, experiments).trials()


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_runs(path, capsys):
    scope = {}
    for block in blocks(path, "python"):
        exec(compile(block, str(path), "exec"), scope)


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "pycon")], ids=lambda p: p.name)
def test_what_is_typed_at_the_prompt_runs(path, tmp_path, monkeypatch):
    """In a folder that has the run that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    sweep = experiments.get("vectors").sweep(None, ["learning_rate=0.1,0.2"])
    run = RunDirectory.create("runs/vectors/20261124-101502", "vectors", sweep, {})
    (piece,) = run.add(sweep.trials(), [[0, 1]])
    piece.save_statuses()  # makes its folder
    piece.append([{"trial": i, "step": 1, "seconds": 0.1, "eval/loss": 0.5} for i in (0, 1)])
    (run.path / "results.csv").write_text("trial,eval/loss\n0,0.5\n1,0.5\n")
    run.finish([run.path / "results.csv"])
    scope = {}
    for block in blocks(path, "pycon"):
        for example in doctest.DocTestParser().get_examples(block):
            exec(example.source, scope)
    assert len(scope["frame"]) == len(scope["curves"]) == 2
    run.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_nothing_is_left_to_fill_in(path):
    assert not re.findall(r"@[A-Z]+@|TODO|FIXME|(?m:^MEASURED)", path.read_text(encoding="utf-8"))


def sections(path):
    """What a link to a heading is called."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)]+)", path.read_text(encoding="utf-8")):
        file, _, section = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), target
        assert not section or section in sections(there), target


def test_the_page_of_trends_is_what_its_records_say():
    recorded = ROOT / "docs/recorded"
    records = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in recorded.glob("*.json")}
    text = (recorded / "trends.md").read_text(encoding="utf-8")
    assert (ROOT / "docs/trends.md").read_text(encoding="utf-8") == page(text, records)
