"""How often intervals hold: what is drawn has the mean that is said, and each method is asked rightly."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.coverage import DIFFERENCES, PICKED, by_scipy, held, students


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_have_the_mean_that_is_said(name):
    draw, mean = DIFFERENCES[name]
    x = draw(np.random.default_rng(0), (200_000, 1))
    assert x.mean() == pytest.approx(mean, abs=5 * stats.sem(x[:, 0]))


def test_intervals_of_samples_around_their_mean_hold_and_others_do_not():
    samples = np.random.default_rng(0).normal(size=(30, 12))
    centred = samples - samples.mean(1, keepdims=True)
    assert held(centred, 0.95).all()
    assert not held(centred + 9, 0.95).any()
    for found in (students, lambda x: by_scipy(x, "basic")):
        assert found(centred).all()
        assert not found(centred + 9).any()


def test_a_higher_level_holds_what_a_lower_one_does_and_more():
    samples = np.random.default_rng(0).normal(0.7, 1, size=(30, 12))
    usual, higher = held(samples, 0.95), held(samples, 1 - 0.05 / 5)
    assert (higher >= usual).all()
    assert 0 < usual.sum() < higher.sum() < 30
    assert PICKED > 0.999
