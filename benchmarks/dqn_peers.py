"""DQN on Breakout beside stable-baselines3's on the `minatar` package: steps a second, and the score.

    python -m benchmarks.dqn_peers        (extra `bench`; install a CPU build of torch before it)

Both get the same number of environment steps, 4 samples a step, a replay of 100,000, a convolution and
a dense layer of the same size, the same ε and target period. What differs: ours plays 64 games at a
time and the peer one; ours uses double Q-learning, a step size that falls, and a layer norm after the
dense layer; the peer's after the convolution is over all positions. The peer's game is set to gymnax's
rules: no sticky actions, cut at 1,000 steps.
"""

import argparse
import time

import gymnasium
import jax
import numpy as np
import stable_baselines3
import torch
from minatar import Environment
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from benchmarks.measure import machine, table
from mi203jax.configs import DQN
from mi203jax.core.loop import Group
from mi203jax.tasks.dqn import task


class Breakout(gymnasium.Env):
    """The `minatar` package's game, channels first, its minimal actions, cut at 1,000 steps."""

    def __init__(self):
        self.game = Environment("breakout", sticky_action_prob=0.0)
        self.actions = self.game.minimal_action_set()
        shape = np.moveaxis(self.game.state(), -1, 0).shape
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, shape, np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(self.actions))

    def observe(self):
        return np.moveaxis(self.game.state(), -1, 0).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.game.seed(seed)
        self.game.reset()
        self.time = 0
        return self.observe(), {}

    def step(self, action):
        reward, terminated = self.game.act(self.actions[action])
        self.time += 1
        return self.observe(), float(reward), bool(terminated), self.time >= 1000, {}


class Convolution(BaseFeaturesExtractor):
    """16 filters 3×3, layer norm, relu: as ours."""

    def __init__(self, space):
        super().__init__(space, 1024)
        channels = space.shape[0]
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 16, 3),
            torch.nn.LayerNorm([16, 8, 8]),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
        )

    def forward(self, x):
        return self.net(x)


def peer(steps: int, c: DQN):
    model = stable_baselines3.DQN(
        "MlpPolicy",
        Breakout(),
        learning_rate=c.learning_rate,
        buffer_size=c.replay_size,
        learning_starts=c.learning_starts,
        batch_size=c.batch_size,
        gamma=c.gamma,
        train_freq=c.num_envs // c.gradient_steps,
        gradient_steps=1,
        target_update_interval=c.num_envs * c.target_period // c.gradient_steps,
        exploration_fraction=c.exploration_fraction,
        exploration_final_eps=c.epsilon_end,
        max_grad_norm=c.max_grad_norm,
        policy_kwargs={"features_extractor_class": Convolution, "net_arch": [128]},
        seed=c.seed,
        device="cpu",
    )
    start = time.perf_counter()
    model.learn(steps)
    seconds = time.perf_counter() - start
    return seconds, float(evaluate_policy(model, Breakout(), n_eval_episodes=c.eval_episodes)[0])


def ours(c: DQN):
    """Seconds without and with compilation, and the score."""
    start = time.perf_counter()
    progress = Group(task, [c], None).run(lambda: c.num_iterations // 20)
    next(progress)
    first = next(progress)
    jax.block_until_ready(first.carry)
    compiled, share = time.perf_counter(), 1 - first.iteration / c.num_iterations
    *_, last = progress
    score = float(last.evaluation["eval/return"][0])
    end = time.perf_counter()
    return (end - compiled) / share, end - start, score


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=512_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for seed in range(100, 100 + arguments.seeds):
        c = DQN(total_steps=arguments.steps, eval_every=arguments.steps, seed=seed)
        mine, all_in, score = ours(c)
        theirs, their_score = peer(arguments.steps, c)
        for name, seconds, total, value in (
            ("mi203jax", mine, all_in, score),
            ("stable-baselines3", theirs, theirs, their_score),
        ):
            row = {"DQN on Breakout": name, "seed": str(seed), "steps/s": f"{c.total_steps / seconds:,.0f}"}
            row["with compilation"] = f"{c.total_steps / total:,.0f}"
            rows.append(row | {"greedy return": f"{value:.1f}"})
            print(rows[-1], flush=True)
    print(machine(), f"torch {torch.__version__}, {torch.get_num_threads()} threads", table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
