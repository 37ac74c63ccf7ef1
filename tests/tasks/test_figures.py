"""Figures of the classification tasks, read back where they hold numbers."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from mi203jax.configs import ImageClassification, Vectors
from mi203jax.core.task import Animation
from mi203jax.tasks import image_classification, image_figures, vectors

C = ImageClassification(data="digits/blocks", channels=(4,), convs=1, batch_size=32, total_steps=64)


@functools.cache
def start(task, c):
    """The first state, and the data."""
    data = task.data(c)
    return jax.jit(functools.partial(task.init, c))(data, jax.random.key(0)), data


class TestImages:
    @pytest.mark.parametrize("channels", [(4,), ()])
    def test_all_of_them(self, channels):
        c = replace(C, channels=channels)
        state, data = start(image_classification.task, c)
        drawn = image_classification.task.figures(c, state, data)
        always = {"confusion", "calibration", "mistakes", "inputs", "shifts", "filters"}
        assert set(drawn) == always | ({"feature_maps", "receptive_field"} if channels else set())

    def test_confusion(self):
        scores = jax.random.normal(jax.random.key(0), (60, 3))
        labels = jnp.arange(60) % 3
        figure = image_figures.confusion(scores, labels, "abc")
        numbers = {
            (int(t.get_position()[1]), int(t.get_position()[0])): int(t.get_text())
            for t in figure.axes[0].texts
        }
        expected = confusion_matrix(labels, scores.argmax(-1))
        assert numbers == {index: n for index, n in np.ndenumerate(expected) if n}

    def test_mistakes_are_the_costliest_and_named(self):
        state, data = start(image_classification.task, C)
        labels = np.asarray(data.test["label"])
        sure = np.full((len(labels), 10), -9.0)
        sure[np.arange(len(labels)), labels] = 9.0
        for i, confidence in ((7, 20.0), (3, 30.0)):
            sure[i, (labels[i] + 1) % 10] = confidence
        classes = tuple("0123456789")
        batch = image_classification.prepare(C, data.test, state.statistics)
        costs = image_classification.loss(C, jnp.asarray(sure), batch)
        figure = image_figures.mistakes(jnp.asarray(sure), costs, data, classes)
        titles = [a.get_title() for a in figure.axes if a.get_title()]
        assert titles == [f"{labels[i]} taken for {(labels[i] + 1) % 10}" for i in (3, 7)]

    def test_receptive_fields_grow_with_the_stages(self):
        c = replace(C, channels=(4, 4), convs=1)
        state, data = start(image_classification.task, c)
        stages = image_figures.stage_functions(image_classification.problem, c, state, data)
        figure = image_figures.receptive_fields(stages, data)
        # Of 8 pixels each way, those of the second stage, one lies outside the image.
        assert [a.get_title() for a in figure.axes] == ["stage0: 3×3 pixels", "stage1: 7×7 pixels"]


class TestVectors:
    def test_a_frame_a_moment(self):
        c = Vectors(frames=3, total_steps=96)
        state, data = start(vectors.task, c)
        drawn = vectors.task.figures(c, state, data)
        animation = drawn["boundary"]
        assert isinstance(animation, Animation)
        assert len(animation.frames) > 3
        assert "margins" in drawn

    def test_a_table_has_no_plane(self):
        c = Vectors(data="breast_cancer")
        assert set(vectors.task.figures(c, *start(vectors.task, c))) == {"margins"}
