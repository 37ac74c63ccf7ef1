"""Memory that a group takes, counted before it runs."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from mi203jax.configs import PQN, ImageClassification, Vectors
from mi203jax.core import memory
from mi203jax.core.loop import Group
from mi203jax.core.memory import Need, in_words, peak
from mi203jax.core.parallel import Layout
from mi203jax.tasks import image_classification, pqn, vectors

N = 1000
X = jax.ShapeDtypeStruct((N,), jnp.float32)
ONE = 4 * N  # bytes of such a vector


class TestPeak:
    def test_values_die_after_their_last_use(self):
        def chain(x):
            for _ in range(10):
                x = jnp.sin(x)
            return x

        # The argument, which its caller holds, and two links of the chain.
        assert peak(chain, X) <= 3 * ONE

    def test_values_that_are_used_later_live_on(self):
        def keeps(x):
            parts = [x * k for k in range(10)]
            return sum(parts[::-1])

        assert peak(keeps, X) >= 11 * ONE

    def test_inside_loops_functions_and_branches(self):
        def large(x):
            return jnp.outer(x, x).sum() * x

        for f in (
            jax.jit(large),
            lambda x: jax.lax.fori_loop(0, 5, lambda i, y: large(y), x),
            lambda x: jax.lax.cond(x[0] > 0, large, lambda y: y, x),
            lambda x: jax.lax.scan(lambda c, _: (large(c), None), x, length=3)[0],
            jax.grad(lambda x: large(x).sum()),
        ):
            assert 4 * N * N <= peak(f, X) <= 4 * 4 * N * N

    def test_keys(self):
        assert memory.size(jax.random.split(jax.random.key(0), 5)) == 40


@pytest.mark.parametrize(
    ("task", "config"),
    [
        (vectors.task, Vectors()),
        (image_classification.task, ImageClassification(channels=(16,), convs=1)),
        (pqn.task, PQN(env="Catch-bsuite", num_envs=16, num_steps=8, minibatches=2)),
    ],
    ids=["vectors", "images", "pqn"],
)
@pytest.mark.parametrize("layout", [Layout("vmap"), Layout("map")], ids=str)
def test_is_near_what_xla_says(task, config, layout):
    """XLA knows after compiling, which takes its time."""
    group = Group(task, [config] * 3, task.data(config), layout)
    carry = group.abstract()
    compiled = group._advance.lower(group._configs, carry, group.data, 0, 1).compile()
    told = compiled.memory_analysis()
    xla = told.argument_size_in_bytes + told.temp_size_in_bytes
    assert 0.5 < group.need().total / xla < 3


class TestNeed:
    def test_side_by_side_each_trial_takes_its_part(self):
        need = Need(trials=10, places=1, in_turn=False, shared=100, kept=50, total=1100)
        assert need.at_most(1100) == 10
        assert need.at_most(499) == 3
        assert need.at_most(50) == 1
        assert need._replace(places=4).at_most(499) == 12

    def test_in_turn_each_trial_takes_its_state(self):
        need = Need(trials=10, places=1, in_turn=True, shared=100, kept=50, total=1100)
        assert need.at_most(1100) == 10
        assert need.at_most(1079) == 5
        assert need.at_most(50) == 1

    def test_a_checkpoint_is_written_from_a_copy(self):
        """States of 9 a trial, which take 18 while they are written, and 1 more while they learn."""
        need = Need(trials=10, places=1, in_turn=False, shared=100, kept=90, total=200, copies=2)
        assert need.most == 280
        assert need.of_one == 118
        assert (need.at_most(280), need.at_most(279)) == (10, 9)
        assert need._replace(in_turn=True).at_most(279) == 9


class TestAvailable:
    def test_there_is_some(self):
        assert 1e7 < memory.available() < 1e14

    def test_of_a_gpu_and_of_its_host(self, monkeypatch):
        gpu = SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": 10, "bytes_in_use": 3})
        monkeypatch.setattr(memory.jax, "local_devices", lambda: [gpu])
        assert memory.available() == 7
        assert memory.available_to_host() > 1e7

    def test_of_a_container_files_that_were_read_give_way(self, tmp_path, monkeypatch):
        for name, text in (("max", "1000"), ("current", "900"), ("stat", "anon 100\ninactive_file 600")):
            (tmp_path / f"memory.{name}").write_text(text)
        monkeypatch.setattr(memory, "Path", lambda _: tmp_path)
        assert list(memory._cgroup()) == [700, None]


@pytest.mark.parametrize(
    ("number", "words"), [(2.345e9, "2.35 gigabytes"), (1.4e6, "0.0014 gigabytes"), (3e12, "3,000 gigabytes")]
)
def test_in_words(number, words):
    assert in_words(number) == words
