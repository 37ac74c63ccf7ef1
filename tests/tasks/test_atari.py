"""DQN and PQN on real Atari games: what is theirs alone."""

import dataclasses
import importlib.metadata
import json
import os
import re
import sys
from signal import SIGTERM

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import launch
from mi203jax.atari import EMULATOR_BYTES, MAX_FRAMES
from mi203jax.configs import DQN, PQN, ReluQ
from mi203jax.core.errors import UsageError
from mi203jax.core.loop import train
from mi203jax.core.parallel import layout_of
from mi203jax.core.trials import group
from mi203jax.rl import TimeStep
from mi203jax.tasks import dqn, pqn, q_learning

N = 2
COMMON = {
    "env": "atari/Breakout",
    "num_envs": N,
    "channels": 1,
    "hidden": (4,),
    "eval_episodes": 1,
    "play_frames": 3,
}
SMALL_DQN = DQN(
    **COMMON,
    replay_size=40,
    learning_starts=10,
    batch_size=16,
    gradient_steps=1,
    total_steps=60,
    eval_every=60,
)
SMALL_PQN = PQN(**COMMON, num_steps=8, minibatches=2, total_steps=64, eval_every=64)


class Script:
    """An environment that plays a fixed film: `began`, ends and lives at given times, frames numbered."""

    def __init__(self, ends, lives=(), cuts=(), fire=False):
        self.ends, self.lives, self.cuts, self.fire = ends, lives, cuts, fire

    def step(self, key, state, action):
        t, n = state + 1, len(action)

        def every(value):
            return jnp.broadcast_to(value, (n,))

        ended, cut, lost = (jnp.isin(t, jnp.array(x or [-1])) for x in (self.ends, self.cuts, self.lives))
        began = jnp.isin(t - 1, jnp.array([*self.ends, *self.cuts] or [-1]))
        screens = jnp.maximum(t - jnp.arange(3, -1, -1), 0).astype(jnp.uint8)  # the newest last
        obs = jnp.broadcast_to(screens[:, None, None], (n, 4, 84, 84))
        reward = jnp.where(began, 0.0, 3.0 * t)
        if self.fire:  # the first button ends the episode, and what was pressed is the reward
            ended, reward = ended | (action == 1), jnp.float32(action)
        return t, TimeStep(obs, *map(every, (reward, ended, cut)), obs, every(began), every(lost))


@pytest.fixture
def scripted(monkeypatch):
    def use(**script):
        real, film = q_learning.environment, Script(**script)

        def environment(c, purpose="training"):
            return real(c, purpose)._replace(
                reset=lambda key, n: (jnp.int32(0), jnp.zeros((n, 4, 84, 84), jnp.uint8)), step=film.step
            )

        for module in (q_learning, dqn, pqn):
            monkeypatch.setattr(module, "environment", environment)

    return use


def play(c, steps, key):
    """What the agent learns from, `[steps, N]`, and the returns of episodes that ended."""

    @jax.jit
    def run(key):
        params, player = q_learning.init_network(c, key), q_learning.start_playing(c, key)

        def step(player, key):
            player, played = q_learning.play_step(c, params, player, 1.0, key)
            return player, (played.transition._replace(obs=(), next_obs=()), played.finished)

        return jax.lax.scan(step, player, jax.random.split(key, steps))[1]

    return jax.device_get(run(key))


def test_returns_are_of_whole_episodes(scripted, key):
    """The third step ends one of 3 + 6 + 9, the fourth begins another, which the sixth ends by 15 + 18."""
    scripted(ends=[3, 6], lives=[2])
    c = dataclasses.replace(SMALL_DQN, clip_rewards=True, life_loss=True)
    seen, finished = play(c, 7, key)
    np.testing.assert_array_equal(finished.total, [0, 0, 18 * N, 0, 0, 33 * N, 0])
    np.testing.assert_array_equal(seen.weight[:, 0], [1, 1, 1, 0, 1, 1, 0])
    np.testing.assert_array_equal(seen.reward[:, 0], [1, 1, 1, 0, 1, 1, 0])  # clipped
    np.testing.assert_array_equal(seen.terminated[:, 0], [0, 1, 1, 0, 0, 1, 0])  # of a life, too


