"""Value iteration, policy iteration and the linear program against each other and numpy, on many processes."""

import dataclasses
import functools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.rl import (
    FiniteMDP,
    from_gymnasium,
    grid_world,
    linear_program,
    policy_iteration,
    value_iteration,
)
from mi203jax.rl.planning import LOOK, ending_policy, improved_policy, playable

DISCOUNTS = (0.0, 0.5, 0.9, 0.95, 0.99)


def drawn(rng, states, actions, k, *, by_successor, discount, not_offered=False):
    """A random process, sparse."""
    shape = states, actions, k
    successor = rng.random((states, actions, states)).argsort(-1)[..., :k]
    p = rng.random(shape) + 0.05
    reward = rng.normal(size=shape if by_successor else shape[:2])
    if not_offered:  # but for the first action, so that every state goes on
        reward[rng.random((states, actions)) < [0.0] + [0.3] * (actions - 1)] = -np.inf
    terminal = rng.random(states) < rng.choice([0.0, 0.3])
    return FiniteMDP(p / p.sum(-1, keepdims=True), reward, discount, terminal, successor)


def dense(mdp):
    """The same one, dense."""
    shape = (mdp.num_states, mdp.num_actions, mdp.num_states)
    p, reward = np.zeros(shape), np.zeros(shape)
    np.put_along_axis(p, mdp.successor, mdp.transition, -1)
    if mdp.reward.ndim == 2:
        return FiniteMDP(p, mdp.reward, mdp.discount, mdp.terminal)
    np.put_along_axis(reward, mdp.successor, mdp.reward, -1)
    return FiniteMDP(p, reward, mdp.discount, mdp.terminal)


def by_numpy(p, reward, gamma, terminal):
    """Q* of dense tables by Q(s, a) <- r(s, a) + γ Σ p V; with γ < 1 then exactly, by linear equations."""
    reward, p = np.where(terminal[:, None], 0.0, reward), np.where(terminal[:, None, None], 0.0, p)
    q, change = np.zeros(reward.shape), np.inf
    while change > (1e-6 if gamma < 1 else 1e-14) * (1 + np.abs(q).max()):
        last, q = q, reward + gamma * p @ q.max(1)
        change = np.abs(q - last).max()
    if gamma < 1:
        best = np.arange(len(q)), q.argmax(1)
        q = reward + gamma * p @ np.linalg.solve(np.eye(len(q)) - gamma * p[best], reward[best])
        np.testing.assert_allclose(q, reward + gamma * p @ q.max(1), atol=1e-10)
    return q


def check(solve, processes, expected):
    """To 1e-8, and to the bound, with double precision."""
    for mdp, q in zip(processes, expected, strict=True):
        with jax.enable_x64(True):
            found = jax.tree.map(np.asarray, solve(mdp))
        assert found.q.dtype == np.float64
        np.testing.assert_allclose(found.q, q, atol=1e-8)
        assert (
            np.abs(np.where(found.q == q, 0, found.q) - np.where(found.q == q, 0, q)).max()
            <= found.bound + 1e-11
        )


precise = functools.partial(value_iteration, tolerance=1e-9)


class TestRandomProcesses:
    @pytest.mark.parametrize(
        ("states", "actions", "k", "by_successor"), [(12, 2, 3, True), (30, 4, 20, False)]
    )
    def test_every_method_and_form_finds_the_same(self, states, actions, k, by_successor):
        rng = np.random.default_rng(states)
        processes = [
            drawn(rng, states, actions, k, by_successor=by_successor, discount=DISCOUNTS[i % 5])
            for i in range(100)
        ]
        tables = [dense(mdp) for mdp in processes]
        oracle = [
            by_numpy(
                m.transition,
                (m.transition * m.reward).sum(-1) if by_successor else m.reward,
                m.discount,
                m.terminal,
            )
            for m in tables
        ]
        check(precise, processes, oracle)
        check(precise, tables, oracle)
        # To compile the other solver for each size and form would take longer than is worth it.
        check(policy_iteration, processes if states < 30 else tables, oracle)
        for form in (processes, tables):
            for mdp, q in zip(form[::2], oracle[::2], strict=True):
                np.testing.assert_allclose(linear_program(mdp).q, q, atol=1e-8)

    def test_actions_not_offered(self):
        rng = np.random.default_rng(1)
        processes = [
            drawn(rng, 4, 3, 2, by_successor=False, discount=DISCOUNTS[i % 5], not_offered=True)
            for i in range(67)
        ]
        expected = []
        for mdp in processes:
            table, offered = dense(mdp), mdp.reward > -np.inf
            # Beside the best action, one that is worse than all by far is as good as none.
            q = by_numpy(table.transition, np.where(offered, mdp.reward, -1e3), mdp.discount, mdp.terminal)
            expected.append(np.where(offered | mdp.terminal[:, None], q, -np.inf))
            np.testing.assert_allclose(linear_program(mdp).q, expected[-1], atol=1e-8)
        check(precise, processes, expected)
        check(policy_iteration, processes, expected)

    def test_without_discount_and_with_steps_that_cost_nothing(self):
        """Ends cost, so that it would be best never to come to one; but an episode must end."""
        rng = np.random.default_rng(2)
        for _ in range(12):
            mdp = drawn(rng, 12, 2, 3, by_successor=True, discount=1.0)
            terminal = np.arange(12) < 2
            reward = -rng.integers(0, 2, (12, 2, 3)) - 10.0 * terminal[mdp.successor] * rng.random((12, 2, 3))
            mdp = dataclasses.replace(mdp, terminal=terminal, reward=reward)
            exact = linear_program(mdp).q
            check(functools.partial(value_iteration, tolerance=1e-12), [mdp], [exact])
            check(policy_iteration, [mdp], [exact])


