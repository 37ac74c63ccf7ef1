"""Classification of vectors by the sign of a score (slide "Rappel")."""

import functools

import jax
import numpy as np

from mi203jax import losses
from mi203jax.configs import Vectors
from mi203jax.configs.vectors import SHAPES
from mi203jax.core.errors import UsageError
from mi203jax.core.task import Figure
from mi203jax.data import shapes
from mi203jax.data.download import suggesting
from mi203jax.data.feed import Arrays, Data, Resident, Streamed
from mi203jax.data.splits import check_batch
from mi203jax.data.standardize import Statistics, fit_statistics, standardize
from mi203jax.models import Classifier
from mi203jax.tasks.gradient_norms_figures import of_depth
from mi203jax.tasks.supervised import Problem, State, examples, layer_options, supervised_task
from mi203jax.tasks.vectors_figures import figures


def data(c: Vectors) -> Data | Streamed:
    """Vectors and labels in {-1, 1}: made, or read.

    Raises:
        UsageError: if the set cannot be read or used.
    """
    if c.data in SHAPES:
        check_batch(c.batch_size, c.num_examples, f"the {c.num_examples} points of {c.data}")
        return _made(c.data, c.num_examples, c.noise, c.data_seed, c.standardize)
    with suggesting(SHAPES):
        found = examples(c, "features")
    rest = found.shared
    labels = [rest.test["label"]]
    if isinstance(rest.train, Resident):
        labels.append(rest.train.arrays["label"])
    if any(set(np.unique(values)) - {-1, 1} for values in labels) or rest.test["features"].ndim != 2:
        raise UsageError(
            f"data={c.data}: expected vectors with labels -1 and 1; choose one of {', '.join(SHAPES)}, "
            "breast_cancer."
        )
    return found


@functools.lru_cache(maxsize=8)
def _made(name: str, n: int, noise: float, seed: int, standardization) -> Data:
    keys = jax.random.split(jax.random.key(seed))
    train, test = (
        dict(zip(("features", "label"), shapes.SHAPES[name](k, n, noise), strict=True)) for k in keys
    )
    return Data(Resident(train), test, fit_statistics(train["features"], standardization))


def network(c: Vectors, data: Data) -> Classifier:
    """The network of the configuration, without its parameters."""
    del data
    return Classifier(
        outputs=1, channels=(), hidden=c.hidden, depth=c.depth, residual=c.residual, **layer_options(c)
    )


def prepare(c: Vectors, batch: Arrays, statistics: Statistics, key: jax.Array | None = None) -> Arrays:
    """Standardised vectors "x", `[batch, features]`, and "label" in {-1, 1}."""
    del c, key
    return {"x": standardize(batch["features"], statistics), "label": batch["label"]}


def loss(c: Vectors, scores: jax.Array, batch: Arrays) -> jax.Array:
    """The cost of each example's score, `[batch, 1]` -> `[batch]`."""
    return losses.MARGIN_LOSSES[c.loss](scores[:, 0], batch["label"])


def measure(c: Vectors, scores: jax.Array, batch: Arrays) -> dict[str, jax.Array]:
    """Whether the score's sign is the label, and the margin: the score times the label."""
    del c
    margin = scores[:, 0] * batch["label"].astype(scores.dtype)
    return {"accuracy": margin > 0, "margin": margin}


def frames(c: Vectors) -> int:
    """Moments of the run that are kept for the GIF: where the plane can be drawn."""
    return c.frames if c.data in SHAPES else 0


problem = Problem(data, network, prepare, loss, measure, frames=frames)


def figures_of(c: Vectors, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained network."""
    return figures(problem, c, state, data) | of_depth(problem, c, state, data)


task = supervised_task(problem, figures_of, "vmap")
