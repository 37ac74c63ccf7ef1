"""Batches from memory and from a stream are the same ones."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.core.config import RunConfig, config, static
from mi203jax.core.loop import Group, trial
from mi203jax.core.task import Task
from mi203jax.data.feed import Data, Resident, Streamed, order_key

N, BATCH = 23, 4
ARRAYS = {"image": np.arange(N * 6, dtype=np.uint8).reshape(N, 2, 3), "label": np.arange(N, dtype=np.int32)}


class Source:
    """Examples that count how often they are read."""

    def __init__(self):
        self.read = np.zeros(N, int)
        self._lock = threading.Lock()

    def __len__(self):
        return N

    def __getitems__(self, indices):
        with self._lock:
            np.add.at(self.read, indices, 1)
        return [{n: a[i] for n, a in ARRAYS.items()} for i in indices]


@config
class Reader(RunConfig):
    total_steps: int = static(40, "batches to read")
    eval_every: int = static(10, "batches between two evaluations")


def init(c, data, key):
    return {"order": order_key(key), "seen": jnp.zeros((c.num_iterations, BATCH), jnp.int32), "sum": 0}


def step(c, state, data, t):
    batch = data.train.batch(state["order"], t, BATCH)
    seen = state["seen"].at[t].set(batch["label"])
    total = state["sum"] + batch["image"].astype(jnp.int32).sum()
    return {**state, "seen": seen, "sum": total}, {"label": batch["label"].mean(dtype=jnp.float32)}


TASK = Task(init, step, lambda c, state, data: {"loss": jnp.zeros(())})
REST = Data(None, {}, ())


def final(data, seeds=(0, 1), length=lambda: 3, resume=None):
    group = Group(TASK, [Reader(seed=s) for s in seeds], data)
    return [p._replace(carry=jax.tree.map(jnp.copy, p.carry)) for p in group.run(length, resume)]


@pytest.fixture(scope="module")
def resident():
    return final(Data(Resident({n: jnp.asarray(a) for n, a in ARRAYS.items()}), {}, ()))


class TestStreamed:
    @pytest.mark.parametrize("slots", [1, 3, 8])
    def test_gives_the_batches_that_memory_gives(self, resident, slots):
        streamed = final(Streamed(Source(), REST, BATCH, slots=slots))
        for name in ("seen", "sum"):
            np.testing.assert_array_equal(
                streamed[-1].carry.state[name], resident[-1].carry.state[name], err_msg=name
            )
        means = [[p.evaluation["train/label"] for p in ps if p.evaluation] for ps in (streamed, resident)]
        np.testing.assert_array_equal(*means)

    def test_each_trial_has_its_own_order(self, resident):
        seen = resident[-1].carry.state["seen"]
        assert (seen[0] != seen[1]).any()
        for k in range(2):
            assert sorted(np.asarray(seen[k]).reshape(-1)[:N]) == list(range(N))

    def test_goes_on_at_the_right_example_and_reads_none_before(self, resident):
        stream = Streamed(Source(), REST, BATCH)
        progress = final(stream)
        middle = next(p for p in progress if p.iteration == 20)
        source = Source()
        rest = final(Streamed(source, REST, BATCH), resume=(20, middle.carry))
        np.testing.assert_array_equal(rest[-1].carry.state["seen"], resident[-1].carry.state["seen"])
        assert source.read.sum() <= 1 + 2 * 20 * BATCH  # one to know the shapes

    def test_what_the_source_raises_is_heard(self):
        class Broken(Source):
            def __getitems__(self, indices):
                if len(indices) > 1:
                    raise OSError("the disk is gone")
                return super().__getitems__(indices)

        with pytest.raises(OSError, match="the disk is gone"):
            final(Streamed(Broken(), REST, BATCH))

    def test_example_gives_shapes_and_dtypes(self):
        window = Streamed(Source(), REST, BATCH, slots=5).example.train
        assert {n: (a.shape, a.dtype) for n, a in window.arrays.items()} == {
            "image": ((5, BATCH, 2, 3), np.uint8), "label": ((5, BATCH), np.int32),
        }  # fmt: skip


def test_the_order_is_not_the_trials_own_key(key):
    assert (jax.random.key_data(order_key(key)) != jax.random.key_data(key)).any()


def test_one_trial_of_a_group_is_its_solo_run(resident):
    solo = final(Data(Resident({n: jnp.asarray(a) for n, a in ARRAYS.items()}), {}, ()), seeds=(1,))
    np.testing.assert_array_equal(
        trial(solo[-1].carry.state["seen"], 0), trial(resident[-1].carry.state["seen"], 1)
    )
