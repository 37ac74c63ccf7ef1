"""Fields of networks that may have many equal layers."""

from mi203jax.configs.feedforward import Feedforward
from mi203jax.core.config import config, static
from mi203jax.core.errors import UsageError


@config
class Deep(Feedforward):
    """A network whose dense layers may be followed by many more of one width."""

    hidden: tuple[int, ...] = static((), "widths of the dense layers before the last", "[1, inf)")
    depth: int = static(0, "further dense layers after those, as wide as the last of hidden", "[0, 1000]")
    residual: bool = static(False, "add each of these further layers to its input: x + f(x)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if self.depth and not self.hidden:
            raise UsageError(f"depth={self.depth} needs a width: expected hidden=(64,), say, beside it.")
        if self.residual and not self.depth:
            raise UsageError("residual=true concerns the layers of depth: expected depth=20, say, beside it.")
