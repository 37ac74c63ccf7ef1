"""Value iteration on a million states, beside quantecon's DiscreteDP; and the linear program on Taxi.

    python -m benchmarks.bellman

Needs quantecon (extra `bench`). A field of 1,000 × 1,000 cells, 4 moves of which a fifth go astray to either
side, a random reward for each, no end. Each method stops by its own rule at values that are certain to
ALLOWED; the error is then measured, against value iteration in float64 to a thousandth of that. Each is
measured in a process of its own, whose largest memory is given; compilation is not counted, but stated.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.sparse

from benchmarks.measure import machine, seconds, spread, table
from mi203jax.rl import FiniteMDP, from_gymnasium, linear_program, value_iteration
from mi203jax.rl.games import MOVES

SIDE, ACTIONS, SLIP = 1_000, 4, 0.2
ROUNDS, ALLOWED = {0.95: 3, 0.99: 1}, 1e-3  # by discount
METHODS = {
    "mi203jax, float32": "ours32",
    "mi203jax, float64": "ours64",
    "quantecon, value iteration": "value_iteration",
    "quantecon, modified policy iteration": "modified_policy_iteration",
}


def field(dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities and successors, `[S, A, 3]`, and rewards, `[S, A]`."""
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    to = [np.clip(row + r, 0, SIDE - 1) * SIDE + np.clip(column + c, 0, SIDE - 1) for r, c in MOVES]
    turns = (np.arange(ACTIONS)[:, None] + (0, -1, 1)) % ACTIONS
    successor = np.stack(to, 1).astype(np.int32)[:, turns]
    probability = np.broadcast_to(np.array([1 - SLIP, SLIP / 2, SLIP / 2], dtype), successor.shape)
    reward = np.random.default_rng(0).random((SIDE**2, ACTIONS)).astype(dtype)
    return np.ascontiguousarray(probability), successor, reward


def ours(dtype: Any, discount: float, allowed: float) -> Callable[[], tuple[np.ndarray, int]]:
    """A call that gives V and the number of sweeps."""
    probability, successor, reward = field(dtype)
    mdp = jax.device_put(FiniteMDP(probability, reward, dtype(discount), None, successor))

    def call():
        found = jax.block_until_ready(value_iteration(mdp, allowed))
        return np.asarray(found.q.max(1)), int(found.iterations)

    return call


def theirs(method: str, discount: float) -> Callable[[], tuple[np.ndarray, int]]:
    """The same of quantecon."""
    from quantecon.markov import DiscreteDP

    probability, successor, reward = field(np.float64)
    pairs = SIDE**2 * ACTIONS
    rows = np.arange(0, 3 * pairs + 1, 3)
    matrix = scipy.sparse.csr_matrix((probability.ravel(), successor.ravel(), rows), (pairs, SIDE**2))
    state, action = np.divmod(np.arange(pairs), ACTIONS)
    problem = DiscreteDP(reward.ravel(), matrix, discount, state, action)

    def call():
        # Its ε bounds the loss of the policy; V is then within half of it.
        found = problem.solve(method=method, epsilon=2 * ALLOWED, max_iter=100_000)
        return found.v, found.num_iter

    return call


def child(name: str, discount: float, reference: str) -> dict[str, Any]:
    """One method's seconds, with and without compilation, sweeps, error and memory."""
    with jax.enable_x64(name == "ours64"):
        kind = {"ours32": np.float32, "ours64": np.float64}.get(name)
        call = ours(kind, discount, ALLOWED) if kind else theirs(name, discount)
        first = seconds(call)
        times, results = [], []
        for _ in range(ROUNDS[discount]):
            times.append(seconds(lambda: results.append(call())))
    value, sweeps = results[-1]
    error = float(np.abs(value - np.load(reference)).max())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"first": first, "times": times, "sweeps": sweeps, "error": error, "memory": memory}


def compare(discount: float, folder: str) -> list[dict[str, str]]:
    """A row for each method."""
    reference = str(Path(folder) / f"{discount}.npy")
    with jax.enable_x64(True):
        np.save(reference, ours(np.float64, discount, ALLOWED / 1000)()[0])
    rows, base = [], 0.0
    for title, name in METHODS.items():
        command = [sys.executable, "-m", "benchmarks.bellman", name, str(discount), reference]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        middle = sorted(found["times"])[ROUNDS[discount] // 2]
        base = base or middle
        rows.append(
            {
                f"γ = {discount}": title,
                "seconds": spread(found["times"], ".2f"),
                "× ours": f"{middle / base:.1f}",
                "sweeps": f"{found['sweeps']:,}",
                "ms a sweep": f"{1e3 * middle / found['sweeps']:.0f}",
                "largest error of V": f"{found['error']:.1e}",
                "memory, MiB": f"{found['memory']:,.0f}",
                "first call, s": f"{found['first']:.1f}",
            }
        )
    return rows


def main() -> None:
    """Prints the tables."""
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as folder:
        for discount in ROUNDS:
            print(table(compare(discount, folder)), "\n", flush=True)
    import gymnasium

    taxi = from_gymnasium(gymnasium.make("Taxi-v4"))
    times = [seconds(lambda: linear_program(taxi).q) for _ in range(3)]
    print(f"linear program of Taxi, {taxi.num_states} × {taxi.num_actions}: {spread(times, '.2f')} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(child(sys.argv[1], float(sys.argv[2]), sys.argv[3])))
    else:
        main()
