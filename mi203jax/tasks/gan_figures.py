"""Figures of generation: samples, how they came to be, whether they are copies, and the game behind them."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure

from mi203jax import metrics
from mi203jax.adversarial import LOSSES
from mi203jax.configs import GAN
from mi203jax.core.task import Animation, Figure
from mi203jax.data.feed import Data, Resident
from mi203jax.dirac_gan import NO_STABILIZERS, Stabilizers, simulate, vector_field
from mi203jax.tasks.pictures import COLOURS, evenly, frame_of, grid, show
from mi203jax.tasks.supervised import snapshot_iterations

if TYPE_CHECKING:
    from mi203jax.tasks.gan import State

Draw = Callable[[jax.Array, int, jax.Array | None], tuple[jax.Array, jax.Array]]
"""(key, n, labels or None) -> what n images are made of, `[n, …]`, and their labels."""
Generate = Callable[[jax.Array], jax.Array]
"""What images are made of -> images in [0, 1] by the averaged generator."""
PURPLE, ORANGE = "#5e3c99", "#d55e00"
ROWS, LINES, STEPS = 10, 6, 10
"""Rows of samples; of interpolations, and their steps."""
COMPARED, NEAREST = 200, 10
"""Images whose nearest training image is found, and those that are shown with it."""
SURE, REAL = 10.0, 5.0
"""Scores: of a fake, how far they go; of the real one beside it."""
PLAYED, PARTS = 12_000, 5
"""Steps of the smallest game, and parts of them that are told apart."""


def figures(
    c: GAN,
    state: "State",
    data: Data,
    draw: Draw,
    generate: Generate,
    measured: Mapping[str, Any],
    classes: Sequence[str] = (),
) -> dict[str, Figure]:
    """All figures of two trained opponents.

    Args:
        c: the configuration.
        state: after the run.
        data: real images.
        draw: what images are made of.
        generate: the images.
        measured: what the evaluation says of samples.
        classes: names of the labels for which images are made; none where they are made for none.
    """
    z, labels = draw(jax.random.fold_in(state.keys.order, 2), COMPARED, None)
    return {
        "samples": samples(state, draw, generate, measured, classes),
        "learning": learning(c, state, max(1, len(classes))),
        "losses": losses(c, state),
        "interpolations": interpolations(c, draw, generate, max(1, len(classes))),
        "nearest": nearest(data, generate(z), [classes[k] for k in labels] if classes else ()),
        "helping": helping(c.loss),
        "dirac": dirac(c),
    }


def tiled(images: Any, columns: int) -> np.ndarray:
    """One image of many `[n, height, width, channels]` in [0, 1], row by row, a grey line between any two.

    Pixels that are no numbers are black.
    """
    images = np.clip(np.nan_to_num(np.asarray(images, np.float32)), 0, 1)
    framed = np.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=0.35)
    n, height, width, channels = framed.shape
    framed = framed.reshape(n // columns, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return framed.reshape(n // columns * height, columns * width, channels)[:-1, :-1]


def samples(
    state: "State", draw: Draw, generate: Generate, measured: Mapping[str, Any], classes: Sequence[str]
) -> MatplotlibFigure:
    """Samples, a column for each of the first ten labels, and how far they are from real images."""
    columns = len(classes) or ROWS
    z, _ = draw(jax.random.fold_in(state.keys.order, 2), ROWS * columns, None)
    z = z.reshape(ROWS, columns, -1)[:, :ROWS]
    shown = z.shape[1]
    picture = tiled(generate(z.reshape(ROWS * shown, -1)), shown)
    figure, axes = _picture(picture)
    if classes:
        width = (picture.shape[1] + 1) / shown
        axes.set_xticks(width * (np.arange(shown) + 0.5), classes[:shown], fontsize=9)
    distance, floor, gaussian = (
        float(measured[f"{name}frechet_distance"]) for name in ("", "floor_", "gaussian_")
    )
    axes.set_title(
        f"Samples: Fréchet distance {distance:.3g}\n(real images {floor:.3g}, a Gaussian's {gaussian:.3g})"
    )
    return figure


def _picture(picture: np.ndarray) -> tuple[MatplotlibFigure, Any]:
    """A figure of one picture, and its axes."""
    height, width = picture.shape[:2]
    size = 7.0 / max(height, width)
    figure = MatplotlibFigure(figsize=(max(4.5, size * width), size * height + 0.55), layout="constrained")
    axes = figure.subplots()
    show(axes, picture, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    return figure, axes


def learning(c: GAN, state: "State", num_labels: int) -> Animation:
    """What is made of the same latent numbers at each kept moment of the run."""
    moments = np.asarray(state.moments.samples)
    # Labels go round: together, they are easier to compare.
    moments = moments[:, np.argsort(np.arange(moments.shape[1]) % num_labels, kind="stable")] / 255
    steps = snapshot_iterations(len(moments), c.num_iterations) * c.steps_per_iteration
    columns = round(moments.shape[1] ** 0.5)
    figure = MatplotlibFigure(figsize=(4.8, 5.1), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    axes.set(xticks=[], yticks=[])
    show(axes, tiled(moments[0], columns), vmin=0, vmax=1)
    frames = []
    for images, step in zip(moments, steps, strict=True):
        picture = tiled(images, columns)
        axes.images[0].set_data(picture if picture.shape[-1] == 3 else picture.mean(-1))
        axes.set_title(f"{c.data}   step {step:,}")
        frames.append(frame_of(canvas))
        figure.set_layout_engine("none")  # so that nothing moves but what is made
    return Animation([*frames, *frames[-1:] * 12], 8.0)


def losses(c: GAN, state: "State") -> MatplotlibFigure:
    """Both networks' losses at the kept moments, beside those of a discriminator that cannot tell."""
    values = np.asarray(state.moments.losses, np.float32)
    steps = snapshot_iterations(len(values), c.num_iterations) * c.steps_per_iteration
    figure = MatplotlibFigure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    loss, no_score = LOSSES[c.loss], jnp.zeros(())
    undecided = loss.discriminator(no_score, no_score), loss.generator(no_score, no_score)
    for name, colour, of_network, level in zip(
        ("discriminator", "generator"), (PURPLE, ORANGE), values.T, undecided, strict=True
    ):
        known = np.isfinite(of_network)
        axes.plot(steps[known], of_network[known], ".-", color=colour, ms=4, label=name)
        axes.axhline(float(level), color=colour, lw=1, ls=":")
    axes.set(xlabel="real training examples", ylabel="loss")
    axes.set_title(f"The {c.loss.replace('_', '-')} game (dotted: where real and made images score the same)")
    axes.legend()
    return figure


