"""Schedules against torch's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import schedules

torch = pytest.importorskip("torch")


def torch_factors(make, steps):
    """The factor on the learning rate at each step, by torch's schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return np.array(factors)


class TestSchedule:
    progress = np.arange(40, dtype=np.float32) / 40

    @pytest.mark.parametrize(
        ("name", "scheduler"),
        [
            ("constant", partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0)),
            (
                "linear",
                partial(torch.optim.lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.0, total_iters=40),
            ),
            ("cosine", partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=40)),
            ("one_cycle", partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=40)),
            ("step", partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[20, 30], gamma=0.1)),
        ],
    )
    def test_equals_torch(self, name, scheduler):
        factors = jax.jit(jax.vmap(partial(schedules.schedule, name)))(self.progress)
        np.testing.assert_allclose(factors, torch_factors(scheduler, 40), atol=1e-6)

    def test_one_cycle_equals_a_torch_sequence(self):
        def sequence(optimizer):
            rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 25, 1.0, total_iters=10)
            fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
            return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], [10])

        expected = torch_factors(sequence, 40)
        np.testing.assert_allclose(schedules.one_cycle(self.progress), expected, atol=1e-6)
        by_name = jax.jit(jax.vmap(partial(schedules.schedule, "one_cycle"), (0, None)))
        np.testing.assert_allclose(by_name(self.progress, 0.25), expected, atol=1e-6)

    @pytest.mark.parametrize("name", schedules.SCHEDULES)
    def test_a_warm_up_comes_first_and_the_rest_is_the_schedule(self, name):
        late = 0.2 + 0.8 * self.progress + 1e-6
        np.testing.assert_allclose(
            schedules.schedule(name, late, jnp.float32(0.2)),
            schedules.schedule(name, self.progress + 1e-6),
            atol=1e-4,
        )
        rise = schedules.schedule(name, np.float32([0.0, 0.1]), 0.2)
        np.testing.assert_allclose(rise, [1 / 25, (1 + 1 / 25) / 2], rtol=1e-6)

    @pytest.mark.parametrize("name", schedules.SCHEDULES)
    def test_slopes_are_finite_without_a_warm_up(self, name):
        slopes = jax.grad(partial(schedules.schedule, name), (0, 1))(0.3, 0.0)
        assert np.isfinite(slopes).all()

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="schedule: unknown schedule 'cosin'. Did you mean 'cosine'"):
            schedules.schedule("cosin", 0.5)
