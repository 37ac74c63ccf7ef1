"""Tabular methods from samples, against numpy's loops, closed forms and the exact Q*."""

import dataclasses

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.rl import FiniteMDP, from_gymnasium, grid_world, tabular, value_iteration
from mi203jax.rl.tabular import double_q_learning, q_learning, sarsa, simulate, start_learning

pytestmark = pytest.mark.usefixtures("strict")

METHODS = {"q_learning": q_learning, "sarsa": sarsa, "double_q_learning": double_q_learning}


def random_mdp(seed=0, states=7, actions=4, successors=3, per_successor=True):
    """Sparse, with two terminal states, impossible successors, and actions that are not offered."""
    rng = np.random.default_rng(seed)
    shape = states, actions, successors
    p = rng.dirichlet(np.ones(successors), shape[:2])
    p[1, 2] = 0, 1, 0
    reward = rng.normal(size=shape if per_successor else shape[:2])
    reward[0, 0] = reward[3, 1] = reward[3, 3] = -np.inf
    terminal = np.arange(states) >= states - 2
    p[terminal] = np.nan  # never read
    return FiniteMDP(p, reward, 0.8, terminal, rng.integers(0, states, shape))


def padded(mdp):
    """The same game as an array of 7 states, 4 actions and 3 successors, for which programs are compiled."""
    s, a, k = mdp.transition.shape
    more = (0, 7 - s), (0, 4 - a), (0, 3 - k)
    # Successors that do not occur, actions that are not offered, and states that are over.
    reward = np.broadcast_to(mdp.reward[..., None] if mdp.reward.ndim == 2 else mdp.reward, (s, a, k))
    reward = np.pad(
        np.pad(reward, (*more[:1], (0, 0), more[2])), ((0, 0), more[1], (0, 0)), constant_values=-np.inf
    )
    p = np.pad(mdp.transition, more)
    p[..., 0] += p.sum(-1) == 0
    terminal = np.pad(mdp.terminal, more[0], constant_values=True)
    return FiniteMDP(p, reward, mdp.discount, terminal, np.pad(mdp.successor, more))


def full_transition(mdp):
    """P(s' | s, a), `[S, A, S]`."""
    s, a, k = mdp.transition.shape
    p = np.zeros((s, a, s))
    for at in np.ndindex(s, a, k):
        p[at[:2]][mdp.successor[at]] += mdp.transition[at]
    return np.nan_to_num(p)


jitted_simulate = jax.jit(simulate)


class TestSimulate:
    n = 20_000

    def draws(self, mdp, s, a):
        state = np.full((2, self.n), s)
        return [np.asarray(x) for x in jitted_simulate(jax.random.key(1), mdp, state, np.full_like(state, a))]

    @pytest.mark.parametrize("sparse", [True, False])
    def test_frequencies(self, sparse):
        mdp = random_mdp(per_successor=False)
        transition = full_transition(mdp)
        if not sparse:
            mdp = FiniteMDP(transition, mdp.reward, mdp.discount, mdp.terminal)
        for s, a in ((0, 1), (1, 2), (4, 3)):
            after, reward, terminated = self.draws(mdp, s, a)
            assert after.shape == reward.shape == terminated.shape == (2, self.n)
            found = np.bincount(after.ravel(), minlength=7) / after.size
            p = transition[s, a]
            assert (np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / after.size)).all()
            np.testing.assert_array_equal(reward, np.float32(mdp.reward[s, a]))
            np.testing.assert_array_equal(terminated, mdp.terminal[after])
            assert (after[0] != after[1]).any() == (p.max() < 1)

    def test_reward_of_successor(self):
        mdp = random_mdp(2)
        mdp = dataclasses.replace(mdp, successor=np.broadcast_to([5, 2, 0], mdp.successor.shape))
        after, reward, _ = self.draws(mdp, 4, 1)
        for k, to in enumerate((5, 2, 0)):
            assert (after == to).any()
            np.testing.assert_array_equal(reward[after == to], np.float32(mdp.reward[4, 1, k]))

    def test_batch_of_states(self):
        mdp = random_mdp()
        state, action = np.meshgrid(np.arange(7), np.arange(4), indexing="ij")
        after, reward, terminated = jitted_simulate(jax.random.key(0), mdp, state, action)
        assert (after.dtype, reward.dtype, terminated.dtype) == (jnp.int32, jnp.float32, bool)
        live = ~mdp.terminal
        possible = np.where(mdp.transition > 0, mdp.successor, -1)
        assert (after[..., None] == possible)[live].any(-1).all()
        # A game that is over stays so.
        np.testing.assert_array_equal(after[~live], state[~live])
        np.testing.assert_array_equal(reward[~live], 0)
        np.testing.assert_array_equal(terminated, mdp.terminal[after])

    def test_scalars(self):
        mdp = random_mdp()
        after, reward, terminated = jitted_simulate(jax.random.key(0), mdp, 1, 2)
        assert after.shape == reward.shape == terminated.shape == ()
        assert after == mdp.successor[1, 2, 1]

    def test_what_is_impossible_never_happens(self):
        """Rounded sums of many small probabilities: on no side of a step may an impossible one profit."""
        states = 999
        p = np.where(np.arange(states) % 3 == 1, 1.0, 0.0)
        p[:50] = p[-50:] = 0
        p /= p.sum()
        threshold = np.asarray(jax.jit(tabular._thresholds)(p))
        numbers = np.float32([0, *np.unique(threshold)[:-1], 1 - 2.0**-24])
        numbers = np.append(numbers, np.nextafter(numbers[:-1], np.float32(1)))
        # The reward says whether what happened is possible.
        own = [x[None, None] for x in (p, np.where(p > 0, 1.0, 0.0), np.zeros(states, int))]
        mdp = FiniteMDP(*own[:2], 0.5, None, own[2])
        at = np.zeros(len(numbers), int)
        _, possible = jax.jit(tabular._land)(mdp, threshold[None], at, at, numbers)
        assert len(numbers) > 500
        np.testing.assert_array_equal(possible, 1)
        assert threshold[-1] == 1


