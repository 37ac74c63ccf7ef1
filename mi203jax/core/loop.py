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
from mi203jax.core.task import Mean, Metrics, PyTree, Streaming, Task, as_mean

Values = dict[str, jax.Array]  # metrics by full name, such as "eval/return"


class Carry(NamedTuple):
    """What goes from iteration to iteration."""

    state: PyTree  # the task's
    sums: dict[str, Mean]  # metrics since the last evaluation


# ---- one trial; pure ----


def start(task: Task, config: Any, data: PyTree, key: jax.Array, example: PyTree = None) -> Carry:
    """The carry before the first iteration. `example` gives what `step` gets, if that is not `data`."""
    state = task.init(config, data, key)
    t = jnp.zeros((), jnp.int32)
    metrics = jax.eval_shape(
        lambda s, d: _means(task.step(config, s, d, t)[1]), state, example if example is not None else data
    )
    return Carry(state, jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics))


def advance(task: Task, config: Any, carry: Carry, data: PyTree, first, count) -> Carry:
    """`count` iterations from iteration `first` on.

    Where they are cut into several calls changes no bit of the result. With a count known when traced
    it is a scan, through which gradients flow; otherwise one compiled program serves any count.
    """

    def iteration(i, carry: Carry) -> Carry:
        state, metrics = task.step(config, carry.state, data, jnp.asarray(first + i, jnp.int32))
        return Carry(state, jax.tree.map(jnp.add, carry.sums, _means(metrics)))

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


def trial(tree: PyTree, index: int) -> PyTree:
    """One trial of a tree that carries a leading trial axis."""
    return jax.tree.map(lambda x: x[index], tree)


class Progress(NamedTuple):
    """Where a group of trials is."""

    iteration: int  # iterations done
    carry: Carry  # leading axis: trials
    training: Values  # [trials], since the last evaluation
    evaluation: Values | None  # [trials], where this is an evaluation
    finite: Values | None  # [trials], whether each metric of the evaluation is


class Group:
    """Trials that share one compiled program, whose static fields are equal."""

    def __init__(self, task: Task, configs: Sequence[RunConfig], data: PyTree):
        self.config = configs[0]
        self._configs = stack(configs)
        self._stream = data if isinstance(data, Streaming) else None
        self.data = self._stream.shared if self._stream else data
        example = self._stream.example if self._stream else None
        in_turn = task.on_cpu == "map" and jax.default_backend() == "cpu"
        over = functools.partial(_over_trials, in_turn=in_turn)
        self._start = over(functools.partial(start, task, example=example), 3, shared=(1,))
        shared = (3, 4) if self._stream else (2, 3, 4)
        self._advance = over(functools.partial(advance, task), 5, shared=shared, donate=1)
        self._evaluate = over(functools.partial(evaluate, task), 3, shared=(2,))
        self._means = jax.jit(jax.vmap(training_means))
        self._forget = jax.jit(jax.vmap(forget), donate_argnums=0)

    def abstract(self) -> Carry:
        """Shapes and dtypes of the carry; finds every mistake that shows when the task is traced."""
        return jax.eval_shape(self._start, self._configs, self.data, self._keys())

    def _keys(self) -> jax.Array:
        return jax.vmap(jax.random.key)(self._configs.seed)

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
            done, carry = 0, self._start(self._configs, self.data, self._keys())
            yield Progress(0, carry, self._means(carry), *self._evaluate(self._configs, carry, self.data))
        else:
            done, carry = resume
            yield Progress(done, carry, self._means(carry), None, None)
        bring = self._bringer(done)
        while done < total:
            boundary = min(total, done // every * every + every)
            count = min(boundary - done, max(1, length()), self._stream.slots if self._stream else total)
            carry = self._advance(self._configs, carry, bring(count), done, count)
            done, training = done + count, self._means(carry)
            evaluation = finite = None
            if done == boundary:
                evaluation, finite = self._evaluate(self._configs, carry, self.data)
                carry = self._forget(carry)
            yield Progress(done, carry, training, evaluation, finite)

    def _bringer(self, done: int) -> Callable[[int], PyTree]:
        """What gives `step` its data for the next so many iterations."""
        if self._stream is None:
            return lambda count: self.data
        return self._stream.windows(self._keys(), done, self.config.num_iterations)


def _over_trials(f, num_args: int, shared: tuple[int, ...], donate: int | None = None, in_turn: bool = False):
    """The function over a leading trial axis, compiled; `shared` arguments are the same for all.

    Side by side, or in turn: the same results, up to rounding.
    """
    own = [i for i in range(num_args) if i not in shared]

    def one_by_one(*args):
        def one(values):
            mine = dict(zip(own, values, strict=True))
            return f(*(mine.get(i, arg) for i, arg in enumerate(args)))

        return jax.lax.map(one, tuple(args[i] for i in own))

    side_by_side = jax.vmap(f, tuple(None if i in shared else 0 for i in range(num_args)))
    return jax.jit(
        one_by_one if in_turn else side_by_side, donate_argnums=() if donate is None else (donate,)
    )
