"""The grammar of a sweep."""

import numpy as np
import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.space import Distribution, parse_axis
from tests.core.toy import Toy


class TestLists:
    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("0.5", [0.5]),
            ("1e-4,1e-3", [1e-4, 1e-3]),
            ("lin(0.1,0.5,5)", [0.1, 0.2, 0.3, 0.4, 0.5]),
            ("log(1e-5,1e-1,5)", [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
            ("log(1, 8, 4)", [1.0, 2.0, 4.0, 8.0]),
            ("0.3,lin(1,2,2),7", [0.3, 1.0, 2.0, 7.0]),
        ],
    )
    def test_of_numbers(self, text, values):
        assert parse_axis(Toy, f"learning_rate={text}") == ("learning_rate", values)

    def test_of_whole_numbers(self):
        assert parse_axis(Toy, "dimension=log(1,64,4)") == ("dimension", [1, 4, 16, 64])
        assert parse_axis(Toy, "seed=lin(0,2000000001,2)") == ("seed", [0, 2_000_000_001])
        assert parse_axis(Toy, "dimension=log(16,100,4)") == ("dimension", [16, 29, 54, 100])

    def test_bounds_are_as_typed(self):
        assert parse_axis(Toy, "learning_rate=lin(0.12345678,0.2,2)")[1] == [0.12345678, 0.2]

    def test_at_equal_ratios_and_distances(self):
        _, log = parse_axis(Toy, "learning_rate=log(3e-4,0.7,9)")
        np.testing.assert_allclose(log, np.geomspace(3e-4, 0.7, 9), rtol=1e-5)
        _, lin = parse_axis(Toy, "learning_rate=lin(3e-4,0.7,9)")
        np.testing.assert_allclose(lin, np.linspace(3e-4, 0.7, 9), rtol=1e-5)


class TestDistributions:
    def axis(self, text):
        return parse_axis(Toy, text)[1]

    def test_bounds_are_the_ends(self):
        d = self.axis("learning_rate=loguniform(1e-5,1e-1)")
        assert d == Distribution("loguniform", 1e-5, 1e-1)
        assert (d.at(0.0), d.at(0.5), d.at(1.0)) == (1e-5, 1e-3, 1e-1)
        d = self.axis("learning_rate=uniform(1,3)")
        assert (d.at(0.0), d.at(0.25), d.at(1.0)) == (1.0, 1.5, 3.0)

    def test_a_narrow_one_tells_its_values_apart(self):
        d = self.axis("learning_rate=uniform(0.999999,0.9999999)")
        assert len({d.at(u) for u in np.linspace(0, 1, 100)}) > 90

    def test_whole_numbers_are_equally_likely(self):
        d = self.axis("seed=uniform(2,5)")
        drawn = [d.at(u) for u in (np.arange(4000) + 0.5) / 4000]
        assert [drawn.count(k) for k in (2, 3, 4, 5)] == [1000] * 4
        assert all(type(v) is int for v in drawn)

    def test_choices_are_equally_likely(self):
        d = self.axis("dimension=choice(3,1,8)")
        drawn = [d.at(u) for u in (np.arange(3000) + 0.5) / 3000]
        assert [drawn.count(k) for k in (3, 1, 8)] == [1000] * 3


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("rate=log(1,2,3)", "Unknown field 'rate'"),
        ("learning_rate=log(1e-1,1e-3,5)", "learning_rate=log(1e-1,1e-3,5): expected the lower bound first"),
        ("learning_rate=uniform(2,2)", "learning_rate=uniform(2,2): expected the lower bound first"),
        ("noise=log(0,1,5)", "noise=log(0,1,5): expected bounds above 0"),
        ("noise=loguniform(0,1)", "noise=loguniform(0,1): expected bounds above 0"),
        ("learning_rate=log(-1,1,5)", "learning_rate=-1.0: expected a finite number in (0, inf)"),
        (
            "learning_rate=log(1e-3,1)",
            "learning_rate=log(1e-3,1): expected learning_rate=log(LOW,HIGH,COUNT).",
        ),
        (
            "learning_rate=uniform(1,2,3)",
            "learning_rate=uniform(1,2,3): expected learning_rate=uniform(LOW,HIGH).",
        ),
        ("learning_rate=lin(1,2,x)", "learning_rate=lin(1,2,x): expected a whole number in [2, 10000]"),
        ("learning_rate=lin(1,2,1)", "learning_rate=lin(1,2,1): expected a whole number in [2, 10000]"),
        ("dimension=lin(1,2,4)", "dimension=1 is given twice"),
        (
            "learning_rate=lin(1,2,1000000000)",
            "learning_rate=lin(1,2,1000000000): expected a whole number in",
        ),
        ("dimension=uniform(1,5)", "dimension=uniform(1,5): dimension shapes the program"),
        ("fail=uniform(0,1)", "fail=uniform(0,1): fail shapes the program"),
        ("fail=lin(0,1,2)", "fail=lin(0,1,2): fail is not a number"),
        ("learning_rate=0.1,uniform(1,2)", "learning_rate=uniform(1,2) stands alone"),
        ("learning_rate=choice(0.1,fast)", "learning_rate=fast: expected a finite number"),
        ("learning_rate=choice(0.1,0.1)", "learning_rate=0.1 is given twice"),
        ("learning_rate=1,lin(1,2,2)", "learning_rate=1 is given twice"),
        ("learning_rate=lin(1,2,9999),3,4", "learning_rate: expected at most 10000 values."),
        ("learning_rate=log(1,2,3", "learning_rate=log(1,2,3: expected a finite number"),
    ],
)
def test_refusals(typed, message):
    with pytest.raises(UsageError) as error:
        parse_axis(Toy, typed)
    assert str(error.value).startswith(message)
