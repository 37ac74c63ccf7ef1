"""A small classifier of real digits judges samples, those of a short run among them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.configs import GAN
from mi203jax.core.loop import Group, trial
from mi203jax.data import load
from mi203jax.tasks import gan, sample_judge
from mi203jax.tasks.supervised import snapshot_iterations

C = GAN(
    data="digits/blocks", channels=(8,), latent=16, batch_size=32, total_steps=9_600, eval_every=9_600,
    frames=4, learning_rate=2e-3,
)  # fmt: skip
TEST = load("digits/blocks", "test").arrays


@pytest.fixture(scope="module")
def classifier():
    c = sample_judge.classifier_config(C)
    return replace(c, channels=(8,), convs=1, learning_rate=1e-2, total_steps=19_200, eval_every=19_200)


@pytest.fixture(scope="module")
def judge(classifier):
    return sample_judge.sample_judge(classifier)


@pytest.fixture(scope="module")
def judged(classifier, judge):
    return jax.jit(lambda images: sample_judge.judge_samples(classifier, judge, images))


def real():
    return jnp.asarray(TEST["image"][: sample_judge.COMPARED] / 16.0)


class TestJudge:
    def test_it_learnt_the_digits(self, classifier, judge):
        _, scores = sample_judge.features(classifier, judge.classifier, jnp.asarray(TEST["image"]))
        assert (np.asarray(scores).argmax(1) == TEST["label"]).mean() > 0.8

    def test_real_images_are_like_themselves(self, judged):
        found = judged(real())
        assert abs(found["frechet_distance"]) < 1e-2 * found["gaussian_frechet_distance"]
        assert found["sample_precision"] == found["sample_recall"] == 1
        assert found["modes"] >= 8

    def test_a_floor_below_a_gaussian(self, judged):
        found = judged(real())
        for name in ("frechet_distance", "kernel_distance"):
            assert found[f"floor_{name}"] < 0.5 * found[f"gaussian_{name}"]

    def test_images_of_one_class_are_one_mode(self, judged):
        zeros = real()[TEST["label"][: len(real())] == 0]
        found = judged(jnp.resize(zeros, real().shape))
        assert found["modes"] < 4
        assert found["least_mode"] < 0.05
        assert found["sample_recall"] < 0.5 < found["sample_precision"]

    def test_what_is_no_number_has_no_modes(self, judged):
        found = judged(real().at[0].set(jnp.nan))
        assert all(jnp.isnan(found[name]) for name in ("frechet_distance", "modes", "least_mode"))

    def test_whether_samples_look_like_their_labels(self, classifier, judge):
        labels = jnp.asarray(TEST["label"][: len(real())])
        for given, share in ((labels, 0.85), ((labels + 1) % 10, 0.0)):
            found = sample_judge.judge_samples(classifier, judge, real(), given)
            assert found["label_accuracy"] == pytest.approx(share, abs=0.15)


def test_a_gans_samples_come_near_to_real_images(classifier, monkeypatch):
    monkeypatch.setattr(gan, "classifier_config", lambda c: classifier)
    data = gan.data(C)
    first, *_, end = Group(gan.task, [C], data).run(lambda: 10**6)
    before, after = ({n: float(v[0]) for n, v in one.evaluation.items()} for one in (first, end))
    assert after["eval/floor_frechet_distance"] < after["eval/frechet_distance"]
    assert after["eval/frechet_distance"] < 0.3 * before["eval/frechet_distance"]
    assert after["eval/modes"] > before["eval/modes"]
    state = trial(end.carry.state, 0)
    assert state.moments.samples.shape == (C.frames, gan.SHOWN, 8, 8, 1)
    last = gan.shown(C, data, state.average, state.generator.layers, state.keys)
    difference = state.moments.samples[-1].astype(float) - np.asarray(last)
    assert np.abs(difference).max() <= 1  # rounded differently
    known = np.isfinite(state.moments.losses).all(-1)
    np.testing.assert_array_equal(known, snapshot_iterations(C.frames, C.num_iterations) > 0)
