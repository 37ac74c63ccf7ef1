"""Whether a slide's claim holds, by what an experiment measured, in words with numbers.

A judge is of one run, mostly of one seed: it says what was seen, not what can be told apart from chance.
Does not import jax, but where a claim is of the code itself, which is asked then.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from mi203jax.lecture.evidence import Evidence, Kind, NotMeasuredError, Verdict
from mi203jax.lecture.shares import images_judged, margin, percent

MOST_RIGHT = 0.9
"""Share of right answers from which sign(DL(x, θ)) ≈ y, and the like, is taken to hold."""

CHANCE = 0.1
"""Share of ten digits that guessing gets right."""

CLASSES = 11
"""Of a pixel of the scenes: ten digits, and the background."""

VOWELS = 12
"""Inputs of a network that reads the Japanese vowels: coefficients a step."""

EXACT = 1e-6
"""Error below which two ways to Q* are taken to be equal."""

TO_BE_EXACT = f"(asked: less than {EXACT:.0e})"

Judge = Callable[[Evidence], list[Verdict]]


def verdicts_of(judge: Judge, evidence: Evidence, is_lost: bool = False) -> list[Verdict]:
    """What a judge says; where it cannot, that, with the reason.

    Args:
        judge: of the claim.
        evidence: what it goes by.
        is_lost: whether the run, or a part of it, failed or did not come to its end.
    """
    try:
        return judge(evidence)
    except NotMeasuredError as error:
        return [Verdict("not run" if is_lost else "undecided", f"{error}.")]
    except Exception as error:  # half an hour of runs shall not end without a page
        return [Verdict("undecided", f"It could not be judged: {type(error).__name__}: {error}.")]


def _verdict(holds: bool, words: str) -> Verdict:
    return Verdict("holds" if holds else "fails", words)


def _larger(own: float, other: float, run: str, words: str, more: str = "") -> Verdict:
    """Whether a share is larger than another by more than the choice of test images explains.

    Args:
        own: the share that the slide says is larger.
        other: the other.
        run: whose test images they are of, as the lecture calls it.
        words: what was seen, without a full stop.
        more: what is asked, after the number of points.
    """
    n = images_judged(run)
    least = margin(own, other, n)
    asked = f"(asked: {100 * least:.1f} points{more})."
    if abs(own - other) <= least:
        return Verdict("undecided", f"{words}: too close for {n:,} images of one seed {asked}")
    return _verdict(own > other, f"{words} {asked}")


# ---- classification ----


def signs(e: Evidence) -> list[Verdict]:
    """sign(DL(x, θ)) ≈ y."""
    right = e.mean("eval/accuracy")
    words = f"The sign is right for {percent(right)} of points that were not trained on"
    return [_verdict(right >= MOST_RIGHT, f"{words} (asked: {percent(MOST_RIGHT)}).")]


def needs_images(e: Evidence) -> list[Verdict]:
    """Images cannot be classified without using that they are images."""
    plain = e.mean("eval/accuracy", model="mlp", images="plain")
    first = f"Dense layers alone get {percent(plain)} of the digits right, {plain / CHANCE:.1f} times what "
    first += f'guessing does (asked of "impossible": less than twice, {percent(2 * CHANCE)}).'
    dense, convolutional = (e.mean("eval/accuracy", model=m, images="shifted") for m in ("mlp", "cnn"))
    second = f"Of shifted digits {percent(convolutional)} are right with convolutions and {percent(dense)} "
    second += "without, with as many parameters"
    compared = _larger(convolutional, dense, "mlp_vs_cnn", second, " more with them")
    return [_verdict(plain < 2 * CHANCE, first), compared]


def enlarges_receptive_field(e: Evidence) -> list[Verdict]:
    """Poolings between convolutions let the last see more, in closed form."""
    from mi203jax.configs import ImageClassification
    from mi203jax.nn.receptive_field import receptive_field  # jax takes its time

    stages = len(ImageClassification().channels)
    if stages < 2:
        raise NotMeasuredError("There is no pooling between two convolutions")
    chains = [[(3,), *between] * (stages - 1) + [(3,)] for between in ([(2, 2)], [])]
    own, without = (receptive_field(chain).size for chain in chains)
    words = f"The last of {stages} convolutions of 3×3 sees {own}×{own} pixels; {without}×{without} without "
    return [_verdict(own > without, f"{words}poolings between them (in closed form).")]


@dataclass(frozen=True)
class Ahead:
    """A judge: a choice of `image_classification` gets more right than another.

    Attributes:
        field: the choice, after which its sweep is called.
        first: the value that the slide advises, as it is typed.
        second: the value that it is to beat.
    """

    field: str
    first: str
    second: str

    def __call__(self, e: Evidence) -> list[Verdict]:
        """Whether it does."""
        values = (self.first, self.second)
        own, other = (e.mean("eval/accuracy", **{self.field: value}) for value in values)
        words = [f"{percent(x)} with {self.field}={v}" for x, v in zip((own, other), values, strict=True)]
        return [_larger(own, other, f"image_classification.{self.field}", ", ".join(words))]


@dataclass(frozen=True)
class BestAhead:
    """A judge: as `Ahead`, each with the best value of another field that was tried.

    Attributes:
        field: the choice, after which its sweep is called.
        first: the value that the slide advises, as it is typed.
        second: the value that it is to beat.
        over: the other field, a number.
    """

    field: str
    first: str
    second: str
    over: str

    def __call__(self, e: Evidence) -> list[Verdict]:
        """Whether it does; who loses with the last value that was tried might win beyond it."""
        values = (self.first, self.second)
        (own, at), (other, other_at) = (
            e.best("eval/accuracy", self.over, **{self.field: value}) for value in values
        )
        words = f"{percent(own)} with {self.field}={self.first} {self.over}={at}, "
        words += f"{percent(other)} with {self.field}={self.second} {self.over}={other_at}"
        ends = sorted({float(row[self.over]) for row in e.rows if self.over in row})
        if float(at if own < other else other_at) in (ends[0], ends[-1]):
            return [Verdict("undecided", f"{words}: the worse is best at the last {self.over} tried.")]
        words += f", the best of {len(ends)} each"
        return [_larger(own, other, f"image_classification.{self.field}", words)]


def neither_all_nor_one(e: Evidence) -> list[Verdict]:
    """A mini-batch is ahead of all examples at once, and of one, after as many examples."""
    sizes = sorted({int(row["batch_size"]) for row in e.rows if "batch_size" in row})
    if len(sizes) < 3:
        raise NotMeasuredError("Fewer than three sizes of batches were run")
    right = {size: e.mean("eval/accuracy", batch_size=str(size)) for size in sizes}
    best = max(sizes[1:-1], key=right.__getitem__)
    found = []
    for size, what in ((sizes[-1], "too slow"), (sizes[0], "too unstable")):
        words = f"Batches of {size:,}, {what} on the slide, end at {percent(right[size])}, "
        words += f"of {best} at {percent(right[best])}"
        found.append(_larger(right[best], right[size], "image_classification.batch_size", words))
    return found


def hundred_layers(e: Evidence) -> list[Verdict]:
    """Batch norm lets the gradient through 100 layers."""
    alone = e.mean("eval/accuracy", normalization="batch", residual="false")
    neither = e.mean("eval/accuracy", normalization="none", residual="false")
    words = f"100 layers with batch norm alone end at {percent(alone)}, without it at {percent(neither)}"
    try:
        both = e.mean("eval/accuracy", normalization="batch", residual="true")
        words += f", with batch norm and skips at {percent(both)}"
    except NotMeasuredError:
        words += "; batch norm with skips has no number"
    return [_larger(alone, neither, "depth", words)]


def tendencies(e: Evidence) -> list[Verdict]:
    """Each tendency of `study.json`, by its interval over fresh seeds; who loses at † might win beyond."""
    from mi203jax.study.report import results_of  # scipy takes its time
    from mi203jax.study.statistics import Comparison

    if "study.json" not in e.texts:
        raise NotMeasuredError("The study wrote no study.json")
    kinds: dict[str, Kind] = {"holds": "holds", "reversed": "fails"}
    record, found = json.loads(e.texts["study.json"]), []
    for result in results_of(record):
        c: Comparison = result.comparison
        words = f"{result.first.name} > {result.second.name} on {result.setting}: {c.difference:+.3f}"
        words += f" ({c.low:+.3f} to {c.high:+.3f}, 95 % over {c.n} seeds), {c.verdict}"
        kind = kinds.get(c.verdict, "undecided")
        worse = result.first if kind == "fails" else result.second
        if kind != "undecided" and worse.is_at_edge:
            kind, words = "undecided", f"{words}; but {worse.name} may do better beyond what was tried (†)"
        found.append(Verdict(kind, f"{words}."))
    found += [Verdict("undecided", f"{words}.") for words in record.get("left_out", ())]
    if not found:
        raise NotMeasuredError("The study compared nothing")
    return found


# ---- images to images, and generation ----


def labels_pixels(e: Evidence) -> list[Verdict]:
    """A class for each pixel, better than the background everywhere."""
    own, most = e.mean("eval/mean_iou"), 1 / CLASSES  # one class of all has an IoU above 0, at most 1
    words = f"Mean IoU {own:.3f}; the background everywhere gets less than 1/{CLASSES} = {most:.3f}"
    return [_verdict(own > most, f"{words} (asked: more).")]


def everywhere_at_once(e: Evidence) -> list[Verdict]:
    """A classifier that runs everywhere at once finds more than one that is run on every window.

    Who is behind and learnt from fewer examples might be ahead after as many.
    """
    both = (e, e.of("sliding_window"))
    own, other = (of.mean("eval/ap50") for of in both)
    steps, windows_steps = (max(row.get("step") or 0 for row in of.rows) for of in both)
    words = f"AP50 {own:.3f} everywhere at once, after {steps:,} training examples; {other:.3f} window by "
    words += f"window, after {windows_steps:,} (asked: more, after no more examples)."
    if steps != windows_steps and (own > other) == (steps > windows_steps):
        return [Verdict("undecided", words)]
    return [_verdict(own > other, words)]


def beats_components(e: Evidence) -> list[Verdict]:
    """A network's code loses less than as many principal components."""
    own, linear = e.mean("eval/squared_error"), e.mean("eval/pca_squared_error")
    words = f"Squared error {own:.2f} of a test image; of as many principal components {linear:.2f}"
    return [_verdict(own < linear, f"{words} (asked: less).")]


