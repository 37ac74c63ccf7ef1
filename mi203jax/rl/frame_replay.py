"""A replay that keeps each screen once, where observations are stacks of them (Mnih et al. 2015).

A transition there is two stacks of 4 screens, 7 of which also stand in its neighbours. This ring keeps one
screen a step, an eighth of the memory, and puts the stacks together again when it samples. It is made by
`replay_init` and filled by `replay_add`, as any other; only its entries and the sampling are its own.

The environments must begin anew in the step *after* an episode's end, as gymnasium's "next-step" reset does:
that step's entry shows the final screen, which is the last transition's successor. It is no transition
itself, which one sees by the entry after it, an episode's first: nothing leads there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class FrameStep(NamedTuple):
    """What the replay keeps of a step of each environment, also of one that only begins an episode."""

    frame: jax.Array  # [..., height, width], the newest of the observation acted on
    action: jax.Array  # [...], int32
    reward: jax.Array  # [...], float32, what is learned from
    terminated: jax.Array  # [...], bool: the future has no value after this step
    start: jax.Array  # [...], bool: the observation is an episode's first, older frames are zeros


class StackedTransition(NamedTuple):
    """Transitions as the environment gave them."""

    obs: jax.Array  # [..., stack, height, width], the newest frame last
    action: jax.Array  # [...], int32
    reward: jax.Array  # [...], float32
    terminated: jax.Array  # [...], bool
    next_obs: jax.Array  # as obs, the true successor; the final one where the episode ended
    weight: jax.Array  # [...], float32: 1, or 0 where this is no transition and must not be learned from


def frame_replay_sample(
    key: jax.Array, ring: FrameStep, added, shape: tuple[int, ...], stack: int, num_envs: int, tries: int = 8
) -> StackedTransition:
    """Draws uniformly, with replacement, among the transitions that are there whole.

    These are the steps of which the successor and all frames that they show are there, and whose successor
    begins no episode: a step before one that does was a reset, or the last before the run was resumed. Each
    draw is the first such step of some tries among all steps, which leaves the distribution as it is; where
    all tries fail, its weight is 0. With a share r of other steps that happens to r^tries of the draws: where
    episodes take a hundred steps, never in practice.

    Args:
        key: PRNG key.
        ring: leaves `[capacity, ...]`, to which a step of all environments was added at a time, in their
            order: entry τ · num_envs + e, modulo the capacity, is environment e's step τ.
        added: entries added so far, a multiple of num_envs; with less than two steps, all weights are 0.
        shape: shape of the sample.
        stack: frames of an observation.
        num_envs: environments.
        tries: for each draw.

    Returns:
        Leaves `[*shape, ...]`.

    Raises:
        ValueError: if the capacity is not a multiple of the environments, or holds no transition whole.
    """
    capacity = ring.start.shape[0]
    if capacity % num_envs or capacity < (stack + 1) * num_envs:
        raise ValueError(
            f"frame_replay_sample: expected a capacity that is a multiple of {num_envs} environments and at "
            f"least {stack + 1} times as large, for {stack} frames and their successor, got {capacity}."
        )
    held = jnp.minimum(added, capacity)
    steps = jnp.arange(1 - stack, 2)  # that a transition shows, counted from its own; the last: its successor

    def window(drawn):
        """Entries `[stack + 1]` that a step would show, which of them are blank, and if it can be had."""
        place = drawn + steps * num_envs  # counted from the oldest entry
        index = (added - held + place) % capacity
        began = jnp.where(ring.start[index], steps, -stack).max()
        blank = steps < began  # shown as zeros: of an earlier episode
        there = (place >= 0) & (place < held)
        return index, blank, (began <= 0) & (there | blank).all()

    def transition(drawn):
        """From the first of the steps `[tries]` that can be had."""
        index, blank, whole = jax.vmap(window)(drawn)
        chosen = whole.argmax()
        frames = jnp.where(blank[chosen][:, None, None], 0, ring.frame[index[chosen]])
        action, reward, terminated = (
            x[index[chosen, -2]] for x in (ring.action, ring.reward, ring.terminated)
        )
        weight = whole[chosen].astype(jnp.float32)
        return StackedTransition(frames[:-1], action, reward, terminated, frames[1:], weight)

    # The newest step of each environment has no successor yet.
    drawn = jax.random.randint(key, (*shape, tries), 0, held - num_envs)
    sample = jax.vmap(transition)(drawn.reshape(-1, tries))
    return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), sample)
