"""Detection by centres beside a sliding window: average precision on the same scenes, and time per image.

    python -m benchmarks.detectors --centers=DIR --sliding-window=DIR

The folders are of finished runs: `python launch.py --exp=detection --seed=100 --out=DIR`, and the same with
`sliding_window`. Times are of the default configurations with untrained weights, from images in memory to
boxes: standardisation, network, decoding or suppression.
"""

import argparse
import functools

import jax

from benchmarks.measure import in_turn, machine, spread, table
from mi203jax import load_results
from mi203jax.configs import Detection, SlidingWindow
from mi203jax.tasks import detection, sliding_window, supervised

IMAGES, ROUNDS = 50, 5


def finder(problem, c):
    """A function that finds the things in some test scenes, compiled."""
    data = problem.data(c)
    some = data._replace(test={name: values[:IMAGES] for name, values in data.test.items()})
    state = supervised.init(problem, c, some, jax.random.key(0))

    def find(state, data):
        def of_chunk(chunk):
            x = problem.prepare(c, chunk, state.statistics, None)["x"]
            return problem.judge(c, supervised.predict(problem, c, state, data, x), {"shapes": shapes(state)})

        return supervised.in_chunks(of_chunk, data.test, supervised.at_once(problem, c, data))

    compiled = jax.jit(find).lower(state, some).compile()
    jax.block_until_ready(compiled(state, some))
    return functools.partial(compiled, state, some)


def shapes(state):
    return getattr(state.statistics, "shapes", None)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--centers", required=True, help="folder of a run of detection")
    parser.add_argument("--sliding-window", required=True, help="folder of a run of sliding_window")
    arguments = parser.parse_args()
    folders = {"centres": arguments.centers, "sliding window": arguments.sliding_window}
    problems = {
        "centres": (detection.problem, Detection()),
        "sliding window": (sliding_window.problem, SlidingWindow()),
    }
    times = in_turn({name: finder(*problem) for name, problem in problems.items()}, ROUNDS)
    rows = []
    for name, folder in folders.items():
        result = load_results(folder).iloc[0]
        rows.append(
            {
                "detector": name,
                "AP[.5:.95]": f"{result['eval/ap']:.3f}",
                "AP50": f"{result['eval/ap50']:.3f}",
                "ms an image": spread([1e3 * t / IMAGES for t in times[name]], ".2f"),
            }
        )
    ratios = [b / a for a, b in zip(*times.values(), strict=True)]
    print(
        machine(), table(rows), f"The sliding window takes {spread(ratios, '.0f')} times as long.", sep="\n\n"
    )


if __name__ == "__main__":
    main()
