"""Every registered experiment."""

import importlib
import json

import pytest

import experiments
from mi203jax.core.config import RunConfig, from_dict, to_dict
from mi203jax.core.errors import UsageError
from mi203jax.core.fields import describe
from mi203jax.core.series import Series
from mi203jax.core.task import Task

ALL = pytest.mark.parametrize("name", experiments.names())


@ALL
def test_is_described(name):
    assert experiments.summary(name) == importlib.import_module(f"experiments.{name}").__doc__.splitlines()[0]
    assert 20 < len(experiments.summary(name)) < 120
    assert f"--exp={name}" in importlib.import_module(f"experiments.{name}").__doc__


@ALL
def test_has_a_configuration_and_a_task(name):
    experiment = experiments.get(name)
    if experiment.series:
        assert isinstance(experiment.load_series(), Series)
        return
    assert isinstance(experiment.config, RunConfig)
    task = experiment.load_task()
    assert isinstance(task, Task)
    assert task.objective.startswith("eval/")
    assert task.best in ("max", "min")


@ALL
def test_configuration_survives_json(name):
    config = experiments.get(name).config
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


@ALL
def test_every_field_is_documented(name):
    for row in describe(experiments.get(name).config):
        assert 5 < len(row["meaning"]) < 90, row


def test_an_unknown_one():
    with pytest.raises(UsageError, match="Unknown experiment 'dqnn'. Did you mean 'dqn'?"):
        experiments.get("dqnn")


@ALL
def test_named_sweeps_are_understood(name):
    experiment = experiments.get(name)
    for sweep in [None, *experiment.sweeps]:
        assert experiment.sweep(sweep).trials()


class TestSweeps:
    experiment = experiments.get("image_classification")

    def test_what_is_given_takes_the_place_of_the_sweeps_own(self):
        (c,) = self.experiment.sweep("best", ["rotation=3"]).trials()
        assert (c.rotation, c.channels) == (3.0, (24, 48, 96))

    def test_the_default_sweep(self):
        trials = experiments.get("mlp_vs_cnn").sweep(None, ["model=cnn"]).trials()
        assert [(c.model, c.images) for c in trials] == [("cnn", i) for i in ("plain", "shifted", "permuted")]

    def test_an_unknown_one(self):
        with pytest.raises(UsageError, match="Unknown --sweep=bets. Did you mean 'best'?"):
            self.experiment.sweep("bets")
