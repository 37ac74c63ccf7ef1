"""Augmentations against scipy, torch and numpy; their distributions by tests with fixed keys."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from mi203jax import augment, boxes

pytestmark = pytest.mark.usefixtures("strict")

# A general motion whose sources lie between pixels, partly outside.
MOTION = {"degrees": 20.0, "zoom": 1.2, "dy": 1.3, "dx": -0.7, "shear": 0.15}

EACH = {
    "affine": lambda key, image, s: augment.affine(key, image, s, s, s, s, fill=s),
    "rotate": augment.rotate,
    "zoom": augment.zoom,
    "shift": augment.shift,
    "flip": augment.flip,
    "cutout": augment.cutout,
    "noise": augment.noise,
}

JITTED = {name: jax.jit(f) for name, f in EACH.items()}
warp = jax.jit(augment.warp, static_argnames="order")
warp_boxes = jax.jit(augment.warp_boxes, static_argnames="shape")
affine_matrix = jax.jit(augment.affine_matrix)
translate = jax.jit(augment.translate)
mix_up_many = jax.jit(jax.vmap(augment.mix_up, (0, None, None, None)))


def an_image(key, shape=(7, 9, 2)):
    return jax.random.normal(key, shape)


def by_scipy(image, matrix, fill, order):
    """scipy wants the inverse motion, in coordinates counted from the corner."""
    image, matrix = np.asarray(image), np.asarray(matrix, np.float64)
    inverse = np.linalg.inv(matrix[:, :2])
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - inverse @ (centre + matrix[:, 2])
    moved = [
        ndimage.affine_transform(c, inverse, offset, order=order, mode="grid-constant", cval=fill)
        for c in np.moveaxis(image, -1, 0)
    ]
    return np.stack(moved, -1)


class TestEach:
    @pytest.mark.parametrize("name", EACH)
    def test_under_jit_and_vmap_with_traced_strength(self, key, name):
        keys = jax.random.split(key, 3)
        images = jax.vmap(an_image)(keys)
        strength = 0.8 if name == "flip" else 2.5
        batch = jax.jit(jax.vmap(EACH[name], (0, 0, None)))(keys, images, strength)
        assert (batch != images).any()
        for k, image, out in zip(keys, images, batch, strict=True):
            np.testing.assert_allclose(out, JITTED[name](k, image, strength), atol=1e-5)

    @pytest.mark.parametrize("name", EACH)
    def test_strength_zero_is_the_identity(self, key, name):
        image = an_image(key)
        np.testing.assert_array_equal(JITTED[name](key, image, 0.0), image)

    @pytest.mark.parametrize("name", EACH)
    def test_keeps_half_precision(self, key, name):
        out = jax.eval_shape(EACH[name], key, jax.ShapeDtypeStruct((7, 9, 2), jnp.bfloat16), 0.5)
        assert (out.shape, out.dtype) == ((7, 9, 2), jnp.bfloat16)

    @pytest.mark.parametrize("name", EACH)
    def test_bad_input(self, key, name):
        for image in (jnp.zeros((4, 4)), jnp.zeros((2, 4, 4, 1)), jnp.zeros((4, 4, 1), jnp.uint8)):
            with pytest.raises(ValueError, match="expected .*image"):
                EACH[name](key, image, 0.5)
        with pytest.raises(ValueError, match="scalar strength"):
            EACH[name](key, jnp.zeros((4, 4, 1)), jnp.ones(4))


class TestWarp:
    @pytest.mark.parametrize("order", [0, 1])
    @pytest.mark.parametrize("size", [(7, 9), (8, 6)])
    def test_equals_scipy(self, key, order, size):
        image, matrix = an_image(key, (*size, 2)), affine_matrix(**MOTION)
        ours = warp(image, matrix, 0.5, order=order)
        np.testing.assert_allclose(ours, by_scipy(image, matrix, 0.5, order), atol=1e-5)
        assert (ours == 0.5).any()

    def test_equals_torch_with_gradients(self, key):
        torch = pytest.importorskip("torch")
        image, matrix = an_image(key), affine_matrix(**MOTION)
        cotangent = jnp.cos(jnp.arange(image.size, dtype=jnp.float32)).reshape(image.shape)

        @jax.jit
        def with_gradients(x, m):
            out, pull = jax.vjp(augment.warp, x, m)
            return out, pull(cotangent)

        ours, gradients = with_gradients(image, matrix)

        x, m = (torch.tensor(np.asarray(a), dtype=torch.float64, requires_grad=True) for a in (image, matrix))
        inverse = torch.linalg.inv(m[:, :2])
        backwards = torch.cat([inverse, -inverse @ m[:, 2:]], 1).flip(
            0
        )  # torch's points are (x, y), in [-1, 1]
        backwards = torch.cat([backwards[:, :2].flip(1), backwards[:, 2:]], 1)
        half = torch.tensor([(9 - 1) / 2, (7 - 1) / 2], dtype=torch.float64)
        theta = backwards * torch.cat([half, torch.ones(1, dtype=torch.float64)]) / half[:, None]
        grid = torch.nn.functional.affine_grid(theta[None], (1, 2, 7, 9), align_corners=True)
        theirs = torch.nn.functional.grid_sample(x.permute(2, 0, 1)[None], grid, align_corners=True)
        theirs = theirs[0].permute(1, 2, 0)
        theirs.backward(torch.tensor(np.asarray(cotangent)))

        np.testing.assert_allclose(ours, theirs.detach(), atol=1e-5)
        for grad, grad_ref in zip(gradients, (x.grad, m.grad), strict=True):
            np.testing.assert_allclose(grad, grad_ref, atol=1e-4)

    def test_moves_an_image_as_it_moves_points(self):
        matrix = affine_matrix(**MOTION)
        centre = np.array([10.0, 12.0])
        point = np.array([-3.0, 4.0])
        image = jnp.zeros((21, 25, 1)).at[tuple((centre + point).astype(int))].set(1.0)
        moved = np.asarray(warp(image, matrix))[..., 0]
        mass = ndimage.center_of_mass(moved) - centre
        np.testing.assert_allclose(mass, np.asarray(matrix) @ [*point, 1.0], atol=0.3)

    @pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, jnp.bool_])
    def test_masks_by_the_nearest_pixel(self, key, dtype):
        mask = jax.random.randint(key, (7, 9, 1), 0, 2).astype(dtype)
        matrix = affine_matrix(**MOTION)
        moved = warp(mask, matrix, order=0)
        assert moved.dtype == dtype
        np.testing.assert_array_equal(moved, by_scipy(mask.astype(jnp.float32), matrix, 0.0, 0))

    def test_bad_input(self, key):
        image, matrix = an_image(key), augment.affine_matrix()
        with pytest.raises(ValueError, match=r"matrix \[2, 3\], got .*\(3, 3\)"):
            augment.warp(image, jnp.eye(3))
        with pytest.raises(ValueError, match="order 0 or 1, got 3"):
            augment.warp(image, matrix, order=3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="floating image"):
            augment.warp(jnp.zeros((4, 4, 1), jnp.int32), matrix)


class TestWarpBoxes:
    """Images are of even sides, so that no centre of a pixel gets onto an edge."""

    shape = (16, 12)
    many = np.asarray([[4, 5, 9, 8], [6, 2, 9, 5], [5, 4, 11, 9], [0, 0, 16, 12]], np.float32)

    def painted(self, matrix):
        """Tight boxes around what `warp` makes of each box, painted."""
        y, x = np.indices(self.shape)
        y0, x0, y1, x1 = self.many.T[:, :, None, None]
        inside = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
        moved = np.asarray(warp(jnp.moveaxis(jnp.asarray(inside), 0, -1), matrix, order=0))
        ends = [
            [*m.nonzero()[0][[0, -1]], *np.sort(m.nonzero()[1])[[0, -1]]] for m in np.moveaxis(moved, -1, 0)
        ]
        return np.asarray([(top, left, bottom + 1, right + 1) for top, bottom, left, right in ends])

    @pytest.mark.parametrize(
        "matrix",
        [
            [[1, 0, 2], [0, 1, -3]],
            [[1, 0, 0], [0, -1, 0]],
            [[-1, 0, 1], [0, 1, 0]],
            [[0, -1, 0], [1, 0, 0]],
            [[0, 1, -1], [-1, 0, 2]],
            [[2, 0, 0], [0, 2, 0]],
            [[0, -2, 3], [2, 0, 1]],
        ],
        ids=["shift", "left-right", "up-down", "turn", "turn back", "zoom", "all"],
    )
    def test_is_tight_where_edges_stay_edges(self, matrix):
        matrix = jnp.asarray(matrix, jnp.float32)
        moved = boxes.clip(warp_boxes(self.many, matrix, self.shape), self.shape)
        np.testing.assert_array_equal(moved, self.painted(matrix))

    def test_is_around_the_corners_and_what_was_in_the_box(self, key):
        draw = jax.jit(lambda k: augment.random_affine(k, 60.0, 0.3, 2.0, 0.3))
        for k in jax.random.split(key, 20):
            matrix = draw(k)
            moved = np.asarray(warp_boxes(self.many, matrix, self.shape))
            centre, (linear, shift) = np.asarray([8, 6]), np.split(np.asarray(matrix, np.float64), [2], 1)
            corners = self.many[:, [[0, 1], [0, 3], [2, 1], [2, 3]]] - centre
            corners = corners @ linear.T + shift[:, 0] + centre
            np.testing.assert_allclose(moved, np.concatenate([corners.min(1), corners.max(1)], 1), atol=1e-5)
            shown, outer = self.painted(matrix), np.asarray(boxes.clip(jnp.asarray(moved), self.shape))
            assert (shown[:, :2] >= outer[:, :2] - 0.5).all()
            assert (shown[:, 2:] <= outer[:, 2:] + 0.5).all()

    def test_under_vmap_with_leading_axes_and_gradient(self, key):
        matrices = jax.jit(jax.vmap(lambda k: augment.random_affine(k, 30.0)))(jax.random.split(key, 3))
        batch = jnp.stack([jnp.asarray(self.many)] * 3).reshape(3, 2, 2, 4)
        moved = jax.jit(jax.vmap(lambda b, m: augment.warp_boxes(b, m, self.shape)))(batch, matrices)
        for out, matrix in zip(moved, matrices, strict=True):
            np.testing.assert_allclose(
                out.reshape(4, 4), warp_boxes(self.many, matrix, self.shape), atol=1e-5
            )
        flip = jnp.asarray([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
        slope = jax.jit(jax.jacobian(lambda b: augment.warp_boxes(b, flip, self.shape)))(self.many[0])
        np.testing.assert_array_equal(slope, [[1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0], [0, -1, 0, 0]])

    def test_bad_input(self):
        matrix, some = augment.affine_matrix(), jnp.zeros((2, 4))
        for wrong in (jnp.zeros(()), jnp.zeros((2, 3)), jnp.zeros((2, 4), jnp.int32)):
            with pytest.raises(ValueError, match=r"warp_boxes: expected floating boxes \[\.\.\., 4\], got"):
                augment.warp_boxes(wrong, matrix, (8, 8))
        with pytest.raises(ValueError, match=r"warp_boxes: expected a matrix \[2, 3\], got \(2, 2\)"):
            augment.warp_boxes(some, matrix[:, :2], (8, 8))
        for shape in ((8,), (8, 0), (8, 8.0), (8, 8, 1)):
            with pytest.raises(ValueError, match="warp_boxes: expected shape to be two positive ints"):
                augment.warp_boxes(some, matrix, shape)  # type: ignore[arg-type]


class TestAffineMatrix:
    def test_is_the_product(self):
        angle, shear, zoom = np.deg2rad(20.0), 0.15, 1.2
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        expected = zoom * rotation @ np.array([[1.0, 0.0], [shear, 1.0]])
        matrix = affine_matrix(**MOTION)
        np.testing.assert_allclose(matrix, np.c_[expected, [1.3, -0.7]], atol=1e-6)

    def test_a_right_angle_is_numpys(self, key):
        image = an_image(key, (6, 6, 2))
        turned = warp(image, affine_matrix(degrees=90.0))
        np.testing.assert_allclose(turned, np.rot90(image), atol=1e-5)


class TestRandomAffine:
    def draws(self, key, **strengths):
        keys = jax.random.split(key, 2_000)
        return np.asarray(
            jax.jit(jax.vmap(lambda k: augment.random_affine(k, **strengths)))(keys), np.float64
        )

    def test_angle_zoom_and_translation_are_uniform_and_independent(self, key):
        m = self.draws(key, degrees=30.0, scale=0.5, pixels=2.0)
        angle = np.rad2deg(np.arctan2(m[:, 1, 0], m[:, 0, 0]))
        log_zoom = np.log(np.linalg.det(m[:, :, :2])) / 2
        drawn = {"angle": (angle, 30.0), "log zoom": (log_zoom, np.log(1.5))}
        drawn |= {"dy": (m[:, 0, 2], 2.0), "dx": (m[:, 1, 2], 2.0)}
        for name, (values, limit) in drawn.items():
            assert stats.kstest(values / limit, stats.uniform(-1, 2).cdf).pvalue > 0.01, name
        correlation = np.corrcoef([values for values, _ in drawn.values()])
        np.testing.assert_allclose(correlation, np.eye(4), atol=0.1)

    def test_shear_is_uniform(self, key):
        m = self.draws(key, shear=0.3)
        assert stats.kstest(m[:, 1, 0] / 0.3, stats.uniform(-1, 2).cdf).pvalue > 0.01
        np.testing.assert_allclose(m[:, [0, 1, 0], [0, 1, 1]], np.broadcast_to([1.0, 1.0, 0.0], (2_000, 3)))

    def test_affine_applies_it(self, key):
        image = an_image(key)
        ours = augment.affine(key, image, 30.0, 0.5, 2.0, 0.3, fill=0.5)
        matrix = augment.random_affine(key, degrees=30.0, scale=0.5, pixels=2.0, shear=0.3)
        np.testing.assert_allclose(ours, by_scipy(image, matrix, 0.5, 1), atol=1e-5)
        turned = by_scipy(image, augment.random_affine(key, degrees=30.0), 0.5, 1)
        np.testing.assert_allclose(augment.rotate(key, image, 30.0, 0.5), turned, atol=1e-5)
        zoomed = by_scipy(image, augment.random_affine(key, scale=0.5), 0.5, 1)
        np.testing.assert_allclose(augment.zoom(key, image, 0.5, 0.5), zoomed, atol=1e-5)


class TestTranslate:
    @pytest.mark.parametrize(("dy", "dx"), [(2, -3), (-1, 0), (0, 8), (7, 0), (-20, 20)])
    def test_by_integers_is_exact(self, key, dy, dx):
        image = np.asarray(an_image(key))
        expected = ndimage.shift(image, (dy, dx, 0), order=0, cval=0.5)
        np.testing.assert_array_equal(translate(image, dy, dx, 0.5), expected)

    def test_by_reals_is_scipys(self, key):
        image = an_image(key)
        expected = ndimage.shift(np.asarray(image), (1.3, -0.4, 0), order=1, mode="grid-constant", cval=0.5)
        np.testing.assert_allclose(translate(image, 1.3, -0.4, 0.5), expected, atol=1e-6)


class TestShift:
    @pytest.mark.parametrize("pixels", [2, 2.7])
    def test_is_uniform_over_the_integers(self, key, pixels):
        dot = jnp.zeros((9, 9, 1)).at[4, 4].set(1.0)
        keys = jax.random.split(key, 2_500)
        moved = jax.jit(jax.vmap(augment.shift, (0, None, None)))(keys, dot, pixels)
        assert np.isin(moved, [0.0, 1.0]).all()
        counts = np.asarray(moved.sum(0))[..., 0]
        assert counts[2:7, 2:7].sum() == 2_500
        assert stats.chisquare(counts[2:7, 2:7].ravel()).pvalue > 0.01

    def test_fills_the_border(self, key):
        moved = np.asarray(augment.shift(key, jnp.zeros((3, 3, 1)), 50, fill=-1.0))
        assert (moved == -1.0).any()


class TestFlip:
    def test_happens_with_its_probability(self, key):
        image = an_image(key)
        out = jax.jit(jax.vmap(augment.flip, (0, None, None)))(jax.random.split(key, 1_000), image, 0.3)
        out, image = np.asarray(out), np.asarray(image)
        flipped = (out == np.fliplr(image)).all((1, 2, 3))
        assert ((out == image).all((1, 2, 3)) ^ flipped).all()
        assert stats.binomtest(int(flipped.sum()), 1_000, 0.3).pvalue > 0.01


class TestCutout:
    def test_centre_is_uniform(self, key):
        erase = jax.jit(jax.vmap(augment.cutout, (0, None, None)))
        out = np.asarray(erase(jax.random.split(key, 3_000), jnp.ones((5, 7, 1)), 1))
        assert ((out == 0).sum((1, 2, 3)) == 1).all()
        assert stats.chisquare((out == 0).sum(0).ravel()).pvalue > 0.01

    def test_square_may_hang_over(self, key):
        sizes, cutout = [], jax.jit(augment.cutout)
        for k in jax.random.split(key, 20):
            image = an_image(k, (6, 8, 2))
            row, column = np.argwhere(np.asarray(cutout(k, image, 1, 0.0))[..., 0] == 0)[0]
            expected = np.pad(image, ((4, 4), (4, 4), (0, 0)))
            expected[row + 3 : row + 6, column + 3 : column + 6] = 0.5
            out = np.asarray(cutout(k, image, 3.9, 0.5))
            np.testing.assert_array_equal(out, expected[4:-4, 4:-4])
            sizes.append((out == 0.5).sum())
        assert min(sizes) < max(sizes) == 3 * 3 * 2


class TestNoise:
    def test_is_gaussian(self, key):
        image = jnp.full((40, 40, 2), 5.0)
        residual = np.asarray(augment.noise(key, image, 0.3)) - 5.0
        assert stats.kstest(residual.ravel(), stats.norm(0, 0.3).cdf).pvalue > 0.01


@cache
def mixed(alpha):
    """20,000 mixtures of 12 unit vectors, as images and as targets, so that they show the weights."""
    keys, unit = jax.random.split(jax.random.key(42), 20_000), jnp.eye(12)
    images, targets = mix_up_many(keys, unit.reshape(12, 1, 1, 12), unit, alpha)
    return np.asarray(images, np.float64), np.asarray(targets, np.float64)


class TestMixUp:
    def test_mixes_images_as_targets_with_a_permutation(self):
        images, targets = mixed(1.0)
        np.testing.assert_array_equal(images[:, :, 0, 0], targets)
        np.testing.assert_allclose(targets.sum(-1), 1.0, atol=1e-6)  # each is a mixture
        np.testing.assert_allclose(targets.sum(-2), 1.0, atol=1e-6)  # and each is used as partner once
        assert ((targets > 0).sum(-1) <= 2).all()

    def test_partners_are_uniform(self):
        share = (mixed(8.0)[1] > 0).mean(0)
        np.testing.assert_allclose(share, np.where(np.eye(12), 1.0, 1 / 12), atol=0.01)

    @pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
    def test_share_is_beta(self, alpha):
        # Some of the 12 get another as partner, so that the least weight of one on itself is λ.
        share = np.diagonal(mixed(alpha)[1], axis1=1, axis2=2).min(1)
        # Near 1 float32 is too coarse for this test: for small α, λ is often rounded to 1.
        lower, beta = share[share < 0.5], stats.beta(alpha, alpha)
        assert stats.kstest(lower, lambda x: 2 * beta.cdf(x)).pvalue > 0.01
        assert stats.binomtest(len(lower), len(share), 0.5).pvalue > 0.01
        assert share.mean() == pytest.approx(0.5, abs=0.01)
        assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)

    def test_alpha_zero_does_nothing(self):
        images, targets = mixed(0.0)
        assert (targets == np.eye(12)).all()
        assert (images[:, :, 0, 0] == np.eye(12)).all()

    def test_alpha_zero_computes_no_nan(self, key):
        with jax.debug_nans(True):
            augment.mix_up(key, jnp.ones((2, 1, 1, 1)), jnp.eye(2), 0.0)

    def test_keeps_dtypes(self, key):
        batch = jnp.ones((2, 3, 3, 1), jnp.bfloat16)
        images, targets = jax.eval_shape(augment.mix_up, key, batch, jnp.eye(2), 0.3)
        assert (images.dtype, targets.dtype) == (jnp.bfloat16, jnp.float32)

    def test_bad_input(self, key):
        for images, targets in (((3, 3, 1), (3, 2)), ((4, 3, 3, 1), (3, 2)), ((4, 3, 3, 1), (4,))):
            with pytest.raises(ValueError, match="mix_up: expected images"):
                augment.mix_up(key, jnp.zeros(images), jnp.zeros(targets), 0.3)
        with pytest.raises(ValueError, match="floating dtypes"):
            augment.mix_up(key, jnp.zeros((4, 3, 3, 1)), jnp.zeros((4, 2), jnp.int32), 0.3)
