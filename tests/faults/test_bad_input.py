"""Bad input by the hundred: whatever is wrong with it, one line names it, and nothing is written."""

import contextlib
import copy
import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi203jax.configs import Vectors
from mi203jax.core.documents import read_document, write_document
from mi203jax.core.errors import UsageError
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.data import tiny
from tests.faults import data_folders
from tests.faults.bad_commands import FLOATS, KINDS, WHOLES, WORDS, choose
from tests.faults.refusing import Ran, check_refused, many, say, would_run


@pytest.fixture(scope="module", autouse=True)
def empty(tmp_path_factory):
    """An empty folder to work in, where nothing runs."""
    with contextlib.chdir(tmp_path_factory.mktemp("empty")), pytest.MonkeyPatch.context() as patched:
        for module in ("session", "series"):
            patched.setattr(f"mi203jax.core.{module}.provenance", would_run)
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_command_lines(kind):
    strategy, number = KINDS[kind]

    @many(number)
    @given(strategy)
    def refused(command):
        check_refused(*command)

    refused()


def test_what_is_not_refused_would_run():
    """Else nothing here would show anything."""
    with pytest.raises(Ran):
        say(["--exp=vectors", "hidden=(8,)", "total_steps=1e3"])


# ---- folders that are none ----


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Things that are no folder of a run, in a folder to work in; their names."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    Path("file").write_text("{}")
    Path("of_folders/config.json").mkdir(parents=True)
    Path("folder").mkdir()
    Path("folder", os.fsdecode(b"\xff")).touch()
    return os.listdir()


def test_folders_of_runs(odd):
    others = ("file/x", "fifo/x", "loop/x", "nowhere", "c" * 300, "folder/../zz")
    for flag, folder in itertools.product(("resume", "report"), (*odd, *others)):
        check_refused([f"--{flag}={folder}"], [f"--{flag}", f"{folder}/config.json"], odd)
    check_refused(["--report=folder", "nowhere"], ["--report"], odd)
    for name in ("loop", "file", "fifo", "folder", "file/x", "loop/x"):
        check_refused(["--exp=vectors", f"--out={name}"], [f"--out={name}"], odd)
        check_refused(["--exp=image_classification", f"data_dir={name}/x"], ["data_dir"], odd)
        check_refused(["--exp=characters", f"text={name}"], ["text"], odd)


