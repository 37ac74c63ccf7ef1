"""What all tasks that learn from labelled examples share: network, optimiser, step, evaluation.

Such a task is a `Problem`: its data, network, loss and measures. `supervised_task` makes a `Task` of it.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mi203jax import optim, schedules
from mi203jax.configs import Feedforward, Optimized, Supervised
from mi203jax.core.parallel import split_batch
from mi203jax.core.task import Figure, Mean, Metrics, PyTree, Task, no_figures
from mi203jax.data.feed import Arrays, Data, Streamed, order_key, with_batch
from mi203jax.data.splits import supervised_data
from mi203jax.nn.initializers import INITIALIZERS

EVAL_BATCH, EVAL_NUMBERS = 500, 400_000
"""Examples that are judged at once, and numbers in them, at most."""

NOT_KEPT = ("params", "features", "perturbations")
"""Collections of a network's variables that are not of the state's `layers`."""

Function = Callable[[jax.Array], Any]


class Keys(NamedTuple):
    """Separate streams of random numbers, so that none depends on how often another is used."""

    run: jax.Array  # iteration t draws from fold_in(run, t)
    order: jax.Array  # of the examples


class State(NamedTuple):
    """Everything that the next iteration needs, and what predicting needs after the run."""

    params: PyTree  # θ
    layers: PyTree  # what layers keep: running estimates, singular vectors
    optimizer: optax.OptState
    statistics: Any  # of the training examples, by which new ones are prepared
    snapshots: PyTree  # (θ, layers) at some moments, `[frames, ...]`, for an animation; or ()
    keys: Keys


class Problem(NamedTuple):
    """What tells one supervised task from another.

    Attributes:
        data: config -> `Data`, or `Streamed`.
        network: (config, data) -> the network, without its parameters. Its call takes (x, train).
        prepare: (config, raw batch, statistics, key) -> batch with the network's input "x". With a key,
            for training: augmented; without, for judging: as it is.
        loss: (config, scores `[batch, ...]`, batch) -> costs `[batch]`.
        measure: (config, scores, batch) -> {name: `[batch]`}, such as whether a prediction is right.
        judge: (config, scores, batch) -> what `summarize` needs of each example, `[batch, ...]`, besides
            costs and measures; where these do not suffice.
        summarize: (config, {name: `[examples, ...]`}, examples) -> metrics of all examples that are judged.
        predictor: (config, function x -> scores, train) -> the function in its place.
        frames: config -> moments of the run kept for an animation.
    """

    data: Callable[[Any], Any]
    network: Callable[[Any, Data], nn.Module]
    prepare: Callable[[Any, Arrays, Any, jax.Array | None], Arrays]
    loss: Callable[[Any, Any, Arrays], jax.Array]
    measure: Callable[[Any, Any, Arrays], dict[str, jax.Array]]
    judge: Callable[[Any, Any, Arrays], Arrays] = lambda c, scores, batch: {}
    summarize: Callable[[Any, Arrays, Arrays], Metrics] = lambda c, judged, examples: means(judged)
    predictor: Callable[[Any, Function, bool], Function] = lambda c, f, train: f
    frames: Callable[[Any], int] = lambda c: 0


def supervised_task(
    problem: Problem,
    figures: Callable[..., dict[str, Figure]] = no_figures,
    on_cpu: Literal["vmap", "map"] = "map",
    objective: str = "accuracy",
    best: Literal["max", "min"] = "max",
) -> Task:
    """The task of a problem; trials are compared by a measure of the evaluation."""
    return Task(
        functools.partial(init, problem),
        functools.partial(step, problem),
        functools.partial(evaluate, problem),
        figures,
        problem.data,
        objective=f"eval/{objective}",
        best=best,
        on_cpu=on_cpu,
    )


def examples(c: Supervised, inputs: str) -> Data | Streamed:
    """The configuration's set: see `supervised_data`.

    Raises:
        UsageError: if it cannot be read or used.
    """
    return supervised_data(
        c.data,
        inputs,
        train_split=c.train_split,
        eval_split=c.eval_split,
        data_dir=c.data_dir,
        standardization=c.standardize,
        batch_size=c.batch_size,
        feed=c.feed,
    )


def layer_options(c: Feedforward) -> dict[str, Any]:
    """What the configuration says of each layer, as `Classifier` takes it."""
    return {
        "normalization": c.normalization,
        "dropout": c.dropout,
        "use_dropout": c.use_dropout,
        "spectral": c.spectral_norm,
        "kernel_init": INITIALIZERS[c.initializer](c.init_scale),
    }


def init(problem: Problem, c: Optimized, data: Data, key: jax.Array) -> State:
    """The network before any training, and its optimiser."""
    net_key, run_key = jax.random.split(key)
    one = {name: values[:1] for name, values in data.test.items()}
    x = problem.prepare(c, one, data.statistics, None)["x"]
    variables = problem.network(c, data).init(net_key, x)
    params = variables["params"]
    layers = {name: kept for name, kept in variables.items() if name not in NOT_KEPT}
    frames = problem.frames(c)
    # Each frame is the beginning until its moment comes.
    snapshots = jax.tree.map(lambda a: jnp.stack([a] * frames), (params, layers)) if frames else ()
    opt_state = optimizer(c, 0).init(params)
    return State(params, layers, opt_state, data.statistics, snapshots, Keys(run_key, order_key(key)))


def progress(c: Optimized, t) -> jax.Array:
    """The part of the run that is done before iteration t, in [0, 1)."""
    return jnp.asarray(t, jnp.float32) / c.num_iterations


def optimizer(c: Optimized, t) -> optax.GradientTransformation:
    """The configuration's optimiser in iteration t."""

    def limit(value):  # 0: never
        return jnp.where(value > 0, value, jnp.inf)

    # Built anew in each step from the traced configuration: only its state lasts.
    return optim.make(
        c.optimizer,
        c.learning_rate * schedules.schedule(c.schedule, progress(c, t), c.warmup),
        momentum=c.momentum,
        weight_decay=c.weight_decay,
        clip_value=limit(c.clip_value),
        clip_norm=limit(c.clip_norm),
    )


