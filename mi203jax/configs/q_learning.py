"""What the value-based agents of the course have in common.

Does not import jax or gymnax, so that a command line that is wrong is answered at once.
"""

import sys
from typing import Literal

from mi203jax.atari import (
    EMULATOR_BYTES,
    JUDGED_AT_RANDOM,
    MAX_EMULATORS,
    MAX_FRAMES,
    PREFIX,
    rom_of,
    which_is_meant,
)
from mi203jax.core.config import RunConfig, config, static, traced
from mi203jax.core.errors import UsageError
from mi203jax.core.fields import format_value

DISCRETE = {
    "Asterix-MinAtar": 1000,
    "Breakout-MinAtar": 1000,
    "Freeway-MinAtar": 2500,
    "Seaquest-MinAtar": 1000,
    "SpaceInvaders-MinAtar": 1000,
    "CartPole-v1": 500,
    "Acrobot-v1": 500,
    "MountainCar-v0": 200,
    "Catch-bsuite": 1000,
    "DeepSea-bsuite": 8,
    "MemoryChain-bsuite": 1000,
    "UmbrellaChain-bsuite": 100,
    "DiscountingChain-bsuite": 100,
    "MNISTBandit-bsuite": 1,
    "SimpleBandit-bsuite": 100,
    "FourRooms-misc": 500,
    "MetaMaze-misc": 200,
    "BernoulliBandit-misc": 100,
    "GaussianBandit-misc": 100,
    "Pong-misc": 1000,
    "FrozenLake-misc": 100,
}
"""gymnax's environments whose actions are buttons, and the step at which each cuts an episode."""

GRIDS = {"Rooms-grid": 100, "SlipperyRooms-grid": 100}
"""Our own games on a map, of which Q* can be computed, and the step at which each cuts an episode."""

CONTINUOUS = (
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "PointRobot-misc",
    "Reacher-misc",
    "Swimmer-misc",
)
"""gymnax's environments whose actions are real numbers: Q(s, a) has no row of values there."""


@config
class QLearning(RunConfig):
    """An ε-greedy agent that learns Q(s, a, θ). A step is one step of one environment."""

    total_steps: int = static(512_000, "length of the run, in environment steps", "[1, 2000000000]")
    eval_every: int = static(25_600, "environment steps between two evaluations", "[1, inf)")
    env: str = static("Breakout-MinAtar", "gymnax's with buttons, Rooms-grid, SlipperyRooms-grid, atari/GAME")
    score: Literal["dense", "sparse"] = static(
        "dense", "what is learned from: rewards as they come, or their sum at an episode's end"
    )
    clip_rewards: bool = static(False, "learn from rewards cut to [-1, 1]; returns are the game's own")
    sticky: float = static(0.25, "Atari: probability that the machine repeats the action before", "[0, 1]")
    frame_skip: int = static(4, "Atari: frames of a step, in which the action is held", "[1, 100]")
    noops: int = static(30, "Atari: an episode begins after 0 to noops − 1 idle frames, drawn", "[0, 1000]")
    fire_reset: bool = static(True, "Atari: the last of these presses fire; where none is drawn, one does")
    max_frames: int = static(MAX_FRAMES, "Atari: frames after which an episode is cut", "[1, inf)")
    life_loss: bool = static(False, "Atari: learn as if the game ended with a life")
    num_envs: int = static(64, "environments that play side by side", "[1, inf)")
    learning_rate: float = traced(5e-4, "step size of the optimiser", "(0, inf)")
    decay: float = traced(1.0, "part of the step size that is gone at the end, linearly", "[0, 1]")
    gamma: float = traced(0.99, "discount γ", "[0, 1]")
    epsilon_start: float = traced(1.0, "probability of a random action at first", "[0, 1]")
    epsilon_end: float = traced(0.02, "probability of a random action at last", "[0, 1]")
    exploration_fraction: float = traced(0.1, "part of the run in which ε falls", "(0, 1]")
    max_grad_norm: float = traced(10.0, "global norm at which gradients are clipped", "(0, inf)")
    channels: int = static(16, "filters of the (first) convolution (images only)", "[1, inf)")
    hidden: tuple[int, ...] = static((128,), "widths of the dense layers", "[1, inf)")
    layer_norm: bool = static(False, "normalise each layer before its relu")
    eval_episodes: int = static(32, "greedy episodes in an evaluation", "[1, inf)")
    eval_epsilon: float = traced(
        0.0, "probability of a random action in these; Atari: 0 stands for 0.01, the least", "[0, 1]"
    )
    play_frames: int = static(300, "frames of the GIF of the trained agent", "[1, 1000]")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if self.is_atari:
            self._check_atari()
        else:
            self._check_other()

    def _check_atari(self) -> None:
        rom_of(self.env.removeprefix(PREFIX))
        for name in ("num_envs", "eval_episodes"):
            if getattr(self, name) > MAX_EMULATORS:
                raise UsageError(
                    f"{name}={getattr(self, name)}: expected at most {MAX_EMULATORS} emulators, which take "
                    "about a minute to be made."
                )
        if isinstance(self.eval_epsilon, float) and 0 < self.eval_epsilon < JUDGED_AT_RANDOM:
            raise UsageError(
                f"eval_epsilon={self.eval_epsilon}: expected {JUDGED_AT_RANDOM} or more, or 0, which stands "
                f"for it, since an agent that never presses fire waits for max_frames={self.max_frames}."
            )
        if self.life_loss and self.score == "sparse":
            raise UsageError(
                "life_loss=true: expected score=dense, since a sparse one pays with the last life."
            )

    def _check_other(self) -> None:
        for name in ("sticky", "frame_skip", "noops", "fire_reset", "max_frames", "life_loss"):
            value = getattr(self, name)
            if value != getattr(QLearning, name):
                raise UsageError(f"{name}={format_value(value)} is of Atari: expected env=atari/GAME.")
        # An environment that the user registered with gymnax counts too.
        gymnax = sys.modules.get("gymnax")
        known = {*DISCRETE, *GRIDS, *(gymnax.registered_envs if gymnax else ())}
        if self.env in CONTINUOUS:
            raise UsageError(
                f"env={self.env} has continuous actions: expected an environment with discrete "
                "actions, such as Breakout-MinAtar."
            )
        if self.env not in known:
            raise UsageError(f"Unknown env={self.env}. {which_is_meant(self.env, {*known, *CONTINUOUS})}")

    @property
    def is_atari(self) -> bool:
        """Whether the environment is a real Atari game."""
        return self.env.startswith(PREFIX)

    @property
    def is_alone(self) -> bool:
        """Emulators have their state outside of JAX: no other trial can stand beside."""
        return self.is_atari

    @property
    def frames_per_step(self) -> int:
        """Of the game: papers on Atari count these."""
        return self.frame_skip if self.is_atari else 1

    @property
    def bytes_outside(self) -> int:
        """Emulators: those that learning plays with, and those that it is judged by."""
        return EMULATOR_BYTES * (self.num_envs + self.eval_episodes) if self.is_atari else 0
