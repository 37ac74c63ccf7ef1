"""Packages that come with an extra. Does not import jax."""

import importlib
from typing import Any

from mi203jax.core.errors import UsageError


def require(package: str, flag: str, extra: str) -> Any:
    """A package that a flag needs.

    Raises:
        UsageError: naming the extra, if it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise UsageError(f"{flag} needs a package: pip install 'mi203jax[{extra}]'.") from None


def require_optuna() -> Any:
    """Optuna, made silent; see `require`."""
    optuna = require("optuna", "--search=optuna", "optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def require_ray() -> Any:
    """Ray; see `require`."""
    return require("ray", "--engine=ray", "ray")


def require_tensorboard() -> Any:
    """The class that writes TensorBoard's files; see `require`."""
    return require("tensorboardX", "--tensorboard", "tensorboard").SummaryWriter