def generates(e: Evidence) -> list[Verdict]:
    """Samples are nearer to real images than a Gaussian's."""
    own, gaussian = e.mean("eval/frechet_distance"), e.mean("eval/gaussian_frechet_distance")
    floor = e.mean("eval/floor_frechet_distance")
    words = f"Fréchet distance {own:.2f} to real images; of as many real ones {floor:.2f}, of a Gaussian's "
    return [_verdict(own < gaussian, f"{words}samples {gaussian:.1f} (asked: less than that).")]


# ---- recurrent networks ----


def remembers(e: Evidence) -> list[Verdict]:
    """Which cell remembers, that is, errs by less than half of what one without memory does."""
    found = []
    for cell in dict.fromkeys(str(row.get("cell")) for row in e.rows):
        error, baseline = (e.mean(f"eval/{n}", cell=cell) for n in ("loss", "baseline"))
        words = f"{cell}: squared error {error:.4f}; the best without memory {baseline:.4f} "
        words += "(asked: less than half of it)."
        found.append(_verdict(error < baseline / 2, words))
    return found


def counts_weights(e: Evidence) -> list[Verdict]:
    """An LSTM of d units on n inputs has 4 d (n + d + 1) numbers: those of the weights that are drawn."""
    import jax  # it takes its time

    from mi203jax.configs import Sequences
    from mi203jax.nn.cells import init_cell, lstm_cell

    n, d = VOWELS, Sequences().hidden
    drawn = jax.eval_shape(lambda key: init_cell(lstm_cell, key, n, d), jax.random.key(0))
    own, formula = sum(leaf.size for leaf in jax.tree.leaves(drawn)), 4 * d * (n + d + 1)
    return [
        _verdict(own == formula, f"With n = {n} and d = {d}, {own:,} numbers; by the formula {formula:,}.")
    ]


