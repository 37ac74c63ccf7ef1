"""Configurations: declared, checked, parsed, saved, and as pytrees."""

import dataclasses
import json
import subprocess
import sys
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.core.config import (
    RunConfig,
    config,
    from_dict,
    static,
    static_part,
    to_dict,
    traced,
    without_traced,
)
from mi203jax.core.errors import UsageError
from mi203jax.core.fields import describe, format_value, parse_value, type_name


@config
class Example(RunConfig):
    """One field of each type."""

    rate: float = traced(0.5, "a rate", "(0, 1]")
    count: int = traced(3, "a count", "[0, 10)")
    name: str = static("a", "a name")
    flag: bool = static(False, "a flag")
    kind: Literal["squared", "huber"] = static("huber", "a kind")
    widths: tuple[int, ...] = static((32, 64), "widths", "[1, inf)")
    factors: tuple[float, ...] = static((0.5,), "factors")

    def check(self) -> None:
        super().check()
        if self.name == "bad":
            raise UsageError("name=bad: expected another.")


class TestParsing:
    @pytest.mark.parametrize(
        ("field", "text", "value"),
        [
            ("rate", "1e-3", 1e-3),
            ("rate", "1", 1.0),
            ("count", "7", 7),
            ("total_steps", "1e6", 1_000_000),
            ("total_steps", "1_000", 1000),
            ("name", "b c", "b c"),
            ("name", "b\n\tc", "b\n\tc"),
            ("flag", "true", True),
            ("flag", "False", False),
            ("kind", "squared", "squared"),
            ("widths", "(8, 16)", (8, 16)),
            ("widths", "(8,)", (8,)),
            ("widths", "()", ()),
            ("factors", "(1,2.5)", (1.0, 2.5)),
        ],
    )
    def test_by_type(self, field, text, value):
        parsed = parse_value(Example, field, text)
        assert parsed == value
        assert type(parsed) is type(value)

    @pytest.mark.parametrize(
        ("field", "text", "message"),
        [
            ("rate", "fast", "rate=fast: expected a finite number in (0, 1] (a rate)."),
            ("rate", "0", "rate=0.0: expected a finite number in (0, 1]"),
            ("rate", "1.5", "rate=1.5: expected"),
            ("rate", "nan", "rate=nan: expected a finite number"),
            ("rate", "-inf", "rate=-inf: expected a finite number"),
            ("rate", "", "rate=: expected a finite number"),
            ("count", "10", "count=10: expected a whole number in [0, 10)"),
            ("count", "2.5", "count=2.5: expected a whole number"),
            ("count", "inf", "count=inf: expected a whole number"),
            ("flag", "yes", "flag=yes: expected true or false"),
            ("kind", "hubre", "kind=hubre: expected one of squared, huber. Did you mean 'huber'?"),
            ("widths", "32", "widths=32: expected a tuple such as (32,64), each a whole number in [1, inf)"),
            ("widths", "(0)", "widths=0: expected"),
            ("widths", "(a)", "widths=(a): expected"),
            ("widths", "(1,,2)", "widths=(1,,2): expected a tuple"),
            ("widths", "(,)", "widths=(,): expected a tuple"),
            ("count", "9" * 400, f"count={'9' * 400}: expected a whole number in [0, 10), and of a size"),
            (
                "name",
                "a\x1b[31m",
                "name=a\x1b[31m: expected a text without control characters, in UTF-8 (a name).",
            ),
            ("name", "a\udcff", "name=a\udcff: expected a text without control characters, in UTF-8"),
            ("rat", "1", "Unknown field 'rat'. Did you mean 'rate'?"),
        ],
    )
    def test_refusals_name_value_and_expectation(self, field, text, message):
        with pytest.raises(UsageError) as error:
            parse_value(Example, field, text)
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)


def test_the_example_of_a_tuple_is_of_its_type():
    assert type_name(tuple[str, ...]) == "a tuple such as (one,two), each a text"
    assert type_name(tuple[int, ...]) == "a tuple such as (32,64), each a whole number"


class TestConstruction:
    def test_values_are_checked(self):
        with pytest.raises(UsageError, match="rate=2"):
            Example(rate=2.0)
        with pytest.raises(UsageError, match="count=True"):
            Example(count=True)
        for value in (None, {}, [1], object()):
            with pytest.raises(UsageError, match="name="):
                Example(name=value)
        with pytest.raises(UsageError, match=r"rate=\{\}"):
            Example(rate={})

    def test_numbers_that_no_float_holds(self):
        for value, shown in ((10**400, "inf"), (-(10**400), "-inf")):
            with pytest.raises(UsageError, match=f"rate={shown}: expected a finite number"):
                Example(rate=value)

    def test_numpy_scalars_are_numbers(self):
        with pytest.raises(UsageError, match="rate=5"):
            Example(rate=np.float32(5))
        with pytest.raises(UsageError, match="total_steps=0"):
            Example(total_steps=np.int64(0))
        assert type(Example(count=np.int32(4)).count) is int
        with pytest.raises(UsageError, match="expected another"):
            Example(name="bad")

    def test_an_int_for_a_float_becomes_one(self):
        assert type(Example(rate=1).rate) is float

    def test_is_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Example().rate = 0.1

    def test_arrays_pass(self):
        assert Example(rate=jnp.array([2.0, 3.0])).rate.shape == (2,)

    def test_fields_must_be_declared(self):
        with pytest.raises(TypeError, match="declare it"):
            config(type("Bad", (RunConfig,), {"__annotations__": {"x": int}, "x": 3}))
        with pytest.raises(TypeError, match="Odd.step: the table of results has a column of that name"):
            config(type("Odd", (RunConfig,), {"__annotations__": {"step": int}, "step": static(0, "it")}))
        with pytest.raises(TypeError, match="only int and float"):
            config(type("Bad", (RunConfig,), {"__annotations__": {"x": str}, "x": traced("a", "text")}))

    def test_a_wrong_interval_is_the_programmers_mistake(self):
        with pytest.raises(ValueError, match="not an interval"):
            traced(1.0, "x", "0 to 1")


