"""Our average precision beside pycocotools': 5,000 images of 20 detections and about 5 objects, 10 classes.

    python -m benchmarks.average_precision        (extra `bench`)

Both from arrays in memory to every precision and recall: pycocotools' `evaluate` and `accumulate`, once its
index is built, and our compiled function.
"""

import contextlib
import io
import time
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.measure import in_turn, machine, spread, table
from mi203jax.metrics.detection import Detections, GroundTruth, average_precision

IMAGES, FOUND, THERE, CLASSES, ROUNDS = 5000, 20, 10, 10, 3


def boxes(rng, n):
    corner = rng.integers(0, 500, (IMAGES, n, 2))
    return np.concatenate([corner, corner + rng.integers(5, 140, (IMAGES, n, 2))], -1)


def sets(rng):
    """Half of the places for objects are taken; two thirds of the detections are near a place for one."""
    there, labels = boxes(rng, THERE), rng.integers(0, CLASSES, (IMAGES, THERE))
    of = rng.integers(0, THERE, (IMAGES, FOUND))
    near = rng.random((IMAGES, FOUND)) < 2 / 3
    moved = np.take_along_axis(there, of[..., None], 1) + rng.integers(-2, 3, (IMAGES, FOUND, 4))
    found = np.where(near[..., None], moved, boxes(rng, FOUND))
    found_labels = np.where(
        near, np.take_along_axis(labels, of, 1), rng.integers(0, CLASSES, (IMAGES, FOUND))
    )
    scores, mask = rng.random((IMAGES, FOUND)), np.ones((IMAGES, FOUND), bool)
    return (
        Detections(*map(jnp.asarray, (np.float32(found), np.float32(scores), found_labels, mask))),
        GroundTruth(*map(jnp.asarray, (np.float32(there), labels, rng.random((IMAGES, THERE)) < 0.5))),
    )


def coco(arrays):
    """The same boxes as pycocotools' set."""
    arrays = jax.tree.map(np.asarray, arrays)
    rows: list[dict] = []
    for i, j in np.argwhere(arrays.mask):
        y0, x0, y1, x1 = arrays.boxes[i, j].tolist()
        row = {"id": len(rows) + 1, "image_id": int(i), "category_id": int(arrays.labels[i, j]), "iscrowd": 0}
        box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
        score = {"score": arrays.scores[i, j].item()} if isinstance(arrays, Detections) else {}
        rows.append(row | box | score)
    data = COCO()
    images, classes = ([{"id": i} for i in range(n)] for n in (IMAGES, CLASSES))
    data.dataset = {"images": images, "categories": classes, "annotations": rows}
    data.createIndex()
    return data


def main():
    detections, truth = sets(np.random.default_rng(0))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco(truth), coco(detections), "bbox")

    def theirs():
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()

    arrays = detections, truth
    start = time.perf_counter()
    compiled = jax.jit(average_precision, static_argnums=2).lower(*arrays, CLASSES).compile()
    compiling = time.perf_counter() - start
    jax.block_until_ready(compiled(*arrays))
    times = in_turn({"mi203jax": lambda: compiled(*arrays), "pycocotools": theirs}, ROUNDS)
    expected = evaluation.eval["precision"]
    apart = np.abs(np.asarray(compiled(*arrays).precision) - np.where(expected < 0, np.nan, expected))
    ratios = [b / a for a, b in zip(times["mi203jax"], times["pycocotools"], strict=True)]
    rows = [
        {
            "average precision": name,
            "seconds": spread(ts, ".2f"),
            "compiling": f"{once:.1f} s" if once else "–",
        }
        for (name, ts), once in zip(times.items(), (compiling, 0), strict=True)
    ]
    print(f"{machine()}, pycocotools {version('pycocotools')}", table(rows), sep="\n\n")
    ratio = spread(ratios, ".0f")
    print(f"\npycocotools takes {ratio} times as long; precisions differ by at most {np.nanmax(apart):.0e}.")


if __name__ == "__main__":
    main()