def step(problem: Problem, c: Optimized, state: State, data: Data, t: jax.Array) -> tuple[State, Metrics]:
    """One step of the optimiser on one batch."""
    assert data.train is not None
    key = jax.random.fold_in(state.keys.run, t)
    gradient, layers, metrics = with_batch(
        data.train,
        lambda raw: slope(problem, c, state, data, split_batch(raw), key),
        state.keys.order,
        t,
        c.batch_size,
    )
    updates, opt_state = optimizer(c, t).update(gradient, state.optimizer, state.params)
    params = cast(PyTree, optax.apply_updates(state.params, updates))
    snapshots = with_snapshot(state.snapshots, lambda: (params, layers), t, c.num_iterations)
    state = state._replace(params=params, layers=layers, optimizer=opt_state, snapshots=snapshots)
    return state, {**metrics, "gradient_norm": optax.tree.norm(gradient)}


def slope(
    problem: Problem, c: Optimized, state: State, data: Data, raw: Arrays, key: jax.Array
) -> tuple[PyTree, PyTree, dict[str, jax.Array]]:
    """The loss's gradient on a batch, what the layers keep after it, and the means of loss and measures."""
    prepare_key, dropout_key = jax.random.split(key)
    batch = problem.prepare(c, raw, state.statistics, prepare_key)
    network = problem.network(c, data)

    def loss(params):
        layers = state.layers

        def forward(x):
            nonlocal layers
            scores, layers = network.apply(
                {"params": params, **layers},
                x,
                train=True,
                mutable=list(state.layers),
                rngs={"dropout": dropout_key},
            )
            return scores

        scores = problem.predictor(c, forward, True)(batch["x"])
        return problem.loss(c, scores, batch).mean(), (scores, layers)

    (value, (scores, layers)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    measures = {name: m.mean(dtype=jnp.float32) for name, m in problem.measure(c, scores, batch).items()}
    return gradient, layers, {"loss": value, **measures}


def snapshot_iterations(frames: int, iterations: int) -> np.ndarray:
    """After how many iterations each frame is taken, `[frames]`: from none on, most of them early."""
    return np.array([-(-iterations * k * k // (frames - 1) ** 2) for k in range(frames)], np.int32)


def with_snapshot(snapshots: PyTree, now: Callable[[], PyTree], t: jax.Array, iterations: int) -> PyTree:
    """The snapshots `[frames, ...]` after iteration t, with `now()` if that is a moment when one is taken."""
    if not jax.tree.leaves(snapshots):
        return snapshots
    times = snapshot_iterations(len(jax.tree.leaves(snapshots)[0]), iterations)
    # Unbatched: under vmap too, nothing is copied between the moments.
    return jax.lax.cond(
        (times == t + 1).any(),
        lambda: jax.tree.map(lambda kept, new: _put(kept, new, times == t + 1), snapshots, now()),
        lambda: snapshots,
    )


def _put(kept: jax.Array, new: jax.Array, where: jax.Array) -> jax.Array:
    return jnp.where(jax.lax.expand_dims(where, range(1, kept.ndim)), new[None], kept)


def predict(problem: Problem, c: Optimized, state: State, data: Data, x: Any) -> Any:
    """The trained network's scores for inputs that are ready for it: `[n, ...]` -> `[n, ...]`."""
    network = problem.network(c, data)
    variables = {"params": state.params, **state.layers}
    return problem.predictor(c, lambda x: network.apply(variables, x), False)(x)


def evaluate(problem: Problem, c: Optimized, state: State, data: Data) -> Metrics:
    """What the problem says of all examples of the evaluation's split."""
    return problem.summarize(c, judged(problem, c, state, data), data.test)


def judged(problem: Problem, c: Optimized, state: State, data: Data) -> Arrays:
    """Costs, measures and what else is judged of each of these examples: name -> `[examples, ...]`."""

    def judge(chunk: Arrays) -> Arrays:
        batch = problem.prepare(c, split_batch(chunk, may_stay_whole=True), state.statistics, None)
        scores = predict(problem, c, state, data, batch["x"])
        measures = {"loss": problem.loss(c, scores, batch), **problem.measure(c, scores, batch)}
        return measures | problem.judge(c, scores, batch)

    return in_chunks(judge, data.test, at_once(problem, c, data))


def scorer(
    problem: Problem, c: Optimized, state: State, data: Data
) -> Callable[[Arrays], tuple[Any, jax.Array]]:
    """A compiled function from raw examples to their scores and costs, for figures."""

    def judge(chunk: Arrays) -> tuple[Any, jax.Array]:
        batch = problem.prepare(c, chunk, state.statistics, None)
        scores = predict(problem, c, state, data, batch["x"])
        return scores, problem.loss(c, scores, batch)

    return jax.jit(lambda examples: in_chunks(judge, examples, at_once(problem, c, data)))


def means(values: Arrays) -> Metrics:
    """The mean of each value over the examples: name -> `[examples]`."""
    return {n: Mean(v.sum(dtype=jnp.float32), jnp.float32(len(v))) for n, v in values.items()}


def mean_of_known(values: jax.Array) -> Mean:
    """The mean of the values that are not nan, as are measures of what is not there."""
    known = ~jnp.isnan(values)
    return Mean(values.sum(where=known, dtype=jnp.float32), known.sum(dtype=jnp.float32))


def at_once(problem: Problem, c: Optimized, data: Data) -> int:
    """How many examples are judged at once: by the size of what the network gets of each."""
    one = {name: values[:1] for name, values in data.test.items()}
    x = jax.eval_shape(lambda one: problem.prepare(c, one, data.statistics, None)["x"], one)
    return max(1, min(EVAL_BATCH, EVAL_NUMBERS // sum(leaf.size for leaf in jax.tree.leaves(x))))


def in_chunks(f: Callable[[PyTree], PyTree], examples: PyTree, size: int) -> PyTree:
    """Applies f over the first axis, at most `size` examples at once, so that they fit in memory.

    Args:
        f: examples `[m, ...]` -> results `[m, ...]`, each example by itself.
        examples: `[n, ...]`.
        size: largest m.
    """
    n = len(jax.tree.leaves(examples)[0])
    chunks = math.ceil(n / size)
    size = math.ceil(n / chunks)
    # The last chunk ends with the first examples again; their second results are dropped.
    index = (jnp.arange(chunks * size) % n).reshape(chunks, size)
    results = jax.lax.map(lambda i: f(jax.tree.map(lambda a: a[i], examples)), index)
    return jax.tree.map(lambda r: r.reshape(chunks * size, *r.shape[2:])[:n], results)
