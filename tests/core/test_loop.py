"""The loop on a task whose result is known in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.core.loop import Group, advance, stack, start, train, trial
from tests.core.toy import Toy, exact_loss, task


def run(configs, length=lambda: 3, resume=None):
    """All progress of a group, copied off the loop's own buffers."""
    return [
        jax.device_get(p._replace(carry=jax.tree.map(jnp.copy, p.carry)))
        for p in Group(task, configs, None).run(length, resume)
    ]


def raw(tree):
    """Keys as numbers, so that trees can be compared."""
    return jax.tree.map(
        lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, tree
    )


def assert_equal_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, raw(a), raw(b))


class TestTrain:
    def test_closed_form(self):
        c = Toy()
        state, metrics = train(task, c, None, jax.random.key(0))
        np.testing.assert_allclose(
            metrics["eval/loss"], [exact_loss(c, t) for t in (10, 20, 30, 40)], rtol=1e-4
        )
        np.testing.assert_allclose(state.x, 1 - 0.9**40, rtol=1e-5)

    def test_means_over_the_steps_between_evaluations(self):
        _, metrics = train(task, Toy(total_steps=25), None, jax.random.key(0))
        np.testing.assert_allclose(metrics["train/clock"], [4.5, 14.5, 22.0])
        np.testing.assert_allclose(metrics["train/even_clock"], [4.0, 14.0, 22.0])
        assert np.isnan(metrics["train/never"]).all()

    def test_under_jit_and_vmap(self):
        configs = stack([Toy(learning_rate=r) for r in (0.1, 0.05)])
        keys = jax.random.split(jax.random.key(0), 2)
        _, metrics = jax.jit(jax.vmap(functools.partial(train, task), (0, None, 0)))(configs, None, keys)
        for i, r in enumerate((0.1, 0.05)):
            np.testing.assert_allclose(
                metrics["eval/loss"][i, -1], exact_loss(Toy(learning_rate=r), 40), rtol=1e-3
            )

    def test_gradient_by_a_hyperparameter(self):
        """d/dλ of (1 − λ)^(2t) is −2t (1 − λ)^(2t − 1)."""

        def last_loss(rate):
            return train(task, Toy(learning_rate=rate), None, jax.random.key(0))[1]["eval/loss"][-1]

        np.testing.assert_allclose(jax.grad(last_loss)(0.1), -2 * 40 * 0.9**79, rtol=1e-3)

    def test_same_key_same_run_other_key_other_run(self):
        c = Toy(noise=1.0)
        a, b, other = (train(task, c, None, jax.random.key(k))[0].x for k in (0, 0, 1))
        np.testing.assert_array_equal(a, b)
        assert (a != other).all()