def interpolations(c: GAN, draw: Draw, generate: Generate, num_labels: int) -> MatplotlibFigure:
    """Images of great circles between latent numbers; in a row all of one label."""
    labels = jnp.arange(LINES) % num_labels
    first_key, last_key = jax.random.split(jax.random.key(0))
    (first, _), (last, _) = draw(first_key, LINES, labels), draw(last_key, LINES, labels)
    numbers, label = jnp.split(first, (c.latent,), 1)
    points = great_circle(numbers, last[:, : c.latent], jnp.linspace(0, 1, STEPS))
    given = jnp.broadcast_to(label[:, None], (LINES, STEPS, label.shape[1]))
    z = jnp.concatenate([points, given], -1).reshape(LINES * STEPS, -1)
    figure, axes = _picture(tiled(generate(z), STEPS))
    axes.set_title("On great circles between two points of the latent space")
    return figure


def great_circle(first: jax.Array, last: jax.Array, t: jax.Array) -> jax.Array:
    """Spherical interpolation (Shoemake 1985), `[n, d]`, `[n, d]`, `[steps]` -> `[n, steps, d]`.

    So the points between are as long as random ones, which those of a straight line are not. Where the ends
    have one direction, or opposite ones, the line is straight.
    """
    lengths = jnp.linalg.norm(first, axis=-1) * jnp.linalg.norm(last, axis=-1)
    cosine = (first * last).sum(-1) / jnp.maximum(lengths, 1e-30)
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))[:, None]
    sine, t = jnp.sin(angle), t[None]
    round_ = sine > 1e-3
    divisor = jnp.where(round_, sine, 1)
    of_first = jnp.where(round_, jnp.sin((1 - t) * angle) / divisor, 1 - t)
    of_last = jnp.where(round_, jnp.sin(t * angle) / divisor, t)
    return of_first[..., None] * first[:, None] + of_last[..., None] * last[:, None]


