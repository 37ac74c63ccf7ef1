"""The notebooks run from top to bottom, and what is stored in them is what they print."""

import contextlib
import io
import json
import re
from pathlib import Path

import gymnax
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = ("custom_environment", "import_a_function", "sweep_by_hand", "write_a_task")


def cells(name, kind):
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def run(name):
    """Runs the code as Jupyter would, without it; gives what each cell prints."""
    scope, printed = {"__name__": "__main__"}, []
    for number, cell in enumerate(cells(name, "code"), 1):
        code = compile("".join(cell["source"]), f"{name}, code cell {number}", "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, scope)
        printed.append(out.getvalue())
    return printed


def stored(cell):
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")


def words(text):
    """Without numbers, which differ a little between machines: the cells' own asserts look at them."""
    return re.sub(r"-?\d[\d.,e-]*", "#", text).split()


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """A folder of its own for what a notebook writes; no window; what it registered is forgotten."""
    monkeypatch.chdir(tmp_path)
    registered, backend = list(gymnax.registered_envs), mpl.get_backend()
    plt.switch_backend("Agg")
    yield
    gymnax.registered_envs[:] = registered
    plt.close("all")
    plt.switch_backend(backend)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("name", NAMES)
def test_runs_and_prints_what_is_stored(name):
    printed = run(name)
    assert [words(text) for text in printed] == [words(stored(cell)) for cell in cells(name, "code")]
    figure = plt.figure(plt.get_fignums()[-1])
    figure.canvas.draw()
    assert np.asarray(figure.canvas.buffer_rgba()).std() > 10  # something is drawn


def test_there_is_no_other():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_was_stored_by_one_run_from_top_to_bottom(name):
    code = cells(name, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {
        o["output_type"] if o["output_type"] != "stream" else o["name"] for c in code for o in c["outputs"]
    }
    assert kinds == {"stdout", "display_data"}  # no warning, no error, no value that nobody prints
    assert "image/png" in code[-1]["outputs"][-1]["data"]


@pytest.mark.parametrize("name", NAMES)
def test_is_small_and_valid(name):
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 300_000
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert len(cells(name, "code")) <= 12
    for cell in notebook["cells"]:
        told = [o.get("text", "") for o in cell.get("outputs", ())]
        told += [
            data
            for o in cell.get("outputs", ())
            for kind, data in o.get("data", {}).items()
            if kind != "image/png"
        ]
        assert not re.search(r"(?<!\w)/\w+/", json.dumps([cell["source"], told]))  # a folder of the machine's