def test_is_judged_by_whole_episodes_and_on_the_scale_of_a_person(scripted, key):
    """Breakout's tester got 30.5 points, chance 1.7 (Wang et al. 2016, Table 2)."""
    scripted(ends=[3])
    state = jax.jit(lambda key: dqn.init(SMALL_DQN, None, key))(key)
    found = jax.jit(lambda state: dqn.task.evaluate(SMALL_DQN, state, None))(state)
    assert float(found["return"]) == 3 + 6 + 9
    assert float(found["human_normalized"]) == pytest.approx(100 * (18 - 1.7) / (30.5 - 1.7))


def test_a_game_that_is_cut_earlier_than_the_table_s_has_no_score_on_its_scale(key):
    """Pong cut at −6 came out as 42 % of a person."""

    def measured(c):
        return jax.eval_shape(lambda key: pqn.task.evaluate(c, pqn.init(c, None, key), None), key)

    longer, shorter = (dataclasses.replace(SMALL_PQN, max_frames=n) for n in (MAX_FRAMES, MAX_FRAMES - 1))
    assert set(measured(longer)) - set(measured(shorter)) == {"human_normalized"}


def without_a_preference(state):
    """An agent whose Q-values are zero: a greedy one does nothing."""
    return state._replace(params=jax.tree.map(jnp.zeros_like, state.params))


def test_who_never_fires_is_judged_by_few_random_buttons(scripted, key):
    """It waited for the time limit, 27,000 steps, while four buttons take 400 to be drawn."""
    scripted(ends=[20_000], fire=True)
    state = without_a_preference(jax.jit(lambda key: pqn.init(SMALL_PQN, None, key))(key))
    found = jax.jit(lambda state: pqn.task.evaluate(SMALL_PQN, state, None))(state)
    assert 1 < float(found["length"]) < 4_000
    often = dataclasses.replace(SMALL_PQN, eval_epsilon=0.5)
    assert float(q_learning.judging_epsilon(often)) == 0.5
    other = dataclasses.replace(SMALL_PQN, env="Breakout-MinAtar")
    assert float(q_learning.judging_epsilon(other)) == 0.0


def test_the_gif_shows_the_pressed_buttons(scripted, key, monkeypatch):
    scripted(ends=[], fire=True)
    c = dataclasses.replace(SMALL_PQN, eval_epsilon=0.5, play_frames=20)
    state = without_a_preference(jax.jit(lambda key: pqn.init(c, None, key))(key))
    monkeypatch.setattr(q_learning, "animate", lambda frames, *_: frames)
    frames = q_learning.figures(c, state, None)["play"]
    np.testing.assert_array_equal(frames["reward"], frames["action"])
    assert 1 < (frames["action"] > 0).sum() < 15


def test_an_episode_that_a_resumed_run_lost_counts_for_nothing(key):
    """The emulators are those of another process: what was collected before is forgotten, with its return."""

    @jax.jit
    def go_on(key):
        params, player = q_learning.init_network(SMALL_DQN, key), q_learning.start_playing(SMALL_DQN, key)
        env = player.env._replace(session=player.env.session + 1)
        player = player._replace(env=env, returns=jnp.full(N, 7.0))
        return q_learning.play_step(SMALL_DQN, params, player, 1.0, key)

    player, played = go_on(key)
    np.testing.assert_array_equal(player.returns, np.zeros(N))
    np.testing.assert_array_equal(played.transition.weight, np.zeros(N))
    assert player.start.all()