def gymnasium_table(env):
    """P and r of the table, and what follows an end is nothing: `[S, A, S]` and `[S, A]`."""
    table = env.unwrapped.P
    p = np.zeros((len(table), len(table[0]), len(table)))
    reward = np.zeros(p.shape[:2])
    for s, actions in table.items():
        for a, ways in actions.items():
            for probability, after, r, ends in ways:
                p[s, a, after] += probability * (not ends)
                reward[s, a] += probability * r
    return p, reward


def padded(mdp):
    """With three successors, so that the same program serves the lake with and without slipping."""
    more = ((0, 0), (0, 0), (0, 3 - mdp.transition.shape[2]))
    tables = {name: np.pad(getattr(mdp, name), more) for name in ("transition", "reward", "successor")}
    return dataclasses.replace(mdp, **tables)


class TestGymnasium:
    @pytest.mark.parametrize("gamma", [0.95, 1.0])
    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("FrozenLake-v1", {"map_name": "4x4"}),
            ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": False}),
            ("FrozenLake-v1", {"map_name": "8x8"}),
            ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": False}),
            ("CliffWalking-v1", {}),
            ("Taxi-v4", {}),
        ],
    )
    def test_equals_its_own_table(self, name, arguments, gamma):
        env = gymnasium.make(name, **arguments)
        mdp = from_gymnasium(env, gamma)
        p, reward = gymnasium_table(env)
        q = by_numpy(p, reward, gamma, np.zeros(len(p), bool))
        live = ~mdp.terminal[: len(q)]
        with jax.enable_x64(True):
            found = value_iteration(mdp, 1e-12).q, policy_iteration(padded(mdp)).q, linear_program(mdp).q
        for ours in found:
            np.testing.assert_allclose(ours[: len(q)][live], q[live], atol=1e-8)
            assert not np.asarray(ours)[mdp.terminal].any()


@pytest.fixture(scope="module")
def lake():
    """A process of 16 states, and its Q* by linear equations: those of its best policy."""
    mdp = grid_world(["S..X", ".#.1", "..X.", "...G"], "sparse", slip=0.3, discount=0.97).mdp
    p = np.zeros((mdp.num_states, 4, mdp.num_states))
    for s, a in np.ndindex(p.shape[:2]):
        np.add.at(p[s, a], mdp.successor[s, a], mdp.transition[s, a])
    return mdp, by_numpy(p, (mdp.transition * mdp.reward).sum(-1), 0.97, mdp.terminal)


