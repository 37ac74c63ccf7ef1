"""Where the trials of a program run: side by side, in turn, and on which devices."""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mi203jax.core.config import BaseConfig
from mi203jax.core.errors import UsageError
from mi203jax.core.memory import Need
from mi203jax.core.task import Task

PyTree = Any
Parallel = Literal["auto", "vmap", "map", "devices"]


class Layout(NamedTuple):
    """How a program runs its trials; their results are the same up to rounding.

    Attributes:
        inner: "vmap": side by side on each device; "map": one after the other.
        spread: devices among which the trials are divided.
        split: devices among which each batch of a trial is divided; not together with `spread`.
    """

    inner: Literal["vmap", "map"] = "vmap"
    spread: int = 1
    split: int = 1

    def words(self, trials: int) -> str:
        """What to tell a user, after "8 trials"."""
        places = f" on {self.spread} devices" if self.spread > 1 else ""
        batches = f", each batch on {self.split} devices" if self.split > 1 else ""
        how = {"vmap": "side by side", "map": "in turn"}[self.inner] if trials > self.spread else ""
        return f"{how}{places}{batches}".strip(" ,")


def choose_layout(
    on_cpu: Literal["vmap", "map"],
    trials: int,
    parallel: Parallel = "auto",
    split: int = 1,
) -> Layout:
    """The layout of a group of trials.

    The model behind "auto", measured by `python -m benchmarks.sweep`: trials are divided among all devices
    that there are, since a core (or a GPU) to itself loses nothing to coordination. On each device they run
    side by side, which fills vector units and saves dispatch, except for tasks which say (`Task.on_cpu`)
    that a CPU runs them faster in turn: convolutional networks.

    Args:
        on_cpu: the task's.
        trials: how many there are.
        parallel: what was asked for; "vmap" and "map" use one device.
        split: devices among which each batch is to be divided.

    Raises:
        UsageError: if there are not so many devices.
    """
    there = jax.local_device_count()
    if split > there:
        raise UsageError(f"--devices={split}: expected at most {there}, as many as there are.")
    inner = on_cpu if jax.default_backend() == "cpu" else "vmap"
    if parallel in ("vmap", "map"):
        return Layout(parallel, split=split)
    return Layout(inner, spread=min(there, trials) if split == 1 else 1, split=split)


def layout_of(
    task: Task, configs: Sequence[BaseConfig], parallel: Parallel = "auto", split: int = 1
) -> Layout:
    """The layout of a group of trials: see `choose_layout`; of a trial that is alone, in turn.

    Raises:
        UsageError: as `choose_layout`, or if the batches of a trial that is alone are to be divided, or
            such trials are to share a program.
    """
    if not configs[0].is_alone:
        return choose_layout(task.on_cpu, len(configs), parallel, split)
    if len(configs) > 1:
        raise UsageError(
            f"{len(configs)} trials with state outside of JAX share no program: expected a group of each."
        )
    if split > 1:
        raise UsageError(f"--devices={split}: expected 1, since what is played is outside of JAX.")
    return Layout("map")


def use_cpu_devices(count: int) -> None:
    """Makes the CPU count as so many devices, before jax is first used; what the user set stays.

    Each device has a share of the cores' work of its own. Elsewhere than on a CPU it changes nothing.
    """
    set_by_user = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if set_by_user or jax.config.values["jax_num_cpu_devices"] > 0:
        return
    with contextlib.suppress(RuntimeError):  # jax was used already: its devices stay as they are
        jax.config.update("jax_num_cpu_devices", count)


