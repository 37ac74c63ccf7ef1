"""Two-class sets of points in the plane (slide "Rappel: classification supervisée de vecteurs").

Each is a pure function of a key. All sets have about the same size, [−2, 2]² holds nearly all, so that one
`noise`, the standard deviation of Gaussian noise that is added to the clean points, means the same for each.
All return points `[n, 2]`, float32, and labels `[n]`, int32, in {−1, 1}: independent points in random
order, as many of each class (one more of −1 if `n` is odd). `n` is static, the other numbers may be traced.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def moons(key: jax.Array, n: int, noise=0.1) -> tuple[jax.Array, jax.Array]:
    """Two interleaved half circles, uniform along each: x = y (1/2 − cos φ, 1/4 − sin φ), φ in [0, π].

    Those of scikit-learn's `make_moons`, moved by (−1/2, −1/4) so that the set is centred; −1 is its class 0.
    """
    label_key, angle_key, noise_key = jax.random.split(key, 3)
    y = _labels(label_key, n, "moons")
    angle = jax.random.uniform(angle_key, (n,), jnp.float32, 0.0, jnp.pi)
    half_circle = jnp.stack([0.5 - jnp.cos(angle), 0.25 - jnp.sin(angle)], -1)
    x = y[:, None].astype(jnp.float32) * half_circle
    return _noisy(noise_key, x, noise), y


def circles(key: jax.Array, n: int, noise=0.1, factor=0.5) -> tuple[jax.Array, jax.Array]:
    """Two circles about 0, uniform along each: −1 of radius 1, and 1 of radius `factor`.

    Those of scikit-learn's `make_circles`.
    """
    label_key, angle_key, noise_key = jax.random.split(key, 3)
    y = _labels(label_key, n, "circles")
    angle = jax.random.uniform(angle_key, (n,), jnp.float32, 0.0, 2 * jnp.pi)
    radius = jnp.where(y > 0, jnp.asarray(factor, jnp.float32), 1.0)
    return _noisy(noise_key, _polar(radius, angle), noise), y


def blobs(key: jax.Array, n: int, noise=0.1, spread=0.4) -> tuple[jax.Array, jax.Array]:
    """Two Gaussian clouds, about (0.8, 0.8) y, of standard deviation √(`spread`² + `noise`²).

    The best classifier is linear: sign(x₁ + x₂).
    """
    label_key, cloud_key, noise_key = jax.random.split(key, 3)
    y = _labels(label_key, n, "blobs")
    centres = 0.8 * jnp.stack([y, y], -1).astype(jnp.float32)
    return _noisy(noise_key, _noisy(cloud_key, centres, spread), noise), y


def spirals(key: jax.Array, n: int, noise=0.1, turns=1.5) -> tuple[jax.Array, jax.Array]:
    """Two interleaved Archimedean spirals, each the other's image under x -> −x.

    x = y r (cos φ, sin φ), r uniform in [0.25, 1.75], φ = 2π · turns · (r − 0.25) / 1.5.
    """
    label_key, radius_key, noise_key = jax.random.split(key, 3)
    y = _labels(label_key, n, "spirals")
    along = jax.random.uniform(radius_key, (n,), jnp.float32)
    angle = 2 * jnp.pi * jnp.asarray(turns, jnp.float32) * along
    x = _polar(y.astype(jnp.float32) * (0.25 + 1.5 * along), angle)
    return _noisy(noise_key, x, noise), y


def xor(key: jax.Array, n: int, noise=0.1) -> tuple[jax.Array, jax.Array]:
    """Squares in the four quadrants, uniform in each: 1 where the signs of x₁ and x₂ differ.

    |x₁| and |x₂| are uniform in [0.2, 1.5], so that a corridor separates the squares.
    """
    label_key, square_key, sign_key, noise_key = jax.random.split(key, 4)
    y = _labels(label_key, n, "xor")
    sizes = jax.random.uniform(square_key, (n, 2), jnp.float32, 0.2, 1.5)
    first = jax.random.rademacher(sign_key, (n,))
    signs = jnp.stack([first, -first * y], -1).astype(jnp.float32)
    return _noisy(noise_key, signs * sizes, noise), y


SHAPES: dict[str, Callable[..., tuple[jax.Array, jax.Array]]] = {
    f.__name__: f for f in (moons, circles, blobs, spirals, xor)
}
"""Name -> function of (key, n, noise)."""


def _labels(key: jax.Array, n: int, function: str) -> jax.Array:
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"{function}: expected a positive number of points, got n={n}.")
    return jax.random.permutation(key, 2 * (jnp.arange(n, dtype=jnp.int32) % 2) - 1)


def _polar(radius: jax.Array, angle: jax.Array) -> jax.Array:
    return radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)


def _noisy(key: jax.Array, x: jax.Array, noise) -> jax.Array:
    return x + jnp.asarray(noise, jnp.float32) * jax.random.normal(key, x.shape, jnp.float32)