class TestPytree:
    def test_traced_fields_are_leaves(self):
        assert sorted(jax.tree.leaves(Example(rate=0.25))) == [0, 0.25, 3]

    def test_paths_name_fields(self):
        paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(Example())]
        assert paths == [".seed", ".rate", ".count"]

    def test_structure_is_the_static_part(self):
        a, b, c = Example(rate=0.1), Example(rate=0.2), Example(name="b")
        assert jax.tree.structure(a) == jax.tree.structure(b) != jax.tree.structure(c)
        assert static_part(a) == static_part(b) != static_part(c)
        assert hash(static_part(a)) == hash(static_part(b))

    def test_anything_may_stand_in_for_a_leaf(self):
        assert jax.tree.map(lambda _: None, Example()).rate is None
        assert jax.tree.map(lambda x: -x - 1, Example()).rate == -1.5  # outside its interval: not checked

    def test_what_trials_share_has_no_leaves(self):
        c = without_traced(Example(name="b", widths=(8,)))
        assert isinstance(c, Example)
        assert (c.name, c.widths, c.kind, c.total_steps) == ("b", (8,), "huber", Example().total_steps)
        for name in ("rate", "count", "seed"):
            with pytest.raises(UsageError, match=f"{name} was asked for by the task's `data`.*`static`"):
                getattr(c, name)

    def test_under_vmap(self):
        stacked = jax.tree.map(lambda *x: jnp.stack(x), Example(rate=0.25), Example(rate=1.0))
        doubled = jax.jit(jax.vmap(lambda c: 2 * c.rate + len(c.widths)))(stacked)
        assert doubled.tolist() == [2.5, 4.0]

    def test_declared_before_jax_is_imported(self):
        """A fresh process: the class first, then jax, then the core."""
        code = (
            "import sys; from mi203jax.configs import DQN; assert 'jax' not in sys.modules; "
            "import jax; import mi203jax.core.task; assert len(jax.tree.leaves(DQN())) > 3"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestSaving:
    def test_round_trip_through_json(self):
        c = Example(rate=0.1 + 0.2, widths=(1, 2, 3), kind="squared", flag=True, factors=())
        again = from_dict(Example, json.loads(json.dumps(to_dict(c))))
        assert again == c
        assert type(again.widths) is tuple

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"rate": "__import__('os')"}, "rate=__import__"),
            ({"rte": 1.0}, "Unknown field 'rte'"),
            ({"widths": [1, "a"]}, "widths=a"),
            ({"total_steps": 1.5}, "total_steps=1.5"),
        ],
    )
    def test_damage_is_named(self, change, message):
        with pytest.raises(UsageError) as error:
            from_dict(Example, to_dict(Example()) | change)
        assert str(error.value).startswith(message)

    def test_a_missing_field_is_named(self):
        values = to_dict(Example())
        del values["rate"]
        with pytest.raises(UsageError, match="Missing field 'rate'"):
            from_dict(Example, values)


def test_describe_has_a_row_a_field():
    rows = {r["field"]: r for r in describe(Example())}
    assert list(rows)[:3] == ["seed", "total_steps", "eval_every"]
    assert rows["rate"] == {
        "field": "rate", "value": "0.5", "takes": "float in (0, 1]", "swept": "together", "meaning": "a rate",
    }  # fmt: skip
    assert rows["widths"]["takes"] == "(int,...) in [1, inf)"
    assert rows["kind"]["takes"] == "squared|huber"


@pytest.mark.parametrize("value", [0.1, 1e-5, 1 / 3, 3, True, (1, 2), (0.5,), "text"])
def test_formatted_values_parse_back(value):
    field = {float: "rate", int: "count", bool: "flag", str: "name"}.get(type(value))
    field = field or ("widths" if isinstance(value[0], int) else "factors")
    assert parse_value(Example, field, format_value(value)) == value


@pytest.mark.parametrize(
    ("total", "every", "per_iteration", "iterations", "between"),
    [(100, 10, 1, 100, 10), (100, 30, 8, 13, 3), (5, 1000, 1, 5, 5), (100, 3, 8, 13, 1)],
)
def test_steps_in_iterations(total, every, per_iteration, iterations, between):
    class C(RunConfig):
        steps_per_iteration = per_iteration

    c = C(total_steps=total, eval_every=every)
    assert (c.num_iterations, c.eval_iterations) == (iterations, between)
