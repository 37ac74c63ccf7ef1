"""The one loop of all tasks: iterations of `task.step`, evaluations between them.

It carries trials side by side on a leading axis: a run is a sweep of one. It knows no file, no clock
on the wall and no screen: those are its caller's.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi203jax.core.config import RunConfig
from mi203jax.core.memory import Need, peak, size
from mi203jax.core.parallel import Layout, Trials, layout_of
from mi203jax.core.task import Mean, Metrics, PyTree, Streaming, Task, as_mean

Values = dict[str, jax.Array]  # metrics by full name, such as "eval/return"


class Carry(NamedTuple):
    """What goes from iteration to iteration."""

    state: PyTree  # the task's
    sums: dict[str, Mean]  # metrics since the last evaluation
    bad: dict[str, jax.Array]  # int32: iterations after which a metric was first not finite; -1: it is


# ---- one trial; pure ----


def start(task: Task, config: Any, data: PyTree, key: jax.Array, example: PyTree = None) -> Carry:
    """The carry before the first iteration. `example` gives what `step` gets, if that is not `data`."""
    state = task.init(config, data, key)
    t = jnp.zeros((), jnp.int32)
    metrics = jax.eval_shape(
        lambda s, d: _means(task.step(config, s, d, t)[1]), state, example if example is not None else data
    )
    sums = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)
    return Carry(state, sums, {name: jnp.full((), -1, jnp.int32) for name in metrics})


def advance(task: Task, config: Any, carry: Carry, data: PyTree, first, count) -> Carry:
    """`count` iterations from iteration `first` on.

    Where they are cut into several calls changes no bit of the result. With a count known when traced
    it is a scan, through which gradients flow; otherwise one compiled program serves any count.
    """

    def iteration(i, carry: Carry) -> Carry:
        t = jnp.asarray(first + i, jnp.int32)
        state, metrics = task.step(config, carry.state, data, t)
        sums = jax.tree.map(jnp.add, carry.sums, _means(metrics))
        is_new = {n: (carry.bad[n] < 0) & ~jnp.isfinite(m.total) for n, m in sums.items()}
        return Carry(state, sums, {n: jnp.where(is_new[n], t + 1, bad) for n, bad in carry.bad.items()})

    return jax.lax.fori_loop(0, count, iteration, carry)


def evaluate(task: Task, config: Any, carry: Carry, data: PyTree) -> tuple[Values, Values]:
    """The means of `step`'s metrics since the last evaluation and those of `evaluate`, by full name.

    Returns:
        name -> value, NaN where nothing was measured; name -> whether what was measured is finite.
    """
    test = _means(task.evaluate(config, carry.state, data))
    sums = {f"train/{n}": m for n, m in carry.sums.items()} | {f"eval/{n}": m for n, m in test.items()}
    return {n: _divide(m) for n, m in sums.items()}, {n: jnp.isfinite(m.total) for n, m in sums.items()}


def training_means(carry: Carry) -> Values:
    """The means of `step`'s metrics since the last evaluation; NaN where nothing was measured."""
    return {f"train/{n}": _divide(m) for n, m in carry.sums.items()}


def forget(carry: Carry) -> Carry:
    """The carry after an evaluation: sums begin anew."""
    return carry._replace(sums=jax.tree.map(jnp.zeros_like, carry.sums))


def _means(metrics: Metrics) -> dict[str, Mean]:
    return {name: as_mean(value) for name, value in metrics.items()}


def _divide(mean: Mean) -> jax.Array:
    return jnp.where(mean.weight > 0, mean.total / jnp.maximum(mean.weight, 1e-30), jnp.nan)


def train(task: Task, config: RunConfig, data: PyTree, key: jax.Array) -> tuple[PyTree, Values]:
    """Trains one trial: the whole run as a pure function.

    It may be put under `jax.jit` (the static fields of `config` are part of the program) and `jax.vmap`
    (over stacked configurations and keys, see `stack`), and under `jax.grad` where the task's own step
    can be differentiated: Adam cannot where a gradient is zero.

    Args:
        task: what is learnt.
        config: its configuration; traced fields may be tracers.
        data: what `task.data(config)` gave, or None.
        key: PRNG key; the command line uses `jax.random.key(seed)`.

    Returns:
        The last state, and the metrics: name -> `[evaluations]`, one value every
        `config.eval_iterations` iterations and one at the end. NaN: nothing was measured.
    """
    every, total = config.eval_iterations, config.num_iterations

    def between(carry: Carry, first) -> tuple[Carry, Values]:
        carry = advance(task, config, carry, data, first, every)
        return forget(carry), evaluate(task, config, carry, data)[0]

    carry = start(task, config, data, key)
    carry, metrics = jax.lax.scan(between, carry, jnp.arange(0, total - total % every, every))
    if total % every:
        carry = advance(task, config, carry, data, total - total % every, total % every)
        last = evaluate(task, config, carry, data)[0]
        metrics = {n: jnp.append(m, last[n]) for n, m in metrics.items()}
    return carry.state, metrics


# ---- trials side by side ----


