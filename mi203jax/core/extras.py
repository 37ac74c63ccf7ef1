"""Packages that come with an extra. Does not import jax."""

import importlib
import importlib.util
import os
import secrets
from typing import Any

from mi203jax.core.errors import UsageError


def require(package: str, flag: str, extra: str) -> Any:
    """A package that a flag needs.

    Raises:
        UsageError: naming the extra, if it is not installed.
    """
    expect(package, flag, extra)
    return importlib.import_module(package)


def expect(package: str, flag: str, extra: str) -> None:
    """Whether a package that a flag needs is there; it is not imported.

    Raises:
        UsageError: naming the extra, if it is not installed.
    """
    try:
        is_there = importlib.util.find_spec(package) is not None
    except (ValueError, ModuleNotFoundError):  # its import is blocked; what it is in is not there
        is_there = False
    if not is_there:
        raise UsageError(f"{flag} needs a package: pip install 'mi203jax[{extra}]'.")


def require_optuna() -> Any:
    """Optuna, made silent; see `require`."""
    optuna = require("optuna", "--search=optuna", "optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def expect_ray() -> None:
    """Whether Ray is there; see `expect`."""
    expect("ray", "--engine=ray", "ray")


def lock_ray() -> None:
    """Lets nobody into the cluster that this process is about to start, whose ports all networks see.

    Unless the environment says otherwise, who connects must know a token that this process alone has drawn.
    Ray looks for it when it is imported.
    """
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token")
    if mode == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def require_tensorboard() -> Any:
    """The class that writes TensorBoard's files; see `require`."""
    return require("tensorboardX", "--tensorboard", "tensorboard").SummaryWriter