def test_the_replay_gives_what_was_seen(scripted, key):
    """Screens are as grey as their number: an observation acted on at time t shows t − 3 to t of its episode."""
    scripted(ends=[5, 23], cuts=[12], lives=[20])
    c = dataclasses.replace(SMALL_DQN, life_loss=True)

    @jax.jit
    def run(key):
        def step(state, t):
            return dqn.step(c, state, None, t)[0], None

        # Longer than the ring: 20 steps of each environment.
        state, _ = jax.lax.scan(step, dqn.init(c, None, key), jnp.arange(26))
        return jax.vmap(lambda key: dqn.sample(c, key, state.replay, 26 * N))(jax.random.split(key, 12))

    batch = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[3:]), run(key))
    assert (batch.weight == 1).all()
    # The ring holds those that acted on 6 to 25: 6 begins an episode, 12 and 23 end one, 25 has no successor.
    times = batch.obs[:, -1, 0, 0].astype(int)
    assert set(times) == set(range(6, 25)) - {12, 23}
    np.testing.assert_array_equal(batch.next_obs[:, -1, 0, 0], times + 1)
    np.testing.assert_array_equal(batch.reward, 3.0 * (times + 1))
    np.testing.assert_array_equal(batch.terminated, np.isin(times, (19, 22)))  # with a life, and the game
    begun = np.select([times >= 24, times >= 13], [24, 13], 6)  # nothing older is shown
    older = np.stack([np.where(times - back >= begun, times - back, 0) for back in (3, 2, 1)], 1)
    np.testing.assert_array_equal(batch.obs[:, :3, 0, 0], older)


def test_targets_of_pqn(scripted, key):
    """A life is lost in step 2, step 5 is cut, 6 begins anew: by hand, backwards."""
    scripted(ends=[], lives=[2], cuts=[5])
    c = dataclasses.replace(SMALL_PQN, life_loss=True)

    @jax.jit
    def run(key):
        state = pqn.init(c, None, key)
        _, phase, _ = pqn.collect(c, state, 1.0, key)
        screens = jnp.maximum(jnp.arange(9)[:, None] - jnp.arange(3, -1, -1), 0).astype(jnp.uint8)
        obs = jnp.broadcast_to(screens[:, :, None, None], (9, 4, 84, 84))
        return phase, q_learning.q_values(c, state.params, obs).max(-1)

    phase, best = jax.device_get(run(key))
    expected, after = {}, best[8]
    for t in (8, 7, 6, 5, 4, 3, 2, 1):  # best[t]: of what is seen after step t
        ahead = (1 - c.lambda_) * best[t] + c.lambda_ * after
        future = {2: 0.0, 5: best[5]}.get(t, best[8] if t == 8 else ahead)
        after = expected[t] = 3.0 * t + c.gamma * future
    learned = [t for t in expected if t != 6]
    found = phase.target.reshape(-1, N)
    np.testing.assert_allclose(found[[t - 1 for t in learned], 0], [expected[t] for t in learned], rtol=1e-5)
    np.testing.assert_array_equal(phase.weight.reshape(-1, N)[:, 0], [1, 1, 1, 1, 1, 0, 1, 1])


def test_pqn_does_not_learn_from_the_step_that_begins(scripted, key):
    """A target that is wrong there changes nothing; elsewhere it does."""
    scripted(ends=[3])

    @jax.jit
    def run(key):
        state = pqn.init(SMALL_PQN, None, key)
        _, phase, _ = pqn.collect(SMALL_PQN, state, 1.0, key)
        gradient = jax.grad(lambda p, phase: pqn.loss(SMALL_PQN, p, phase))
        wrong = phase._replace(target=phase.target.at[3 * N].add(100.0))
        other = phase._replace(target=phase.target.at[2 * N].add(100.0))
        return phase, [gradient(state.params, x) for x in (phase, wrong, other)]

    phase, (right, same, different) = jax.device_get(run(key))
    np.testing.assert_array_equal(phase.weight.reshape(-1, N)[:, 0], [1, 1, 1, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(phase.target.reshape(-1, N)[2], [9.0, 9.0])  # where the rules ended it
    jax.tree.map(np.testing.assert_array_equal, right, same)
    assert any(
        not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (right, different)), strict=True)
    )