def split_batch(batch: PyTree, *, may_stay_whole: bool = False) -> PyTree:
    """Divides the first axis of each array among the devices of `--devices`, if there are any.

    For tasks to call inside `step` and `evaluate`; the arithmetic stays that of one device, up to rounding.

    Args:
        batch: arrays `[n, ...]`.
        may_stay_whole: whether an array whose n is no multiple of the devices stays whole on each.

    Returns:
        The same values.

    Raises:
        UsageError: if n is no multiple of the devices and the batch may not stay whole.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if "batch" not in mesh.axis_names:
        return batch
    devices = mesh.shape["batch"]

    def divide(x: jax.Array) -> jax.Array:
        if x.shape[0] % devices == 0:
            return jax.lax.with_sharding_constraint(x, PartitionSpec("batch"))
        if may_stay_whole:
            return jax.lax.with_sharding_constraint(x, PartitionSpec())
        raise UsageError(
            f"--devices={devices} does not divide a batch of {x.shape[0]}: expected a multiple of it."
        )

    return jax.tree.map(divide, batch)


class Trials:
    """Functions of one trial as compiled functions of all trials of a group, by a layout."""

    def __init__(self, count: int, layout: Layout):
        self._count, self._layout = count, layout
        self._padded = -(-count // layout.spread) * layout.spread
        axis = "trial" if layout.spread > 1 else "batch"
        devices = jax.local_devices()[: max(layout.spread, layout.split)]
        self._mesh = Mesh(devices, (axis,), axis_types=(AxisType.Auto,)) if len(devices) > 1 else None
        self._spec = PartitionSpec("trial") if layout.spread > 1 else PartitionSpec()

    def over(self, f: Callable, shared: tuple[bool, ...], donate: int | None = None) -> Callable:
        """The function over a leading trial axis of those arguments that are not `shared`, compiled."""
        own = [i for i, is_shared in enumerate(shared) if not is_shared]
        is_alone = self._padded == self._layout.spread  # on its device

        def in_turn(*args):
            def one(values):
                mine = dict(zip(own, values, strict=True))
                return f(*(mine.get(i, arg) for i, arg in enumerate(args)))

            values = tuple(args[i] for i in own)
            if not is_alone:
                return jax.lax.map(one, values)
            # A loop over one trial would hold its state twice: a replay may be most of the memory.
            return jax.tree.map(lambda x: x[None], one(jax.tree.map(lambda x: x[0], values)))

        side_by_side = jax.vmap(f, tuple(None if s else 0 for s in shared))
        inner = in_turn if self._layout.inner == "map" else side_by_side
        donated = () if donate is None else (donate,)
        if self._mesh is None:
            return jax.jit(inner, donate_argnums=donated)
        out = NamedSharding(self._mesh, self._spec)
        if self._layout.split > 1:
            return jax.jit(self._within_mesh(inner), donate_argnums=donated, out_shardings=out)
        specs = tuple(PartitionSpec() if s else self._spec for s in shared)
        # Each device runs its own trials and never waits for another.
        apart = jax.shard_map(inner, mesh=self._mesh, in_specs=specs, out_specs=self._spec, check_vma=False)
        return jax.jit(apart, donate_argnums=donated, out_shardings=out)

    def _within_mesh(self, f: Callable) -> Callable:
        assert self._mesh is not None
        mesh = self._mesh.abstract_mesh

        def call(*args):
            with jax.sharding.use_abstract_mesh(mesh):  # which `split_batch` looks for
                return f(*args)

        return call

    def place(self, tree: PyTree) -> PyTree:
        """Arrays `[trials, ...]` where the compiled functions expect them, the last one repeated to fill."""
        if self._padded > self._count:
            index = jnp.minimum(jnp.arange(self._padded), self._count - 1)
            tree = jax.tree.map(lambda x: x[index], tree)
        if self._mesh is None:
            return tree
        return jax.device_put(tree, NamedSharding(self._mesh, self._spec))

    def need(self, shared: int, kept: int, total: int) -> Need:
        """The memory of the whole group, as one that may be cut; of each GPU where there are several."""
        is_host = jax.default_backend() == "cpu"
        places = 1 if is_host else self._layout.spread
        return Need(
            trials=self._padded // places,
            places=places,
            in_turn=self._layout.inner == "map",
            shared=shared,
            kept=kept // places,
            total=total // places,
            copies=2 if is_host else 1,
        )

    def share(self, tree: PyTree) -> PyTree:
        """Arrays that all trials share, on each device once."""
        return (
            tree if self._mesh is None else jax.device_put(tree, NamedSharding(self._mesh, PartitionSpec()))
        )

    def own(self, tree: PyTree) -> PyTree:
        """Arrays `[trials, ...]` without what fills, on one device."""
        if self._mesh is None:
            return tree
        return jax.tree.map(lambda x: x[: self._count], jax.device_put(tree, jax.local_devices()[0]))