def by_hand(method, key, mdp, n, alpha, epsilon, power, start, time_limit):
    """Sutton & Barto's boxes 6.4, 6.5 and 6.7 as plain loops, which use the same random numbers."""
    draw = jax.jit(jax.vmap(lambda key, t: jax.random.uniform(jax.random.fold_in(key, t), (7,)), (None, 0)))
    steps = np.asarray(draw(key, jnp.arange(1, n + 1)))
    offered = [np.flatnonzero(np.reshape(mdp.reward[s], (4, -1)).max(1) > -np.inf) for s in range(7)]
    number = 2 if method == "double_q_learning" else 1
    q, visits = np.zeros((number, 7, 4)), np.zeros((number, 7, 4), int)
    for s in range(7):
        q[:, s, np.setdiff1d(np.arange(4), offered[s])] = 0 if mdp.terminal[s] else -np.inf

    def begin(u):
        return int(np.flatnonzero(np.cumsum(start) > u)[0])

    def choose(s, coin, pick):
        if coin < epsilon:
            return int(offered[s][int(pick * len(offered[s]))])
        return int(q[:, s].mean(0).argmax())

    u0 = float(jax.random.uniform(jax.random.fold_in(key, 0)))
    s, a, count = begin(u0), None, 0
    for u in (tabular._Numbers(*map(float, row)) for row in steps):
        if a is None:
            a = choose(s, u.coin, u.pick)
        k = int(np.flatnonzero(np.cumsum(mdp.transition[s, a]) > u.move)[0])
        to, r = int(mdp.successor[s, a, k]), mdp.reward[s, a, k]
        over = bool(mdp.terminal[to])
        t, following = 0, None
        if over:
            goal = r
        elif method == "q_learning":
            goal = r + mdp.discount * max(q[0, to])
        elif method == "sarsa":
            following = choose(to, u.next_coin, u.next_pick)
            goal = r + mdp.discount * q[0, to, following]
        if method == "double_q_learning":
            t = int(u.table >= 0.5)
            goal = r if over else r + mdp.discount * q[1 - t, to, q[t, to].argmax()]
        visits[t, s, a] += 1
        q[t, s, a] += alpha / visits[t, s, a] ** power * (goal - q[t, s, a])
        count += 1
        s, a = to, following
        if over or count == time_limit:
            s, a, count = begin(u.start), None, 0
    return q, visits, s, -1 if a is None else a, count


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("power", [0.0, 0.7])
def test_equals_loops(method, power):
    mdp = random_mdp()
    # All that begins or continues an episode matters: few steps, several ends of both kinds.
    options = {"power": power, "start": np.array([0.5, 0, 0.25, 0.25, 0, 0, 0]), "time_limit": 4}
    for key in map(jax.random.key, (0, 3)):
        learner = METHODS[method](key, mdp, 301, 0.6, 0.4, **options)
        q, visits, state, action, steps = by_hand(method, key, mdp, 301, 0.6, 0.4, **options)
        np.testing.assert_array_equal(learner.counts, visits)
        np.testing.assert_allclose(learner.tables, q, rtol=1e-4, atol=1e-5)
        assert (int(learner.state), int(learner.action), int(learner.steps)) == (state, action, steps)
        np.testing.assert_allclose(learner.q, q.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(learner.visits, visits.sum(0))
    assert learner.visits.dtype == jnp.int32


class TestConvergence:
    def test_certain_moves_are_learned_exactly(self):
        """Q*(s, a) = 100 γ^d, d being the distance that is left after the move."""
        game = grid_world(["...", ".#G", "..#"], discount=0.9)
        mdp = padded(game.mdp)
        distance = np.array([3, 2, 1, 4, 0, 5, 6])  # round the wall
        expected = 100 * 0.9 ** distance[game.mdp.successor[..., 0]]
        expected[distance == 0] = 0
        for method in (q_learning, double_q_learning):
            tables = method(jax.random.key(0), mdp, 20_000, 1.0, 1.0).tables
            np.testing.assert_allclose(tables, np.broadcast_to(expected, tables.shape), rtol=1e-5)

    @pytest.mark.parametrize("method", ["q_learning", "double_q_learning"])
    def test_random_moves(self, method):
        mdp = grid_world(["..X", "#..", "#.G"], slip=0.3, discount=0.8).mdp
        assert mdp.transition.shape == (7, 4, 3)
        learner = METHODS[method](jax.random.key(0), mdp, 400_000, 1.0, 1.0, power=0.9)
        exact = np.asarray(value_iteration(mdp).q)
        assert np.ptp(exact) > 100
        assert np.abs(learner.q - exact).max() < 2

    def test_sarsa_values_the_random_policy(self):
        mdp = random_mdp(1)
        learner = sarsa(jax.random.key(0), mdp, 200_000, 1.0, 1.0, power=0.9)
        expected = value_of_random(mdp)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(learner.q), finite)
        assert np.abs(learner.q - expected)[finite].max() < 0.05 * np.ptp(expected[finite])


