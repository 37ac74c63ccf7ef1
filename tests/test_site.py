"""The documentation site: that it builds and holds together, and that what its pages tell to do works."""

import contextlib
import csv
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import launch
from mi203jax import atari, configs, metrics, models, nn, rl, study, tasks
from mi203jax.core.files import lock

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ADD_A_TASK = (DOCS / "add_a_task.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
PACKAGES = ("zensical", "mkdocstrings_handlers")  # of the extra docs
VARIES = {"CORES": r"\d+", "0.00086": r"[\d.e-]+"}  # in messages, with the machine and with jax


# ---- the site ----


class Page(HTMLParser):
    """What a page of the site offers and asks for."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.unresolved = set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[n] for n in ("id", "name") if given.get(n)}
        if tag == "autoref":
            self.unresolved.append(given.get("identifier"))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loaded += [given["src"]] if given.get("src") else []
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given["href"])


def built(place):
    """The site, and what its builder printed."""
    shutil.copy(ROOT / "mkdocs.yml", place)
    shutil.copytree(DOCS, place / "docs")
    for name in ("mi203jax", "experiments"):
        (place / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "site", done.stdout + done.stderr


def broken(pages):
    """Links to files and anchors that are not there."""
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":  # that one's are the server's
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not file.exists() or (anchor and file in pages and anchor not in pages[file].ids):
                yield path.name, link


@pytest.mark.skipif(
    any(importlib.util.find_spec(n) is None for n in PACKAGES),
    reason='needs the extra of the documentation: pip install -e ".[docs]"',
)
def test_the_site_builds_without_a_warning(tmp_path):
    site, printed = built(tmp_path)
    # What reads docstrings has warnings of its own, which do not fail the build.
    assert not re.findall(r"(?im)^.*(?:warn|error|griffe|autorefs).*$", printed)
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert not [*broken(pages)]
    assert not [(path.name, page.unresolved) for path, page in pages.items() if page.unresolved]
    # Nothing is loaded from elsewhere.
    assert not [link for page in pages.values() for link in page.loaded if urlsplit(link).netloc]
    # A slide leads to its function and its experiment.
    course = pages[site / "course.html"].links
    assert "reference/nn.html#mi203jax.nn.conv.conv2d" in course
    assert "reference/experiments.html#experiments.dqn" in course


def test_every_page_is_in_the_navigation():
    navigation = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    written = [*DOCS.glob("*.md"), *(DOCS / "reference").glob("*.md")]
    assert sorted(navigation) == sorted(p.relative_to(DOCS).as_posix() for p in written)


class TestReference:
    def test_has_each_experiment(self):
        text = (DOCS / "reference/experiments.md").read_text(encoding="utf-8")
        listed = re.findall(r"^::: experiments\.(\w+)$", text, re.MULTILINE)
        assert listed == sorted(p.stem for p in (ROOT / "experiments").glob("[!_]*.py"))

    @pytest.mark.parametrize("package", [metrics, models, nn, rl, study], ids=lambda p: p.__name__)
    def test_has_what_a_package_exports(self, package):
        page = DOCS / "reference" / f"{package.__name__.rpartition('.')[2]}.md"
        listed = re.findall(r"^ +members: \[(.*)\]$", page.read_text(encoding="utf-8"), re.MULTILINE)
        exported = set(package.__all__) - {"initializers"}  # a module, which stands there as one
        assert sorted(", ".join(listed).split(", ")) == sorted(exported)


# ---- what pages tell to do ----


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def console(page):
    """Commands, and the line that each prints on standard error."""
    return [pair for b in blocks(page, "console") for pair in re.findall(r"^\$ (.+)\n(.+)$", b, re.MULTILINE)]


class TestAddATask:
    """The page's own files, as they stand there."""

    def files(self):
        return dict(re.findall(r"^`(\S+\.py)`\n\n```py\n(.*?)^```", ADD_A_TASK, re.MULTILINE | re.DOTALL))

    def write(self, place):
        for name, text in self.files().items():
            assert not (place / name).exists()
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")

    def test_takes_at_most_120_lines_in_files_of_its_own(self):
        files = self.files()
        lines = sum(text.count("\n") for text in files.values())
        assert lines <= 120
        assert f"{lines} lines in three new files" in ADD_A_TASK
        assert len(files) == 3
        assert not [name for name in files if "/core/" in name or (ROOT / name).exists()]

    def test_runs_in_a_copy_of_the_project(self, tmp_path):
        shutil.copy(ROOT / "launch.py", tmp_path)
        for name in ("mi203jax", "experiments"):
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.write(tmp_path)
        describe, run, sweep = blocks(ADD_A_TASK, "sh")[0].splitlines()
        assert "how many of them count" in launched(describe, tmp_path).stdout
        assert "12 trials in 4 programs" in launched(f"{sweep} --describe", tmp_path).stdout
        for command, expected in console(ADD_A_TASK):
            assert launched(command, tmp_path, status=2).stderr == f"{expected}\n"
        launched(f"{run} total_steps=300 --out=first", tmp_path)  # a third of its steps is enough
        with open(tmp_path / "first/results.csv", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert float(row["eval/accuracy"]) == 1.0
        for name in ("figures/weights.png", "figures/learning_curve.png", "report.html"):
            assert (tmp_path / "first" / name).exists(), name

    def test_is_a_function_too(self, tmp_path, monkeypatch, capsys):
        self.write(tmp_path)
        for package in (configs, tasks):
            there = tmp_path / package.__name__.replace(".", "/")
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(there)])
            monkeypatch.delitem(sys.modules, f"{package.__name__}.parity", raising=False)
        exec(compile(blocks(ADD_A_TASK, "py")[-1], "add_a_task.md", "exec"), {})
        printed = capsys.readouterr().out
        assert len(re.findall(r"[01]\.\d*", printed)) == 2  # evaluations


def launched(command, project, status=0):
    """A command of a page in a process of its own, which knows that project alone."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    argv = [sys.executable, *shlex.split(command)[1:]]
    done = subprocess.run(
        argv, cwd=project, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.usefixtures("undrawn")
def test_troubleshooting_quotes_the_program(tmp_path, monkeypatch, capsys):
    """All of its commands in turn, in a folder without data and as if no extra were installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(atari, "games", atari.games.__wrapped__)  # another test may have asked before
    (tmp_path / "sets").mkdir()
    for package in ("ale_py", "ale_py.roms", "optuna", "ray"):
        monkeypatch.setitem(sys.modules, package, None)
    with contextlib.ExitStack() as stack:
        for command, expected in console(TROUBLESHOOTING):
            if "runs/busy" in command:
                shutil.copytree("runs/done", "runs/busy")
                stack.enter_context(lock(Path("runs/busy")))
            status = launch.main(shlex.split(command)[1:])
            pattern = re.escape(expected)
            for text, any_other in VARIES.items():
                pattern = pattern.replace(re.escape(text), any_other)
            assert re.fullmatch(pattern, capsys.readouterr().err.strip().splitlines()[-1]), command
            assert status == (1 if "diverged" in expected else 2)