def stack(configs: Sequence[Any]) -> Any:
    """One configuration whose traced fields carry a leading trial axis.

    Raises:
        ValueError: if the configurations differ in a static field.
    """
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *configs)


@jax.jit
def trial(tree: PyTree, index: int) -> PyTree:
    """One trial of a tree that carries a leading trial axis."""
    return jax.tree.map(lambda x: x[index], tree)


class Progress(NamedTuple):
    """Where a group of trials is."""

    iteration: int  # iterations done
    carry: Carry  # as `Group.own` takes it
    training: Values  # [trials], since the last evaluation
    evaluation: Values | None  # [trials], where this is an evaluation
    finite: Values | None  # [trials], whether each metric of the evaluation is


class Group:
    """Trials that share one compiled program, whose static fields are equal."""

    def __init__(
        self,
        task: Task,
        configs: Sequence[RunConfig],
        data: PyTree,
        layout: Layout | None = None,
        keys: jax.Array | None = None,
    ):
        """
        Args:
            task: what is learnt.
            configs: each trial's configuration.
            data: what all of them learn from, or a `Streaming`.
            layout: how they share devices; None: as `layout_of` says.
            keys: each trial's key, `[trials]`; None: of its seed.
        """  # noqa: D205, D212
        self.config = configs[0]
        self._stream = data if isinstance(data, Streaming) else None
        self.layout = layout or layout_of(task, configs)
        self._count = len(configs)
        self._trials = Trials(self._count, self.layout)
        self.data = self._stream.shared if self._stream else data
        self._data = self._trials.share(self.data)
        stacked = stack(configs)
        keys = jax.vmap(jax.random.key)(stacked.seed) if keys is None else keys
        self._configs, self._keys = self._trials.place((stacked, keys))
        example = self._stream.example if self._stream else None
        own, shared, over = False, True, self._trials.over
        self._start = over(functools.partial(start, task, example=example), (own, shared, own))
        given = own if self._stream else shared
        self._advance = over(functools.partial(advance, task), (own, own, given, shared, shared), donate=1)
        self._evaluate = over(functools.partial(evaluate, task), (own, own, shared))
        self._means = over(training_means, (own,))
        self._forget = over(forget, (own,), donate=0)

    def abstract(self) -> Carry:
        """Shapes and dtypes of the carry; finds every mistake that shows when the task is traced."""
        carry = jax.eval_shape(self._start, self._configs, self._data, self._keys)
        place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

        def own(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((self._count, *x.shape[1:]), x.dtype, sharding=place)

        return jax.tree.map(own, carry)

    def need(self) -> Need:
        """The memory that it takes."""
        carry = jax.eval_shape(self._start, self._configs, self._data, self._keys)
        given = self._data
        if self._stream:
            trials = len(jax.tree.leaves(carry)[0])
            given = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct((trials, *x.shape), x.dtype), self._stream.example
            )
        return self._trials.need(
            shared=size(self._data),
            kept=size(carry),
            total=max(
                peak(self._advance, self._configs, carry, given, 0, 1),
                peak(self._evaluate, self._configs, carry, self._data),
            ),
        )

    def own(self, carry: Carry) -> Carry:
        """The carry `[trials, ...]` of a progress, for keeping: `run` takes it back."""
        return self._trials.own(carry)

    def run(self, length: Callable[[], int], resume: tuple[int, Carry] | None = None) -> Iterator[Progress]:
        """Trains all trials, stopping to report after every few iterations.

        Args:
            length: how many iterations the next report may be away; asked before each.
            resume: iterations done, and the carry then; the carry is consumed.

        Yields:
            The progress: before the first iteration, after each batch of them, at each evaluation. Its
            carry is the loop's own, and gone once the next one is asked for: copy what is to last.
        """
        every, total = self.config.eval_iterations, self.config.num_iterations
        if resume is None:
            done, carry = 0, self._start(self._configs, self._data, self._keys)
            yield self._progress(0, carry, self._evaluate(self._configs, carry, self._data))
        else:
            done, carry = resume[0], self._trials.place(resume[1])
            yield self._progress(done, carry)
        bring = self._bringer(done)
        while done < total:
            boundary = min(total, done // every * every + every)
            count = min(boundary - done, max(1, length()), self._stream.slots if self._stream else total)
            carry = self._advance(self._configs, carry, bring(count), done, count)
            done += count
            if done < boundary:
                yield self._progress(done, carry)
                continue
            training, judged = self._means(carry), self._evaluate(self._configs, carry, self._data)
            carry = self._forget(carry)
            yield self._progress(done, carry, judged, training)

    def _progress(self, done: int, carry: Carry, judged=(None, None), training=None) -> Progress:
        training = self._means(carry) if training is None else training
        training, *judged = self._trials.own((training, *judged))
        return Progress(done, carry, training, *judged)

    def _bringer(self, done: int) -> Callable[[int], PyTree]:
        """What gives `step` its data for the next so many iterations."""
        if self._stream is None:
            return lambda count: self._data
        return self._stream.windows(self._keys, done, self.config.num_iterations)