def reads_any_length(e: Evidence) -> list[Verdict]:
    """Signals of variable length are told apart."""
    right = e.mean("eval/accuracy")
    words = (
        f"{percent(right)} of the signals are right, whatever their length (asked: {percent(MOST_RIGHT)})."
    )
    return [_verdict(right >= MOST_RIGHT, words)]


def predicts_characters(e: Evidence) -> list[Verdict]:
    """The next character costs fewer bits than by counts of five."""
    own, counted = e.mean("eval/bits"), e.mean("eval/five_gram_bits")
    words = f"{own:.2f} bits a character; by counts of the four before it {counted:.2f} (asked: fewer)."
    return [_verdict(own < counted, words)]


# ---- reinforcement learning ----


def wins_without_score(e: Evidence) -> list[Verdict]:
    """A policy that was learnt from a score wins without it."""
    found = []
    for score in ("sparse", "dense"):
        wins = e.mean("eval/wins", score=score)
        words = f"Learnt from the {score} score, the policy wins {percent(wins)} of the games without it"
        found.append(_verdict(wins > 0.5, f"{words} (asked: more than half)."))
    return found


def fundamental_equation(e: Evidence) -> list[Verdict]:
    """Iterating the equation gives Q*."""
    error = e.mean("eval/value_iteration_error")
    words = f"Iterated to its fixed point it is within {error:.1e} of policy iteration, which solves "
    return [_verdict(error < EXACT, f"{words}equations {TO_BE_EXACT}.")]