class TestGroup:
    def test_equals_train(self):
        """To rounding: the command line's loop and the library's are compiled differently."""
        configs = [Toy(learning_rate=r, noise=0.5, seed=s) for r in (0.1, 0.05) for s in (0, 7)]
        last = run(configs)[-1]
        for i, c in enumerate(configs):
            state, metrics = train(task, c, None, jax.random.key(c.seed))
            np.testing.assert_allclose(trial(last.carry.state.x, i), state.x, rtol=1e-5)
            np.testing.assert_allclose(last.evaluation["eval/loss"][i], metrics["eval/loss"][-1], rtol=1e-4)

    def test_evaluates_at_zero_between_and_at_the_end(self):
        progress = run([Toy(total_steps=25)])
        assert [p.iteration for p in progress if p.evaluation is not None] == [0, 10, 20, 25]
        np.testing.assert_allclose(progress[-1].evaluation["train/clock"], [22.0])

    def test_where_the_iterations_are_cut_changes_no_bit(self):
        configs = [Toy(noise=1.0, seed=s) for s in range(3)]
        lengths = iter([1, 1, 5, 2, 100, 3, 4, 100, 7, 1, 1, 100, 100])
        one, other = run(configs, lambda: 1000), run(configs, lambda: next(lengths))
        assert_equal_bits(one[-1].carry, other[-1].carry)
        evaluations = [[p.evaluation for p in ps if p.evaluation is not None] for ps in (one, other)]
        assert len(evaluations[0]) == 5
        for a, b in zip(*evaluations, strict=True):
            assert_equal_bits(a, b)

    def test_resumes_between_evaluations_to_the_same_bits(self):
        configs = [Toy(noise=1.0, seed=s) for s in range(3)]
        whole = run(configs, lambda: 7)
        middle = next(p for p in whole if p.iteration == 17)
        rest = run(configs, lambda: 5, (17, jax.tree.map(jnp.asarray, middle.carry)))
        assert_equal_bits(whole[-1].carry, rest[-1].carry)
        assert_equal_bits(whole[-1].evaluation, rest[-1].evaluation)

    def test_in_turn_equals_side_by_side(self):
        configs = [Toy(noise=1.0, seed=s, learning_rate=r) for s in range(2) for r in (0.1, 0.2)]
        side_by_side = run(configs)
        in_turn = [
            jax.device_get(p._replace(carry=jax.tree.map(jnp.copy, p.carry)))
            for p in Group(task._replace(on_cpu="map"), configs, None).run(lambda: 3)
        ]
        assert len(in_turn) == len(side_by_side)
        for a, b in zip(in_turn, side_by_side, strict=True):
            np.testing.assert_allclose(a.carry.state.x, b.carry.state.x, rtol=1e-5)
            assert (a.evaluation is None) == (b.evaluation is None)
            if a.evaluation is not None:
                np.testing.assert_allclose(a.evaluation["eval/loss"], b.evaluation["eval/loss"], rtol=1e-4)

    def test_in_turn_where_iterations_are_cut_changes_no_bit(self):
        configs = [Toy(noise=1.0, seed=s) for s in range(3)]
        ends = []
        for length in (1000, 7):
            *_, end = Group(task._replace(on_cpu="map"), configs, None).run(lambda n=length: n)
            ends.append(end.carry)
        assert_equal_bits(*ends)

    def test_traces_once(self):
        count = 0

        def step(*args):
            nonlocal count
            count += 1
            return task.step(*args)

        group = Group(task._replace(step=step), [Toy(total_steps=35)], None)
        list(group.run(lambda: 1))
        once = count
        list(group.run(lambda: 4))
        assert count == once <= 3  # start asks for the shapes of the metrics, advance compiles

    def test_one_bad_trial_leaves_the_others_alone(self):
        good = [Toy(noise=0.1, seed=s) for s in range(2)]
        with_bad = run([good[0], Toy(learning_rate=1e30), good[1]])[-1]
        without = run([good[0], Toy(), good[1]])[-1]
        assert with_bad.finite["train/loss"].tolist() == [True, False, True]
        for i in (0, 2):
            assert_equal_bits(trial(with_bad.carry, i), trial(without.carry, i))

    def test_what_was_not_measured_is_not_called_infinite(self):
        last = run([Toy()])[-1]
        assert np.isnan(last.evaluation["train/never"]).all()
        assert last.finite["train/never"].all()

    def test_configurations_must_share_their_static_part(self):
        with pytest.raises(ValueError, match=r"dimension|Custom node|structure"):
            Group(task, [Toy(dimension=1), Toy(dimension=2)], None)

    def test_mistakes_of_the_task_show_when_traced(self):
        with pytest.raises(ValueError, match="the toy is broken"):
            Group(task, [Toy(fail=True)], None).abstract()


def test_advance_takes_a_traced_count():
    carry = start(task, Toy(), None, jax.random.key(0))
    f = jax.jit(lambda n: advance(task, Toy(), carry, None, 0, n).state.x)
    np.testing.assert_allclose(f(3), 1 - 0.9**3, rtol=1e-6)
    np.testing.assert_allclose(f(5), 1 - 0.9**5, rtol=1e-6)