@pytest.mark.parametrize(("task", "c"), [(dqn.task, SMALL_DQN), (pqn.task, SMALL_PQN)], ids=["dqn", "pqn"])
def test_trains_the_same_twice(task, c, key):
    """The emulators draw from the trial's key alone."""
    # Which ends soon for those who cannot play, and the sooner the longer they hold a button.
    c = dataclasses.replace(c, env="atari/Pong", frame_skip=16)
    run = jax.jit(lambda key: train(task, c, None, key))
    (first, metrics), (second, _) = run(key), run(key)
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)
    assert np.isfinite(metrics["train/loss"]).all()
    assert metrics["eval/length"] > 100


def test_the_limit_of_an_episode():
    """In frames; a phase of PQN must be shorter."""
    c = dataclasses.replace(SMALL_PQN, max_frames=30)
    assert q_learning.environment(c).time_limit == 8
    longer = dataclasses.replace(c, num_steps=9, minibatches=1)
    with pytest.raises(UsageError, match="num_steps=9 is longer than the episodes of env=atari/Breakout"):
        jax.eval_shape(lambda key: pqn.init(longer, None, key), jax.random.key(0))


def test_what_a_trial_takes_and_counts():
    assert (SMALL_PQN.frames_per_step, SMALL_PQN.bytes_outside) == (4, 3 * EMULATOR_BYTES)
    other = dataclasses.replace(SMALL_PQN, env="Breakout-MinAtar")
    assert (other.frames_per_step, other.bytes_outside) == (1, 0)


def test_trials_are_alone():
    seeds = [dataclasses.replace(SMALL_PQN, seed=s) for s in range(3)]
    assert group(seeds) == [[0], [1], [2]]
    assert group([dataclasses.replace(c, env="Breakout-MinAtar") for c in seeds]) == [[0, 1, 2]]
    with pytest.raises(UsageError, match="3 trials with state outside of JAX"):
        layout_of(pqn.task, seeds)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (PQN, {"env": "atari/Pnog"}, "Unknown env=atari/Pnog. Did you mean 'atari/Pong'"),
        (PQN, {"env": "ATARI/pong"}, "Unknown env=ATARI/pong. Did you mean 'atari/Pong'"),
        (PQN, {"env": "ale/pnog-v5"}, "Unknown env=ale/pnog-v5. Did you mean 'atari/Pong'"),
        (PQN, {"env": "MsPacman"}, "Unknown env=MsPacman. Did you mean 'atari/MsPacman'"),
        (PQN, {"env": "PongNoFrameskip-v4"}, "Did you mean 'atari/Pong'"),
        (PQN, {"env": "ms_pacman-ramDeterministic-v0"}, "Did you mean 'atari/MsPacman'"),
        (PQN, {"env": "Pong"}, "Did you mean 'Pong-misc'\\? The real Atari game is 'atari/Pong'"),
        (PQN, {"env": "atari/BreakoutContinuous-v5"}, "continuous actions: .* env=atari/Breakout\\."),
        (PQN, {"env": "atari/Pong", "num_envs": 513}, "num_envs=513: expected at most 512 emulators"),
        (DQN, {"env": "atari/Pong", "eval_episodes": 10**5}, "eval_episodes=100000: expected at most 512"),
        (PQN, {"env": "atari/PongContinuous"}, "PongContinuous has continuous actions: .* env=atari/Pong\\."),
        (PQN, {"env": "Breakout-MinAtar", "sticky": 0.1}, "sticky=0.1 is of Atari: expected env=atari/GAME"),
        (DQN, {"env": "atari/Pong", "memory": "gru"}, "memory=gru: expected none"),
        (
            DQN,
            {"env": "atari/Pong", "replay_size": 200, "num_envs": 64},
            "replay_size=200: expected at least 320",
        ),
        (PQN, {"env": "ALE/Pong-v5"}, "Unknown env=ALE/Pong-v5. Did you mean 'atari/Pong'"),
        (PQN, {"env": "Atari/Pong"}, "Unknown env=Atari/Pong. Did you mean 'atari/Pong'"),
        (DQN, {"env": "Breakout-MinAtar", "fire_reset": False}, "fire_reset=false is of Atari"),
        (DQN, {"env": "Breakout-MinAtar", "max_frames": 9}, "max_frames=9 is of Atari"),
        (
            DQN,
            {"env": "atari/Pong", "life_loss": True, "score": "sparse"},
            "life_loss=true: expected score=dense",
        ),
        (PQN, {"env": "atari/Pong", "eval_epsilon": 0.005}, "eval_epsilon=0.005: expected 0.01 or more"),
        (ReluQ, {"env": "atari/Pong"}, "expected --exp=dqn or --exp=pqn"),
    ],
)
def test_mistakes(kind, fields, message):
    with pytest.raises(UsageError, match=message):
        kind(**fields)


