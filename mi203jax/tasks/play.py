"""The agent at play, as an animation: what it sees, what it thinks of each button, what it presses."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mi203jax.core.task import Animation

SCREEN = 360  # pixels, the side of the square in which the observation is drawn
MARGIN = 24
BAR_ROW = 40
PANEL = 330
# A colour a channel: Okabe and Ito's, which colour-blind readers can tell apart.
PALETTE = np.array(
    [
        (0, 114, 178), (230, 159, 0), (86, 180, 233), (213, 94, 0), (0, 158, 115),
        (204, 121, 167), (240, 228, 66), (160, 160, 160), (120, 94, 240), (254, 97, 0),
    ],
    np.uint8,
)  # fmt: skip
BACKGROUND, INK, FAINT, CHOSEN = (18, 20, 26), (235, 235, 235), (96, 102, 112), (230, 159, 0)


def animate(frames: dict[str, np.ndarray], title: str, action_names: tuple[str, ...]) -> Animation:
    """Draws the frames of an agent that plays.

    Args:
        frames: `obs` `[time, ...]` (images `[height, width]` or `[height, width, channels]`, grey if of uint8
            and without channels; anything else is drawn as bars), `q` `[time, actions]`, `action` `[time]`,
            the pressed button, `reward` `[time]`, `done` `[time]` (whether this step ended the episode).
        title: what is played.
        action_names: a name for each button.

    Returns:
        One frame a step: the observation, a bar for each Q(s, a) with that of the pressed button picked
        out, and the return so far.
    """
    q = frames["q"]
    scale = min(0.0, float(q.min())), max(1e-6, float(q.max()))
    obs = frames["obs"]
    limit = max(1e-6, float(np.abs(obs).max()))
    drawn, total, episode = [], 0.0, 1
    for t in range(len(q)):
        one = obs[t][..., None] if obs[t].ndim == 2 else obs[t]
        screen = _grid(one) if one.ndim == 3 else _bars(one.reshape(-1), limit)
        head = f"{title}   episode {episode}   return {total:g}"
        drawn.append(_frame(screen, q[t], int(frames["action"][t]), scale, action_names, head))
        total += float(frames["reward"][t])
        if frames["done"][t]:
            total, episode = 0.0, episode + 1
    return Animation(drawn, 12.0)


def _grid(obs: np.ndarray) -> Image.Image:
    """An image with any number of channels: each its colour, the last on top."""
    height, width, channels = obs.shape
    if obs.dtype == np.uint8 and channels == 1:  # a real screen, in grey
        pixels = obs.repeat(3, axis=-1)
    elif obs.dtype != bool and channels == 3:  # colours as they are
        pixels = np.clip(obs * (255 if obs.max() <= 1 else 1), 0, 255).astype(np.uint8)
    else:
        pixels = np.full((height, width, 3), BACKGROUND, np.uint8)
        for channel in range(channels):
            pixels[obs[..., channel] > 0] = PALETTE[channel % len(PALETTE)]
    cell = max(1, SCREEN // max(height, width))
    large = pixels.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell > 12:  # a seam between cells, so that neighbouring bricks can be counted
        large[cell - 1 :: cell] = BACKGROUND
        large[:, cell - 1 :: cell] = BACKGROUND
    return Image.fromarray(large)


def _bars(obs: np.ndarray, limit: float) -> Image.Image:
    """A vector: one bar a number, upwards if positive."""
    image = Image.new("RGB", (SCREEN, SCREEN), BACKGROUND)
    draw = ImageDraw.Draw(image)
    middle, width = SCREEN // 2, SCREEN / len(obs)
    for i, value in enumerate(obs):
        end = middle - float(value) / limit * (middle - 4)
        draw.rectangle(
            (i * width + 2, min(middle, end), (i + 1) * width - 2, max(middle, end)), tuple(PALETTE[2])
        )
    draw.line((0, middle, SCREEN, middle), FAINT)
    return image


def _frame(
    screen: Image.Image,
    q: np.ndarray,
    pressed: int,
    scale: tuple[float, float],
    names: tuple[str, ...],
    title: str,
) -> np.ndarray:
    top = MARGIN + 28
    height = top + max(SCREEN, 34 + BAR_ROW * (len(q) + 1)) + MARGIN
    image = Image.new("RGB", (SCREEN + PANEL + 3 * MARGIN, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(18), ImageFont.load_default(15)
    draw.text((MARGIN, MARGIN - 6), title, INK, font)
    image.paste(screen, (MARGIN + (SCREEN - screen.width) // 2, top))
    draw.rectangle((MARGIN - 1, top - 1, MARGIN + SCREEN, top + SCREEN), outline=FAINT)
    left = SCREEN + 2 * MARGIN
    draw.text((left, top), "Q(s, a): the discounted score it expects", INK, small)
    draw.text((left, height - MARGIN - 22), f"presses: {names[pressed]}", CHOSEN, font)
    low, high = scale
    zero = left + 100 + (0.0 - low) / (high - low) * (PANEL - 170)
    for i, (name, value) in enumerate(zip(names, q, strict=True)):
        y, colour = top + 34 + BAR_ROW * i, CHOSEN if i == pressed else FAINT
        end = left + 100 + (float(value) - low) / (high - low) * (PANEL - 170)
        draw.text((left, y), name, INK if i == pressed else FAINT, small)
        draw.rectangle((min(zero, end), y, max(zero, end), y + 20), colour)
        draw.text((left + PANEL - 60, y), _short(float(value)), INK if i == pressed else FAINT, small)
    return np.asarray(image)


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else str(value)
