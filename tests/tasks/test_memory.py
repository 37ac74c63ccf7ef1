"""Problems of memory: the task learns them, and its figures say what they show."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import UsageError, stack, train
from mi203jax.configs import Memory
from mi203jax.tasks import memory, memory_figures
from mi203jax.tasks.pictures import class_colours
from tests.tasks.shown import draw, points, shown_in

ADDING = Memory(
    length=10, hidden=8, forget_bias=2.0, eval_examples=200, total_steps=12_800, eval_every=12_800
)
COPY = replace(ADDING, problem="copy", length=3, symbols=2, alphabet=4, hidden=16)


def last(config):
    """The final evaluation of one trial, and its final state."""
    run = jax.jit(functools.partial(train, memory.task, config))
    state, measures = run(memory.data(config), jax.random.key(config.seed))
    return {n: float(v[-1]) for n, v in measures.items()}, state


@functools.cache
def beginning(config):
    return jax.jit(functools.partial(memory.init, config))(memory.data(config), jax.random.key(config.seed))


class TestLearning:
    def test_sums(self):
        measures, state = last(ADDING)
        assert measures["eval/baseline"] == pytest.approx(1 / 6)
        assert measures["eval/loss"] < 0.01
        made = memory.data(ADDING).test
        error = np.asarray(self.answers(ADDING, state)[:, 0] - made["target"], np.float64)
        assert measures["eval/loss"] == pytest.approx(np.mean(error**2), rel=1e-4)
        assert measures["eval/right"] == pytest.approx(np.mean(np.abs(error) < 0.04), abs=1e-6)

    def test_copies(self):
        c = replace(COPY, cell="lstm", total_steps=9_600, eval_every=9_600)
        measures, state = last(c)
        assert measures["eval/baseline"] == pytest.approx(2 * np.log(4) / 7)
        assert measures["eval/loss"] < 0.3 * measures["eval/baseline"]
        target = np.asarray(memory.data(c).test["target"])
        scores = np.asarray(self.answers(c, state), np.float64)
        assert scores.shape == (200, 7, 5)
        cost = np.log(np.exp(scores).sum(-1)) - np.take_along_axis(scores, target[..., None], -1)[..., 0]
        assert measures["eval/loss"] == pytest.approx(cost.mean(), rel=1e-3)
        assert measures["eval/recall_loss"] == pytest.approx(cost[:, 5:].mean(), rel=1e-3)
        right = (scores.argmax(-1) == target)[:, 5:].mean()
        assert measures["eval/accuracy"] == pytest.approx(right, abs=1e-6)
        assert right > 0.9

    @staticmethod
    def answers(c, state):
        x = memory.prepare(c, memory.data(c).test)["x"]
        return jax.jit(memory.network(c).apply)({"params": state.params}, x)


class TestBeginning:
    @pytest.mark.parametrize(
        ("cell", "chrono", "of_gates"),
        [
            ("rnn", True, [0.0]),
            ("gru", True, [0.0, 2.0, 0.0]),
            ("lstm", False, [0.0, 2.0, 0.0, 0.0]),
            ("lstm", True, [-2.0, 2.0, 0.0, 0.0]),
        ],
    )
    def test_first_biases(self, cell, chrono, of_gates):
        c = replace(ADDING, cell=cell, chrono=chrono, layers=2)

        @jax.jit
        def first_biases(data, key):
            return [layer["bias"] for layer in memory.init(c, data, key).params["recurrent"].values()]

        biases = first_biases(memory.data(c), jax.random.key(0))
        assert len(biases) == 2
        for bias in biases:
            np.testing.assert_array_equal(bias, np.repeat(of_gates, 8))

    def test_trials_of_a_sweep_have_their_own(self):
        configs = [replace(ADDING, cell="lstm", forget_bias=b) for b in (1.0, 3.0)]
        keys = jax.random.split(jax.random.key(0), 2)
        begin = jax.jit(jax.vmap(memory.init, (0, None, 0)))(stack(configs), memory.data(ADDING), keys)
        bias = np.asarray(begin.params["recurrent"]["layer0"]["bias"])
        np.testing.assert_array_equal(bias[:, [0, 8]], [[-1.0, 1.0], [-3.0, 3.0]])

    def test_all_trials_are_judged_alike_and_trained_apart(self):
        one, other = (memory.data(replace(ADDING, cell=cell)) for cell in ("rnn", "gru"))
        assert one is other
        made = one.train.batch(jax.random.key(0), jnp.int32(0), 200)["inputs"]
        assert (made != one.test["inputs"]).any()


def by_differences(c, state, batch):
    """Norms by central differences in float64, of an RNN that is written here."""
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), state.params)
    layers, head = params["recurrent"].values(), params["head"]
    xs = np.asarray(memory.prepare(c, batch)["x"], np.float64)
    n, time, _ = xs.shape
    target = np.asarray(batch["target"])

    def cost(nudges):
        states, outputs = [np.zeros((n, c.hidden))] * c.layers, []
        for t in range(time):
            x = xs[:, t]
            for number, p in enumerate(layers):
                x = np.tanh(x @ p["w_input"] + states[number] @ p["w_hidden"] + p["bias"]) + nudges[t, number]
                states[number] = x
            outputs.append(x)
        if c.problem == "adding":
            return ((x @ head["w"] + head["bias"])[:, 0] - target) ** 2
        scores = np.stack(outputs, 1)[:, -c.symbols :] @ head["w"] + head["bias"]
        of_right = np.take_along_axis(scores, target[:, -c.symbols :, None], -1)[..., 0]
        return (np.log(np.exp(scores).sum(-1)) - of_right).mean(-1)

    numbers = time, c.layers, c.hidden
    nudges = 1e-5 * np.eye(np.prod(numbers)).reshape(-1, *numbers)
    slopes = np.array([(cost(e) - cost(-e)) / 2e-5 for e in nudges])
    return np.linalg.norm(slopes.reshape(time, -1, n), axis=1).T


@pytest.mark.parametrize("config", [replace(ADDING, layers=2), COPY], ids=["adding", "copy"])
def test_gradients_by_finite_differences(config):
    c = replace(config, cell="rnn")
    state, batch = beginning(c), memory.some(memory.data(c), 3)
    found = jax.jit(functools.partial(memory.gradients, c))(state, batch)
    np.testing.assert_allclose(found, by_differences(c, state, batch), rtol=1e-3, atol=1e-7)


class TestFigures:
    def test_fading(self):
        norms = np.array([[1e-30, 1e-2, 1.0], [1e-34, 4e-2, 4.0], [0.0, 0.0, 0.0]], np.float32)
        expected = [(1e-30 * 1e-34 / 4) ** 0.5, 1e-2, 1.0]
        np.testing.assert_allclose(memory_figures.fading(norms), expected, rtol=1e-5)
        assert memory_figures.fading(np.array([[0.0, 1.0]])).tolist() == [0.0, 1.0]
        assert np.isnan(memory_figures.fading(np.zeros((2, 3)))).all()

    def test_gradient_norm(self):
        def falling(rate, scale):
            return scale * rate ** np.arange(11.0)[::-1] * np.ones((4, 1))

        untrained = {"rnn": falling(1e-3, 1), "lstm": falling(0.9, 2), "gru": falling(0.8, 3)}
        flows = memory_figures.Flows(falling(1.0, 0.1), untrained)
        axes = memory_figures.gradient_norm(replace(ADDING, cell="gru"), flows).axes[0]
        lines = {str(line.get_label()).split(":")[0]: line for line in axes.lines}
        assert [*lines] == ["rnn, untrained", "lstm, untrained", "gru, untrained", "gru, trained"]
        for name, rate in zip(lines, (1e-3, 0.9, 0.8, 1.0), strict=True):
            distance, height = points(lines[name])
            np.testing.assert_allclose(height, np.maximum(rate**distance, 1e-20), rtol=1e-6)
            assert f": {rate**10:.1g} at the" in lines[name].get_label()
        np.testing.assert_array_equal(distance, np.arange(11)[::-1])
        assert axes.get_yscale() == "log"
        assert axes.xaxis_inverted()
        assert max(lines, key=lambda n: lines[n].get_linewidth()) == "gru, trained"
        assert "past: 2;" in axes.get_title()

    def test_sums(self):
        target = np.array([0.5, 1.0, 1.5, 2.0])
        predicted = target + np.array([0.0, 0.03, -0.05, 0.1])
        axes = memory_figures.sums(predicted, target, 0.25).axes[0]
        lines = {str(line.get_label()): points(line) for line in axes.lines}
        np.testing.assert_allclose(lines["the network"], [target, predicted])
        np.testing.assert_array_equal(lines["without a memory"][1], [1, 1])
        assert f"Squared error {np.mean(np.square([0, 0.03, 0.05, 0.1])):.3g}" in axes.get_title()
        assert "without a memory 0.25" in axes.get_title()
        assert "within 0.04: 50.0%" in axes.get_title()

    def test_copies(self, monkeypatch):
        monkeypatch.setattr(memory_figures, "SQUARES", 7)  # two examples in a line
        target = np.array([[0, 1, 2], [2, 2, 1], [1, 1, 1], [0, 0, 2], [0, 0, 0]])
        recalled = np.array([[0, 1, 3], [2, 2, 1], [1, 1, 1], [0, 1, 2], [1, 1, 1]])  # 3 is the blank
        axes = memory_figures.copies(recalled, target, 3).axes[0]
        picture, colours = shown_in(axes), class_colours(["a", "b", "c", "background"])
        assert picture.shape == (5, 7, 3)
        for example in range(4):  # the fifth would be alone in its line
            y, x = 3 * (example // 2), 4 * (example % 2)
            np.testing.assert_allclose(picture[y, x : x + 3], colours[target[example]])
            np.testing.assert_allclose(picture[y + 1, x : x + 3], colours[recalled[example]])
        np.testing.assert_array_equal(picture[2], 1)
        np.testing.assert_array_equal(picture[:, 3], 1)
        struck = {(round(np.mean(x)), round(np.mean(y))) for x, y in map(points, axes.lines)}
        assert struck == {(2, 1), (5, 4)}
        assert "right:\n66.7% (by guessing 33.3%)" in axes.get_title()

    def test_of_many_copies_some_are_shown_and_all_are_counted(self):
        target = np.zeros((100, 50), int)
        recalled = np.where(np.arange(100)[:, None] < 10, 0, 1) * np.ones((1, 50), int)
        axes = memory_figures.copies(recalled, target, 8).axes[0]
        assert shown_in(axes).shape == (3 * 8 - 1, 40, 3)
        assert "10.0%" in axes.get_title()

    def test_all_of_them_untrained(self, monkeypatch):
        monkeypatch.setattr(memory, "CELLS", {name: memory.CELLS[name] for name in ("rnn", "gru")})
        drawn = memory.task.figures(ADDING, beginning(ADDING), memory.data(ADDING))
        assert list(drawn) == ["gradient_norm", "predictions"]
        for figure in drawn.values():
            draw(figure)
        axes = drawn["gradient_norm"].axes[0]
        lines = {str(line.get_label()).split(":")[0]: points(line) for line in axes.lines}
        # Nothing has been learnt: the two lines of the cell are one.
        np.testing.assert_allclose(lines["gru, trained"], lines["gru, untrained"], rtol=1e-5)
        assert (lines["rnn, untrained"][1] != lines["gru, untrained"][1]).any()

    def test_a_copy_is_told_by_the_largest_score_where_it_is_recalled(self):
        batch = memory.some(memory.data(COPY), 1)
        scores = np.random.default_rng(0).normal(size=(1, 7, 5))
        flows = memory_figures.Flows(np.ones((1, 7)), {})
        figure = memory_figures.figures(COPY, scores, batch, flows, 1.0)["predictions"]
        draw(figure)
        shown, recalled = shown_in(figure.axes[0])
        colours = class_colours(["a", "b", "c", "d", "background"])
        np.testing.assert_allclose(shown, colours[batch["inputs"][0, :2]])
        np.testing.assert_allclose(recalled, colours[scores[0, -2:].argmax(-1)])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"length": 1}, "length=1: problem=adding marks two steps, expected at least 2"),
        ({"symbols": 5}, "symbols=5 is of problem=copy, not of adding"),
        ({"alphabet": 5}, "alphabet=5 is of problem=copy, not of adding"),
        ({"problem": "copy", "length": 0}, "length=0"),
    ],
)
def test_fields_that_do_not_fit(fields, message):
    with pytest.raises(UsageError, match=message):
        replace(ADDING, **fields)
