"""The smallest game of a generator and a discriminator: which losses circle, which converge.

The data are the point 0, the generator's samples the point θ, and the discriminator's score is D(x) = ψ x
(Mescheder et al. 2018, section 2). The equilibrium is (θ, ψ) = (0, 0). The paper's D takes the other sign:
its ψ is −ψ here.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mi203jax.adversarial import AdversarialLoss, gradient_penalty, r1, r2

Method = Literal["simultaneous", "alternating"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


class Stabilizers(NamedTuple):
    """What is added to the game. All are scalars, which may be traced; 0 is without.

    Attributes:
        r1: γ of γ/2 · ‖∇D‖² at the data.
        r2: γ of γ/2 · ‖∇D‖² at the samples.
        gradient_penalty: γ of γ/2 · (‖∇D‖ − target)², the penalty of WGAN-GP in the paper's unit.
        target: slope that this penalty asks for.
        noise: standard deviation of the Gaussian noise added to data and samples, of which the expectation
            is taken. (By a quadrature: the field is right to 1e-3 while |ψ| · noise ≤ 3, and to 0.1 for
            "hinge", which has corners.)
        consensus: γ of γ/2 · ‖v‖², which both players minimise too (Mescheder et al. 2017).
    """

    r1: float | jax.Array = 0.0
    r2: float | jax.Array = 0.0
    gradient_penalty: float | jax.Array = 0.0
    target: float | jax.Array = 1.0
    noise: float | jax.Array = 0.0
    consensus: float | jax.Array = 0.0


NO_STABILIZERS = Stabilizers()
"""The game as it is."""


def vector_field(
    loss: AdversarialLoss, point: jax.Array, stabilizers: Stabilizers = NO_STABILIZERS
) -> jax.Array:
    """The direction in which both players go: minus the gradient of each one's loss in its own parameter.

    Args:
        loss: of `adversarial.LOSSES`.
        point: (θ, ψ), `[2]`, floating.
        stabilizers: what is added to the losses.

    Returns:
        v, `[2]`, of the dtype of `point`.

    Raises:
        ValueError: if `loss`, `point` or a stabiliser is not as above.

    Source: Mescheder et al. 2018, sections 2 and 3.
    """
    _check("vector_field", loss, point, stabilizers)

    def players(point):
        theta, psi = point
        generator = jax.grad(lambda theta: _losses(loss, theta, psi, stabilizers)[0])(theta)
        discriminator = jax.grad(lambda psi: _losses(loss, theta, psi, stabilizers)[1])(psi)
        return -jnp.stack([generator, discriminator])

    # The gradient of ‖v‖² / 2 is Jᵀ v.
    v, pull = jax.vjp(players, point)
    return v - stabilizers.consensus * pull(v)[0]


def simulate(
    loss: AdversarialLoss,
    start: jax.Array,
    step_size: float | jax.Array,
    steps: int,
    method: Method = "simultaneous",
    stabilizers: Stabilizers = NO_STABILIZERS,
) -> jax.Array:
    """Gradient descent of both players.

    Simultaneous: (θ, ψ) ← (θ, ψ) + h v(θ, ψ). Alternating: first ψ, then θ, which sees the new ψ.

    Args:
        loss: of `adversarial.LOSSES`.
        start: (θ, ψ), `[2]`, floating.
        step_size: h, a scalar, or `[2]` for two time scales: the generator's and the discriminator's.
        steps: how many, 0 or more.
        method: who moves when.
        stabilizers: what is added to the losses.

    Returns:
        (θ, ψ) at the start and after each step, `[steps + 1, 2]`, of the dtype of `start`.

    Raises:
        ValueError: if an argument is not as above.

    Source: Mescheder et al. 2018, section 2.
    """
    _check("simulate", loss, start, stabilizers)
    if method not in get_args(Method):
        raise ValueError(f"simulate: expected method in {get_args(Method)}, got {method!r}.")
    if jnp.shape(step_size) not in ((), (2,)):
        raise ValueError(f"simulate: expected step_size [] or [2], got {jnp.shape(step_size)}.")
    if steps < 0:
        raise ValueError(f"simulate: expected steps of 0 or more, got {steps}.")
    each = jnp.diag(jnp.broadcast_to(jnp.asarray(step_size, start.dtype), (2,)))
    moves = [each.sum(0)] if method == "simultaneous" else [each[1], each[0]]

    def step(point, _):
        for move in moves:
            point = point + move * vector_field(loss, point, stabilizers)
        return point, point

    _, points = lax.scan(step, start, length=steps)
    return jnp.concatenate([start[None], points])


def eigenvalues(loss: AdversarialLoss, stabilizers: Stabilizers = NO_STABILIZERS) -> jax.Array:
    """The eigenvalues of the Jacobian of `vector_field` at the equilibrium (0, 0).

    Real parts below 0: training with steps that are small enough converges, linearly. On the imaginary axis:
    in the linear part it circles, and simultaneous steps of any size go outwards.

    Args:
        loss: of `adversarial.LOSSES`.
        stabilizers: what is added to the losses.

    Returns:
        `[2]`, complex64, the one with the plus sign of the root first; nan with a gradient penalty, whose
        slope jumps at ψ = 0, so that there is no Jacobian.

    Raises:
        ValueError: if `loss` or a stabiliser is not as above.

    Source: Mescheder et al. 2018, sections 2 and 3.
    """
    equilibrium = jnp.zeros(2, jnp.float32)
    _check("eigenvalues", loss, equilibrium, stabilizers)
    (a, b), (c, d) = jax.jacfwd(lambda point: vector_field(loss, point, stabilizers))(equilibrium)
    # Written out, since XLA has no general eigenvalues on every device.
    root = jnp.sqrt(lax.complex(jnp.square((a - d) / 2) + b * c, jnp.zeros_like(a)))
    middle = lax.complex((a + d) / 2, jnp.zeros_like(a))
    pair = jnp.stack([middle + root, middle - root])
    return jnp.where(stabilizers.gradient_penalty == 0, pair, jnp.nan)


def _losses(
    loss: AdversarialLoss, theta: jax.Array, psi: jax.Array, stabilizers: Stabilizers
) -> tuple[jax.Array, jax.Array]:
    """The expected loss of the generator and of the discriminator."""
    noise = stabilizers.noise * jnp.asarray(_NODES, theta.dtype)
    weights = jnp.asarray(np.outer(_WEIGHTS, _WEIGHTS) / _WEIGHTS.sum() ** 2, theta.dtype)
    real, fake = jnp.meshgrid(psi * noise, psi * (theta + noise))

    def discriminator(x):
        return psi * x

    data, samples = jnp.zeros_like(theta)[None], theta[None]
    # D has one slope everywhere, so that any key gives the same penalty.
    slope = gradient_penalty(discriminator, data, samples, jax.random.key(0), stabilizers.target)
    penalty = stabilizers.r1 * r1(discriminator, data) + stabilizers.r2 * r2(discriminator, samples)
    penalty = penalty + stabilizers.gradient_penalty * slope
    return (
        (weights * loss.generator(real, fake)).sum(),
        (weights * loss.discriminator(real, fake)).sum() + penalty[0] / 2,
    )


def _check(name: str, loss: AdversarialLoss, point: jax.Array, stabilizers: Stabilizers) -> None:
    if not isinstance(loss, AdversarialLoss):
        raise ValueError(f"{name}: expected loss to be an AdversarialLoss, got {loss!r}.")
    if point.shape != (2,) or not jnp.issubdtype(point.dtype, jnp.floating):
        raise ValueError(f"{name}: expected a floating point [2], got {point.dtype} {point.shape}.")
    for field, value in stabilizers._asdict().items():
        if jnp.ndim(value) != 0:
            raise ValueError(f"{name}: expected {field} to be a scalar, got shape {jnp.shape(value)}.")
