"""The slides' tendencies (momentum, large batches, batch norm), tuned alike; and their counter-examples.

Slide "ATTENTION": "there are tendencies, but counter-examples will always be found". Both arms of a claim are
tuned over the same draws on held-out data, then judged on fresh seeds and test data. The default is a quick
look; --sweep=full is what docs/trends.md reports. Counter-examples with a name were found with seed=0 and are
measured with seed=1, so that no draw and no seed of the search is among theirs.

    python launch.py --exp=trends
"""

from mi203jax.configs import Trends
from mi203jax.core.experiment import Experiment

FULL = ("draws=20", "judging_seeds=12")
ANEW = (*FULL, "seed=1")
SEARCH = ("looks=24", "draws=8", "tuning_seeds=2", "judging_seeds=20")

EXPERIMENT = Experiment(
    Trends(),
    "",
    {
        "full": (
            "claims=(momentum,heavy_ball,large_batch,large_batch_updates,large_batch_seconds,batch_norm,batch_norm_tiny)",
            "settings=(mnist_5k,digits,breast_cancer,spirals)",
            *FULL,
        ),
        "bn_counterexample": ("claims=(batch_norm)", "settings=(bn_counterexample)", *ANEW),
        "large_batch_counterexample": (
            "claims=(large_batch)",
            "settings=(large_batch_counterexample)",
            *ANEW,
        ),
        "momentum_counterexample": ("claims=(momentum)", "settings=(momentum_counterexample)", *ANEW),
        "search": (
            "claims=(momentum,large_batch,batch_norm)",
            "settings=(any_points,any_digits)",
            *SEARCH,
        ),
        "search_momentum": (
            "claims=(momentum)",
            "settings=(any_short)",
            *SEARCH,
            "looked_before=126",  # by --sweep=search
        ),
        "deep": ("claims=(batch_norm)", "settings=(deep_mnist_5k,deep_digits,deep_breast_cancer)", *FULL),
        "more": (
            "claims=(standardized,init_small,init_large,xavier,augmentation,adam,adagrad,dropout)",
            "settings=(digits,breast_cancer,spirals)",
            *FULL,
        ),
        "reinforcement": (
            "claims=(target_network,replay,double_q,dense_reward,dense_score)",
            "settings=(cartpole,rooms,treasures,lure)",
            *("draws=12", "tuning_seeds=2", "judging_seeds=12"),
        ),
        "breakout": (
            "claims=(target_network,replay,double_q,dense_reward)",
            "settings=(breakout)",
            *("draws=20", "tuning_seeds=3", "judging_seeds=12"),
        ),
    },
    "mi203jax.tasks.trends:series",
)
