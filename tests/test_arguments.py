import jax
import jax.numpy as jnp
import pytest

from mi203jax.arguments import check_int, scalar


class TestScalar:
    def test_an_array_of_the_dtype(self):
        assert scalar("f", "x", 2, jnp.bfloat16).dtype == jnp.bfloat16
        assert jax.jit(lambda x: scalar("f", "x", x))(3) == 3.0

    def test_anything_else_is_refused(self):
        with pytest.raises(ValueError, match=r"f: expected x to be a scalar, got shape \(2,\)"):
            scalar("f", "x", jnp.ones(2))


class TestCheckInt:
    def test_within_limits(self):
        for value in (1, 5):
            check_int("f", "n", value, 5)
        check_int("f", "n", 10**9)

    @pytest.mark.parametrize("value", [0, -1, 1.0, True, None])
    def test_no_positive_int(self, value):
        with pytest.raises(ValueError, match=f"f: expected n to be a positive int, got {value!r}"):
            check_int("f", "n", value)

    def test_too_large(self):
        with pytest.raises(ValueError, match="f: expected n to be an int from 1 to 5, got 6"):
            check_int("f", "n", 6, 5)
