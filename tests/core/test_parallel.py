"""Layouts: where trials run changes nothing but the time. With four devices, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.parallel import Layout, choose_layout

ROOT = Path(__file__).parents[2]


class TestChoice:
    def test_on_one_device(self):
        assert choose_layout("map", 8) == Layout("map")
        assert choose_layout("vmap", 8) == Layout("vmap")

    @pytest.mark.parametrize("asked", ["vmap", "map"])
    def test_what_is_asked_for(self, asked):
        for on_cpu in ("vmap", "map"):
            assert choose_layout(on_cpu, 8, asked) == Layout(asked)

    def test_too_few_devices(self):
        with pytest.raises(UsageError, match="--devices=3: expected at most 1, as many as there are."):
            choose_layout("map", 8, split=3)

    def test_in_words(self):
        assert Layout("map").words(1) == ""
        assert Layout("map").words(3) == "in turn"
        assert Layout("vmap", spread=2).words(3) == "side by side on 2 devices"
        assert Layout("vmap", spread=2).words(2) == "on 2 devices"
        assert Layout("vmap", split=4).words(1) == "each batch on 4 devices"


def on_devices(code, folder):
    """Runs code in a process with four CPU devices and a folder."""
    begin = """
import jax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
"""
    done = subprocess.run(
        [sys.executable, "-c", begin + code, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


COMPARE = """
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.piece_folder import PieceFolder
from mi203jax.core.loop import Group
from mi203jax.core.parallel import Layout

SPLIT = Layout("vmap", split=4)

def end(group, resume=None):
    for progress in group.run(lambda: 4, resume):
        pass
    return jax.device_get((group.own(progress.carry).state, progress.evaluation))

def numbers(tree):
    \"""Keys as numbers too.\"""
    is_key = lambda x: jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, tree)

def assert_near(a, b, rtol, atol):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol, atol), a, b)

def saved(group, at):
    \"""Its checkpoint after so many iterations.\"""
    piece = PieceFolder(Path(sys.argv[1], "pieces", type(configs[0]).__name__), range(len(configs)), "a")
    piece.save_statuses()
    checkpoints = Checkpoints(piece, configs)
    for progress in group.run(lambda: 1):
        if progress.iteration == at:
            checkpoints.save(at, group.own(progress.carry))
            return checkpoints

def assert_sums_gradients(group):
    \"""Each device has its own part of the batch.\"""
    carry = jax.eval_shape(group._start, group._configs, group._data, group._keys)
    text = group._advance.lower(group._configs, carry, group._data, 0, 1).compile().as_text()
    assert "all-reduce" in text
"""

TOY = """
from mi203jax.core.parallel import choose_layout, split_batch
from tests.core.toy import State, Toy
from tests.core.toy import task as toy

assert choose_layout("map", 3) == Layout("map", spread=3)
assert choose_layout("map", 9) == Layout("map", spread=4)
assert choose_layout("map", 9, split=2) == Layout("map", split=2)

def step(c, state, data, t):
    \"""Towards the mean of a batch.\"""
    chosen = jax.random.randint(jax.random.fold_in(state.key, t), (8,), 0, len(data))
    error = state.x - split_batch(data[chosen])
    return State(state.x - c.learning_rate * error.mean(0), state.key, t + 1), {"loss": (error**2).mean()}

def evaluate(c, state, data):
    return {"loss": ((state.x - split_batch(data)) ** 2).mean()}

task = toy._replace(step=step, evaluate=evaluate)
configs = [Toy(seed=s, learning_rate=0.1 * (s + 1)) for s in range(3)]
data = jnp.asarray(np.random.default_rng(0).normal(size=(64, 2)), jnp.float32)
one, spread, in_turn, split = groups = [
    Group(task, configs, data, layout)
    for layout in (Layout("vmap"), Layout("vmap", spread=2), Layout("map", spread=4), SPLIT)
]

def near(a, b):
    \"""Keys aside.\"""
    assert_near((a[0].x, a[1]), (b[0].x, b[1]), 1e-4, 1e-5)

whole = end(one)
assert not np.allclose(*whole[0].x[:2], rtol=0.01)
near(end(spread), whole)
near(end(in_turn), whole)
near(end(split), whole)
assert_sums_gradients(split)
checkpoints = saved(spread, 15)
for group in groups:
    near(end(group, checkpoints.restore(group.abstract())[:2]), whole)
"""

TASKS = """
from mi203jax.configs import DQN, PQN, ImageClassification
from mi203jax.tasks import dqn, image_classification, pqn

SMALL = dict(env="Catch-bsuite", num_envs=8, hidden=(16,), eval_episodes=4, total_steps=128, eval_every=64)
CASES = {
    "images": (image_classification.task, ImageClassification(
        channels=(16,), convs=1, total_steps=48, eval_every=24, batch_size=8, train_split="train[:64]", eval_split="train[-40:]")),
    "dqn": (dqn.task, DQN(replay_size=512, learning_starts=32, batch_size=16, **SMALL)),
    "pqn": (pqn.task, PQN(num_steps=4, minibatches=2, **SMALL)),
}
for name, (task, config) in CASES.items():
    configs = [replace(config, seed=s) for s in range(3)]
    data = task.data(config)
    one, split = (Group(task, configs, data, layout) for layout in (Layout("vmap"), SPLIT))
    # From one beginning, which knows nothing of batches: it is compiled once.
    begun = one.own(next(one.run(lambda: 4)).carry)
    (a, x), (b, y) = (end(g, (0, jax.tree.map(jnp.copy, begun))) for g in (one, split))
    assert_near((a.params, x), (b.params, y), 2e-3, 2e-4)
    assert_sums_gradients(split)
    # From a checkpoint to the same bits: it holds all that a task's state is made of.
    again = end(one, saved(one, 3).restore(one.abstract())[:2])
    jax.tree.map(np.testing.assert_array_equal, numbers(again), numbers((a, x)))
"""


def test_on_devices_equals_on_one(tmp_path):
    """Three trials on two devices: one place is left over, and filled.

    --devices: data parallelism, and each device works on its part of the batch alone. From a checkpoint of
    two devices, each layout ends where they did.
    """
    on_devices(COMPARE + TOY, tmp_path)


def test_tasks_whose_batches_are_divided(tmp_path):
    """Layouts know nothing of what a task computes; but it divides its batches itself.

    And from its checkpoint it ends with the same bits.
    """
    on_devices(COMPARE + TASKS, tmp_path)