def nearest(data: Data, made: jax.Array, names: Sequence[str] = ()) -> MatplotlibFigure:
    """Samples over the training images nearest to them: a copy would be much nearer than a test image is."""
    assert isinstance(data.train, Resident)
    brightest = data.statistics.brightest
    raw = data.train.arrays["image"]
    real, test = (jnp.asarray(images, jnp.float32) / brightest for images in (raw, data.test["image"]))
    index, distance = map(np.asarray, metrics.nearest(made, real))
    _, of_test = metrics.nearest(test[:COMPARED], real)
    chosen = evenly(np.argsort(distance, kind="stable"), NEAREST)
    figure, axes = grid(2, len(chosen), 1.1, 0.9)
    for (over, under), i in zip(axes.T, chosen, strict=True):
        for one, image in ((over, made[i]), (under, real[index[i]])):
            show(one, np.clip(np.nan_to_num(np.asarray(image)), 0, 1), vmin=0, vmax=1)
        under.set_xlabel(f"{distance[i]:.2f}", fontsize=8, labelpad=1)
        if names:
            over.set_title(names[i], fontsize=9)
    for one, name in zip(axes[:, 0], ("sample", "nearest"), strict=True):
        one.set_ylabel(name)
    medians = f"{np.median(distance):.2f}; of a test image: {float(jnp.median(of_test)):.2f}"
    figure.suptitle(
        f"Is it a copy? From the nearest to the furthest of {len(made)} samples\n"
        f"Median distance from the nearest of {len(real):,} training images: {medians}"
    )
    return figure


def helping(chosen: str) -> MatplotlibFigure:
    """What reaches the generator through the score of a sample, under each loss."""
    score = jnp.linspace(-SURE, SURE, 201)
    slopes = {
        name: np.asarray(jax.vmap(jax.grad(loss.generator, 1), (None, 0))(jnp.asarray(REAL), score))
        for name, loss in LOSSES.items()
    }
    figure = MatplotlibFigure(figsize=(7.4, 4.9), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-SURE, -SURE / 2, color="0.92", zorder=0)
    axes.text(-SURE + 0.2, 0.04, "sure: fake", fontsize=9, va="bottom")
    thick: dict[str, Any] = {"lw": 5.0, "zorder": 1.5}  # below the others, some of which it equals
    for (name, slope), colour in zip(slopes.items(), COLOURS, strict=False):
        text = name.replace("_", "-") + (f" (real: {REAL:+.0f})" if name == "relativistic" else "")
        style = thick if name == chosen else {"lw": 1.6, "ls": "--" if name == "wasserstein" else "-"}
        axes.plot(score, slope, color=colour, label=text, **style)
    axes.set(xlabel="score that the discriminator gives to a sample", ylim=(-1.08, 0.16))
    axes.set_ylabel("slope of the generator's loss in the score")
    figure.legend(fontsize=9, loc="outside lower center", ncols=5, columnspacing=1.2)
    vanishing = [name.replace("_", "-") for name, slope in slopes.items() if abs(slope[0]) < 0.01]
    lost = " and ".join(vanishing) or "no loss"
    axes.set_title(
        "Forcing the discriminator to help the generator\n"
        f"where it is sure that a sample is fake, the slope vanishes under {lost} alone"
    )
    return figure