def test_without_the_extra(monkeypatch):
    from mi203jax import atari

    atari.games.cache_clear()
    for module in ("ale_py", "ale_py.roms"):
        monkeypatch.setitem(sys.modules, module, None)
    for env in ("atari/Pong", "ALE/Pong-v5"):
        with pytest.raises(
            UsageError, match=r"env=atari/GAME needs a package: pip install 'mi203jax\[atari\]'"
        ):
            PQN(env=env)
    with pytest.raises(UsageError, match="Unknown env=MsPacman.*Real Atari games are named as 'atari/Pong'"):
        PQN(env="MsPacman")
    atari.games.cache_clear()


def test_figures_show_the_newest_screen(scripted, key):
    """The film's screens are as grey as their number; what is drawn is as wide as 84 pixels 4 times."""
    scripted(ends=[])
    state = jax.jit(lambda key: pqn.init(SMALL_PQN, None, key))(key)
    animation = q_learning.figures(SMALL_PQN, state, None)["play"]
    assert len(animation.frames) == SMALL_PQN.play_frames
    for t, frame in enumerate(animation.frames[1:], 1):
        assert (frame == t).all(-1).sum() == (4 * 84) ** 2


TINY = (
    *("--exp=pqn", "env=atari/Breakout", "max_frames=100", "num_envs=2", "num_steps=8", "minibatches=2"),
    *(
        "channels=1",
        "hidden=()",
        "layer_norm=false",
        "total_steps=64",
        "eval_every=32",
        "eval_episodes=1",
        "play_frames=3",
    ),
)


@pytest.mark.usefixtures("undrawn")
class TestFromTheCommandLine:
    def test_nothing_runs(self, capsys):
        assert launch.main(["launch.py", *TINY, "--seeds=2", "--dry-run"]) == 0
        out = capsys.readouterr().out
        assert re.search(r"program 2: 1 trial, about .* MB\n", out)
        assert "nothing was run" in out

    def test_seeds_run_in_turn_and_go_on(self, tmp_path, monkeypatch, capsys):
        run, told = tmp_path / "run", []

        def record(self, where, step, values, of_many):
            """Sends a signal after the first iterations."""
            told.append(step)
            if told == [0, 32]:
                os.kill(os.getpid(), SIGTERM)

        monkeypatch.setattr("mi203jax.core.display.Display.record", record)
        assert launch.main(["launch.py", *TINY, "--seeds=2", f"--out={run}"]) == 128 + SIGTERM
        assert "trials run one after the other" in capsys.readouterr().out
        assert launch.main(["launch.py", f"--resume={run}"]) == 0
        assert "their episodes begin anew" in capsys.readouterr().out
        metrics = [file.read_text().splitlines() for file in sorted(run.glob("pieces/*/metrics.jsonl"))]
        assert [[json.loads(line)["step"] for line in lines] for lines in metrics] == [[0, 32, 64]] * 2
        results = (run / "results.csv").read_text()
        assert results.count("done") == 2
        assert "eval/return" in results
        assert "human_normalized" not in results  # these games are cut
        version = importlib.metadata.version("ale-py")
        assert json.loads((run / "provenance.json").read_text())["packages"]["ale-py"] == version
