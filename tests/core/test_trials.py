"""From what was typed to trials, arms and groups."""

import json

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.trials import Sweep, arms, counted, group, label, varied_fields
from tests.core.toy import Toy


def trials(*assignments, **options):
    return Sweep(Toy(), assignments, **options).trials()


def test_a_run_is_a_sweep_of_one():
    assert trials() == [Toy()]
    assert trials("learning_rate=0.5") == [Toy(learning_rate=0.5)]


def test_every_combination_with_every_seed():
    found = trials("learning_rate=0.1,0.2", "dimension=3,4", seeds=2)
    assert [(c.learning_rate, c.dimension, c.seed) for c in found] == [
        (0.1, 3, 0), (0.1, 3, 1), (0.1, 4, 0), (0.1, 4, 1), (0.2, 3, 0), (0.2, 3, 1), (0.2, 4, 0), (0.2, 4, 1),
    ]  # fmt: skip


def test_seeds_start_at_the_seed():
    assert [c.seed for c in trials("seed=5", seeds=3)] == [5, 6, 7]
    assert [c.seed for c in trials("seed=5,9")] == [5, 9]


def test_groups_share_their_static_part():
    found = trials("dimension=3,4", "learning_rate=0.1,0.2", seeds=2)
    assert group(found) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_arms_differ_in_their_seed_alone():
    found = trials("learning_rate=0.1,0.2", "dimension=3,4", seeds=2)
    assert arms(found) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_trial_that_is_there_twice_counts_once_in_its_arm():
    assert arms([Toy(), Toy(seed=1), Toy(noise=1.0), Toy(), Toy(seed=2)]) == [[0, 1, 4], [2]]


def test_labels_tell_trials_apart():
    found = trials("learning_rate=0.1,0.2", seeds=2)
    fields = varied_fields(found)
    assert fields == ["learning_rate", "seed"]
    assert label(found[3], fields) == "learning_rate=0.2 seed=1"


class TestDraws:
    space = ("learning_rate=loguniform(1e-4,1)", "noise=uniform(0,2)")

    @pytest.mark.parametrize("search", ["random", "sobol"])
    def test_are_reproducible_and_within_their_bounds(self, search):
        found = trials(*self.space, draws=20, search=search)
        assert found == trials(*self.space, draws=20, search=search)
        assert found[:7] == trials(*self.space, draws=7, search=search)
        other = trials(*self.space, "seed=1", draws=20, search=search)
        assert not {c.learning_rate for c in found} & {c.learning_rate for c in other}
        assert len({c.learning_rate for c in found}) == 20
        assert all(1e-4 <= c.learning_rate <= 1 and 0 <= c.noise <= 2 for c in found)

    def test_each_draw_with_every_seed(self):
        found = trials(*self.space, draws=3, seeds=2)
        assert [c.seed for c in found] == [0, 1] * 3
        assert [found[i].noise == found[i + 1].noise for i in (0, 2, 4)] == [True] * 3

    def test_arms_of_a_list_share_their_draws(self):
        """So that they are compared on the same values."""
        found = trials("dimension=1,2", *self.space, draws=3)
        assert [(c.learning_rate, c.noise) for c in found[:3]] == [
            (c.learning_rate, c.noise) for c in found[3:]
        ]

    def test_an_equal_draw_is_not_another_trial(self):
        found = trials("dimension=choice(1,2)", draws=20, seeds=2)
        assert sorted((c.dimension, c.seed) for c in found) == [(1, 0), (1, 1), (2, 0), (2, 1)]

    def test_number_of_trials_is_known_before(self):
        for options in ({"draws": 5, "seeds": 2}, {"draws": 5, "search": "sobol"}):
            sweep = Sweep(Toy(), ("dimension=1,2", *self.space), **options)
            assert sweep.num_trials() == len(sweep.trials())


@pytest.mark.parametrize(
    ("assignments", "options", "message"),
    [
        (["lerning_rate=1"], {}, "Unknown field 'lerning_rate'. Did you mean 'learning_rate'?"),
        (["learning_rate"], {}, "'learning_rate' has no value: expected learning_rate=VALUE."),
        (["learning_rat"], {}, "Unknown field 'learning_rat'"),
        (["learning_rate=0.1,"], {}, "learning_rate=: expected a finite number"),
        (["learning_rate=0.1", "learning_rate=0.2"], {}, "'learning_rate' is given twice"),
        (["learning_rate=0.1,0.1"], {}, "learning_rate=0.1 is given twice."),
        ([], {"seeds": 0}, "--seeds=0: expected"),
        ([], {"seeds": 100_001}, "--seeds=100001: expected a whole number in [1, 100000]."),
        (["noise=uniform(0,1)"], {"draws": 10**9}, "--trials=1000000000: expected a whole number"),
        (
            ["noise=lin(1,2,1000)", "dimension=1,2"],
            {"seeds": 51},
            "102,000 trials: expected at most 100,000.",
        ),
        (["seed=1,2"], {"seeds": 2}, "--seeds=2 contradicts several values of the field seed."),
        (["seed=uniform(1,9)"], {"seeds": 2, "draws": 3}, "--seeds=2 contradicts several values"),
        (["seed=2147483647"], {"seeds": 2}, "--seeds=2: seeds from 2147483647 upwards pass 2147483647."),
        (["noise=uniform(0,1)"], {}, "noise is drawn: expected --trials=COUNT beside it."),
        (["noise=uniform(0,1)"], {"draws": 0}, "--trials=0: expected a whole number in [1, 100000]."),
        (["noise=1"], {"draws": 3}, "--trials=3: nothing is drawn."),
        (["noise=1"], {"search": "sobol"}, "--search=sobol: nothing is drawn."),
        (
            ["noise=uniform(0,1)", "dimension=1,2"],
            {"draws": 3, "search": "optuna"},
            "--search=optuna draws each field that varies: expected dimension=choice(VALUE,VALUE).",
        ),
        (["noise=uniform(0,1)"], {"draws": 3, "at_once": 0}, "--at-once=0: expected"),
        (
            ["noise=uniform(0,1)", "seed=1,2"],
            {"draws": 3, "search": "optuna"},
            "--search=optuna draws each field that varies: expected --seeds=COUNT.",
        ),
    ],
)
def test_refusals(assignments, options, message):
    with pytest.raises(UsageError) as error:
        trials(*assignments, **options)
    assert str(error.value).startswith(message)


class TestOfAFile:
    def test_is_the_same_again(self):
        sweep = Sweep(Toy(), ("noise=uniform(0,1)",), 2, 3, "sobol", 4)
        told = json.loads(json.dumps({n: v for n, v in sweep._asdict().items() if n != "base"}))
        assert Sweep.of(Toy(), told) == sweep
        assert Sweep.of(Toy(), {}) == Sweep(Toy())

    @pytest.mark.parametrize(
        "told",
        [
            {"seed": 1},
            {"seeds": "2"},
            {"seeds": True},
            {"draws": 1.5},
            {"search": "grid"},
            {"search": []},
            {"assignments": 3},
            {"assignments": [3]},
        ],
    )
    def test_what_is_none(self, told):
        with pytest.raises(TypeError):
            Sweep.of(Toy(), told)

    def test_what_cannot_work(self):
        with pytest.raises(UsageError, match="Unknown field 'x'"):
            Sweep.of(Toy(), {"assignments": ["x=1"]})


def test_counted():
    assert [counted(n, "trial") for n in (0, 1, 2, 1234)] == [
        "0 trials",
        "1 trial",
        "2 trials",
        "1,234 trials",
    ]