def value_of_random(mdp):
    """Q of choosing uniformly among what is offered, by solving its equations."""
    offered = (mdp.reward > -np.inf).all(-1) & ~mdp.terminal[:, None]
    policy = offered / np.maximum(offered.sum(1, keepdims=True), 1)
    reward = np.where(offered, (mdp.transition * np.where(mdp.reward > -np.inf, mdp.reward, 0)).sum(-1), 0)
    p = full_transition(mdp)
    matrix = np.eye(len(p)) - mdp.discount * np.einsum("sa,sat->st", policy, p)
    q = reward + mdp.discount * p @ np.linalg.solve(matrix, (policy * reward).sum(1))
    return np.where(mdp.terminal[:, None], 0, np.where(offered, q, -np.inf))


class TestCliff:
    """Sutton & Barto, example 6.6: who explores all his life keeps away from the edge, if that counts."""

    @pytest.mark.parametrize(("method", "safe"), [(sarsa, True), (q_learning, False)])
    def test_path(self, method, safe):
        mdp = from_gymnasium(gymnasium.make("CliffWalking-v1"), discount=1.0)
        start = np.arange(48) == 36
        learner = method(jax.random.key(0), mdp, 200_000, 0.1, 0.1, start=start)
        q, path = np.asarray(learner.q), [36]
        while path[-1] != 47 and len(path) < 50:
            path.append(int(mdp.successor[path[-1], q[path[-1]].argmax(), 0]))
        assert path[-1] == 47
        on_edge = [s for s in path[2:-2] if s // 12 == 2]
        if safe:
            assert not on_edge
        else:
            assert path == [36, *range(24, 36), 47]
            assert q[36].max() == pytest.approx(-13, abs=0.1)


def test_double_q_learning_is_less_biased():
    """Sutton & Barto, example 6.7: going left is worth −0.1, since each of many lotteries there is."""
    p, successor = np.zeros((4, 4, 2)), np.zeros((4, 4, 2), int)
    reward = np.full((4, 4, 2), -np.inf)
    p[0, :, 0], successor[0, 0], successor[0, 1], reward[0, :2] = 1, 1, 2, 0
    p[1], successor[1], reward[1] = [0.45, 0.55], [2, 3], [1, -1]
    p[2:, :, 0] = 1
    mdp = padded(FiniteMDP(p, reward, 1.0, np.array([False, False, True, True]), successor))
    keys, start = jax.random.split(jax.random.key(0), 30), np.eye(7)[0]

    def play(method, epsilon):
        learners = [method(key, mdp, 1000, 0.1, epsilon, start=start) for key in keys]
        visits = np.array([x.visits[0] for x in learners])
        return np.mean([x.q[0, 0] for x in learners]), (visits[:, 0] / visits.sum(1)).mean()

    # Where all is tried alike, the largest of several estimates is far from what any lottery is worth.
    assert play(q_learning, 1.0)[0] > 0.05
    assert abs(play(double_q_learning, 1.0)[0] + 0.1) < 0.08
    # So one falls for them; the best would go left in ε / 2 of all games.
    assert play(double_q_learning, 0.1)[1] < play(q_learning, 0.1)[1] - 0.03


class TestOffered:
    """Actions of reward −∞ do not exist."""

    @pytest.mark.parametrize("method", METHODS)
    def test_never_taken(self, method):
        self.check(METHODS[method], random_mdp(), 2000)

    def test_reward_without_successor(self):
        self.check(q_learning, random_mdp(per_successor=False), 2000)

    def check(self, method, mdp, n):
        refused = np.isneginf(mdp.reward.reshape(7, 4, -1).max(-1))
        learner = method(jax.random.key(0), mdp, n, 0.5, 0.7)
        assert refused.sum() == 3
        np.testing.assert_array_equal(learner.visits > 0, ~refused & ~mdp.terminal[:, None])
        np.testing.assert_array_equal(learner.q == -np.inf, refused & ~mdp.terminal[:, None])

    def test_refused_by_what_is_possible(self):
        """One successor of −∞ is enough, if it occurs."""
        mdp = random_mdp()
        reward = np.array(mdp.reward)
        reward[1, 2, 0] = -np.inf
        reward[2, 0, 1] = -np.inf
        assert mdp.transition[1, 2, 0] == 0 < mdp.transition[2, 0, 1]
        learner = q_learning(jax.random.key(0), dataclasses.replace(mdp, reward=reward), 2000, 0.5, 0.7)
        assert learner.visits[1, 2] > 0
        assert np.isfinite(learner.q[1, 2])
        assert learner.visits[2, 0] == 0
        assert np.isneginf(learner.q[2, 0])

    def test_explores_all_others_alike(self):
        mdp = random_mdp()
        visits = np.asarray(q_learning(jax.random.key(0), mdp, 20_000, 0.5, 1.0).visits)
        for s in (0, 2, 3):
            n = visits[s][visits[s] > 0]
            p = 1 / len(n)
            assert (np.abs(n / n.sum() - p) < 5 * np.sqrt(p * (1 - p) / n.sum())).all()

    @pytest.mark.parametrize("method", METHODS)
    def test_dead_ends(self, method):
        """State 2 offers nothing, and state 1 leads to it alone: both are worth −∞, and games go on."""
        successor = np.array([[1, 3, 0], [2, 2, 2], [0, 0, 0], [3, 3, 3]])
        reward = np.array([[1.0, 2, -np.inf], [-np.inf, 0, 1], [-np.inf] * 3, [0.0] * 3])
        mdp = padded(FiniteMDP(np.ones((4, 3, 1)), reward, 0.5, np.arange(4) == 3, successor[..., None]))
        learner = METHODS[method](jax.random.key(0), mdp, 400, 1.0, 0.5)
        np.testing.assert_array_equal(learner.q, value_iteration(mdp).q)
        np.testing.assert_array_equal(learner.visits[:3, :3] > 0, [[1, 1, 0], [0, 1, 1], [0] * 3])
        assert learner.visits[:3, :3].sum() == 400
        assert np.isneginf(learner.q[1:3]).all()


class TestEpisodes:
    @pytest.mark.parametrize("method", METHODS)
    def test_cut_is_no_end(self, method):
        """A reward of 1 for ever is worth 1 / (1 − γ), even if it is watched one step at a time."""
        for to, expected in ((0, 2.0), (1, 1.0)):
            one = np.ones((2, 1))
            mdp = FiniteMDP(one[..., None], one, 0.5, np.array([False, True]), np.full((2, 1, 1), to))
            learner = METHODS[method](jax.random.key(0), padded(mdp), 400, 1.0, 0.0, time_limit=1)
            np.testing.assert_allclose(learner.q[:2, 0], [expected, 0])

    def test_time_limit(self):
        """Along a corridor, each place behind the limit is never begun from."""
        states = 7
        successor = np.minimum(np.arange(states) + 1, states - 1)[:, None, None]
        mdp = padded(FiniteMDP(np.ones((states, 1, 1)), np.zeros((states, 1)), 0.9, None, successor))
        start = np.arange(states) == 1
        learner = q_learning(jax.random.key(0), mdp, 11, 1.0, 0.1, start=start, time_limit=3)
        np.testing.assert_array_equal(learner.visits[:, 0], [0, 4, 4, 3, 0, 0, 0])
        assert (int(learner.state), int(learner.steps)) == (3, 2)

    def test_start(self):
        mdp = random_mdp()
        begin = jax.jit(jax.vmap(lambda key, start: start_learning(key, mdp, start).state, (0, None)))
        keys = jax.random.split(jax.random.key(0), 4000)
        given = np.array([0.1, 0.0, 0.6, 0.0, 0.3, 0.0, 0.0])
        for start, expected in ((given, given), (None, ~mdp.terminal / 5)):
            found = np.bincount(begin(keys, start), minlength=7) / 4000
            assert (np.abs(found - expected) <= 5 * np.sqrt(expected * (1 - expected) / 4000)).all()
        # Later games begin there too: each lasts one step.
        learner = q_learning(jax.random.key(0), mdp, 4000, 1.0, 1.0, start=given, time_limit=1)
        found = learner.visits.sum(1) / 4000
        assert (np.abs(found - given) <= 5 * np.sqrt(given * (1 - given) / 4000)).all()

    def test_learner_that_begins(self):
        learner = start_learning(jax.random.key(0), random_mdp(), tables=2)
        assert learner.tables.shape == learner.counts.shape == (2, 7, 4)
        assert (learner.tables.dtype, learner.counts.dtype) == (jnp.float32, jnp.int32)
        assert not learner.tables.any()
        assert not learner.counts.any()


class TestRuns:
    @pytest.mark.parametrize("method", METHODS)
    def test_two_are_one(self, method):
        """Also across the bounds of what is drawn at once, and within episodes."""
        mdp, run = random_mdp(), METHODS[method]
        parts, size = (701, 1900), tabular.CHUNK
        assert parts[0] < size < parts[1] < 2 * size < sum(parts)
        rates = {"step_size": 0.7, "epsilon": 0.3, "power": 0.6}
        one = run(jax.random.key(5), mdp, sum(parts), **rates)
        two = run(jax.random.key(5), mdp, parts[0], **rates)
        two = run(jax.random.key(5), mdp, parts[1], **rates, learner=two)
        jax.tree.map(np.testing.assert_array_equal, one, two)
        assert one.visits.sum() == sum(parts)
        assert (one.visits != run(jax.random.key(6), mdp, sum(parts), **rates).visits).any()

    def test_other_q_to_begin_with(self):
        """Optimism explores; what is terminal or not offered is not believed."""
        mdp = random_mdp()
        learner = start_learning(jax.random.key(0), mdp)
        learner = learner._replace(tables=jnp.full_like(learner.tables, 100))
        learner = q_learning(jax.random.key(0), mdp, 2000, 1.0, 0.0, learner=learner)
        offered = (mdp.reward > -np.inf).all(-1) & ~mdp.terminal[:, None]
        np.testing.assert_array_equal(learner.visits > 0, offered)
        assert (learner.q[offered] < 50).all()

    @pytest.mark.parametrize("method", ["sarsa", "double_q_learning"])
    def test_vmapped_equals_solo(self, method):
        mdp = random_mdp()

        def run(key, step_size, epsilon, power, discount):
            own = dataclasses.replace(mdp, discount=discount)
            return METHODS[method](key, own, 200, step_size, epsilon, power=power, time_limit=9)

        keys = jax.random.split(jax.random.key(0), 3)
        numbers = [jnp.array(x) for x in ((0.3, 1.0, 0.7), (0.2, 1.0, 0.5), (0.0, 0.5, 1.0), (0.5, 0.9, 1.0))]
        together = jax.jit(jax.vmap(run))(keys, *numbers)
        for i in range(3):
            solo = run(keys[i], *(float(x[i]) for x in numbers))
            jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, 1e-5, 1e-6), together, solo)
        np.testing.assert_allclose(together.q, together.tables.mean(1))
        np.testing.assert_array_equal(together.visits, together.counts.sum(1))

    def test_float32_also_of_doubles(self):
        with jax.enable_x64(True):
            mdp = random_mdp()
            learner = jax.eval_shape(lambda key: double_q_learning(key, mdp, 50, 0.5, 0.5), jax.random.key(0))
            assert learner.tables.dtype == jnp.float32
            assert {x.dtype for x in learner[1:]} == {jnp.dtype("int32")}
            moved = jax.eval_shape(lambda key: simulate(key, mdp, 0, 1), jax.random.key(0))
            assert [x.dtype for x in moved] == [jnp.int32, jnp.float32, bool]