def test_folder_without_permission(odd, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    check_refused(["--resume=folder"], ["--resume=folder may not be read"], odd)


# ---- what a run's folder says ----


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run that has begun, what its `config.json` holds, and its name."""
    path = tmp_path_factory.mktemp("runs") / "run"
    sweep = Sweep(Vectors(), ("learning_rate=0.1,0.2",))
    directory = RunDirectory.create(str(path), "vectors", sweep, {"packages": {}})
    directory.add(sweep.trials(), [[0, 1]])
    directory.close()
    contents = read_document(path / "config.json")
    return path, contents, contents.pop("run")


def check_config(run, change):
    """That a run is refused whose `config.json` is changed, and sealed."""
    path, contents, run_id = run
    changed = copy.deepcopy(contents)
    change(changed)
    write_document(path / "config.json", run_id, changed)
    before = sorted(path.rglob("*"))
    for flag in ("resume", "report"):
        check_refused([f"--{flag}={path}"], ["config.json"])
    assert sorted(path.rglob("*")) == before


OF_TRIALS = "learning_rate"
"""The field of which each trial has its own value."""

NO_NUMBERS = choose(
    None, True, "0.1", "", [], [0.1], {}, float("nan"), float("inf"), 10**400, -(10**400), "1e-3"
)
NO_TEXTS = choose(None, True, 0, 1.5, [], {}, ["x"], "\udcff", "\x1b[31m", "\x00")
NO_OBJECTS = choose(True, 0, "", "x", [], [1], 1.5)
NONSENSE = (
    (st.just(("experiment",)), choose(None, True, 0, -1, "", "zz", [], {}, ["vectors"], {"a": 1}, "../vectors", "\x1b")),
    (choose(("config",), ("sweep",)), NO_OBJECTS),
    (
        st.just(("trials",)),
        choose(
            *(None, True, 0, "x", "", [], {}, [1], [None], [[]], [{"zz": 1}], [{"learning_rate": "x"}], {"0": {}})
        ),
    ),
    (
        st.just(("pieces",)),
        choose(
            *(None, True, 0, "x", [], {}, [[0, 1]], {"x": [0, 1]}, {"0": [0]}, {"0": [0, 0]}, {"0": [0, 1, 2]}),
            *({"0": [0], "1": [0]}, {"0": 0}, {"0": None}, {"0": ["0", "1"]}, {"0": [[0, 1]]}, {"": [0, 1]}),
        ),
    ),
    (choose(*(("config", name) for name in sorted({*FLOATS, *WHOLES} - {OF_TRIALS}))), NO_NUMBERS),
    (choose(("config", "data"), ("config", "train_split")), NO_TEXTS),
    (choose(("config", "loss"), ("config", "optimizer")), st.one_of(NO_TEXTS, WORDS)),
    (st.just(("config", "hidden")), choose(None, True, 8, "8", {}, [0], [-1], ["8"], [[8]], [1.5], [None], [10**400])),
    (st.tuples(choose("config", "sweep"), WORDS), st.just(0)),
    (choose(("sweep", "seeds"), ("sweep", "at_once")), NO_NUMBERS),
    (st.just(("sweep", "assignments")), choose(None, 0, [1], ["zz=1"], ["learning_rate=x"], ["seed"])),
    (st.just(("sweep", "search")), choose(None, 0, "zz", [], "sobol")),
    (st.just(("sweep", "draws")), choose(True, 0, "3", [], 3)),
)  # fmt: skip
"""Where in `config.json` something stands that this program does not write, and what."""


def test_nonsense_that_is_sealed(run):
    @many(150)
    @given(st.one_of(*(st.tuples(*pair) for pair in NONSENSE)))
    def refused(nonsense):
        (*where, last), value = nonsense

        def change(contents):
            for key in where:
                contents = contents[key]
            contents[last] = value

        check_config(run, change)

    refused()


def test_names_that_are_missing(run):
    _, contents, _ = run
    for name in contents:
        check_config(run, lambda changed, name=name: changed.pop(name))
    for name in contents["config"].keys() - {OF_TRIALS}:
        check_config(run, lambda changed, name=name: changed["config"].pop(name))


DEEP = st.builds(
    lambda depth, brackets: (brackets[0] * depth + "1" + brackets[1] * depth).encode(),
    choose(100, 900, 990, 1_000, 100_000),
    choose(("[", "]"), ('{"a":', "}")),
)
"""JSON, deeper than a program wants to follow, or not so deep."""


def test_damage(run):
    path, contents, run_id = run
    write_document(path / "config.json", run_id, contents)
    whole = (path / "config.json").read_bytes()
    places = st.integers(0, len(whole) - 1)

    @many(60)
    @given(
        st.one_of(
            places.map(lambda n: whole[:n]),  # a torn file
            places.map(lambda n: whole[:n] + b"\xff" + whole[n:]),
            places.map(lambda n: whole[:n] + b"\x00" + whole[n:]),
            DEEP,
            DEEP.map(lambda deep: whole[:-2] + b', "z": ' + deep + b"}"),
            choose(
                b"",
                b"null",
                b"1",
                b'"x"',
                b"[]",
                b"{}",
                b"nan",
                b"9" * 5000,
                b"\x80\x04\x95",
                b"{} {}",
                b"/*",
            ),
        )
    )
    def refused(data):
        (path / "config.json").write_bytes(data)
        for flag in ("resume", "report"):
            check_refused([f"--{flag}={path}"], ["config.json"])

    refused()


# ---- folders of data ----


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A prepared set with which nothing is wrong."""
    return data_folders.prepare(tmp_path_factory.mktemp("base") / "set")


@pytest.fixture
def copies(base, tmp_path):
    """A function that copies it into a folder that is new: what was read of another is remembered."""
    numbers = itertools.count()
    return lambda: data_folders.copied(base, tmp_path / str(next(numbers)))


def command(folder):
    return [
        "--exp=image_classification",
        "data=tiny",
        f"data_dir={folder}",
        "batch_size=2",
        "eval_split=train",
    ]


def refuse_data(where):
    check_refused(command(where.parent.parent), ["tiny"])


def test_a_set_with_which_nothing_is_wrong(base):
    """Else nothing below would show anything."""
    status, _, err = say([*command(base), "channels=()", "augment=()", "--dry-run"])
    assert (err, status) == ("", 0)


def test_descriptions_that_lie(copies):
    for file, path, value in data_folders.LIES:
        where = copies()
        data_folders.change(where / file, path, value)
        refuse_data(where)


def test_descriptions_that_are_damaged(copies):
    @many(50)
    @given(choose(*data_folders.FILES), st.floats(0, 0.99), st.booleans(), st.one_of(st.none(), DEEP))
    def refused(file, part, has_garbage, other):
        where = copies()
        whole = (where / file).read_bytes().rstrip()
        torn = whole[: int(part * len(whole))] + b"\xff" * has_garbage
        (where / file).write_bytes(torn if other is None else other)
        refuse_data(where)

    refused()


def link_to_itself(path):
    path.symlink_to(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, link_to_itself])
