"""Frames of the agent at play."""

import numpy as np
import pytest

from mi203jax.tasks.play import CHOSEN, FAINT, PALETTE, SCREEN, animate


def frames(obs, q, done=False, action=None):
    time, q = len(q), np.asarray(q, np.float32)
    action = q.argmax(-1) if action is None else np.asarray(action)
    return {"obs": obs, "q": q, "action": action, "reward": np.ones(time), "done": np.full(time, done)}


def colours(frame, left=True):
    part = frame[60:, : SCREEN + 20] if left else frame[60:, SCREEN + 40 :]
    return {tuple(int(v) for v in c) for c in part.reshape(-1, 3)}


def test_shows_each_channel_in_its_colour():
    obs = np.zeros((1, 10, 10, 4), bool)
    obs[0, 9, 4, 0] = obs[0, 1, :, 3] = True
    (frame,) = animate(frames(obs, [[1.0, 2.0]]), "Game", ("left", "right")).frames
    assert frame.dtype == np.uint8
    seen = colours(frame)
    assert {tuple(map(int, PALETTE[0])), tuple(map(int, PALETTE[3]))} <= seen
    assert tuple(map(int, PALETTE[1])) not in seen


def test_shows_a_screen_in_grey():
    obs = np.full((1, 84, 84), 77, np.uint8)
    (frame,) = animate(frames(obs, [[1.0, 2.0]]), "Game", ("left", "right")).frames
    assert (frame == 77).all(-1).sum() == (84 * (SCREEN // 84)) ** 2


@pytest.mark.parametrize("shape", [(4,), (), (15,), (8, 8), (30, 40, 3), (10, 10, 10)])
def test_draws_any_observation(shape):
    obs = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    animation = animate(
        frames(obs, np.random.default_rng(1).normal(size=(3, 11))), "Game", tuple("abcdefghijk")
    )
    assert len(animation.frames) == 3
    assert len({f.shape for f in animation.frames}) == 1


@pytest.mark.parametrize("pressed", [0, 1, 2])
def test_picks_out_the_pressed_button(pressed):
    """Whether it was the best or one by chance; and a bar is as long as its value."""
    values = [1.0, 4.0, 2.0]
    (frame,) = animate(frames(np.zeros((1, 4)), [values], action=[pressed]), "Game", ("a", "b", "c")).frames
    panel = frame[:, SCREEN + 48 + 100 : SCREEN + 48 + 330 - 65]

    def lengths(colour):
        return sorted({int(n) for n in (panel == colour).all(-1).sum(1)} - {0})

    unit = lengths(CHOSEN)[-1] / values.pop(pressed)
    np.testing.assert_allclose(lengths(FAINT), sorted(unit * v for v in values), atol=4)


def test_negative_and_equal_values():
    animate(frames(np.zeros((2, 4)), [[-1.0, -4.0], [0.0, 0.0]]), "Game", ("a", "b"))
