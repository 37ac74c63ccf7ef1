"""Nothing that is read runs, no path leads out of a run's folder, no text becomes markup, and nobody listens."""

import ast
import contextlib
import json
import os
import pickle
import sys
from pathlib import Path

import pytest

from mi203jax.core.documents import read_document, write_document
from mi203jax.core.errors import UsageError
from mi203jax.core.html_report import write_report
from mi203jax.core.html_report.reading import read_run
from mi203jax.core.piece import Options
from mi203jax.core.results import load_metrics
from mi203jax.data import load
from mi203jax.data.description import classes_in
from tests.core.documents import edit
from tests.core.report_runs import HOSTILE, ORIGIN, find, make, png, report
from tests.core.running import begin, resume
from tests.faults import data_folders
from tests.launching import ROOT

# ---- the program itself ----

FILES = [
    ROOT / "launch.py",
    *(p for place in ("mi203jax", "experiments") for p in (ROOT / place).rglob("*.py")),
]

RUNNING = {"eval", "exec", "compile", "__import__"}
"""Functions that run what they are given."""
LOADERS = set("pickle _pickle dill cloudpickle marshal shelve joblib yaml jsonpickle code".split())
"""Modules that make of a file what it likes to be."""
METHODS = set("read_pickle to_pickle from_pickle system popen spawnl spawnv execv execve".split())
"""Methods that do."""
IMPORTING = {
    "mi203jax/__init__.py": "its own names",
    "mi203jax/study/__init__.py": "its own names",
    "mi203jax/core/experiment.py": "what the code of an experiment names",
    "mi203jax/core/extras.py": "packages that are named in the same file",
    "mi203jax/data/prepare.py": "builders of this package, for whoever makes the embedded sets anew",
    "mi203jax/rl/envs/from_gymnax.py": "gymnax, and what it imports without need",
    "experiments/__init__.py": "files of this folder, which a name is first looked up in",
}
"""Files that import by name -> what, none of which is read from a file."""
STARTING = {"mi203jax/core/provenance.py": "git, for the commit of this code"}
"""Files that start another process -> which."""


def dangers(tree):
    """What in a file runs, or makes objects of, what it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in LOADERS | {"subprocess"})
        elif isinstance(node, ast.ImportFrom):
            yield from {(node.module or "").split(".")[0]} & (LOADERS | {"subprocess"})
        elif isinstance(node, ast.Name) and node.id in RUNNING:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr in METHODS | {"import_module"}:
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
            yield node.arg if ast.unparse(node.value) != "False" else "nothing"


def allowed(file):
    """What a file may, of these."""
    name = file.relative_to(ROOT).as_posix()
    return {"nothing", "import_module" * (name in IMPORTING), "subprocess" * (name in STARTING)}


def test_no_file_of_the_program_runs_what_it_reads():
    found = {
        file: set(dangers(ast.parse(file.read_text(encoding="utf-8")))) - allowed(file) for file in FILES
    }
    assert len(found) > 200
    assert {str(file): what for file, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "eval('1')", "f = exec", "import pickle", "from yaml import load", "import subprocess", "__import__('os')",
        "np.load(file, allow_pickle=True)", "pd.read_pickle(file)", "os.system('ls')", "importlib.import_module(name)",
        "run(words, shell=True)", "import dill as json",
    ],
)  # fmt: skip
def test_what_would_run_is_found(text):
    assert set(dangers(ast.parse(text))) - {"nothing"}


# ---- what is read ----

EVENTS = set(
    "compile exec import marshal.loads pickle.find_class os.system os.exec os.posix_spawn os.fork "
    "subprocess.Popen ctypes.dlopen code.__new__ socket.bind socket.connect".split()
)
"""Of Python's audit."""

_seen = None


def _note(event, arguments):
    if _seen is not None and event in EVENTS:
        _seen.append((event, str(arguments[:1])))


sys.addaudithook(_note)  # for good: there is no way to take one away


@contextlib.contextmanager
def watched():
    """What Python is about to do that runs code, starts a process, or opens a port."""
    global _seen  # noqa: PLW0603
    _seen = []
    try:
        yield _seen
    finally:
        _seen = None


def test_what_runs_is_seen():
    with watched() as seen:
        pickle.loads(pickle.dumps(os.getpid))
        eval(compile("1", "", "eval"))
    assert {event for event, _ in seen} == {"pickle.find_class", "compile", "exec"}


CODES = (
    "__import__('os').system('touch hacked')",
    "!!python/object/apply:os.system ['touch hacked']",
    "${jndi:ldap://x}{{7*7}}%(x)s{0.__class__}",
    "cos\nsystem\n(S'touch hacked'\ntR.",
    "$(touch hacked)`touch hacked`;touch hacked",
    '{"py/object": "os.system", "__reduce__": ["os.system", "touch hacked"]}',
)
PICKLE = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x0ctouch hacked\x94\x85\x94R\x94."
"""Makes a file, if it is loaded."""


