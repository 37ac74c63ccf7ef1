"""One training step of a CNN of 240,000 parameters, beside PyTorch's: the same computation.

    python -m benchmarks.cnn_step        (extra `bench`, and a CPU build of torch)

Batches of 128 images 28 × 28, batch norm with running estimates, relu, max pooling after every second
convolution, cross-entropy, Adam. Each side is timed as one trains with it: ours as a compiled loop that
gathers its batches from resident arrays; torch's as a Python loop that does the same. `SHAPES` are that
of a small network with most work at 28 × 28, and of a wide one that spends its time in matrix products.
"""

import functools
import itertools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks.measure import in_turn, machine, spread, table
from benchmarks.torch_twins import compiled_or_none, count
from mi203jax.nn import batch_norm, conv2d, max_pool, update_running

BATCH, EXAMPLES, STEPS, ROUNDS, RATE, MOMENTUM = 128, 2_048, 5, 9, 1e-3, 0.1
SHAPES = {"32-32-64-64, dense 56": ((32, 32, 64, 64), 56), "32-64-128-128, mean": ((32, 64, 128, 128), None)}


def init(key, filters, hidden):
    """Parameters and running estimates: ([(w, scale, bias)], [(w, bias)]), [(mean, var)]."""
    he, keys = jax.nn.initializers.he_normal(), iter(jax.random.split(key, len(filters) + 2))
    sizes = zip((1, *filters), filters, strict=False)
    convs = [(he(next(keys), (3, 3, c, k)), jnp.ones(k), jnp.zeros(k)) for c, k in sizes]
    widths = (49 * filters[-1], hidden, 10) if hidden else (filters[-1], 10)
    dense = [(he(next(keys), (a, b)), jnp.zeros(b)) for a, b in itertools.pairwise(widths)]
    return (convs, dense), [(jnp.zeros(k), jnp.ones(k)) for k in filters]


def loss(params, running, x, y):
    convs, dense = params
    new = []
    for number, ((w, scale, bias), estimates) in enumerate(zip(convs, running, strict=True)):
        x, *batch = batch_norm(conv2d(x, w, padding="SAME"), scale, bias)
        new.append(update_running(estimates, batch, x.size // x.shape[-1], MOMENTUM))
        x = jax.nn.relu(x)
        x = max_pool(x) if number % 2 else x
    x = x.mean((1, 2)) if len(dense) == 1 else x.reshape(len(x), -1)
    *hidden, (w, b) = dense
    for v, c in hidden:
        x = jax.nn.relu(x @ v + c)
    return optax.losses.softmax_cross_entropy_with_integer_labels(x @ w + b, y).mean(), new


@functools.partial(jax.jit, donate_argnums=0)
def train(state, images, labels, order):
    """A step for each row of `order`, with its loss."""

    def step(t, carry):
        (params, running, opt_state), losses = carry
        x, y = images[order[t]], labels[order[t]]
        (value, running), grads = jax.value_and_grad(loss, has_aux=True)(params, running, x, y)
        updates, opt_state = optax.adam(RATE).update(grads, opt_state)
        return (optax.apply_updates(params, updates), running, opt_state), losses.at[t].set(value)

    return jax.lax.fori_loop(0, len(order), step, (state, jnp.zeros(len(order))))


class Ours:
    def __init__(self, params, running, images, labels, order):
        self.state = jax.tree.map(jnp.copy, (params, running, optax.adam(RATE).init(params)))
        arguments = self.state, images, labels, order
        lowered = train.lower(*arguments)
        start = time.perf_counter()
        lowered.compile()
        self.compile_s = time.perf_counter() - start
        self.data = arguments[1:]

    def __call__(self):
        self.state, losses = train(self.state, *self.data)
        return losses


def in_torch(params):
    """The same network with the same weights."""
    convs, dense = jax.tree.map(np.array, params)
    layers = []
    for number, (w, *_) in enumerate(convs):
        conv = torch.nn.Conv2d(w.shape[2], w.shape[3], 3, padding=1, bias=False)
        conv.weight.data.copy_(torch.from_numpy(w.transpose(3, 2, 0, 1)))
        layers += [conv, torch.nn.BatchNorm2d(w.shape[3], momentum=MOMENTUM), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(2)] if number % 2 else []
    layers += [torch.nn.AdaptiveAvgPool2d(1)] if len(dense) == 1 else []
    layers += [torch.nn.Flatten()]
    if len(dense) > 1:  # torch flattens channels first
        w, b = dense[0]
        dense[0] = w.reshape(7, 7, -1, w.shape[1]).transpose(2, 0, 1, 3).reshape(w.shape), b
    for w, _ in dense:
        linear = torch.nn.Linear(*w.shape)
        linear.weight.data.copy_(torch.from_numpy(w.T))
        linear.bias.data.zero_()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class Theirs:
    def __init__(self, params, images, labels, order, layout, compiled=False):
        self.model = in_torch(params).to(memory_format=layout)
        assert sum(p.numel() for p in self.model.parameters()) == count(params)
        self.f = torch.compile(self.model) if compiled else self.model
        self.adam = torch.optim.Adam(self.model.parameters(), RATE, fused=True)
        x = torch.from_numpy(np.asarray(images).transpose(0, 3, 1, 2).copy())
        self.images, self.labels = x.to(memory_format=layout), torch.from_numpy(np.array(labels)).long()
        self.order = torch.from_numpy(np.array(order)).long()

    def __call__(self):
        losses = []
        for rows in self.order:
            self.adam.zero_grad()
            scores = self.f(self.images[rows])
            value = torch.nn.functional.cross_entropy(scores, self.labels[rows])
            value.backward()
            self.adam.step()
            losses.append(value.detach())
        return torch.stack(losses)


def measure(name, filters, hidden):
    keys = jax.random.split(jax.random.key(0), 4)
    params, running = init(keys[0], filters, hidden)
    images = jax.random.normal(keys[1], (EXAMPLES, 28, 28, 1))
    labels = jax.random.randint(keys[2], (EXAMPLES,), 0, 10)
    order = jax.random.permutation(keys[3], EXAMPLES)[: STEPS * BATCH].reshape(STEPS, BATCH)
    data = images, labels, order
    ours = Ours(params, running, *data)
    layouts = {"eager": torch.contiguous_format, "eager, channels last": torch.channels_last}
    sides = {f"torch {n}": Theirs(params, *data, layout) for n, layout in layouts.items()}
    first = np.asarray(ours())
    for theirs in sides.values():
        np.testing.assert_allclose(first, theirs().numpy(), rtol=1e-3)
    eager = list(sides)
    for n, layout in layouts.items():
        make = functools.partial(Theirs, params, *data, layout, compiled=True)
        if theirs := compiled_or_none(make):
            sides[f"torch compiled{n.removeprefix('eager')}"] = theirs
    times = in_turn({"mi203jax": ours, **sides}, ROUNDS)
    best = min(eager, key=lambda n: statistics.median(times[n]))
    ratio = spread((b / a for a, b in zip(times["mi203jax"], times[best], strict=True)), ".2f")
    print(f"{name}: {count(params):,} parameters, compiled in {ours.compile_s:.1f} s")
    print(f"{ratio} times as fast as {best}\n")
    rows = [{"step": n, "ms": spread(t / STEPS * 1e3 for t in ts)} for n, ts in times.items()]
    print(table(rows), end="\n\n")


def main():
    print(f"{machine()}, torch {torch.__version__} with {torch.get_num_threads()} threads\n")
    for name, shape in SHAPES.items():
        measure(name, *shape)


if __name__ == "__main__":
    main()