class TestErrors:
    mdp = random_mdp()

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_steps": 0}, "num_steps to be an int from 1 to 2147483647, got 0"),
            ({"num_steps": 1e3}, "num_steps to be an int from 1 to 2147483647, got 1000.0"),
            ({"time_limit": -1}, "time_limit to be an int from 1 to 2147483647, got -1"),
            ({"step_size": np.nan}, "expected step_size in \\[0, 1\\], got nan"),
            ({"step_size": -1.0}, "expected step_size in \\[0, 1\\], got -1.0"),
            ({"epsilon": 2.0}, "expected epsilon in \\[0, 1\\], got 2.0"),
            ({"power": -3.0}, "expected power in \\[0, 1\\], got -3.0"),
            ({"start": np.ones(6) / 6}, r"start to be 7 probabilities, got shape \(6,\)"),
            ({"start": np.ones(7) / 5}, "sum to 1, got a sum of 1.4"),
            ({"start": np.array([1.5, -0.5, 0, 0, 0, 0, 0])}, "least one of -0.5"),
            ({"start": np.array([np.nan, 1, 0, 0, 0, 0, 0])}, "sum of nan"),
            ({"start": np.array([0.5, 0, 0, 0, 0, 0, 0.5])}, r"start\[6\] is 0.5, but state 6 is terminal"),
            ({"step_size": np.ones(2)}, r"step_size to be a scalar, got shape \(2,\)"),
        ],
    )
    def test_numbers(self, method, options, message):
        options = {"num_steps": 10, "step_size": 0.5, "epsilon": 0.5, **options}
        with pytest.raises(ValueError, match=f"^{method}: .*{message}[^\n]*$"):
            METHODS[method](jax.random.key(0), self.mdp, **options)

    def test_start_is_checked_under_jit_if_known(self):
        with pytest.raises(ValueError, match="state 5 is terminal"):
            jax.jit(lambda key: start_learning(key, self.mdp, np.eye(7)[5]))(jax.random.key(0))

    def test_traced_start_is_taken(self):
        state = jax.jit(lambda p: start_learning(jax.random.key(0), self.mdp, p).state)(np.eye(7)[5])
        assert state == 5

    def test_start_without_action(self):
        reward = np.where(np.arange(7)[:, None] == 2, -np.inf, np.zeros((7, 4)))
        mdp = dataclasses.replace(self.mdp, reward=reward)
        with pytest.raises(ValueError, match=r"start\[2\] is 1, but state 2 offers no action"):
            start_learning(jax.random.key(0), mdp, np.eye(7)[2])

    def test_nothing_to_do(self):
        mdp = dataclasses.replace(self.mdp, terminal=np.ones(7, bool))
        with pytest.raises(ValueError, match="every state is terminal or offers no action"):
            q_learning(jax.random.key(0), mdp, 10, 0.5, 0.5)

    def test_learner_of_another(self):
        learner = start_learning(jax.random.key(0), self.mdp)
        with pytest.raises(ValueError, match=r"tables of shape \(2, 7, 4\), got \(1, 7, 4\)"):
            double_q_learning(jax.random.key(0), self.mdp, 10, 0.5, 0.5, learner=learner)
        with pytest.raises(
            ValueError, match="start_learning: expected tables to be an int from 1 to 2, got 3"
        ):
            start_learning(jax.random.key(0), self.mdp, tables=3)
