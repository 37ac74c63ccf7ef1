"""From what was typed to trials and groups."""

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.trials import expand, group, label, varied_fields
from tests.core.toy import Toy


def test_a_run_is_a_sweep_of_one():
    assert expand(Toy(), []) == [Toy()]
    assert expand(Toy(), ["learning_rate=0.5"]) == [Toy(learning_rate=0.5)]


def test_every_combination_with_every_seed():
    trials = expand(Toy(), ["learning_rate=0.1,0.2", "dimension=3,4"], seeds=2)
    assert [(c.learning_rate, c.dimension, c.seed) for c in trials] == [
        (0.1, 3, 0), (0.1, 3, 1), (0.1, 4, 0), (0.1, 4, 1), (0.2, 3, 0), (0.2, 3, 1), (0.2, 4, 0), (0.2, 4, 1),
    ]  # fmt: skip


def test_seeds_start_at_the_seed():
    assert [c.seed for c in expand(Toy(), ["seed=5"], seeds=3)] == [5, 6, 7]
    assert [c.seed for c in expand(Toy(), ["seed=5,9"])] == [5, 9]


def test_groups_share_their_static_part():
    trials = expand(Toy(), ["dimension=3,4", "learning_rate=0.1,0.2"], seeds=2)
    assert group(trials) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_labels_tell_trials_apart():
    trials = expand(Toy(), ["learning_rate=0.1,0.2"], seeds=2)
    fields = varied_fields(trials)
    assert fields == ["learning_rate", "seed"]
    assert label(trials[3], fields) == "learning_rate=0.2 seed=1"


@pytest.mark.parametrize(
    ("assignments", "seeds", "message"),
    [
        (["lerning_rate=1"], 1, "Unknown field 'lerning_rate'. Did you mean 'learning_rate'?"),
        (["learning_rate"], 1, "'learning_rate' has no value: expected learning_rate=VALUE."),
        (["learning_rat"], 1, "Unknown field 'learning_rat'"),
        (["learning_rate=0.1,"], 1, "learning_rate=: expected a finite number"),
        (["learning_rate=0.1", "learning_rate=0.2"], 1, "'learning_rate' is given twice"),
        (["learning_rate=0.1,0.1"], 1, "learning_rate=0.1 is given twice."),
        ([], 0, "--seeds=0: expected"),
        (["seed=1,2"], 2, "--seeds=2 contradicts seed=1,2."),
        (["seed=2147483647"], 2, "--seeds=2: seeds from 2147483647 upwards pass 2147483647."),
    ],
)
def test_refusals(assignments, seeds, message):
    with pytest.raises(UsageError) as error:
        expand(Toy(), assignments, seeds)
    assert str(error.value).startswith(message)
