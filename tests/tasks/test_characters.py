"""The model of a text: judged in pieces, sampled inside jit, shown."""

import functools
import itertools
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import stats

from mi203jax import UsageError, models
from mi203jax.configs import Characters
from mi203jax.core.loop import Group, trial
from mi203jax.data import text
from mi203jax.tasks import characters, characters_figures
from mi203jax.tasks.characters import NextCharacter, Read, sample, sample_text
from mi203jax.tasks.characters_figures import Passage, Written
from tests.tasks.shown import draw, points, shown_in

LETTERS = "the $ca_\n"
C = Characters(
    total_steps=64, eval_every=64, length=12, batch_size=16, hidden=8, held_out=0.2, sampled=30, dropout=0.1
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Some lines of random letters, some of them likelier after some others; and what is in them."""
    rng = np.random.default_rng(0)
    written = "".join(rng.choice(list(LETTERS), 900)) + "the cat\n" * 70 + "Q"
    path = tmp_path_factory.mktemp("texts") / "a.txt"
    path.write_bytes(written.encode())
    return str(path), written


evaluate = jax.jit(characters.evaluate)


@functools.cache
def begin(c):
    """The first state, and the data."""
    data = characters.task.data(c)
    return jax.jit(functools.partial(characters.task.init, c))(data, jax.random.key(0)), data


def log_softmax(scores):
    scores = np.asarray(scores, np.float64)
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


class TestData:
    def test_reads_each_character_and_predicts_the_next(self, file, key):
        c = replace(C, text=file[0])
        data = characters.task.data(c)
        alphabet, learnt = characters.corpus(c).alphabet, file[1][: -round(0.2 * len(file[1]))]
        assert alphabet == "".join(sorted(set(learnt)))
        batch = characters.prepare(c, data.train.batch(key, 0, 8), data.statistics)
        assert batch["x"].shape == (8, 12, len(alphabet) + 1)
        np.testing.assert_array_equal(batch["x"].sum(-1), 1)
        for x, target in zip(batch["x"], batch["target"], strict=True):
            read, following = text.decode(x.argmax(-1), alphabet), text.decode(target, alphabet)
            assert read[1:] == following[:-1]
            assert read + following[-1] in learnt

    def test_tuning_never_sees_what_is_held_out(self, file, tmp_path):
        written, part = file[1], round(0.2 * len(file[1]))
        other = tmp_path / "other.txt"
        other.write_bytes((written[:-part] + "Z" * part).encode())
        parts = [
            characters.corpus(replace(C, text=t, eval_part="validation", held_out=0.2))
            for t in (file[0], str(other))
        ]
        for a, b in zip(*parts, strict=True):
            np.testing.assert_array_equal(a, b)
        alphabet = parts[0].alphabet
        assert text.decode(parts[0].train, alphabet) == written[: -2 * part]
        assert text.decode(parts[0].judged, alphabet) == written[-2 * part : -part]

    def test_the_licence_without_a_file(self, monkeypatch):
        monkeypatch.setattr(text, "licence_text", lambda: "As it is. " * 9)
        found = characters.corpus(Characters(held_out=0.123))  # a place that no other test has in its cache
        assert len(found.train) + len(found.judged) == 90
        assert found.alphabet == " .Aist"

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"text": "absent.txt"}, "text=absent.txt: there is no such file"),
            ({"prompt": "the dog"}, "prompt='the dog': the text that is learnt from has no 'd'"),
            ({"prompt": "Q"}, "prompt='Q': the text that is learnt from has no 'Q'"),
            ({"length": 1_169}, "length=1169 is too long for a text of which 1,169 characters are learnt from"),
            ({"held_out": 0.99999}, "has 1461 characters: with held_out=0.99999, none is left"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_used(self, file, fields, message):
        with pytest.raises(UsageError, match=message):
            characters.task.data(replace(C, **{"text": file[0], **fields}))

    def test_half_for_tuning_leaves_nothing(self):
        with pytest.raises(UsageError, match="held_out=0.5 leaves nothing to learn from"):
            Characters(held_out=0.5, eval_part="validation")


class TestCosts:
    def test_are_torchs_in_nats_and_bits(self, key):
        scores = 3 * jax.random.normal(key, (4, 6, 5))
        target = jax.random.randint(key, (4, 6), 0, 5)
        expected = torch.nn.functional.cross_entropy(
            torch.tensor(np.array(scores)).movedim(-1, 1), torch.tensor(np.array(target)).long(), reduction="none"
        ).mean(1)  # fmt: skip
        read, batch = Read(scores, ()), {"target": target}
        np.testing.assert_allclose(characters.loss(C, read, batch), expected, rtol=1e-5)
        measured = characters.measure(C, read, batch)
        np.testing.assert_allclose(measured["bits"], expected / math.log(2), rtol=1e-5)
        np.testing.assert_allclose(measured["accuracy"], (scores.argmax(-1) == target).mean(-1))


class TestEvaluation:
    @pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 2)])
    def test_in_pieces_equals_the_whole_text_at_once(self, file, cell, layers):
        c = replace(C, text=file[0], cell=cell, layers=layers)
        state, data = begin(c)
        assert len(data.test["codes"]) == 3
        # Scores that differ more than those at the beginning do.
        state = state._replace(params=jax.tree.map(lambda w: 2 * w, state.params))
        found = characters.corpus(c)
        whole = np.concatenate([found.train[-text.PIECE - 1 :], found.judged])
        network, x = characters.network(c, data), characters.one_hot(c, jnp.asarray(whole[:-1]))[None]
        scores = jax.jit(lambda x: network.apply({"params": state.params}, x).scores[0])(x)
        log_p = log_softmax(scores)[-len(found.judged) :]
        costs = -log_p[np.arange(len(log_p)), found.judged]
        measured = evaluate(c, state, data)
        for name, values in (
            ("loss", costs),
            ("bits", costs / np.log(2)),
            ("accuracy", log_p.argmax(-1) == found.judged),
        ):
            total, weight = measured[name]
            assert weight == len(found.judged)
            assert total / weight == pytest.approx(values.mean(), rel=1e-4), name

    def test_of_a_model_that_knows_nothing(self, file):
        c = replace(C, text=file[0])
        state, data = begin(c)
        state = state._replace(params=jax.tree.map(jnp.zeros_like, state.params))
        total, weight = evaluate(c, state, data)["bits"]
        assert total / weight == pytest.approx(math.log2(len(LETTERS) + 1), rel=1e-6)

    def test_stands_beside_counting(self, file):
        c = replace(C, text=file[0])
        state, data = begin(c)
        measured = evaluate(c, state, data)
        for name, order in (("unigram_bits", 1), ("bigram_bits", 2), ("five_gram_bits", 5)):
            assert measured[name] == pytest.approx(text.ngram_bits(characters.corpus(c), order), rel=1e-6)
            assert f"eval/{name}" in characters.task.beside


class TestTraining:
    def test_learns_what_counting_two_characters_cannot(self, tmp_path):
        """After a and b comes what came before them: two characters of the past decide."""
        rng = np.random.default_rng(0)
        path = tmp_path / "pairs.txt"
        path.write_text("".join(k + "ab" + k + " " for k in rng.choice(list("0123"), 500)), "utf-8")
        c = replace(
            C, text=str(path), length=20, hidden=16, total_steps=3_200, eval_every=3_200, learning_rate=4e-2,
            weight_decay=0.0,
        )  # fmt: skip
        group = Group(characters.task, [c], characters.task.data(c))
        *_, end = group.run(lambda: 10**6)
        least = math.log2(4) / 5  # one character of five is free to choose
        bits, counted = (float(end.evaluation[f"eval/{name}"][0]) for name in ("bits", "bigram_bits"))
        assert least - 0.02 < bits < least + 0.08
        assert counted > least + 0.3
        state = trial(end.carry.state, 0)
        drawn = jax.jit(sample_text)(
            replace(c, prompt="3ab", sampled=2), state, group.data, jax.random.key(0), 0.1
        )[1]
        assert text.decode(drawn.codes, characters.corpus(c).alphabet) == "3 "

    def test_dropout_is_of_training_alone(self, key):
        network = NextCharacter(3, models.Recurrent("gru", 8), 0.5)
        x = jax.nn.one_hot(jnp.array([[0, 1, 2, 1]]), 3)
        variables = {"params": network.init(key, x)["params"]}
        still = network.apply(variables, x).scores
        np.testing.assert_array_equal(still, network.apply(variables, x).scores)
        one, other = (
            network.apply(variables, x, train=True, rngs={"dropout": jax.random.key(k)}).scores
            for k in (0, 1)
        )
        assert (one != other).any()
        assert (one != still).any()


TABLE = jnp.array([[2.0, 0.0, -1.0, 0.5], [0.0, 1.5, 0.3, -2.0], [1.0, 1.1, 0.0, 2.0], [-1.0, 0.2, 3.0, 0.0]])


def counting(codes, states):
    """Scores that depend on the last character and on how many were read."""
    states = jnp.int32(0) if states is None else states
    number = states + 1 + jnp.arange(len(codes))
    turned = jax.vmap(jnp.roll)(TABLE[codes], number % 3)
    return Read(turned, states + len(codes))


@pytest.mark.usefixtures("strict")
class TestSample:
    prompt = jnp.array([1, 2], jnp.int32)

    def test_near_zero_it_takes_the_most_probable(self, key):
        expected, read = [], [1, 2]
        for _ in range(12):
            scores = np.roll(np.asarray(TABLE)[read[-1]], len(read) % 3)
            expected.append(int(scores.argmax()))
            read.append(expected[-1])
        for temperature in (1e-3, 1e-38):
            drawn = sample(counting, key, self.prompt, 12, temperature)
            assert drawn.codes.tolist() == expected
            assert drawn.codes.dtype == jnp.int32

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
    def test_frequencies_are_those_of_the_softmax(self, key, temperature):
        draw_ = jax.jit(jax.vmap(lambda k, t: sample(counting, k, self.prompt, 2, t), (0, None)))
        codes = np.asarray(draw_(jax.random.split(key, 8_000), jnp.float32(temperature)).codes)
        first = np.exp(log_softmax(np.roll(np.asarray(TABLE)[2], 2) / temperature))
        second = np.exp(log_softmax(np.asarray(TABLE) / temperature))  # three were read: turned by none
        expected = first[:, None] * second
        counts = np.bincount(4 * codes[:, 0] + codes[:, 1], minlength=16)
        assert stats.chisquare(counts, 8_000 * expected.ravel()).pvalue > 0.001

    def test_the_same_key_gives_the_same_text_and_a_longer_one_begins_with_it(self, key):
        short, again, long = (sample(counting, key, self.prompt, n, 1.0).codes for n in (20, 20, 40))
        np.testing.assert_array_equal(short, again)
        np.testing.assert_array_equal(short, long[:20])
        other = sample(counting, jax.random.key(1), self.prompt, 40, 1.0).codes
        assert (long != other).any()
        assert len({tuple(w) for w in long.reshape(-1, 4).tolist()}) > 3  # no key is used twice

    def test_keeps_what_it_drew_from(self, key):
        drawn = sample(counting, key, self.prompt, 9, 2.0)
        read = [1, 2, *drawn.codes.tolist()]
        for k, scores in enumerate(drawn.scores):
            np.testing.assert_array_equal(scores, np.roll(np.asarray(TABLE)[read[k + 1]], (k + 2) % 3))

    @pytest.mark.parametrize(
        ("prompt", "length", "message"),
        [
            (jnp.zeros(0, jnp.int32), 3, r"sample: expected a prompt .time. of one code or more, got shape \(0,\)"),
            (jnp.zeros((1, 2), jnp.int32), 3, r"got shape \(1, 2\)"),
            (jnp.zeros(1, jnp.int32), 0, "sample: expected length to be a positive int, got 0"),
        ],
    )  # fmt: skip
    def test_refusals(self, key, prompt, length, message):
        with pytest.raises(ValueError, match=message):
            sample(counting, key, prompt, length, 1.0)


class TestSampleText:
    @pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 2)])
    def test_equals_reading_all_anew_for_each_character(self, file, key, cell, layers):
        c = replace(C, text=file[0], cell=cell, layers=layers, prompt="the cat", sampled=12)
        state, data = begin(c)
        state = state._replace(params=jax.tree.map(lambda w: 3 * w, state.params))
        prompt, drawn = jax.jit(sample_text)(c, state, data, key, 1e-6)
        alphabet = characters.corpus(c).alphabet
        assert text.decode(prompt, alphabet) == "the cat"
        network, codes = characters.network(c, data), prompt.tolist()
        read = jax.jit(lambda x: network.apply({"params": state.params}, x).scores[0])
        for _ in range(12):
            # What comes after does not change what came before: one shape, one program.
            x = characters.one_hot(c, jnp.array(codes + [0] * (20 - len(codes))))[None]
            codes.append(int(read(x)[len(codes) - 1, :-1].argmax()))
        assert codes[7:] == drawn.codes.tolist()
        assert len(set(codes[7:])) > 1

    def test_never_draws_what_is_unknown(self, file, key):
        c = replace(C, text=file[0])
        state, data = begin(c)
        bias = state.params["Dense_0"]["bias"].at[-1].set(100.0)
        params = {**state.params, "Dense_0": {**state.params["Dense_0"], "bias": bias}}
        _, drawn = jax.jit(sample_text)(c, state._replace(params=params), data, key, 5.0)
        assert int(drawn.codes.max()) < len(LETTERS)
        assert drawn.scores.shape == (30, len(LETTERS))

    def test_without_a_prompt_begins_as_often_with_each_as_the_text_has_it(self, file):
        c = replace(C, text=file[0], sampled=1)
        state, data = begin(c)
        first = jax.jit(jax.vmap(lambda k: sample_text(c, state, data, k, 1.0)[0][0]))
        drawn = np.bincount(first(jax.random.split(jax.random.key(0), 4_000)), minlength=len(LETTERS))
        expected = np.bincount(characters.corpus(c).train, minlength=len(LETTERS))
        assert stats.chisquare(drawn, 4_000 * expected / expected.sum()).pvalue > 0.001


class TestFigures:
    def test_all_of_them_for_a_text_with_signs_of_all_kinds(self, tmp_path):
        path = tmp_path / "odd.txt"
        path.write_text("a$b$ _^{x}\n\té\x0c\x7f\\frac" * 12, "utf-8")
        c = replace(C, text=str(path), held_out=0.3, hidden=5, prompt="$\\frac$")
        state, data = begin(c)
        drawn = characters.task.figures(c, state, data)
        assert set(drawn) == {"sample", "writing", "surprise", "next_character", "hidden_state"}
        for name, figure in drawn.items():
            if name != "writing":
                draw(figure)
        assert len({f.shape for f in drawn["writing"].frames}) == 1

    def test_the_passage_is_the_beginning_of_what_is_judged(self, file):
        c = replace(C, text=file[0])
        state, data = begin(c)
        found = characters.corpus(c)
        read = characters.passage(c, state, data)
        np.testing.assert_array_equal(read.codes, found.judged[: characters.PASSAGE])
        w = state.params["Dense_0"]
        np.testing.assert_allclose(read.outputs @ w["w"] + w["bias"], read.scores, atol=1e-5)
        costs = -log_softmax(read.scores)[np.arange(len(read.codes)), read.codes]
        total, weight = evaluate(c, state, data)["loss"]
        assert weight == len(read.codes)
        assert costs.mean() == pytest.approx(float(total / weight), rel=1e-4)

    def test_samples_at_three_temperatures(self, file):
        c = replace(C, text=file[0], temperature=0.6, prompt="the")
        written = characters.samples(c, *begin(c))
        assert [w.temperature for w in written] == pytest.approx([0.3, 0.6, 1.2])
        for w in written:
            assert w.prompt == "the"
            assert len(w.text) == len(w.scores) == c.sampled
            assert set(w.text) <= set(LETTERS)
        texts = characters_figures.sample(written).texts
        assert texts[2].get_text() == "temperature 0.6"
        assert texts[3].get_text().replace("\n", "") == ("the" + written[1].text).replace("\n", "")

    def test_lines(self):
        lines = characters_figures.lines_of("abcde\n\na\tb\x00", 3)
        assert lines == ["abc", "de", "", "a  ", " b·"]
        assert [characters_figures.sign(k) for k in " \n\t\x00é"] == ["␣", "↵", "⇥", "·", "é"]

    def test_surprise_in_bits(self):
        scores = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]]))
        figure = characters_figures.surprise(
            Passage(np.array([1, 0]), scores, np.zeros((2, 1))), "ab", "a text"
        )
        np.testing.assert_allclose(shown_in(figure.axes[0])[0, :2], [2, 3])
        assert [t.get_text() for t in figure.axes[0].texts] == ["a", "b"][::-1]
        assert "first 2 characters, 2.50 bits each" in figure.axes[0].get_title()

    def test_next_characters_and_what_came(self):
        p = np.array([[0.1, 0.6, 0.3], [0.2, 0.1, 0.7]])
        figure = characters_figures.next_character(
            Passage(np.array([2, 0]), np.log(p), np.zeros((2, 1))), "a "
        )
        axes = figure.axes[0]
        assert [t.get_text() for t in axes.get_yticklabels()] == ["\ufffd", "␣", "a"]
        assert [t.get_text() for t in axes.get_xticklabels()] == ["\ufffd", "a"]
        np.testing.assert_allclose(shown_in(axes), p[:, [2, 1, 0]].T, rtol=1e-6)
        np.testing.assert_array_equal(sorted(points(axes.lines[0]).T.tolist()), [[0, 0], [1, 2]])

    def test_slowest_units(self):
        t = np.arange(200)
        still, fast, slow, slower = np.ones(200), np.sin(t), np.sin(t / 10), 0.1 * np.sin(t / 40)
        outputs = np.stack([still, fast, slow, slower], 1)
        assert characters_figures.slowest_units(outputs, 4).tolist() == [3, 2, 1, 0]
        figure = characters_figures.hidden_state(
            Passage(np.zeros(200, int), np.zeros((200, 2)), outputs), "a"
        )
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["3", "2", "1", "0"]
        np.testing.assert_array_equal(shown_in(figure.axes[0])[1], slow[: characters_figures.FOLLOWED])

    def test_bars_are_as_long_as_probabilities_at_that_temperature(self):
        """The one that is drawn next is picked out, also if it is not among the likeliest."""
        p = np.array([0.4, 0.3, 0.2, 0.05, 0.03, 0.02])
        written = Written(2.0, "b", "af", 2 * np.log(np.stack([p, p])))
        frames = characters_figures.writing(written, "abcdef").frames
        lengths = []
        for frame, colour in itertools.product(
            frames[:2], (characters_figures.CHOSEN, characters_figures.FAINT)
        ):
            rows = (frame[:, 425:543] == colour).all(-1).sum(1)
            lengths.append(sorted({int(n) for n in rows if n > 1}, reverse=True))
        assert lengths[0][0] == pytest.approx(0.4 * 110, abs=2)
        assert lengths[1][0] == pytest.approx(0.3 * 110, abs=2)
        assert lengths[2][0] == pytest.approx(0.02 * 110, abs=2)
        assert lengths[3][0] == pytest.approx(0.4 * 110, abs=2)
        assert len(frames) == 2 + 12

    def test_bars_at_the_lowest_temperature(self):
        written = Written(1.2e-38, "b", "a", np.array([[5.0, 4.0]], np.float32))
        frame = characters_figures.writing(written, "ab").frames[0]
        chosen = (frame[:, 425:543] == characters_figures.CHOSEN).all(-1).sum(1).max()
        assert chosen == pytest.approx(110, abs=2)
