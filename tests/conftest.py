"""What all tests share: strict number handling where asked, and nothing written to the user's cache."""

import gc
import os
import tempfile
from importlib.metadata import version

# Before jax is imported: tests and their subprocesses share compiled programs, in a folder of their own.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="mi203jax-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PLATFORMS"] = "cpu"
# Most programs here run once: compiling them well takes longer than it saves.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if version("jaxlib").startswith("0.10."):  # another one might not know these, and would not start
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=4"
    )

import jax
import pytest

gc.set_threshold(50_000, 20, 50)  # thousands of programs are kept, and looked through at each collection


@pytest.fixture
def optimized():
    """Programs compiled as users get them: for those that run long."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def few_fitted(monkeypatch):
    """Statistics of made scenes from a tenth of those that users get."""
    monkeypatch.setattr("mi203jax.tasks.scenes._NUMBER_FITTED", 100)


@pytest.fixture
def undrawn(monkeypatch):
    """Runs without the figures of a sweep and without a report: half the time of a short one."""
    monkeypatch.setattr("mi203jax.core.session.sweep_figures", lambda *args: {})
    monkeypatch.setattr(
        "mi203jax.core.session.write_report", lambda folders, find: folders[0] / "report.html"
    )


@pytest.fixture
def strict():
    """No silent promotion of dtypes or ranks: what a researcher's strict settings would refuse."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def key():
    return jax.random.key(42)
