"""The slides on classification, and on what makes networks train."""

from mi203jax.lecture import judges
from mi203jax.lecture.judges import Judge
from mi203jax.lecture.slide import Ran, Row, Shown, Slide, named


def images(sweep: str = "") -> tuple[Ran, ...]:
    """The experiment of most slides, one of its sweeps."""
    return (Ran("image_classification", sweep),)


ACCURACY = ("eval/accuracy",)


def comparison(sweep: str) -> Shown:
    """What a sweep of one choice comes to."""
    return Shown("comparison.png", f"figures/comparison_{sweep}.png", of_sweep=True)


def choice(text: str, functions: tuple[str, ...], sweep: str, judge: Judge | None = None) -> Row:
    """A row on one choice, whose values a sweep compares."""
    return Row(text, functions, images(sweep), (comparison(sweep),), metrics=ACCURACY, judge=judge)


CLASSIFYING = (
    Slide(
        "Rappel: classification supervisée de vecteurs",
        (
            Row(
                "DL(x, θ) = K₁ filters + relu + … + 1 filter",
                named("mi203jax.models.classifier", "Classifier"),
                (Ran("vectors"),),
                (Shown("boundary.gif"),),
                " without stages",
                metrics=ACCURACY,
            ),
            Row(
                "sign(DL(x, θ)) ≈ y, labels in {−1, 1}",
                named("mi203jax.losses", "hinge", "logistic", "squared", "exponential"),
                (Ran("vectors", "losses"),),
                (Shown("margins.png"),),
                metrics=(*ACCURACY, "eval/margin"),
                judge=judges.signs,
            ),
            Row(
                "images cannot be classified without using that they are images",
                named("mi203jax.models.classifier", "Classifier"),
                (Ran("mlp_vs_cnn"),),
                (Shown("comparison.png", "figures/mlp_vs_cnn.png", of_sweep=True),),
                ", dense or convolutional, with as many parameters",
                metrics=ACCURACY,
                judge=judges.needs_images,
            ),
        ),
    ),
    Slide(
        "Convolution",
        (
            Row(
                "y[h, w, k] = Σ x[h + dh, w + dw, c] · w[dh, dw, c, k]",
                named("mi203jax.nn.conv", "conv2d"),
                images(),
                (Shown("filters.png"), Shown("feature_maps.png")),
                metrics=(*ACCURACY, "eval/loss"),
            ),
        ),
    ),
    Slide(
        "Pooling",
        (
            choice(
                "y[h, w, c] = max x[2h + dh, 2w + dw, c]",
                named("mi203jax.nn.pool", "max_pool", "avg_pool"),
                "pooling",
            ),
            Row(
                "it enlarges the receptive field",
                named("mi203jax.nn.receptive_field", "receptive_field", "receptive_field_of"),
                images(),
                (Shown("receptive_field.png"),),
                judge=judges.enlarges_receptive_field,
            ),
            Row(
                "invariance to small transformations",
                named("mi203jax.augment", "translate"),
                images(),
                (Shown("shifts.png"),),
                is_seen=True,
            ),
        ),
    ),
    Slide(
        "Optimisation: prétraitement",
        (
            choice(
                "centred and reduced data",
                named("mi203jax.data.standardize", "fit_statistics", "standardize"),
                "standardize",
                judges.Ahead("standardize", "vector", "none"),
            ),
        ),
    ),
    Slide(
        "Optimisation: data augmentation",
        (
            Row(
                "transformed inputs",
                named("mi203jax.augment", "affine", "shift", "flip", "cutout", "noise", "mix_up"),
                images("augment"),
                (Shown("inputs.png"), comparison("augment")),
                metrics=ACCURACY,
                judge=judges.Ahead("augment", "(affine)", "()"),
            ),
            Row(
                "a network forced to be invariant",
                named("mi203jax.invariance", "invariant", "shifts", "flips", "rotations"),
                images("invariance"),
                (comparison("invariance"),),
                metrics=ACCURACY,
                judge=judges.Ahead("invariance", "mean", "none"),
            ),
        ),
    ),
    Slide(
        "Optimisation: batch",
        (
            choice(
                "all examples: too slow; one: too unstable; k",
                named("mi203jax.data.order", "batch_indices"),
                "batch_size",
                judges.neither_all_nor_one,
            ),
        ),
    ),
    Slide(
        "Optimisation: lissage du gradient",
        (
            choice("θ ← θ − λ∇I", named("mi203jax.optim", "sgd"), "optimizer"),
            Row(
                '"adagrad": θ ← θ − λ∇I / (‖∇I‖ + ε)',
                named("mi203jax.optim", "normalized_gradient"),
                images("optimizer"),
                (comparison("optimizer"),),
                standard=named("mi203jax.optim", "adagrad"),
            ),
            Row(
                "θ ← θ − λω, ω ← γω + (1 − γ)∇I",
                named("mi203jax.optim", "momentum_ema"),
                images("optimizer"),
                (comparison("optimizer"),),
                standard=named("mi203jax.optim", "heavy_ball"),
                judge=judges.BestAhead("optimizer", "momentum_ema", "sgd", "learning_rate"),
            ),
            Row("Adam", named("mi203jax.optim", "adam"), images("optimizer"), (comparison("optimizer"),)),
        ),
    ),
    Slide(
        "Optimisation: initialisation",
        (
            choice(
                "uniform, Gaussian, Xavier, …",
                named("mi203jax.nn.initializers", "INITIALIZERS"),
                "initializer",
            ),
        ),
    ),
    Slide(
        "Batch normalisation",
        (
            choice(
                "centre and reduce at each layer, on the batch",
                named("mi203jax.nn.norm", "batch_norm", "batch_norm_inference", "update_running"),
                "normalization",
                judges.Ahead("normalization", "batch", "none"),
            ),
            Row(
                '"the same dynamics at each layer, the gradient can propagate through 100 layers!"',
                named("mi203jax.models.stack", "Stack")
                + named("mi203jax.tasks.gradient_norms", "gradient_norms", "growth"),
                (Ran("depth"), Ran("trends", "deep")),
                (Shown("gradient_norms.png"),),
                metrics=ACCURACY,
                judge=judges.hundred_layers,
            ),
        ),
    ),
    Slide(
        "Mais aussi",
        (
            Row(
                "cost functions",
                named("mi203jax.losses", "softmax_cross_entropy", "focal"),
                images("loss"),
                (comparison("loss"), Shown("calibration.png"), Shown("confusion.png"), Shown("mistakes.png")),
                ", and those above",
                metrics=ACCURACY,
            ),
            choice("dropout", named("mi203jax.nn.dropout", "dropout"), "dropout"),
            choice("gradient clipping", named("mi203jax.optim", "clip_by_norm", "clip_by_value"), "clipping"),
            choice("spectral norm", named("mi203jax.nn.spectral", "spectral_norm"), "spectral_norm"),
        ),
    ),
    Slide(
        "ATTENTION: tendances, Je vous avais prévenu…",
        (
            Row(
                "sgd + momentum > sgd, large batch > small batch, batch norm > none; "
                '"counter-examples will always be found"',
                named("mi203jax.study.statistics", "compare", "paired_interval")
                + named("mi203jax.study.sensitivity", "expected_best")
                + named("mi203jax.study.claim", "Claim"),
                (Ran("trends", "full"),),
                (
                    Shown("forest.png", "figures/trends_full_forest.png"),
                    Shown("where.png", "figures/trends_full_where.png", of_sweep=True),
                ),
                judge=judges.tendencies,
            ),
        ),
    ),
)
