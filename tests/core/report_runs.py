"""Runs as they lie on the disk, without a task, and pages read by the standard library."""

from html.parser import HTMLParser

import numpy as np
from PIL import Image

from mi203jax.core.config import RunConfig, config, static, traced
from mi203jax.core.experiment import Experiment
from mi203jax.core.html_report import write_report
from mi203jax.core.piece_folder import Status
from mi203jax.core.recorded import Recorded
from mi203jax.core.results import results, write_csv
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep, group

HOSTILE = "\"'</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"
ORIGIN = {
    "time": "2026-01-02T03:04:05+00:00",
    "command": "python launch.py --exp=small",
    "packages": {"mi203jax": "0.1.0", "jax": "0.10.2", "optuna": None},
    "devices": ["cpu: cpu", "cpu: cpu"],
    "git": {"commit": "0123abcd", "modified": True},
    "layout": {"parallel": "auto", "devices": 1},
    "objective": "eval/score",
    "best": "max",
}


@config
class Small(RunConfig):
    """Nothing is computed."""

    rate: float = traced(0.1, "step size", "(0, inf)")
    word: str = static("plain", "any text")


EXPERIMENT = Experiment(Small(), "", {"other": ("rate=0.5",)})


def find(name):
    return EXPERIMENT


def png(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), np.uint8)).save(path)


def gif(path, frames=32, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (frames, *size[::-1], 3), np.uint8)
    images = [Image.fromarray(f) for f in noise]
    images[0].save(path, save_all=True, append_images=images[1:], duration=50, loop=0)


def make(
    path, assignments=(), seeds=1, values=None, finished=True, name="small", origin=ORIGIN, lost=(), **changes
):
    """A run whose trial i ends at `values[i]`, after half of that, or diverges, if it is one of the `lost`."""
    sweep = Sweep(Small(), assignments, seeds)._replace(**changes)
    trials = sweep.trials()
    values = values or [0.5 + 0.01 * i for i in range(len(trials))]
    run = RunDirectory.create(str(path), name, sweep, origin)
    for piece in run.add(trials, group(trials)):
        ends = [(i, values[i]) for i in piece.members]
        piece.append(
            {"trial": i, "step": s, "seconds": 1.5 + i, "eval/score": v * s / 10, "train/loss": 1 / 3}
            for s in (5, 10)
            for i, v in ends
        )
        state = "done" if finished else "running"
        piece.statuses = [Status("diverged" if i in lost else state, 10, objective=v) for i, v in ends]
        piece.save_statuses()
    recorded = Recorded("eval/score", "max")
    for piece in run.pieces:
        recorded.add(piece.records())
    if finished:
        write_csv(path / "results.csv", results(trials, run.statuses, recorded))
        run.finish([path / "results.csv"])
    run.close()
    return path


class Page(HTMLParser):
    """What a page is made of, read by the standard library."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags, self.ids, self.text, self.tables = [], [], "", []
        self._cell = None
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        assert len(own) == len(attributes)
        self.tags.append((tag, own))
        self.ids += [own["id"]] if "id" in own else []
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = ["", own.get("data-value")]
            self.tables[-1][-1].append(self._cell)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        self.text += data
        if self._cell is not None:
            self._cell[0] += data

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def table(self, first):
        """The values of the first table with this column, the exact ones where others are shown."""
        table = next(t for t in self.tables if t[0][0][0] == first)
        return [[shown if exact is None else exact for shown, exact in row] for row in table]


def hostile_sweep(path):
    """Six trials with a text that would like to be markup, a picture and an animation."""
    make(path, ("rate=0.25,0.5,0.125", f"word={HOSTILE}"), seeds=2)
    png(path / "figures" / "learning_curve.png")
    gif(path / "figures" / "play.gif", frames=3)
    return path


def report(*paths, out=None):
    return Page(write_report(paths, find, out))
