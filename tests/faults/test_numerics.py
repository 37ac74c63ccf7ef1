"""NaN, infinity and overflow in data, loss and gradient: of one trial, told by step and term; others are untouched."""

import jax.numpy as jnp
import pytest

from tests.core.running import QUIET, begin, metrics, statuses
from tests.core.toy import EXPERIMENT, task

BAD, AT = 0.25, 12
"""The learning rate of the trial that goes wrong, and how many updates it has made before."""

pytestmark = pytest.mark.usefixtures("undrawn")


def data(c):
    return jnp.zeros(40)


def step(kind, c, state, data, t):
    """The toy's, of which something is spoilt for one trial at one step."""
    is_bad = (c.learning_rate == BAD) & (t == AT)
    if kind == "data":  # an example that is met at that step
        data = data.at[AT].set(jnp.where(is_bad, jnp.nan, 0.0))
    x = state.x + data[t]
    x = jnp.where(is_bad & (kind == "overflow"), 1e30, x)  # whose square is infinite in float32
    state, found = task.step(c, state._replace(x=x), data, t)
    spoilt = {"nan": jnp.nan, "inf": -jnp.inf}.get(kind)
    if spoilt is not None:
        found["loss"] = jnp.where(is_bad, spoilt, found["loss"])
    gradient = state.x - x
    if kind == "gradient":
        gradient = jnp.where(is_bad, jnp.inf, gradient)
        state = state._replace(x=x + gradient)
    return state, found | {"gradient_norm": jnp.sqrt((gradient**2).sum())}


def experiment(kind):
    return EXPERIMENT._replace(
        task=task._replace(data=data, step=lambda c, state, data, t: step(kind, c, state, data, t))
    )


def of_trials(path, kept):
    return [r for r in metrics(path) if r["trial"] in kept]


@pytest.mark.parametrize(
    ("kind", "parallel", "told"),
    [
        ("data", "vmap", "train/gradient_norm, train/loss not finite at step 13"),
        ("nan", "devices", "train/loss not finite at step 13"),
        ("inf", "map", "train/loss not finite at step 13"),
        ("overflow", "vmap", "train/gradient_norm, train/loss not finite at step 13"),
        ("gradient", "map", "train/gradient_norm not finite at step 13"),
    ],
)
def test_is_told_by_trial_step_and_term(tmp_path, kind, parallel, told):
    options = {"experiment": experiment(kind), "options": QUIET._replace(parallel=parallel)}
    begin(tmp_path / "bad", "noise=1.0", f"learning_rate=0.1,{BAD},0.3", **options)
    first, bad, last = statuses(tmp_path / "bad")
    assert (first["status"], bad["status"], last["status"]) == ("done", "diverged", "done")
    assert bad["error"] == told
    assert bad["step"] == 20  # the evaluation that told
    begin(tmp_path / "good", "noise=1.0", "learning_rate=0.1,0.2,0.3", **options)
    assert of_trials(tmp_path / "bad", (0, 2)) == of_trials(tmp_path / "good", (0, 2))


def test_steps_are_the_configurations_unit(tmp_path):
    asked = (f"learning_rate={BAD}", "per_iteration=5", "total_steps=100", "eval_every=50")
    begin(tmp_path, *asked, experiment=experiment("nan"))
    assert statuses(tmp_path)[0]["error"] == "train/loss not finite at step 65"


def test_what_only_an_evaluation_tells(tmp_path):
    def evaluate(c, state, data):
        return {"loss": jnp.where(state.t >= AT, jnp.nan, 1.0)}

    begin(tmp_path, experiment=EXPERIMENT._replace(task=task._replace(evaluate=evaluate)))
    assert statuses(tmp_path)[0]["error"] == "eval/loss not finite at step 20"


def test_where_none_shares_a_loop_others_are_the_same_without_the_bad_one(tmp_path):
    options = {"experiment": experiment("nan"), "options": QUIET._replace(parallel="map")}
    begin(tmp_path / "with", "noise=1.0", f"learning_rate=0.1,{BAD},0.3", **options)
    begin(tmp_path / "without", "noise=1.0", "learning_rate=0.1,0.3", **options)
    for own, like in ((0, 0), (1, 2)):
        expected = [r | {"trial": own} for r in of_trials(tmp_path / "with", (like,))]
        assert of_trials(tmp_path / "without", (own,)) == expected
