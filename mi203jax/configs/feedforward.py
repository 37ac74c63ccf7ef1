"""Fields of the layers of every network that looks at each example at once."""

from typing import Literal

from mi203jax.configs.supervised import Supervised
from mi203jax.core.config import config, static, traced

Initializer = Literal["uniform", "gaussian", "xavier", "he", "orthogonal", "delta_orthogonal"]


@config
class Feedforward(Supervised):
    """A feedforward network that learns from labelled examples."""

    initializer: Initializer = static("he", "how weights begin")
    init_scale: float = traced(1.0, "factor on the first weights", "(0, inf)")
    normalization: Literal["none", "batch", "layer"] = static("batch", "what each layer is normalised over")
    use_dropout: bool = static(False, "drop inputs of the dense layers while training")
    dropout: float = traced(0.5, "part of the inputs that is dropped, with use_dropout", "[0, 1)")
    spectral_norm: bool = static(False, "divide each layer's weights by their largest singular value")
