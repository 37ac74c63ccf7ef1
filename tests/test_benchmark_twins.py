"""The twins that tasks are timed beside are the tasks' own computation."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.configs import GAN, Segmentation
from mi203jax.data.feed import Data, Resident, Window
from mi203jax.data.standardize import Statistics
from mi203jax.tasks import gan, segmentation

torch = pytest.importorskip("torch")

from benchmarks import gan_step, torch_twins, unet_step  # noqa: E402

LAYOUTS = (torch.contiguous_format, torch.channels_last)
STEPS = 4


@pytest.fixture(scope="module")
def unet():
    """A small U-Net that was not trained yet, and its twin's arguments."""
    c = Segmentation(
        channels=(4, 6), convs=1, size=16, smallest=0.2, largest=0.5, batch_size=2, total_steps=24, frames=0
    )
    draw = np.random.default_rng(0).integers
    arrays = {
        "image": draw(0, 256, (3, 2, 16, 16, 1), np.uint8),
        "classes": draw(0, 11, (3, 2, 16, 16), np.int32),
    }
    arrays = {name: jnp.asarray(values) for name, values in arrays.items()}
    statistics = Statistics(jnp.full(1, 100.0), jnp.full(1, 50.0))
    pixels = segmentation.PixelStatistics(statistics, jnp.full(11, 1 / 11))
    data = Data(Window(arrays), {n: v[0] for n, v in arrays.items()}, pixels)
    ours = torch_twins.Ours(segmentation.task, c, data, jax.random.key(0))
    params = jax.device_get(ours.carry.state.params)
    return c, params, data, ours.losses(("loss",), STEPS), ours.carry.state


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_unet_learns_as_the_task(unet, layout):
    c, params, data, losses, state = unet
    twin = unet_step.Theirs(c, params, data, layout)
    torch_twins.agree(twin(STEPS), losses)
    w, norm = state.params["Conv_1"]["w"], state.layers["batch_stats"]["BatchNorm_1"]
    found = twin.model.down[1]
    np.testing.assert_allclose(found[0].weight.detach().numpy().transpose(2, 3, 1, 0), w, atol=1e-5)
    np.testing.assert_allclose(found[1].running_var.numpy(), norm["var"], rtol=1e-3)


@pytest.mark.parametrize("other", [{"weight_decay": 10.0}, {"warmup": 0.5}, {"momentum": 0.5}])
def test_another_optimiser_is_noticed(unet, other):
    c, params, data, losses, _ = unet
    twin = unet_step.Theirs(replace(c, **other), params, data)
    with pytest.raises(AssertionError):
        torch_twins.agree(twin(STEPS), losses)


@pytest.fixture(scope="module")
def opponents():
    """Two small networks that were not trained yet, and their twin's arguments."""
    c = GAN(channels=(3,), hidden=(5,), latent=6, batch_size=4, total_steps=40, frames=2)
    images = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1), np.uint8)
    arrays = {"image": jnp.asarray(images), "label": jnp.zeros(9, jnp.int32)}
    data = gan_step.with_brightest(Data(Resident(arrays), arrays, ()))
    ours = torch_twins.Ours(gan.task, c, data, jax.random.key(0))
    state = ours.carry.state
    params = jax.device_get((state.generator.params, state.discriminator.params))
    given = gan_step.rows_of(c, state.keys, 9), gan_step.latents_of(c, state.keys, STEPS)
    return c, (params, data, *given), ours.losses(gan_step.LOSSES, STEPS), ours.carry.state


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_opponents_learn_as_the_task(opponents, layout):
    c, given, losses, state = opponents
    twin = gan_step.Theirs(c, *given, layout)
    torch_twins.agree(twin(STEPS), losses)
    first, norm = state.average["Dense_0"]["w"], state.generator.layers["batch_stats"]["BatchNorm_2"]
    np.testing.assert_allclose(twin.average[0].numpy().T, first, atol=1e-5)
    np.testing.assert_allclose(twin.maker[8].running_mean.numpy(), norm["mean"], atol=1e-5)


@pytest.mark.parametrize("other", [{"penalty": 3.0}, {"momentum": 0.5}, {"time_scale": 2.0}])
def test_another_game_is_noticed(opponents, other):
    c, given, losses, _ = opponents
    twin = gan_step.Theirs(replace(c, **other), *given)
    with pytest.raises(AssertionError):
        torch_twins.agree(twin(STEPS), losses)


def test_what_is_no_twin_is_not_timed(capsys):
    ours = SimpleNamespace(losses=lambda names, steps: np.ones((steps, len(names))), compile_s=1.0)
    with pytest.raises(AssertionError):
        torch_twins.compare(ours, lambda *_: lambda steps: torch.full((steps, 1), 1.01), ("loss",))
    assert not capsys.readouterr().out


def test_all_sides_are_in_the_table(capsys, monkeypatch):
    class Side:
        compile_s = 1.0

        def __call__(self, steps=1):
            return torch.ones(steps, 1)

        def losses(self, names, steps):
            return np.ones((steps, len(names)))

    monkeypatch.setattr(torch_twins, "ROUNDS", 2)
    torch_twins.compare(Side(), lambda *_: Side(), ("loss",))
    rows = [line.split(" | ")[0].strip("| ") for line in capsys.readouterr().out.splitlines()]
    kinds = ["eager", "eager, channels last", "compiled", "compiled, channels last"]
    assert rows[-5:] == ["mi203jax", *(f"torch {kind}" for kind in kinds)]
