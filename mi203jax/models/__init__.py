"""Networks: flax modules composed of `mi203jax.nn`."""

from mi203jax.models.q_network import QNetwork

__all__ = ["QNetwork"]