def dirac(c: GAN) -> MatplotlibFigure:
    """The smallest game, from one start, under each loss: as it is, and with the penalties in use."""
    # The configured weight is γ / 2.
    stabilizers = Stabilizers(**{name: 2 * float(c.penalty) for name in c.penalties})
    text = (
        " and ".join(name.replace("_", " ") for name in c.penalties).replace("r1", "R1").replace("r2", "R2")
    )
    games = {"as it is": NO_STABILIZERS}
    if stabilizers != NO_STABILIZERS:
        games[f"with {text}, γ = {2 * float(c.penalty):g}"] = stabilizers
    figure = MatplotlibFigure(figsize=(2.5 * len(LOSSES), 0.9 + 2.7 * len(games)), layout="constrained")
    rows = figure.subplots(len(games), len(LOSSES), squeeze=False, sharex="row", sharey="row")
    summary = []
    for row, (name, added) in zip(rows, games.items(), strict=True):
        paths = {loss: np.asarray(_play(loss, added)) for loss in LOSSES}
        fates: dict[str, list[str]] = {}
        for one, (loss, path) in zip(row, paths.items(), strict=True):
            how = fate(path)
            _draw_game(one, loss, added, path, _reach(paths.values()))
            one.set_title(f"{loss.replace('_', '-')}: {how}", fontsize=9)
            fates.setdefault(how, []).append(loss.replace("_", "-"))
        row[0].set_ylabel(f"{name}\nψ (discriminator)", fontsize=9)
        of_each = "; ".join(f"{how}: {', '.join(losses)}" for how, losses in fates.items())
        summary.append(f"{name[0].upper()}{name[1:]} — {of_each}")
    for one in rows[-1]:
        one.set_xlabel("θ (generator)", fontsize=9)
    figure.suptitle("\n".join(["The Dirac game: data at 0, samples at θ, score ψx", *summary]), fontsize=10)
    return figure


@functools.partial(jax.jit, static_argnums=0)
def _play(loss: str, added: Stabilizers) -> jax.Array:
    """(θ, ψ) from (1, 1) on, `[steps + 1, 2]`, in steps that are small enough for the penalties."""
    step = 0.2 / jnp.maximum(20, added.r1 + added.r2 + added.gradient_penalty)
    return simulate(LOSSES[loss], jnp.ones(2), step, PLAYED, "alternating", added)


@functools.partial(jax.jit, static_argnums=0)
def _field(loss: str, added: Stabilizers, points: jax.Array) -> jax.Array:
    """Where both players go from some points, `[n, 2]`."""
    return jax.vmap(lambda point: vector_field(LOSSES[loss], point, added))(points)


def fate(path: np.ndarray) -> str:
    """What becomes of the distance from the equilibrium, of points `[steps, 2]`."""
    distance, part = np.linalg.norm(path, axis=-1), len(path) // PARTS
    last, before = distance[-part:].max(), distance[-2 * part : -part].max()
    if not np.isfinite(last):
        return "diverges"
    if last < 0.02 * distance[0]:
        return "converges"
    angle = np.unwrap(np.arctan2(*path[-part:].T))
    if np.ptp(angle) < np.pi and last <= 1.02 * before:  # not round the equilibrium
        return "slowly inwards" if last < before else "ends elsewhere"
    if last > 1.02 * before:
        return "goes outwards"
    return "slowly inwards" if last < 0.98 * before else "circles"


def _reach(paths: Iterable[np.ndarray]) -> np.ndarray:
    """How far the axes of θ and ψ go, `[2]`, to show what does not go too far."""
    furthest = [np.nan_to_num(np.abs(path), nan=0.0, posinf=1e30).max(0) for path in paths]
    return np.clip(1.2 * np.max(furthest, 0), 2, 60)


def _draw_game(axes: Any, loss: str, added: Stabilizers, path: np.ndarray, reach: np.ndarray) -> None:
    """A path over the arrows of the field, which tell directions and not lengths."""
    places = np.linspace(-0.9, 0.9, 11)
    points = (np.stack(np.meshgrid(places, places), -1).reshape(-1, 2) * reach).astype(np.float32)
    on_screen = np.asarray(_field(loss, added, jnp.asarray(points))) / reach
    arrows = on_screen / np.maximum(1e-12, np.linalg.norm(on_screen, axis=-1, keepdims=True))
    axes.quiver(*points.T, *arrows.T, color="0.7", pivot="mid", scale=18, width=0.006)
    axes.plot(*path.T, color=PURPLE, lw=1)
    axes.plot(*path[0], "o", color=PURPLE, ms=5)
    axes.plot(0, 0, "*", color=ORANGE, ms=11)
    axes.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
    axes.set_box_aspect(1)
