"""The course's tendencies as claims, and the settings in which they are asked: data, nothing that runs.

A claim or a setting of your own is an entry more.
"""

from mi203jax.study.claim import Arm, Claim, Fields, Setting

RATES = ("learning_rate=loguniform(1e-4,10)",)
"""Five decades, so that every arm's best step size lies within: that of the slide's momentum is 1 / (1 − γ)
times that of the heavy ball."""

OPTIMISATION = "Optimisation: lissage du gradient"
TRENDS = "ATTENTION: tendances"

SGD = Arm("SGD", ("optimizer=sgd",))
LARGE = Arm("batches of 256", ("batch_size=256",))
SMALL = Arm("batches of 16", ("batch_size=16",))
NORMALIZED = Arm("batch norm", ("normalization=batch",))
PLAIN = Arm("none", ("normalization=none",))
MOMENTUM = ("optimizer=momentum_ema",)

CLAIMS = {
    "momentum": Claim(TRENDS, Arm("SGD + momentum", MOMENTUM), SGD, RATES),
    "heavy_ball": Claim(TRENDS, Arm("SGD + heavy ball", ("optimizer=heavy_ball",)), SGD, RATES),
    "large_batch": Claim(TRENDS, LARGE, SMALL, RATES, MOMENTUM),
    "large_batch_updates": Claim(TRENDS, LARGE, SMALL, RATES, MOMENTUM, "updates"),
    "large_batch_seconds": Claim(TRENDS, LARGE, SMALL, RATES, MOMENTUM, "seconds"),
    "batch_norm": Claim(TRENDS, NORMALIZED, PLAIN, RATES, MOMENTUM),
    "batch_norm_tiny": Claim(
        "Batch normalisation: needs large batches", NORMALIZED, PLAIN, RATES, (*MOMENTUM, "batch_size=2")
    ),
    "standardized": Claim(
        "Optimisation: prétraitement",
        Arm("standardised data", ("standardize=feature",)),
        Arm("raw data", ("standardize=none",)),
        RATES,
        MOMENTUM,
    ),
    "init_small": Claim(
        "Optimisation: initialisation",
        Arm("He's initialisation", ("init_scale=1",)),
        Arm("a tenth of it", ("init_scale=0.1",)),
        RATES,
        MOMENTUM,
    ),
    "init_large": Claim(
        "Optimisation: initialisation",
        Arm("He's initialisation", ("init_scale=1",)),
        Arm("four times as much", ("init_scale=4",)),
        RATES,
        MOMENTUM,
    ),
    "xavier": Claim(
        "Optimisation: initialisation",
        Arm("Xavier", ("initializer=xavier",)),
        Arm("N(0, 0.05²)", ("initializer=gaussian",)),
        RATES,
        MOMENTUM,
    ),
    "augmentation": Claim(
        "Optimisation: data augmentation",
        Arm("small affine maps", ("augment=(affine)", "translation=1")),
        Arm("no augmentation", ("augment=()",)),
        RATES,
        MOMENTUM,
        experiments=("image_classification",),
    ),
    "adam": Claim(OPTIMISATION, Arm("Adam", ("optimizer=adam",)), SGD, RATES),
    "adagrad": Claim(
        OPTIMISATION,
        Arm("the slide's adagrad", ("optimizer=normalized_gradient",)),
        Arm("AdaGrad", ("optimizer=adagrad",)),
        RATES,
    ),
    "dropout": Claim(
        "Mais aussi",
        Arm("dropout of a quarter", ("use_dropout=true", "dropout=0.25")),
        Arm("no dropout", ("use_dropout=false",)),
        RATES,
        (*MOMENTUM, "hidden=(128,)"),
    ),
    "target_network": Claim(
        "Deep reinforcement learning",
        Arm("a target network", ("target_period=50",)),
        Arm("none", ("target_period=1",)),
        ("learning_rate=loguniform(1e-4,1e-2)",),
        experiments=("dqn",),
    ),
    "replay": Claim(
        "Deep reinforcement learning",
        Arm("a replay of 50,000", ("replay_size=50_000",)),
        Arm("the last 128", ("replay_size=128",)),
        ("learning_rate=loguniform(1e-4,1e-2)",),
        experiments=("dqn",),
    ),
    "double_q": Claim(
        "Deep reinforcement learning",
        Arm("double Q", ("double_q=true",)),
        Arm("max Q", ("double_q=false",)),
        ("learning_rate=loguniform(1e-4,1e-2)",),
        experiments=("dqn",),
    ),
    "dense_reward": Claim(
        "Apprentissage",
        Arm("rewards as they come", ("score=dense",)),
        Arm("their sum at the end", ("score=sparse",)),
        ("learning_rate=loguniform(1e-4,1e-2)",),
        experiments=("dqn",),
    ),
    "dense_score": Claim(
        "Apprentissage",
        Arm("a dense score", ("score=dense",)),
        Arm("a sparse score", ("score=sparse",)),
        ("step_size=loguniform(1e-2,1)",),
        experiments=("rewards",),
    ),
}

