"""Ways to lose information between input and output (slide "Classification → autoencoder").

An auto-encoder predicts its input; without a loss of information it could copy it. Besides a code of few
numbers there are: an input that is not whole (`mask`, and `mi203jax.augment.noise`), a code that is mostly 0
(`sparsity_penalty`, `absolute`), `mi203jax.nn.dropout` on the code, and a code that is itself random
(`sample_gaussian`, and the information that it may carry, `gaussian_kl`).
"""

import jax
import jax.numpy as jnp

from mi203jax.arguments import scalar


def mask(key: jax.Array, x: jax.Array, share: float | jax.Array, patch: int = 1) -> jax.Array:
    """Sets a share of an image's patches, chosen at random, to 0: masking noise.

    Their number is fixed: the share of all, rounded. The channels of a pixel stay together.

    Args:
        key: random key.
        x: images, `[..., height, width, channels]`, each with a choice of its own; floating.
        share: in [0, 1], a scalar, which may be traced.
        patch: side of a patch in pixels, a divisor of height and width, static.

    Returns:
        Of the shape and dtype of `x`.

    Raises:
        ValueError: if shapes, dtypes or `patch` do not fit.

    Source: Vincent et al. 2008 (pixels); He et al. 2022 (patches).
    """
    if x.ndim < 3 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            f"mask: expected floating images [..., height, width, channels], got {x.dtype} {x.shape}."
        )
    *batch, height, width, _ = x.shape
    if not isinstance(patch, int) or isinstance(patch, bool) or patch < 1 or height % patch or width % patch:
        raise ValueError(f"mask: expected patch to divide {height} and {width} pixels, got {patch!r}.")
    rows, columns = height // patch, width // patch
    number = jnp.round(scalar("mask", "share", share) * (rows * columns))
    chosen = jnp.broadcast_to(jnp.arange(rows * columns) < number.astype(jnp.int32), (*batch, rows * columns))
    chosen = jax.random.permutation(key, chosen, axis=-1, independent=True).reshape(*batch, rows, columns)
    pixels = chosen.repeat(patch, -2).repeat(patch, -1)[..., None]
    return jnp.where(pixels, 0, x)


def sparsity_penalty(activations: jax.Array, target: float | jax.Array = 0.05) -> jax.Array:
    """Σ_j KL(ρ ‖ ρ̂_j): how far from a target the mean activation of each unit is.

    KL(ρ ‖ ρ̂) = ρ log(ρ / ρ̂) + (1 − ρ) log((1 − ρ) / (1 − ρ̂)), of Bernoulli distributions; ρ̂_j is the mean of
    unit j over the batch. It is kept an ε of the dtype off 0 and 1, so that a dead unit costs a finite amount
    (and, beyond, has a gradient of 0).

    Args:
        activations: `[batch, units]`, floating, in [0, 1] (of a sigmoid).
        target: ρ in [0, 1], a scalar, which may be traced.

    Returns:
        A scalar of the dtype of `activations`.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Ng 2011, "Sparse autoencoder".
    """
    if activations.ndim != 2 or not jnp.issubdtype(activations.dtype, jnp.floating) or not len(activations):
        raise ValueError(
            "sparsity_penalty: expected floating activations [batch, units], got "
            f"{activations.dtype} {activations.shape}."
        )
    target = scalar("sparsity_penalty", "target", target).astype(activations.dtype)
    step = jnp.finfo(activations.dtype).eps
    means = jnp.clip(activations.mean(0), step, 1 - step)
    target = jnp.broadcast_to(target, means.shape)
    rel_entr = jax.scipy.special.rel_entr
    return (rel_entr(target, means) + rel_entr(1 - target, 1 - means)).sum()


def absolute(code: jax.Array) -> jax.Array:
    """Σ_j |z_j|: a penalty that draws numbers of a code to exactly 0.

    Args:
        code: z, `[..., units]`, floating.

    Returns:
        `[...]`, of the dtype of `code`. The gradient where z_j = 0 is 0.

    Raises:
        ValueError: if the shape or dtype does not fit.
    """
    _check_code("absolute", code)
    # Not `jnp.abs`, whose gradient at 0 is 1: it would push units that are off below 0.
    return (jnp.sign(code) * code).sum(-1)


def gaussian_kl(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """½ Σ_j (μ_j² + σ_j² − 1 − log σ_j²): KL divergence of N(μ, diag σ²) from N(0, 1), in nats.

    Args:
        mean: μ, `[..., units]`, floating.
        log_variance: log σ², of the shape and dtype of `mean`.

    Returns:
        `[...]`, not negative, of the dtype of `mean`.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Kingma & Welling 2014, appendix B.
    """
    _check_gaussian("gaussian_kl", mean, log_variance)
    # σ² − 1 by expm1: near the prior the difference of the rounded exponential and 1 has no correct digit.
    return (jnp.square(mean) + jnp.expm1(log_variance) - log_variance).sum(-1) / 2


def sample_gaussian(key: jax.Array, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """μ + σ ε with ε ~ N(0, 1): a draw from N(μ, diag σ²) through which gradients flow to μ and σ.

    Args:
        key: random key.
        mean: μ, `[..., units]`, floating.
        log_variance: log σ², of the shape and dtype of `mean`.

    Returns:
        Of the shape and dtype of `mean`.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Source: Kingma & Welling 2014, section 2.4 (the reparametrisation).
    """
    _check_gaussian("sample_gaussian", mean, log_variance)
    return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape, mean.dtype)


def _check_code(name: str, code: jax.Array) -> None:
    if code.ndim < 1 or not jnp.issubdtype(code.dtype, jnp.floating):
        raise ValueError(f"{name}: expected floating [..., units], got {code.dtype} {code.shape}.")


def _check_gaussian(name: str, mean: jax.Array, log_variance: jax.Array) -> None:
    _check_code(name, mean)
    if mean.shape != log_variance.shape or mean.dtype != log_variance.dtype:
        raise ValueError(
            f"{name}: expected mean and log_variance of one shape and dtype, got {mean.dtype} {mean.shape} "
            f"and {log_variance.dtype} {log_variance.shape}."
        )
