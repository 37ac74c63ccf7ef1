"""The slides beyond classification: images out of images, signals, and games."""

from mi203jax.lecture import judges
from mi203jax.lecture.slide import Ran, Row, Shown, Slide, named

CONVERGENCE = (Shown("convergence.png"),)
PLAY = (Shown("play.gif", "play.gif"),)

IMAGES = (
    Slide(
        "Classification → segmentation",
        (
            Row(
                "a class for each pixel",
                named("mi203jax.models.dense_prediction", "FullyConvolutional", "UNet")
                + named("mi203jax.losses", "dice", "focal")
                + named("mi203jax.metrics.segmentation", "mean_iou", "boundary_f_score"),
                (Ran("segmentation"),),
                (Shown("predictions.png"), Shown("learning.gif")),
                metrics=("eval/mean_iou", "eval/accuracy", "eval/boundary_f_score"),
                judge=judges.labels_pixels,
            ),
        ),
    ),
    Slide(
        "Classification → détection",
        (
            Row(
                "a classifier run on every window, and the best of those that overlap",
                named("mi203jax.windows", "window_grid", "crop", "decode_windows")
                + named("mi203jax.boxes", "non_maximum_suppression"),
                (Ran("sliding_window"),),
                (Shown("detections.png", "figures/sliding_window.png"),),
                metrics=("eval/ap", "eval/ap50"),
            ),
            Row(
                "a classifier run everywhere at once, plus sizes",
                named("mi203jax.centers", "center_targets", "decode_centers")
                + named("mi203jax.losses", "penalty_reduced_focal")
                + named("mi203jax.metrics.detection", "average_precision"),
                (Ran("detection"), Ran("sliding_window")),
                (Shown("heat.png"), Shown("precision_recall.png")),
                metrics=("eval/ap", "eval/ap50"),
                judge=judges.everywhere_at_once,
            ),
        ),
    ),
    Slide(
        "Classification → autoencoder",
        (
            Row(
                "predict the input while forcing a loss of information",
                named("mi203jax.models.autoencoder", "AutoEncoder")
                + named("mi203jax.codes", "mask", "sparsity_penalty", "gaussian_kl"),
                (Ran("autoencoder", "information_loss"),),
                (Shown("reconstructions.png"), Shown("code_map.png")),
                metrics=("eval/squared_error", "eval/probe_accuracy"),
            ),
            Row(
                "the best linear one: principal components",
                named("mi203jax.pca", "fit_pca", "linear_probe"),
                (Ran("autoencoder", "code"),),
                (Shown("against_code.png", of_sweep=True), Shown("error_by_code.png")),
                metrics=("eval/pca_squared_error", "eval/pca_probe_accuracy"),
                judge=judges.beats_components,
            ),
        ),
    ),
    Slide(
        "Classification → génération",
        (
            Row(
                "one network generates images, one classes them as real or fake",
                named("mi203jax.adversarial", "LOSSES")
                + named(
                    "mi203jax.metrics.generation",
                    *("frechet_distance", "kernel_distance", "sample_precision_recall"),
                ),
                (Ran("gan"),),
                (
                    Shown("samples.png"),
                    Shown("learning.gif", "figures/gan_learning.gif"),
                    Shown("nearest.png"),
                ),
                metrics=("eval/frechet_distance", "eval/kernel_distance", "eval/modes"),
                judge=judges.generates,
            ),
            Row(
                "opposite objectives, but the discriminator is forced to help",
                named("mi203jax.adversarial", "non_saturating_generator", "relativistic_generator"),
                (Ran("gan", "loss"),),
                (Shown("helping.png"),),
                is_seen=True,
            ),
            Row(
                "which losses circle, which converge",
                named("mi203jax.adversarial", "r1", "r2", "gradient_penalty")
                + named("mi203jax.dirac_gan", "vector_field", "simulate", "eigenvalues"),
                (Ran("gan", "penalties"),),
                (Shown("dirac.png"),),
                is_seen=True,
            ),
        ),
    ),
)

SIGNALS = (
    Slide(
        "Réseau récurrent",
        (
            Row(
                "it keeps a memory of the past",
                named("mi203jax.nn.cells", "rnn_cell", "lstm_cell", "gru_cell")
                + named("mi203jax.nn.gradient_flow", "state_gradients"),
                (Ran("memory", "cells"),),
                (Shown("gradient_norm.png"),),
                metrics=("eval/loss", "eval/baseline", "eval/right"),
                judge=judges.remembers,
            ),
            Row(
                "it can process signals of variable length",
                named("mi203jax.nn.recurrent", "unroll")
                + named("mi203jax.sequences", "pad_sequences", "bucket"),
                (Ran("sequences"), Ran("pixels")),
                (Shown("hidden_state.png"), Shown("accuracy_by_length.png")),
                metrics=("eval/accuracy",),
                judge=judges.reads_any_length,
            ),
            Row(
                "the sizes of an LSTM's weights: 4 d (n + d + 1) numbers, of d units on n inputs",
                named("mi203jax.nn.cells", "num_parameters"),
                (Ran("sequences", "cell"),),
                (Shown("comparison.png", "figures/comparison_cell.png", of_sweep=True),),
                metrics=("eval/accuracy",),
                judge=judges.counts_weights,
            ),
            Row(
                "RNN, LSTM and GRU in motion",
                named("mi203jax.nn.recurrent", "unroll_gates"),
                (Ran("sequences"),),
                (Shown("gates.gif"),),
                ", of a GRU; another by cell=lstm or cell=rnn",
            ),
            Row(
                "one character after the other",
                named("mi203jax.nn.recurrent", "unroll"),
                (Ran("characters"),),
                (Shown("writing.gif"),),
                " with its state handed on",
                metrics=("eval/bits", "eval/five_gram_bits", "eval/accuracy"),
                judge=judges.predicts_characters,
            ),
        ),
    ),
)

