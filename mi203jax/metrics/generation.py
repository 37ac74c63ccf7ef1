"""How good generated examples are (slide "Classification → génération"): like real ones, and as varied?

Distances between sets are taken between features, those that a classifier has of its own, for example. Of
finite samples they are never those of the distributions: set beside each the one between two halves of the
real examples, at the same number. All is computed in float32; functions that compare each example with
each take them in slices, so that memory holds `block` rows of distances at a time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from mi203jax.arguments import check_int


def frechet_distance(real: jax.Array, fake: jax.Array) -> jax.Array:
    """‖μ − μ'‖² + tr(C + C' − 2 (C C')^½): the Fréchet distance between Gaussians of the same moments.

    It is the square of a distance, as FID is (Heusel et al. 2017, of the features of Inception). Covariances
    have the divisor n − 1. With C = RᵀR, the trace is the minimum of ‖R − O R'‖² over orthogonal O, and is
    computed as such: it is never negative, and where the sets are nearly equal, or covariances nearly
    singular, it keeps the digits that square roots of covariances and their difference lose.

    Args:
        real: features, `[n, d]`, floating, n > d.
        fake: features, `[n', d]`, floating, n' > d.

    Returns:
        float32, a scalar. Its gradient is finite where both covariances have full rank.

    Raises:
        ValueError: if shapes or dtypes do not fit, or there are too few examples for a covariance.
    """
    _check_features("frechet_distance", real, fake)
    least = real.shape[1] + 1
    _check_number("frechet_distance", real, fake, least, f"a covariance of {real.shape[1]} features")
    (mean, root), (other_mean, other_root) = _mean_and_root(real), _mean_and_root(fake)
    left, _, right = jnp.linalg.svd(jnp.matmul(root, other_root.T, precision="highest"))
    # At the minimum the value does not depend on O to first order, so no gradient need flow through it.
    turn = lax.stop_gradient(jnp.matmul(left, right, precision="highest"))
    apart = root - jnp.matmul(turn, other_root, precision="highest")
    return jnp.square(mean - other_mean).sum() + jnp.square(apart).sum()


def kernel_distance(real: jax.Array, fake: jax.Array, block: int = 256) -> jax.Array:
    """The squared maximum mean discrepancy of the kernel k(x, y) = (x·y / d + 1)³, without bias.

    Means of k over pairs of two different real examples, plus two different fake ones, minus twice one of
    each. KID (Bińkowski et al. 2018), here of all pairs, where the authors average over small subsets. If
    the distributions are equal its expectation is 0, so it may be negative.

    Args:
        real: features, `[n, d]`, floating, n ≥ 2.
        fake: features, `[n', d]`, floating, n' ≥ 2.
        block: rows at a time, static.

    Returns:
        float32, a scalar.

    Raises:
        ValueError: if shapes, dtypes or `block` do not fit.
    """
    _check_features("kernel_distance", real, fake)
    _check_number("kernel_distance", real, fake, 2, "a mean over pairs")
    check_int("kernel_distance", "block", block)
    real, fake = real.astype(jnp.float32), fake.astype(jnp.float32)

    def kernel(x, others):
        return (jnp.matmul(others, x, precision="highest") / len(x) + 1) ** 3

    def nearer_own(own, other):
        """Mean over `own` of how much more like its own set than like the other one an example is."""

        def row(i, x):
            alike = jnp.where(jnp.arange(len(own)) == i, 0, kernel(x, own)).sum() / (len(own) - 1)
            return alike - kernel(x, other).mean()

        return _by_rows(row, own, block).mean()

    return nearer_own(real, fake) + nearer_own(fake, real)


def sample_precision_recall(
    real: jax.Array, fake: jax.Array, k: int = 3, block: int = 256
) -> tuple[jax.Array, jax.Array]:
    """Shares of fake examples that are among real ones, and of real ones that are among fake ones.

    An example is among others if it is as near to one of them, or nearer, as that one's k-th nearest
    neighbour in its own set is (Kynkäänniemi et al. 2019). Precision says how good examples are, recall how
    varied. With few features more than with many, a single outlier covers much.

    Args:
        real: features, `[n, d]`, floating, n > k.
        fake: features, `[n', d]`, floating, n' > k.
        k: static; small: time grows with it.
        block: rows at a time, static.

    Returns:
        (precision, recall), each float32 in [0, 1], a scalar.

    Raises:
        ValueError: if shapes, dtypes, `k` or `block` do not fit.
    """
    name = "sample_precision_recall"
    _check_features(name, real, fake)
    check_int(name, "k", k)
    check_int(name, "block", block)
    _check_number(name, real, fake, k + 1, f"neighbour {k}")
    real, fake = real.astype(jnp.float32), fake.astype(jnp.float32)

    def share_among(examples, others):
        radii = _neighbour_distances(others, k, block)
        inside = _by_rows(lambda _, x: (_squared_distances(x, others) <= radii).any(), examples, block)
        return inside.mean()

    return share_among(fake, real), share_among(real, fake)


def mode_shares(labels: jax.Array, num_modes: int) -> jax.Array:
    """Share of the samples that a classifier takes for each class.

    Args:
        labels: predicted classes, `[n]`, integer.
        num_modes: number of classes, static.

    Returns:
        `[num_modes]`, float32, of sum 1, or less if labels are none of the classes; nan of no samples.

    Raises:
        ValueError: if shape, dtype or `num_modes` do not fit.
    """
    if labels.ndim != 1 or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"mode_shares: expected integer labels [n], got {labels.dtype} {labels.shape}.")
    check_int("mode_shares", "num_modes", num_modes)
    return jax.nn.one_hot(labels, num_modes).mean(0)


def modes_covered(shares: jax.Array, least: float | jax.Array = 0.05) -> jax.Array:
    """How many classes have at least a given share of the samples, to rounding.

    Args:
        shares: `[..., modes]`, floating, see `mode_shares`.
        least: a scalar.

    Returns:
        `[...]`, int32.

    Raises:
        ValueError: if `shares` is not such an array, or `least` no scalar.
    """
    if shares.ndim < 1 or not jnp.issubdtype(shares.dtype, jnp.floating):
        raise ValueError(
            f"modes_covered: expected floating shares [..., modes], got {shares.dtype} {shares.shape}."
        )
    if jnp.ndim(least):
        raise ValueError(f"modes_covered: expected least to be a scalar, got shape {jnp.shape(least)}.")
    # Compiled, 5 / 100 may be 5 · (1 / 100), which is less than 0.05.
    least = jnp.asarray(least, shares.dtype) * (1 - 4 * jnp.finfo(shares.dtype).eps)
    return (shares >= least).sum(-1, dtype=jnp.int32)


def nearest(examples: jax.Array, among: jax.Array, block: int = 256) -> tuple[jax.Array, jax.Array]:
    """The nearest of some others to each example, by Euclidean distance: is a sample a copy?

    Args:
        examples: `[n, ...]`, floating.
        among: `[m, ...]`, floating, m ≥ 1, training images for example.
        block: examples at a time, static.

    Returns:
        (index, distance), `[n]` each, int32 and float32; of equal distances the first. The distance from a
        copy is exactly 0.

    Raises:
        ValueError: if shapes, dtypes or `block` do not fit.
    """
    for array in (examples, among):
        if array.ndim < 1 or not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"nearest: expected floating [n, ...], got {array.dtype} {array.shape}.")
    if examples.shape[1:] != among.shape[1:] or not len(among):
        raise ValueError(
            f"nearest: expected [n, ...] and [m, ...] of one shape, m ≥ 1, got {examples.shape} and "
            f"{among.shape}."
        )
    check_int("nearest", "block", block)
    examples, among = (a.reshape(len(a), -1).astype(jnp.float32) for a in (examples, among))

    def row(_, x):
        distances = _squared_distances(x, among)
        return distances.argmin().astype(jnp.int32), jnp.sqrt(distances.min())

    return _by_rows(row, examples, block)


def _mean_and_root(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mean `[d]`, and R `[d, d]` such that RᵀR is the covariance."""
    features = features.astype(jnp.float32)
    mean = features.mean(0)
    return mean, jnp.linalg.qr(features - mean[None], mode="r") / (len(features) - 1) ** 0.5


def _squared_distances(x: jax.Array, others: jax.Array) -> jax.Array:
    # Of differences, and not as ‖x‖² + ‖y‖² − 2 x·y, which is wrong where examples are nearly equal.
    return jnp.square(others - x[None]).sum(-1)


def _neighbour_distances(points: jax.Array, k: int, block: int) -> jax.Array:
    """Squared distance of each point from its k-th nearest neighbour, `[n]`."""

    def row(i, x):
        distances = _squared_distances(x, points).at[i].set(jnp.inf)
        # A few minima are faster than a sort, which `lax.top_k` is on a CPU.
        return lax.fori_loop(0, k - 1, lambda _, d: d.at[d.argmin()].set(jnp.inf), distances).min()

    return _by_rows(row, points, block)


def _by_rows(row: Callable, examples: jax.Array, block: int):
    """`row(i, x)` of each example, as many at a time as `block` says."""
    return lax.map(lambda pair: row(*pair), (jnp.arange(len(examples)), examples), batch_size=block)


def _check_features(name: str, real: jax.Array, fake: jax.Array) -> None:
    for features in (real, fake):
        if features.ndim != 2 or not jnp.issubdtype(features.dtype, jnp.floating):
            raise ValueError(
                f"{name}: expected floating features [n, d], got {features.dtype} {features.shape}."
            )
    if real.shape[1] != fake.shape[1] or not real.shape[1]:
        raise ValueError(f"{name}: expected as many features of both, got {real.shape} and {fake.shape}.")


def _check_number(name: str, real: jax.Array, fake: jax.Array, least: int, purpose: str) -> None:
    if min(len(real), len(fake)) < least:
        raise ValueError(
            f"{name}: expected at least {least} examples of each for {purpose}, got {len(real)} real and "
            f"{len(fake)} fake."
        )