def linear_program_is_exact(e: Evidence) -> list[Verdict]:
    """The linear program gives Q*: with the expectation over s', and in the slide's form."""
    expected, per_successor = (e.mean(f"eval/{n}_error") for n in ("linear_program", "per_successor"))
    slide = f"As on the slide, a constraint for each s' that is possible, it is off by {per_successor:.3g} "
    slide += TO_BE_EXACT + ("." if per_successor < EXACT else ": an optimist's Q, where chance decides.")
    words = f"With the expectation over s' it is within {expected:.1e} of Q* {TO_BE_EXACT}."
    return [_verdict(expected < EXACT, words), _verdict(per_successor < EXACT, slide)]


def equals_dijkstra(e: Evidence) -> list[Verdict]:
    """The recursion finds the distances that Dijkstra's algorithm does."""
    right, sweeps = e.mean("eval/right"), e.mean("eval/sweeps")
    words = f"{percent(right)} of the distances equal Dijkstra's, after {sweeps:.0f} sweeps (asked: all)."
    return [_verdict(right == 1.0, words)]


def relu_alone(e: Evidence) -> list[Verdict]:
    """The slide's objective alone finds Q*, about as well as DQN's."""
    (own, td), (won, by_td) = (
        [e.mean(f"eval/{n}", objective=o) for o in ("relu", "td")] for n in ("q_error", "return")
    )
    words = f"Alone it ends {own:.3g} off Q* in the mean and with a return of {won:.3g};"
    words += f" DQN's squared error {td:.3g} off, with {by_td:.3g} "
    words += "(asked: at most twice its error, and at least half its return)."
    if by_td <= 0:  # neither has learnt anything yet
        return [Verdict("undecided", words)]
    return [_verdict(own <= 2 * td and won >= by_td / 2, words)]