HELD_OUT = (("train_split=train[:80%]", "eval_split=train[80%:]"),)
"""Examples of the training split that tuning is judged by."""

FIVE_FOLDS = (
    ("train_split=train[20%:]", "eval_split=train[:20%]"),
    *(
        (f"train_split=train[:{k}%]+train[{k + 20}%:]", f"eval_split=train[{k}%:{k + 20}%]")
        for k in (20, 40, 60)
    ),
    *HELD_OUT,
)
"""Each fifth of it in turn, for sets of which a fifth is too few to choose by."""

TWO_FOLDS = (FIVE_FOLDS[0], FIVE_FOLDS[-1])

OTHER_POINTS = (("data_seed=1",), ("data_seed=2",), ("data_seed=3",))
"""Made points have no splits: tuning gets points of its own."""

SLIDES = ("schedule=constant", "warmup=0", "weight_decay=0", "normalization=none", "batch_size=32")
"""The rules of the slides as they stand, with nothing else that helps."""


def runs_of(steps: str) -> Fields:
    """Runs of this length that are judged at their end alone."""
    return f"total_steps={steps}", f"eval_every={steps}"


IMAGES = (*SLIDES, "augment=()")
CNN = (*IMAGES, "channels=(8,16)", "convs=1")
MLP = (*IMAGES, "channels=()")
VECTORS = (*SLIDES, "frames=2")
DEEP = (
    *("hidden=(64,)", "batch_size=64", "depth=5,10,20,50,100", "residual=false,true"),
    "initializer=uniform,gaussian,xavier,he,orthogonal",  # delta_orthogonal is orthogonal in a dense layer
)

POINTS = (*VECTORS, "num_examples=1_000")
DQN = ("num_envs=16", "gradient_steps=1", "replay_size=50_000", "learning_starts=1_000")
OF_MNIST, OF_DIGITS, OF_TUMOURS, OF_POINTS = 0.1, 37 / 360, 71 / 113, 0.5
"""Share of the most frequent class of the test split: what always saying it gets, and a run that diverged."""