GAMES = (
    Slide(
        "Agent, Exemple Atari",
        (
            Row(
                "an agent sees the screen and presses buttons",
                named("mi203jax.rl.envs", "make")
                + named("mi203jax.rl.envs.interface", "play_episodes")
                + named("mi203jax.rl.envs.ale", "Rules")
                + named("mi203jax.rl.frame_replay", "frame_replay_sample")
                + named("mi203jax.metrics.atari", "human_normalized"),
                (Ran("dqn"), Ran("pqn", "pong")),
                # The second is in docs/course.md alone: what the sweep draws is called play.gif, too.
                (*PLAY, Shown("pong.gif", of_sweep=True)),
                metrics=("eval/return",),
            ),
        ),
    ),
    Slide(
        "Apprentissage",
        (
            Row(
                "the score: sparse, or dense; the policy is then used without it",
                named("mi203jax.rl.games", "grid_world"),
                (Ran("rewards"),),
                (Shown("policy.png"),),
                metrics=("eval/wins", "eval/treasures"),
                judge=judges.wins_without_score,
            ),
        ),
    ),
    Slide(
        "Équation fondamentale de Q*",
        (
            Row(
                "Q*(s, a) = r + γ max Q*(s', ·)",
                named("mi203jax.rl.bellman", "bellman_operator", "policy_value")
                + named("mi203jax.rl.planning", "value_iteration", "policy_iteration"),
                (Ran("bellman"),),
                CONVERGENCE,
                metrics=("eval/value_iteration_error",),
                judge=judges.fundamental_equation,
            ),
        ),
    ),
    Slide(
        "le plus court chemin vu comme du renforcement",
        (
            Row(
                "D(A, C) = min_B d(A, B) + D(B, C)",
                named("mi203jax.rl.shortest_path", "shortest_path_distances")
                + named("mi203jax.rl.games", "from_graph"),
                (Ran("shortest_path"),),
                (Shown("distances.gif"), Shown("paths.png")),
                metrics=("eval/right", "eval/difference", "eval/sweeps"),
                judge=judges.equals_dijkstra,
            ),
        ),
    ),
    Slide(
        "Cas fini",
        (
            Row(
                "min Σ Q(s, a), Q(s, a) ≥ r(s, a, s') + γ Q(s', a') for each s' (an optimist's), "
                "or in the mean over s'",
                named("mi203jax.rl.linear_program", "linear_program")
                + named("mi203jax.rl.finite_mdp", "FiniteMDP"),
                (Ran("bellman"),),
                (Shown("methods.png"), Shown("q.png", "figures/q_cliff.png")),
                metrics=("eval/linear_program_error", "eval/per_successor_error"),
                judge=judges.linear_program_is_exact,
            ),
        ),
    ),
    Slide(
        "Cas trop grand voire infini",
        (
            Row(
                "Q(s, a, θ); an entry at a time, from samples",
                named("mi203jax.rl.tabular", "q_learning", "sarsa", "double_q_learning"),
                (Ran("bellman"),),
                CONVERGENCE,
                metrics=("eval/q_learning_error", "eval/sarsa_error", "eval/double_q_learning_error"),
            ),
        ),
    ),
    Slide(
        "Deep reinforcement learning",
        (
            Row(
                "SGD on relu(r + γ Q(s', a', θ) − Q(s, a, θ))",
                named("mi203jax.rl.targets", "relu_bellman_loss"),
                (Ran("relu_q"),),
                (Shown("learning_curve_q_error.png", "figures/q_error.png"),),
                metrics=("eval/return", "eval/q_error"),
                judge=judges.relu_alone,
            ),
            Row(
                "Q(s, a, θ) → r + γ max Q(s', a')",
                named("mi203jax.rl.targets", "td_target", "lambda_returns"),
                (Ran("dqn"), Ran("pqn")),
                PLAY,
                metrics=("eval/return", "eval/return_std", "eval/length"),
            ),
            Row(
                '"ATTENTION: even more experimental than deep learning"',
                named("mi203jax.study.statistics", "compare", "paired_interval")
                + named("mi203jax.study.claim", "Claim"),
                (Ran("trends", "reinforcement"),),
                (Shown("forest_wins.png", "figures/comparison_reinforcement.png"),),
                judge=judges.tendencies,
            ),
        ),
        language="en",
    ),
)

BEYOND = (*IMAGES, *SIGNALS, *GAMES)
