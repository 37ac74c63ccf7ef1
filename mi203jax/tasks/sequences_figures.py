"""Figures of the classification of signals: who is taken for whom, and what the network keeps of the past."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator

from mi203jax.configs import Sequences as Config
from mi203jax.core.task import Animation, Figure
from mi203jax.data.buckets import Buckets
from mi203jax.data.feed import Arrays, Data, Resident
from mi203jax.nn import CELLS, unroll_gates
from mi203jax.sequences import Bucket, Sequences, padded_part, time_mask
from mi203jax.tasks.pictures import COLOURS, confusion, evenly, frame_of
from mi203jax.tasks.supervised import Problem, State, in_chunks, predict, scorer

ORANGE, BLUE, PURPLE = COLOURS[0], COLOURS[4], "#5e3c99"
SHOWN, MOMENTS, DIFFERENTIATED, GROUPS = 3, 60, 200, 7
"""Signals that are shown; moments of one, at most; signals whose gradients are; groups of like length."""


def figures(
    problem: Problem, c: Config, state: State, data: Data, classes: Sequence[str]
) -> dict[str, Figure]:
    """All figures of a trained network, on the examples of the evaluation's split."""
    scores, _ = scorer(problem, c, state, data)(data.test)
    x = problem.prepare(c, data.test, state.statistics, None)["x"]
    labels, lengths = np.asarray(data.test["label"]), lengths_of(x)
    shown = evenly(np.argsort(lengths, kind="stable"), SHOWN)
    drawn: dict[str, Figure] = {
        "confusion": confusion(scores, data.test["label"], classes),
        "hidden_state": hidden_state(
            problem, c, state, data, one_by_one(x, lengths, shown), labels[shown], classes
        ),
        "gates": gates(c, state, one_by_one(x, lengths, shown[len(shown) // 2 :])[0]),
        "gradient_norm": gradient_norm(problem, c, state, data),
    }
    if x.lengths is not None:
        right = np.asarray(scores.argmax(-1)) == labels
        drawn |= {"accuracy_by_length": accuracy_by_length(right, lengths), "lengths": lengths_figure(data)}
    return drawn


def lengths_of(x: Sequences) -> np.ndarray:
    """The lengths of signals, also of those that are all as long as the array."""
    return np.full(len(x.values), x.values.shape[1]) if x.lengths is None else np.asarray(x.lengths)


def one_by_one(x: Sequences, lengths: np.ndarray, chosen: np.ndarray) -> list[np.ndarray]:
    """Some signals without their padding, `[time, channels]` each."""
    return [np.asarray(x.values[i, : lengths[i]]) for i in chosen]


# ---- how often it is right ----


def accuracy_by_length(right: np.ndarray, lengths: np.ndarray) -> MatplotlibFigure:
    """How many are right among signals of like length, with 95 % intervals (Wilson 1927)."""
    groups = np.array_split(np.argsort(lengths, kind="stable"), min(GROUPS, len(lengths)))
    middle = np.array([lengths[g].mean() for g in groups])
    share = np.array([right[g].mean() for g in groups])
    low, high = np.array([wilson(int(right[g].sum()), len(g)) for g in groups]).T
    figure = MatplotlibFigure(figsize=(6.8, 4), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(
        middle, 100 * share, 100 * np.stack([share - low, high - share]), fmt="o-", color=BLUE, capsize=3
    )
    axes.set_xticks(middle, [f"{lengths[g].min()}–{lengths[g].max()}" for g in groups])
    axes.set(xlabel="length of the signal, in steps (each dot: as many signals)", ylabel="right, in %")
    axes.set_title(f"Accuracy by length: {right.mean():.2%} of {len(right)} in all")
    return figure


def wilson(right: int, number: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share by its score (Wilson 1927)."""
    share, square = right / number, z * z / number
    centre = (share + square / 2) / (1 + square)
    half = z * np.sqrt(share * (1 - share) / number + square / (4 * number)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


def lengths_figure(data: Data) -> MatplotlibFigure:
    """How long the training signals are, how long the arrays, and how much of these is padding."""
    if isinstance(data.train, Buckets):
        parts = data.train.arrays
    else:
        assert isinstance(data.train, Resident)
        parts = (data.train.arrays,)
    lengths = [np.asarray(p["sequence_length"]) for p in parts]
    times = [p["sequence"].shape[1] for p in parts]
    everything, first = np.concatenate(lengths), np.cumsum([0, *map(len, lengths)])
    buckets = [Bucket(np.arange(a, b), time) for a, b, time in zip(first[:-1], first[1:], times, strict=True)]
    figure = MatplotlibFigure(figsize=(6.8, 4), layout="constrained")
    axes = figure.subplots()
    bins = (np.arange(everything.min(), everything.max() + 2) - 0.5).tolist()
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(parts))]
    axes.hist(lengths, bins, stacked=True, color=colours)
    for time, colour in zip(times, colours, strict=True):
        axes.axvline(time + 0.5, color=colour, lw=1.5, ls="--")
    what = "one array" if len(parts) == 1 else f"{len(parts)} buckets"
    axes.set(xlabel="length, in steps; dashed: the arrays'", ylabel="training signals")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{padded_part(everything, buckets):.0%} of {what} is padding")
    return figure


# ---- what it keeps of the past ----


def first_layer(c: Config, state: State) -> dict[str, jax.Array]:
    """Parameters of the cell that reads the signal forwards."""
    return state.params["recurrent"]["forward0" if c.bidirectional else "layer0"]


def moments(time: int) -> np.ndarray:
    """Numbers of steps that are read at the moments that are shown, from 1 to `time`."""
    return evenly(np.arange(1, time + 1), MOMENTS)


def beliefs(problem: Problem, c: Config, state: State, data: Data, signal: np.ndarray) -> np.ndarray:
    """The probabilities of the classes if the signal ended at each of its moments, `[moments, classes]`."""
    lengths = jnp.asarray(moments(len(signal)), jnp.int32)

    def read(lengths):
        values = jnp.broadcast_to(signal, (len(lengths), *signal.shape))
        return jax.nn.softmax(predict(problem, c, state, data, Sequences(values, lengths)))

    return np.asarray(jax.jit(lambda n: in_chunks(read, n, 20))(lengths))


def over_time(axes: Any, rows: np.ndarray, limit: float) -> None:
    """Numbers from −limit (blue) to limit (red), `[rows, time]`, on axes that count steps from 1."""
    extent = (0.5, rows.shape[1] + 0.5, 0, 1)
    axes.imshow(
        rows, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=extent, interpolation="nearest"
    )
    axes.set_yticks([])


def hidden_state(
    problem: Problem,
    c: Config,
    state: State,
    data: Data,
    signals: Sequence[np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
) -> MatplotlibFigure:
    """Some signals, the state of the units that read them forwards, and what is believed after each step."""
    figure = MatplotlibFigure(figsize=(3.9 * len(signals), 7), layout="constrained")
    rows = figure.subplots(3, len(signals), squeeze=False, sharex="col", height_ratios=(1, 2, 1.2))
    order = np.arange(0)
    for (top, middle, bottom), signal, label in zip(rows.T, signals, labels, strict=True):
        states, _ = unroll_gates(CELLS[c.cell], first_layer(c, state), jnp.asarray(signal))
        units = np.asarray(states.h).T
        # Units in the order in which the first signal moves them most, the same for all.
        order = np.argsort(np.abs(units).argmax(1), kind="stable") if not len(order) else order
        over_time(top, signal.T, np.abs(signal).max())
        over_time(middle, units[order], 1)
        belief = beliefs(problem, c, state, data, signal)
        for k in {int(label): None, **dict.fromkeys(np.argsort(-belief.max(0))[:4].tolist())}:
            name, mark = classes[k], "true" if k == label else "other"
            style = {"lw": 2.2} if k == label else {"lw": 1, "ls": "--"}
            bottom.plot(
                moments(len(signal)),
                belief[:, k],
                color=COLOURS[k % len(COLOURS)],
                label=f"{name} ({mark})",
                **style,
            )
        top.set_title(f"class {classes[label]}, {len(signal)} steps")
        bottom.set(xlabel="step", ylim=(-0.03, 1.03))
        bottom.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=3)
    names = ("signal", f"{len(order)} units of the first {c.cell}", "probability if it ended here")
    for one, name in zip(rows[:, 0], names, strict=True):
        one.set_ylabel(name)
    figure.suptitle("What the network keeps of the past (units from −1, blue, to 1, red)")
    return figure


def gates(c: Config, state: State, signal: np.ndarray) -> Animation:
    """The gates of the cell that reads forwards, and its state, step by step; a square is a unit."""
    states, opened = unroll_gates(CELLS[c.cell], first_layer(c, state), jnp.asarray(signal))
    panels = {name: np.asarray(v) for name, v in {**opened, **states._asdict()}.items()}
    if c.cell == "rnn":  # its one gate is its state
        del panels["hidden"]
    squares = {name: squared(values) for name, values in panels.items()}
    figure = MatplotlibFigure(figsize=(2.2 * len(panels), 4.4), dpi=90, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.5))[:, 0]
    strip = above.subplots()
    over_time(strip, signal.T, np.abs(signal).max())
    strip.set(xlabel="step", title="signal")
    cursor = strip.axvline(1, color="black", lw=2)
    images = {}
    for axes, (name, values) in zip(
        below.subplots(1, len(panels), squeeze=False)[0], squares.items(), strict=True
    ):
        of_gate = name in opened and values.min() >= 0
        far = max(1.0, float(np.nanmax(np.abs(values))))
        options = (
            {"cmap": "viridis", "vmin": 0, "vmax": 1}
            if of_gate
            else {"cmap": "RdBu_r", "vmin": -far, "vmax": far}
        )
        images[name] = axes.imshow(values[0], **options)
        axes.set(xticks=[], yticks=[], title=name)
        below.colorbar(images[name], ax=axes, orientation="horizontal", shrink=0.9)
    frames = []
    for step in moments(len(signal)) - 1:
        cursor.set_xdata([step + 1])
        for name, image in images.items():
            image.set_data(squares[name][step])
        frames.append(frame_of(canvas))
        figure.set_layout_engine("none")  # so that nothing moves but what is shown
    return Animation([*frames, *frames[-1:] * 6], 6.0)


def squared(values: np.ndarray) -> np.ndarray:
    """Units in a square: `[time, units]` -> `[time, rows, columns]`, with nan where there is none."""
    time, units = values.shape
    columns = int(np.ceil(np.sqrt(units)))
    rows = -(-units // columns)
    full = np.full((time, rows * columns), np.nan, np.float32)
    full[:, :units] = values
    return full.reshape(time, rows, columns)


def gradient_norm(problem: Problem, c: Config, state: State, data: Data) -> MatplotlibFigure:
    """How much the loss depends on each step of the signal, by how long ago it was."""
    some = {name: values[:DIFFERENTIATED] for name, values in data.test.items()}
    batch = problem.prepare(c, some, state.statistics, None)
    norms = np.asarray(jax.jit(lambda b: input_gradients(problem, c, state, data, b))(batch))
    lengths = lengths_of(batch["x"])
    ago = lengths[:, None] - 1 - np.arange(norms.shape[1])
    share = norms / np.maximum(norms.max(1, keepdims=True), 1e-30)
    figure = MatplotlibFigure(figsize=(6.8, 4), layout="constrained")
    axes = figure.subplots()
    longest = lengths.max()
    # Where few signals reach, their quartiles would say nothing.
    steps = [k for k in range(longest) if (ago == k).sum() >= min(10, len(lengths))]
    low, middle, high = np.array([np.percentile(share[ago == k], (25, 50, 75)) for k in steps]).T
    axes.fill_between(steps, low, high, color=PURPLE, alpha=0.25, lw=0, label="half of the signals")
    axes.plot(steps, middle, color=PURPLE, label="median")
    axes.set(
        xlabel="steps before the signal's end",
        ylabel="gradient's norm by its largest",
        yscale="log",
    )
    axes.set_title(f"What the loss hears of each step ({c.cell}, pooling={c.pooling})")
    axes.invert_xaxis()
    axes.legend()
    return figure


def input_gradients(problem: Problem, c: Config, state: State, data: Data, batch: Arrays) -> jax.Array:
    """The norm of each loss's gradient with respect to the input of each step, `[batch, time]`."""
    values, lengths = batch["x"]

    def total(values):
        scores = predict(problem, c, state, data, Sequences(values, lengths))
        return problem.loss(c, scores, batch).sum()

    norms = jnp.linalg.norm(jax.grad(total)(values), axis=-1)
    return norms if lengths is None else jnp.where(time_mask(lengths, values.shape[1]), norms, 0.0)
