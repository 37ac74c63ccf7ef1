"""What Q(s, a, θ) is drawn towards (slide "Équation fondamentale de Q*")."""

import jax
import jax.numpy as jnp


def td_target(
    reward: jax.Array,
    terminated: jax.Array,
    gamma,
    q_next: jax.Array,
    q_next_select: jax.Array | None = None,
) -> jax.Array:
    """The fundamental equation's right-hand side, sampled: r + γ max_a Q(s', a).

    Args:
        reward: r, `[...]`.
        terminated: whether the episode ended *by the rules* in s', `[...]`, bool. Q is 0 after that.
            An episode cut by a time limit is not terminated: its s' still has a future.
        gamma: discount γ, a scalar.
        q_next: Q(s', ·) of the network that values the next action, `[..., actions]`.
        q_next_select: Q(s', ·) of the network that chooses it, `[..., actions]`; None: the same one.
            With the online network here and the target network above this is double Q-learning
            (van Hasselt et al. 2016), which does not overestimate as the maximum does.

    Returns:
        `[...]`, through which no gradient flows.
    """
    chosen = (q_next if q_next_select is None else q_next_select).argmax(-1)
    value = jnp.take_along_axis(q_next, chosen[..., None], -1)[..., 0]
    return jax.lax.stop_gradient(reward + gamma * jnp.where(terminated, 0.0, value))


def relu_bellman_loss(q: jax.Array, reward: jax.Array, q_next: jax.Array, gamma, weight=0.0) -> jax.Array:
    """The slide's objective of the deep case: relu(r + γ Q(s', a') − Q(s, a)), by how much Q is too low.

    The gradient flows through both Q's. Alone it is 0 for Q*, and for any constant that is large enough.
    What the slide drops is that the linear program asks for the *least* such Q: `weight` · Q(s, a), whose
    mean over samples is the weight of the mean of Q, draws Q down, and makes it that program with a penalty
    in place of its constraints. There is one for each s' that came, so that where chance decides it finds
    the optimist's Q, `linear_program`'s "per_successor". The penalty is exact only as long as the weight is
    small: less than the ratio of how often (s, a) is sampled to how often it is met (`occupancy` of
    `linear_program`, from these samples on).

    With a Q(s', a') that does not move (a target network's), and best a', it is the pinball loss of the
    quantile 1 − weight of r + γ max Q(s', ·): for weight 1/2, half of the absolute TD error, plus a constant.

    Args:
        q: Q(s, a), `[...]`.
        reward: r, `[...]`.
        q_next: Q(s', a'), `[...]`; 0 where the episode ended.
        gamma: discount γ, a scalar.
        weight: of the mean of Q, a scalar.

    Returns:
        `[...]`.
    """
    return jax.nn.relu(reward + gamma * q_next - q) + weight * q


def td_error(q: jax.Array, action: jax.Array, target: jax.Array) -> jax.Array:
    """Q(s, a) − target.

    Args:
        q: Q(s, ·), `[..., actions]`.
        action: a, `[...]`, integer.
        target: `[...]`.

    Returns:
        `[...]`.
    """
    return jnp.take_along_axis(q, action[..., None], -1)[..., 0] - target


def lambda_returns(
    reward: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    q_next: jax.Array,
    gamma,
    lambda_,
) -> jax.Array:
    """Mixtures of n-step returns, each closed by max Q (Peng's Q(λ), as in Gallici et al. 2024).

    G_t = r_t + γ ((1 − λ) max_a Q(s_{t+1}, a) + λ G_{t+1}) while the episode goes on;
    G_t = r_t where it terminated, and r_t + γ max_a Q(s_{t+1}, a) where it was cut by a time limit
    and where the given steps end.

    Args:
        reward: r_t, `[time, ...]`.
        terminated: whether the episode ended by the rules in s_{t+1}, `[time, ...]`, bool.
        truncated: whether a time limit cut it in s_{t+1}, `[time, ...]`, bool.
        q_next: max_a Q(s_{t+1}, a), s_{t+1} being the true successor, not the first state of the
            next episode, `[time, ...]`.
        gamma: discount γ, a scalar.
        lambda_: λ in [0, 1], a scalar: 0 gives the one-step target, 1 the full return.

    Returns:
        G, `[time, ...]`, through which no gradient flows.
    """

    def backwards(later, step):
        reward, terminated, truncated, q_next = step
        mixed = jnp.where(truncated, q_next, (1.0 - lambda_) * q_next + lambda_ * later)
        now = reward + gamma * jnp.where(terminated, 0.0, mixed)
        return now, now

    steps = (reward, terminated, truncated, q_next)
    _, returns = jax.lax.scan(backwards, q_next[-1], steps, reverse=True)
    return jax.lax.stop_gradient(returns)