def quietly(function, *arguments):
    with contextlib.suppress(UsageError):
        return function(*arguments)


def test_what_a_run_says_is_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_report([make(tmp_path / "first")], find)  # what is imported is imported
    for number, code in enumerate(CODES):
        origin = ORIGIN | {"command": code, "git": {"commit": code}, "devices": [code]}
        path = make(tmp_path / f"{number}", (f"word={code.replace(',', ';')}",), origin=origin)
        edit(path / "provenance.json", packages={code: code}, time=code, platform=code)
        with watched() as seen:
            run = read_run(path, find)
            write_report([path], find)
        assert run.trials[0].word == code.replace(",", ";")
        assert seen == []
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "file",
    ["config.json", "provenance.json", "pieces/0/status.json", "pieces/0/metrics.jsonl", "results.csv"],
)
def test_what_a_run_holds_is_no_object(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "run")
    quietly(write_report, [path], find)
    for data in (PICKLE, PICKLE + (path / file).read_bytes(), *(code.encode() for code in CODES)):
        (path / file).write_bytes(data)
        with watched() as seen:
            quietly(write_report, [path], find)
        assert seen == []
    assert not (tmp_path / "hacked").exists()


# ---- paths ----


def test_no_path_of_a_file_leads_out_of_a_run(tmp_path):
    path = make(tmp_path / "run")
    png(tmp_path / "secret.png")
    png(path / "figures" / "own.png")
    outside = ("../secret.png", str(tmp_path / "secret.png"), "x/../../secret.png")
    edit(path / "provenance.json", files=dict.fromkeys(("figures/own.png", *outside), "0"))
    png(path / "figures" / ".own.0a1b2c3d.part.png")  # half written
    assert read_run(path, find).pictures == [path / "figures" / "own.png"]


def test_no_number_of_a_piece_leads_out_of_a_run(tmp_path):
    path = make(tmp_path / "run")
    make(tmp_path / "other")
    pieces = read_document(path / "config.json")["pieces"]
    for number in ("../../other/pieces/0", str(tmp_path / "other/pieces/0")):
        edit(path / "config.json", pieces={number: pieces["0"]})
        with pytest.raises(UsageError, match="config.json is of another version"):
            load_metrics(path)


@pytest.mark.parametrize("name", ["..", ".", "../run", "/etc", "a/b", "a/../../x"])
def test_a_part_is_a_folder_of_its_series(name, tmp_path):
    path = make(tmp_path / "run")
    write_document(path / "parts.json", read_document(path / "config.json")["run"], {"parts": {name: ""}})
    with pytest.raises(UsageError, match="parts.json is damaged"):
        read_run(path, find)


