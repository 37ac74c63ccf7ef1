"""Packages that come with an extra, and what to say where one is not installed. Does not import jax."""

from typing import Any

from mi203jax.core.errors import UsageError


def require_optuna() -> Any:
    """Optuna, made silent.

    Raises:
        UsageError: naming the extra, if it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError("--search=optuna needs a package: pip install 'mi203jax[optuna]'.") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def require_ray() -> Any:
    """Ray.

    Raises:
        UsageError: naming the extra, if it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("--engine=ray needs a package: pip install 'mi203jax[ray]'.") from None
    return ray


def require_tensorboard() -> Any:
    """The class that writes event files.

    Raises:
        UsageError: naming the extra, if its package is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard needs a package: pip install 'mi203jax[tensorboard]'.") from None
    return SummaryWriter
