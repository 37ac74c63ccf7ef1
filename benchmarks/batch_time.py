"""How long an example takes in batches of 16, 32 and 256: what `--exp=trends` calls equal seconds.

    python -m benchmarks.batch_time

For each setting of mi203jax/configs/claims.py that has `microseconds`: one run alone, evaluation and
compilation left out. Their ratios are what counts; all are measured in turn.
"""

import functools
from collections.abc import Callable

import jax

import experiments
from benchmarks.measure import in_turn, machine, spread, table
from mi203jax.configs.claims import CLAIMS, SETTINGS
from mi203jax.core.loop import advance, start
from mi203jax.study.plan import cells, changed

SIZES, ROUNDS, EXAMPLES = (16, 32, 256), 7, 25_600


def run(name: str, size: int) -> Callable[[], object]:
    """A call that trains on EXAMPLES examples of a setting."""
    setting = SETTINGS[name]
    experiment = experiments.get(setting.experiment)
    (cell,) = cells(experiment.config, setting).values()
    c = changed(cell, (*CLAIMS["large_batch"].common, f"batch_size={size}"))
    task = experiment.load_task()
    data = task.shared_data(c)
    carry = jax.jit(functools.partial(start, task, c))(data, jax.random.key(0))
    train = jax.jit(lambda carry, data: advance(task, c, carry, data, 0, EXAMPLES // size))
    jax.block_until_ready(train(carry, data))  # compiles
    return lambda: train(carry, data)


def main() -> None:
    """Measures and prints."""
    print(machine())
    names = [n for n, s in SETTINGS.items() if s.microseconds]
    times = in_turn({f"{n} {size}": run(n, size) for n in names for size in SIZES}, ROUNDS)
    rows = []
    for n in names:
        each = {s: [t / EXAMPLES * 1e6 for t in times[f"{n} {s}"]] for s in SIZES}
        rows.append({"µs an example": n} | {f"batches of {s}": spread(each[s], ".3g") for s in SIZES})
    print(table(rows))


if __name__ == "__main__":
    main()