# ---- sets of others ----


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """The name of a module that makes a file when it is imported, and that file."""
    name = "of_a_stranger"
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / f"{name}.py").write_text(
        f"open({str(tmp_path / 'hacked')!r}, 'w')\nclass Feature: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name, tmp_path / "hacked"


def test_a_set_brings_no_code(stranger, tmp_path):
    name, hacked = stranger
    base = data_folders.prepare(tmp_path / "base")
    described = json.loads((data_folders.version(base) / "features.json").read_text())
    image = ("featuresDict", "features", "image")
    theirs = {"pythonClassName": f"{name}.Feature"}
    tensorflow_datasets = "tensorflow_datasets.core.features"
    spelt = {n: v for n, v in described.items() if n != "pythonClassName"} | {
        "python_class_name": f"{name}.Feature"
    }
    old = {"type": f"{name}.Feature", "content": {}}
    inner = {"type": f"{tensorflow_datasets}.features_dict.FeaturesDict", "content": {"x": old}}
    text = {"pythonClassName": f"{tensorflow_datasets}.text_feature.Text"}
    changes = [
        ((), described | theirs), ((), spelt), ((), old), ((), inner), (image, theirs),
        ((*image, "pythonClassName"), f"{name}.Feature"),
        (image, text | {"jsonFeature": {"json": json.dumps(theirs)}}),
        (image, text | {"jsonFeature": {"json": json.dumps(json.dumps(old))}}),
    ]  # fmt: skip
    for number, (path, value) in enumerate(changes):
        where = data_folders.copied(base, tmp_path / f"{number}")
        if path:
            data_folders.change(where / "features.json", path, value)
        else:
            (where / "features.json").write_text(json.dumps(value))
        with pytest.raises(
            UsageError, match=f"features.json names the class '{name}.Feature', whose code would run"
        ):
            load("tiny", data_dir=where.parent.parent)
        assert not hacked.exists()
        assert name not in sys.modules
    where = data_folders.copied(base, tmp_path / "module")
    data_folders.change(where / "dataset_info.json", ("moduleName",), f"{name}")
    assert load("tiny", data_dir=where.parent.parent).num_examples == 6
    assert not hacked.exists()


def test_without_the_check_it_would(stranger, tmp_path, monkeypatch):
    name, hacked = stranger
    base = data_folders.prepare(tmp_path / "base")
    data_folders.change(data_folders.version(base) / "features.json", ("pythonClassName",), f"{name}.Feature")
    monkeypatch.setattr("mi203jax.data.sets.check_description", lambda *_: None)
    with pytest.raises(UsageError, match="cannot be read"):
        load("tiny", data_dir=base)
    assert hacked.exists()


def test_features_of_ones_own_are_known_once_they_are_imported(tmp_path):
    base = data_folders.prepare(tmp_path / "base")
    data_folders.change(
        data_folders.version(base) / "features.json", ("pythonClassName",), f"{__name__}.Feature"
    )
    with pytest.raises(UsageError, match="cannot be read: Unrecognized FeatureConnector type"):
        load("tiny", data_dir=base)


def test_classes_are_found_wherever_they_stand():
    deep = json.dumps({"type": "c.C"})
    for _ in range(3):
        deep = json.dumps({"json": deep, "x": [1, "2", None, {"python_class_name": "b.B"}]})
    assert set(classes_in(f'[{deep}, {{"pythonClassName": "a.A", "type": {{}}}}]')) == {"a.A", "b.B", "c.C"}


# ---- pages ----

NAMELESS = "<img src=x onerror=alert(2)>\"'&amp;"
"""Markup that may be the name of a folder."""


def test_no_text_becomes_markup(tmp_path):
    again = {"time": HOSTILE, "command": HOSTILE, "devices": [HOSTILE], "git": {"commit": HOSTILE}}
    origin = (
        ORIGIN
        | {"devices": [HOSTILE]}
        | dict.fromkeys(("time", "command", "platform", "python", "cores"), HOSTILE)
    )
    origin |= {"git": {"commit": HOSTILE}, "packages": {HOSTILE: HOSTILE}, "resumed": [again]}
    path = make(tmp_path / "run", origin=origin)
    part = make(
        path / "parts" / NAMELESS, (f"word={HOSTILE}",), origin=origin | {"alone": HOSTILE, "series": HOSTILE}
    )
    told = read_document(part / "pieces" / "0" / "status.json")
    told["trials"][0] |= {"status": "failed", "error": HOSTILE}
    write_document(part / "pieces" / "0" / "status.json", told.pop("run"), told)
    png(part / "figures" / f"{NAMELESS}.png")
    table = f"| {NAMELESS} |\n| --- |\n| {NAMELESS} |"
    text = f"# {HOSTILE}\n\n{HOSTILE}\n\n{table}\n\n**{NAMELESS}** ![{NAMELESS}]({NAMELESS})"
    (path / f"{NAMELESS}.md").write_text(text)
    parts = {NAMELESS: HOSTILE, f"{NAMELESS}2": HOSTILE, f"{NAMELESS}3": ""}
    write_document(path / "parts.json", read_document(path / "config.json")["run"], {"parts": parts})
    for page in (report(path), report(path, part, out=tmp_path / "both.html")):
        assert len(page.all("script")) == 1
        assert len(page.all("img")) <= 3
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on")], tag
            assert attributes.get("src", "data:").startswith("data:")
        assert HOSTILE not in page.source
        assert NAMELESS not in page.source
        assert HOSTILE in page.text
        assert NAMELESS in page.text


# ---- ports ----


def listening():
    """Ports on which this process waits for others."""
    sockets = {os.readlink(p) for p in Path("/proc/self/fd").iterdir() if p.is_symlink()}
    files = [Path("/proc/net", kind) for kind in ("tcp", "tcp6")]
    lines = [line.split() for file in files if file.exists() for line in file.read_text().splitlines()[1:]]
    return [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this system tells otherwise who listens")
@pytest.mark.usefixtures("compiled_once")
def test_a_run_listens_to_nobody_and_loads_no_object(tmp_path):
    before = listening()
    with watched() as seen:
        begin(tmp_path / "run", "learning_rate=1e30,0.1", options=Options(quiet=True, checkpoint_every=0.0))
        edit(tmp_path / "run" / "provenance.json", finished=None)
        resume(tmp_path / "run")
    assert listening() == before
    events = {event for event, _ in seen}
    assert not events & {"socket.bind", "socket.connect", "pickle.find_class", "os.system", "ctypes.dlopen"}
    started = [arguments for event, arguments in seen if event == "subprocess.Popen"]
    assert set(started) <= {"('git',)", "('uname',)"}