class TestBound:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_holds(self, lake, dtype):
        mdp, q = lake
        iterations = []
        with jax.enable_x64(dtype == np.float64):
            for exponent in range(1, 7):
                found = value_iteration(mdp, 10.0**-exponent)
                assert found.q.dtype == dtype
                error = np.abs(np.asarray(found.q, np.float64) - q).max()
                assert error <= found.bound
                iterations.append(int(found.iterations))
                if dtype == np.float64 or exponent < 2:
                    # The tolerance, and what rounding leaves of numbers up to 100: some 1e-16 · 100 / (1 − γ).
                    assert found.bound <= 10.0**-exponent * (1 + 1e-4)
        assert iterations == sorted(iterations)
        assert iterations[0] < iterations[-1] < 400

    def test_what_float32_cannot_reach_ends_and_says_so(self, lake):
        mdp, q = lake
        found = value_iteration(mdp, 1e-12)
        assert found.iterations < 400
        # Half a unit of the last digit of 100, a few times, over 1 − γ.
        assert 1e-5 < found.bound < 0.02
        assert np.abs(found.q - q).max() <= found.bound

    def test_max_iterations(self, lake):
        mdp, q = lake
        bounds = []
        for most in (1, 5, 50):
            found = value_iteration(mdp, 1e-3, max_iterations=most)
            assert found.iterations == most
            assert found.bound > 1e-3
            assert np.abs(found.q - q).max() <= found.bound
            bounds.append(float(found.bound))
        assert bounds == sorted(bounds, reverse=True)

    def test_grows_with_what_is_added_in_the_end(self):
        """A reward that is nearly the same everywhere: after three sweeps V is small, and Q* 1000 times as large."""
        rng = np.random.default_rng(0)
        p = rng.random((40, 2, 40))
        mdp = FiniteMDP(p / p.sum(-1, keepdims=True), 1 + 0.01 * rng.random((40, 2)), 0.999)
        with jax.enable_x64(True):
            q = linear_program(mdp).q
        found = value_iteration(mdp)
        assert found.iterations < 10
        assert np.abs(found.q - q).max() <= found.bound < 3

    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration])
    @pytest.mark.parametrize(
        ("p", "reward", "gamma"),
        [
            ([0.3, 0.7], [[[7e8 / 3, -1e8]], [[0.0, 0.0]]], 0.5),  # large ones that cancel out
            ([0.3, 0.7], [[-1e8], [3.3]], 0.9),
        ],
    )
    def test_knows_what_rounding_leaves(self, solve, p, reward, gamma):
        mdp = FiniteMDP(np.array([[p], [[0.0, 1.0]]]), np.array(reward), gamma)
        rows, paid = np.array([p, [0.0, 1.0]]), np.array(reward)[:, 0]
        expected = (rows * paid).sum(1) if paid.ndim == 2 else paid
        exact = np.linalg.solve(np.eye(2) - gamma * rows, expected[:, None])
        found = solve(mdp)
        assert found.q.dtype == np.float32
        assert np.abs(np.asarray(found.q, float) - exact).max() <= found.bound < 1e5

    def test_of_policy_iteration_that_gave_up(self, lake):
        mdp, q = lake
        errors = []
        for most in (1, 2, 1000):
            found = policy_iteration(mdp, most)
            assert found.iterations <= most
            error = np.abs(found.q - q).max()
            assert error <= found.bound
            errors.append(error)
        assert errors[0] > 1
        assert errors[-1] < 1e-3
        assert found.bound < 1

    def test_policy_iteration_stops_among_equals_that_rounding_tells_apart(self):
        """V is given, and every action is worth the same: float32 sees differences that are none."""
        for seed in range(4):
            rng = np.random.default_rng(seed)
            p = rng.random((30, 2, 30))
            p /= p.sum(-1, keepdims=True)
            value = rng.normal(size=30) * 1e4 * (rng.random(30) < 0.5)
            found = policy_iteration(FiniteMDP(p, value[:, None] - 0.99 * p @ value, 0.99))
            assert found.iterations < 20
            assert np.abs(found.q - value[:, None]).max() < found.bound < 1e3