# Microseconds: by `python -m benchmarks.batch_time`, of runs alone on two cores of an Intel Xeon; of vectors
# to one digit. Another machine has others: equal seconds are meant as seconds of that one.
SETTINGS = {
    "mnist_5k": Setting(
        "image_classification",
        (*CNN, "data=mnist_5k", *runs_of("20_000")),
        TWO_FOLDS,
        OF_MNIST,
        {16: 111.0, 32: 98.0, 256: 99.0},
    ),
    "digits": Setting(
        "image_classification",
        (*CNN, "data=digits/blocks", *runs_of("20_000")),
        FIVE_FOLDS,
        OF_DIGITS,
        {16: 16.7, 32: 16.2, 256: 8.7},
    ),
    "breast_cancer": Setting(
        "vectors",
        (*VECTORS, "data=breast_cancer", *runs_of("10_000")),
        FIVE_FOLDS,
        OF_TUMOURS,
        {16: 1.8, 32: 1.0, 256: 0.5},
    ),
    "spirals": Setting(
        "vectors",
        (*POINTS, "data=spirals", "noise=0.1", *runs_of("40_000")),
        OTHER_POINTS,
        OF_POINTS,
        {16: 1.6, 32: 0.9, 256: 0.4},
    ),
    "deep_mnist_5k": Setting(
        "image_classification",
        (*MLP, *DEEP, "data=mnist_5k", *runs_of("10_000")),
        HELD_OUT,
        OF_MNIST,
    ),
    "deep_digits": Setting(
        "image_classification",
        (*MLP, *DEEP, "data=digits/blocks", *runs_of("10_000")),
        HELD_OUT,
        OF_DIGITS,
    ),
    "deep_breast_cancer": Setting(
        "vectors",
        (*VECTORS, *DEEP, "data=breast_cancer", *runs_of("10_000")),
        HELD_OUT,
        OF_TUMOURS,
    ),
    "cartpole": Setting("dqn", (*DQN, "env=CartPole-v1", *runs_of("60_000"))),
    "rooms": Setting("dqn", (*DQN, "env=Rooms-grid", "channels=8", "hidden=(64,)", *runs_of("60_000"))),
    "breakout": Setting("dqn", (*DQN, "env=Breakout-MinAtar", "num_envs=64", *runs_of("256_000"))),
    "treasures": Setting("rewards", ("map=treasures", *runs_of("200_000"))),
    "lure": Setting("rewards", ("map=lure", "gamma=0.9999", *runs_of("500_000"))),
    "bn_counterexample": Setting(
        "image_classification",
        (*MLP, "data=digits/blocks", "hidden=(32,32,32,32)", "batch_size=2", *runs_of("16_000")),
        FIVE_FOLDS,
        OF_DIGITS,
    ),
    "large_batch_counterexample": Setting(
        "image_classification",
        (*CNN, "data=digits/blocks", "hidden=(32,32,32,32)", *runs_of("4_000")),
        FIVE_FOLDS,
        OF_DIGITS,
    ),
    "momentum_counterexample": Setting(
        "image_classification",
        (*CNN, "data=digits/blocks", "hidden=(32,32,32,32)", "momentum=0.99", *runs_of("4_000")),
        FIVE_FOLDS,
        OF_DIGITS,
    ),
    "any_points": Setting(
        "vectors",
        (
            *POINTS,
            "data=choice(moons,circles,spirals,xor)",
            "noise=choice(0.05,0.2,0.4)",
            "hidden=choice((8,),(32,32),(16,16,16,16,16,16))",
            "batch_size=choice(2,8,32,128)",
            "total_steps=choice(4_000,16_000,64_000)",
            "eval_every=64_000",
        ),
        OTHER_POINTS[:1],
        OF_POINTS,
    ),
    "any_short": Setting(
        "image_classification",
        (
            *(*IMAGES, "data=digits/blocks", "convs=1"),
            "channels=choice((),(8,16))",
            "hidden=choice((),(64,),(32,32,32,32))",
            "batch_size=choice(32,128)",
            "momentum=choice(0.9,0.99)",
            "total_steps=choice(1_000,4_000,16_000)",
            "eval_every=16_000",
        ),
        HELD_OUT,
        OF_DIGITS,
    ),
    "any_digits": Setting(
        "image_classification",
        (
            *(*IMAGES, "data=digits/blocks", "convs=1"),
            "channels=choice((),(8,16))",
            "hidden=choice((),(64,),(32,32,32,32))",
            "batch_size=choice(2,8,32,128)",
            "total_steps=choice(4_000,16_000,64_000)",
            "eval_every=64_000",
        ),
        HELD_OUT,
        OF_DIGITS,
    ),
}
