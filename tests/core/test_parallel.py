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


def on_devices(code):
    """Runs code in a process with four CPU devices."""
    begin = """
import jax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
"""
    done = subprocess.run(
        [sys.executable, "-c", begin + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


COMPARE = """
import dataclasses
import functools
import numpy as np
from mi203jax.configs import DQN, PQN, ImageClassification, Vectors
from mi203jax.core.loop import Group
from mi203jax.core.parallel import Layout
from mi203jax.tasks import dqn, image_classification, pqn, vectors

SMALL = dict(env="Catch-bsuite", num_envs=8, hidden=(16,), eval_episodes=4, total_steps=128, eval_every=64)
CASES = {
    "vectors": (vectors.task, Vectors(total_steps=320, eval_every=160, batch_size=16)),
    "images": (image_classification.task, ImageClassification(
        channels=(16,), convs=1, total_steps=48, eval_every=24, batch_size=8, train_split="train[:64]", eval_split="train[-40:]")),
    "dqn": (dqn.task, DQN(replay_size=512, learning_starts=32, batch_size=16, **SMALL)),
    "pqn": (pqn.task, PQN(num_steps=4, minibatches=2, **SMALL)),
}
task, config = CASES[CASE]
configs = [dataclasses.replace(config, seed=s) for s in range(3)]
data = task.data(config)
spread, split = Layout("vmap", spread=2), Layout("vmap", split=4)
layouts = spread, Layout("map", spread=4 if CASE == "vectors" else 3), split
if CASE != "vectors":
    layouts = (split,)  # the others know nothing of what a task computes

@functools.cache
def group(layout):
    return Group(task, configs, data, layout)

def end(layout, resume=None):
    for progress in group(layout).run(lambda: 4, resume):
        pass
    return jax.device_get(group(layout).own(progress.carry).state.params), jax.device_get(progress.evaluation)

def near(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-4), a, b)

one = end(Layout("vmap"))
for layout in layouts:
    near(end(layout), one)
carry = jax.eval_shape(group(split)._start, group(split)._configs, group(split)._data, group(split)._keys)
text = group(split)._advance.lower(group(split)._configs, carry, group(split)._data, 0, 1).compile().as_text()
assert "all-reduce" in text  # of gradients: each device has its own part of the batch
"""


@pytest.mark.parametrize("case", ["images", "dqn", "pqn"])
def test_on_devices_equals_on_one(case):
    """Three trials on two devices: one place is left over, and filled.

    --devices: data parallelism, and each device works on its part of the batch alone.
    """
    on_devices(f"CASE = {case!r}" + COMPARE)


def test_on_devices_equals_on_one_and_a_resume_may_have_others():
    """The same of small vectors; and from a checkpoint of two devices, each layout ends where they did."""
    on_devices(
        "CASE = 'vectors'"
        + COMPARE
        + """
import tempfile
from pathlib import Path
from mi203jax.core.checkpoint import Checkpoints

whole = end(spread)
with tempfile.TemporaryDirectory() as folder:
    checkpoints = Checkpoints(Path(folder), configs)
    for progress in group(spread).run(lambda: 5):
        if progress.iteration == 10:
            checkpoints.save(10, group(spread).own(progress.carry))
            break
    for layout in (Layout("vmap"), *layouts):
        near(end(layout, checkpoints.restore(group(layout).abstract())), whole)
"""
    )


def test_choice_with_devices():
    on_devices(
        """
from mi203jax.core.parallel import Layout, choose_layout

assert choose_layout("map", 3) == Layout("map", spread=3)
assert choose_layout("map", 9) == Layout("map", spread=4)
assert choose_layout("map", 9, split=2) == Layout("map", split=2)
"""
    )