class TestValueIteration:
    def test_begins_where_it_is_told(self, lake):
        mdp, q = lake
        with jax.enable_x64(True):
            again = value_iteration(mdp, 1e-6, value=q.max(1))
            cold = value_iteration(mdp, 1e-6)
        assert again.iterations == LOOK < cold.iterations
        np.testing.assert_allclose(again.q, q, atol=1e-6)
        assert value_iteration(mdp, value=list(q.max(1))).q.shape == q.shape

    def test_nothing_comes_after_the_end_however_early_it_gives_up(self):
        # 0 stays for ever; 1 goes to the end, 2.
        mdp = FiniteMDP(
            np.ones((3, 1, 1)), [[1.0], [5.0], [0.0]], 0.9, np.arange(3) == 2, [[[0]], [[2]], [[2]]]
        )
        np.testing.assert_array_equal(value_iteration(mdp, max_iterations=1).q[1:, 0], [5, 0])

    def test_each_part_may_have_an_end_of_its_own(self):
        game = grid_world(["S.G", "###", "S.X"], discount=1.0)
        np.testing.assert_array_equal(value_iteration(game.mdp).q.max(1), [100, 100, 0, -100, -100, 0])

    def test_without_discount_a_path_takes_as_many_sweeps_as_it_has_steps(self):
        corridor = grid_world(["S.......G"], discount=1.0).mdp
        found = value_iteration(corridor)
        assert found.iterations == 2 * LOOK  # 8 steps, and one that changes nothing
        # Where left leads, right leads to the goal.
        np.testing.assert_array_equal(found.q[:-1], np.full((8, 4), 100.0))

    @pytest.mark.parametrize("slip", [0.0, 0.2])
    def test_an_episode_must_end_even_where_staying_costs_nothing(self, slip):
        """All that ends here is the hole: −100, never the 0 of walking into a wall for ever."""
        game = grid_world(["S.X"], slip=slip, discount=1.0)
        expected = np.array([[-100.0] * 4] * 2 + [[0.0] * 4])
        for solve in (value_iteration, linear_program, *[policy_iteration] * (slip > 0)):
            np.testing.assert_allclose(solve(game.mdp).q, expected, atol=1e-3)

    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration])
    def test_in_jit_and_vmap(self, lake, solve):
        mdp, q = lake
        gammas = jnp.array([0.0, 0.5, 0.97])
        found = jax.jit(jax.vmap(lambda g: solve(dataclasses.replace(mdp, discount=g))))(gammas)
        np.testing.assert_allclose(found.q[2], q, atol=0.02)
        expected = np.where(mdp.terminal[:, None], 0, (mdp.transition * mdp.reward).sum(-1))
        np.testing.assert_allclose(found.q[0], expected, rtol=1e-6)
        solo = solve(dataclasses.replace(mdp, discount=0.5))
        np.testing.assert_allclose(found.q[1], solo.q, rtol=1e-5, atol=1e-5)
        assert (found.bound < 0.1 + (solve is policy_iteration)).all()


DEAD = {
    # State 0 may end, but with a risk of 2, which offers nothing; or try again and again. 3 leads to 2 alone.
    "transition": [
        [[0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0]],
        [[1, 0, 0, 0]] * 2,
        [[0, 0, 1, 0]] * 2,
        [[0, 0, 1, 0]] * 2,
    ],
    "reward": [[10.0, -1.0], [7.0, 7.0], [-np.inf, -np.inf], [1.0, 1.0]],
    "terminal": [False, True, False, False],
}


class TestWhereNothingIsOffered:
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration, linear_program])
    def test_what_leads_there_is_worth_minus_infinity(self, gamma, solve):
        # Q = −1 + γ/2 Q.
        expected = np.full((4, 2), -np.inf)
        expected[0, 1], expected[1] = -1 / (1 - gamma / 2), 0
        found = solve(FiniteMDP(discount=gamma, **DEAD))
        np.testing.assert_allclose(found.q, expected, rtol=1e-5)
        if gamma < 1 and solve is not linear_program:
            assert found.bound < 1e-3

    def test_playable(self):
        np.testing.assert_array_equal(
            playable(FiniteMDP(discount=0.5, **DEAD)), [[False, True], [False] * 2, [False] * 2, [False] * 2]
        )

    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration, linear_program])
    def test_an_infinite_reward_of_what_may_happen_is_one_of_the_action(self, solve):
        reward = np.array([[[-np.inf, 3.0], [1.0, 3.0]], [[-np.inf, 2.0], [-np.inf, -np.inf]]])
        mdp = FiniteMDP([[[0.5, 0.5], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]]], reward, 0.5)
        # V(1) = 2 + V(1)/2 = 4, and V(0) = 2 + (V(0) + 4)/4.
        np.testing.assert_allclose(solve(mdp).q, [[-np.inf, 4.0], [4.0, -np.inf]], rtol=1e-5)

    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration])
    @pytest.mark.parametrize(
        "mdp",
        [
            FiniteMDP([[[1.0, 0], [0, 1]], [[0, 1], [0, 1]]], [[1.0, 0], [0, 0]], 1.0, [False, True]),
            grid_world(["S1.G"], "dense", discount=1.0).mdp,
        ],
    )
    def test_a_circle_that_pays(self, solve, mdp):
        limit = {"max_iterations": 200} if solve is value_iteration else {}
        with pytest.raises(ValueError, match="values do not settle, as where a circle of positive reward"):
            solve(mdp, **limit)

    def test_compiled_without_discount_it_ends_too(self):
        """To stay costs nothing, to end costs 10: a policy that ends scores −10."""
        mdp = FiniteMDP([[[1.0, 0], [0, 1]], [[0, 1], [0, 1]]], [[0.0, -10], [0, 0]], 1.0, [False, True])
        np.testing.assert_array_equal(jax.jit(value_iteration)(mdp).q[0], [-10, -10])
        half = jax.jit(value_iteration)(dataclasses.replace(mdp, discount=0.5)).q[0]
        np.testing.assert_allclose(half, [0, -10], atol=1e-5)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"tolerance": np.nan}, "expected a tolerance from 0 on, got nan"),
            ({"tolerance": -1.0}, "expected a tolerance from 0 on, got -1.0"),
            ({"value": [np.nan]}, "expected a value of numbers, got nan"),
            ({"max_iterations": 3 * 10**9}, "an int from 1 to 2147483647, got 3000000000"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=f"^value_iteration: .*{message}"):
            value_iteration(FiniteMDP([[[1.0]]], [[1.0]], 0.9), **options)

    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration])
    def test_nowhere(self, solve):
        found = solve(FiniteMDP([[[1.0]]], [[-np.inf]], 0.9))
        assert found.q == -np.inf
        assert found.iterations <= LOOK
        assert linear_program(FiniteMDP([[[1.0]]], [[-np.inf]], 0.9)).q == -np.inf