def test_files_that_are_none(make, copies):
    for file in (
        *data_folders.FILES,
        "*.array_record-*",
        *(["label.labels.txt"] if make is os.mkfifo else []),
    ):
        path = next(copies().glob(file))
        path.unlink()
        make(path)
        refuse_data(path.parent)


def test_shards_that_are_cut(copies):
    @many(20)
    @given(st.one_of(st.none(), st.just(0.0), st.floats(0, 0.9)))
    def refused(part):
        shard = next(copies().glob("*.array_record-*"))
        if part is None:
            shard.unlink()
        else:
            os.truncate(shard, int(part * shard.stat().st_size))
        refuse_data(shard.parent)

    refused()


def test_folders_of_data_that_hold_none(tmp_path):
    (tmp_path / os.fsdecode(b"\xff\xfe")).mkdir()
    (tmp_path / "a" / "1.0.0" / "dataset_info.json").mkdir(parents=True)
    (tmp_path / "b" / "1.0.0").mkdir(parents=True)
    os.mkfifo(tmp_path / "b" / "1.0.0" / "dataset_info.json")
    (tmp_path / "loop").symlink_to(tmp_path)
    link_to_itself(tmp_path / "self")
    (tmp_path / "cat.png").write_bytes(b"no picture")
    for name in ("a", "b", "loop", "self", "cat", "zz", "loop/loop", "n" * 250):
        argv = ["--exp=image_classification", f"data={name}", f"data_dir={tmp_path}"]
        check_refused(argv, [f"data={name}", f"{name} "])


WHOLE = tiny.png(np.zeros((8, 8), np.uint8)).getvalue()


@pytest.mark.parametrize("images", data_folders.bad_images(WHOLE), ids=ascii)
def test_images(images, tmp_path):
    refuse_data(data_folders.version(data_folders.prepare(tmp_path / "set", [*images, WHOLE, WHOLE])))


def test_one_class(tmp_path):
    refuse_data(data_folders.version(data_folders.prepare(tmp_path / "set", classes=("all",))))


# ---- --debug ----


def test_debug_alone_shows_a_traceback():
    for argv in (["--exp=vectors", "learning_rate=x"], ["--exp=zz"], ["--resume=nowhere"]):
        assert "Traceback" not in say(argv)[2]
        with pytest.raises(UsageError):
            say([*argv, "--debug"])
    assert not re.search("[A-Z][a-z]+Error", say(["--exp=vectors", "--seed=" + "9" * 400])[2])