class TestPolicies:
    def test_ending_policy_takes_the_fewest_steps(self):
        # 0 goes to itself or 1; 1 to 0 or to the end, 2; 3 to itself alone.
        successor = np.array([[0, 1], [0, 2], [2, 2], [3, 3]])[..., None]
        mdp = FiniteMDP(np.ones((4, 2, 1)), np.zeros((4, 2)), 0.9, np.arange(4) == 2, successor)
        np.testing.assert_array_equal(ending_policy(mdp), [1, 1, 0, 0])

    def test_improved_policy_changes_only_for_the_better(self):
        q = jnp.array(
            [[1.0, 1.0], [1.0, 1.000001], [1.0, 1.1], [-jnp.inf, -50.0], [-jnp.inf, -jnp.inf], [2.0, 1.0]]
        )
        improved = jax.jit(improved_policy)
        np.testing.assert_array_equal(improved(q, jnp.array([1, 0, 0, 0, 1, 0])), [1, 0, 1, 1, 1, 0])
        nearly = jnp.array([[1e5, 1e5 + 0.1]])
        assert improved(nearly, jnp.array([0])) == 0


class TestBadInput:
    nowhere = FiniteMDP(np.eye(3)[:, None], np.zeros((3, 1)), 1.0, [True, False, False])

    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration, linear_program])
    def test_no_end_can_be_reached(self, solve):
        with pytest.raises(
            ValueError, match=rf"^{solve.__name__}: with γ = 1 .* from 2 of 3 states .*: 1, 2\."
        ):
            solve(self.nowhere)
        with pytest.raises(ValueError, match=r"from 9 of 9 states .*: 0, 1, 2, 3, 4, …\."):
            solve(FiniteMDP(np.eye(9)[:, None], np.zeros((9, 1)), 1))

    def test_the_end_must_be_reached_by_what_is_offered(self):
        # 0 -> 1 -> end, where the first of these steps is not offered, and staying is.
        p = [[[0, 1, 0], [1, 0, 0]], [[0, 0, 1]] * 2, [[0, 0, 1]] * 2]
        with pytest.raises(ValueError, match="from 1 of 3 states .*: 0"):
            value_iteration(FiniteMDP(p, [[-np.inf, 0], [0, 0], [0, 0]], 1.0, [False, False, True]))

    @pytest.mark.parametrize("solve", [value_iteration, policy_iteration])
    @pytest.mark.parametrize("most", [0, -1, 1.5, True, None])
    def test_max_iterations(self, solve, most):
        with pytest.raises(
            ValueError, match=f"{solve.__name__}: expected max_iterations to be an int from 1 to"
        ):
            solve(dataclasses.replace(self.nowhere, discount=0.5), max_iterations=most)

    @pytest.mark.parametrize("value", [0.0, np.zeros((3, 1)), np.zeros(2)])
    def test_value(self, value):
        with pytest.raises(ValueError, match=r"value_iteration: expected a value of shape \(3,\), got"):
            value_iteration(dataclasses.replace(self.nowhere, discount=0.5), value=value)
