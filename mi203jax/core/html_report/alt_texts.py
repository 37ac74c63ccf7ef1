"""What is seen on a figure, in words, by the name of its file."""

import re

KNOWN = {
    "accuracy_by_length": "Accuracy against the length of the sequence.",
    "ap_by_size": "Average precision of small, medium and large objects.",
    "boundary": "Animation: points of both classes in the plane, and the network's boundary moving between "
    "them in training.",
    "calibration": "Share of answers that are right, against how sure the network is.",
    "code_map": "Images placed by their codes in the plane, coloured by class.",
    "confusion": "Confusion matrix: how often each true class, a row, was given each class, a column.",
    "convergence": "Error of each method against its sweeps, on a logarithmic axis.",
    "detections": "Images with the boxes that were found, beside the true ones.",
    "dirac": "Paths of the two players of the Dirac GAN in the plane of their parameters.",
    "depth_map": "Norm of the gradient at each layer, as colours, a row a depth of the network.",
    "distances": "Animation: distances to the target, growing through the graph.",
    "error_by_code": "Squared error of the reconstruction against the size of the code.",
    "feature_maps": "What some filters of each stage answer to an image.",
    "filters": "Weights of the first layer's filters, each as a small image.",
    "forest": "A line a setting: the difference between the two sides of each claim, with its interval.",
    "gates": "Values of the gates over the steps of a sequence.",
    "gradient_norm": "Norm of the gradient with respect to each earlier step, on a logarithmic axis.",
    "gradient_norms": "Norm of the gradient at each layer, on a logarithmic axis.",
    "heat": "Images, and the probability of an object's centre at each place of them.",
    "helping": "How strongly each loss drives the generator, against the discriminator's score of its image.",
    "hidden_state": "Each unit of the hidden state over the steps of a sequence, as colours.",
    "inputs": "Images as the network is given them in training.",
    "interpolations": "Images on the way between two codes.",
    "iou_by_class": "Intersection over union of each class, as bars.",
    "learning": "Animation: what the network makes of the same inputs as training goes on.",
    "lengths": "How many sequences have which length.",
    "losses": "Losses of generator and discriminator against training steps.",
    "luck": "The best of the first draws against how many were drawn.",
    "margins": "Histogram of margins: how far training and evaluation examples lie on the right "
    "side of the boundary.",
    "methods": "How near to the true values each method comes, side by side.",
    "misses": "Objects that were missed, and boxes that hold nothing.",
    "mistakes": "Images that were classified wrongly, with the true class and the one that was given.",
    "nearest": "Generated images, each above the real image nearest to it.",
    "next_character": "Probabilities of the next character, at each place of a text.",
    "parallel_coordinates": "A line a trial across an axis for each field that varies, coloured by what it "
    "ends at.",
    "paths": "Shortest paths through the graph.",
    "play": "Animation: the trained agent plays; what it sees, the value of each action, and "
    "the one it takes.",
    "policy": "The action that is best in each state, as arrows.",
    "policy_iteration": "Animation: the policy and its values after each improvement.",
    "precision_recall": "Precision against recall of the detections.",
    "predictions": "Images, their true classes pixel by pixel, and the predicted ones.",
    "q": "Value of each action in each state.",
    "receptive_field": "The pixels on which the middle of each stage depends.",
    "reconstructions": "Images above what the autoencoder makes of them.",
    "sample": "A text that the model wrote.",
    "samples": "Images that the generator made of random inputs.",
    "shifts": "Accuracy against how far the images are shifted.",
    "surprise": "A text, each character coloured by how little the model expected it.",
    "value_iteration": "Animation: the value of each state after each sweep.",
    "where": "Table of claims by settings: what was found in each.",
    "writing": "Animation: the model writes a text, character by character.",
}

PATTERNS = (
    (
        "learning_curve",
        "{metric} against training steps, a line for each setting; a band, where there is one, is the 95 % "
        "interval of the mean over seeds.",
    ),
    (r"learning_curve_(?P<what>.+)", "The metric {what} against training steps, a line for each setting."),
    ("comparison", "{metric} at the end of each trial, by setting, with the means over seeds."),
    (r"forest_(?P<what>.+)", "A line a setting: how far {what} differs between both sides of each claim."),
    (r"luck_(?P<what>.+)", "The best {what} of the first draws against how many were drawn."),
    (r"against_(?P<what>.+)", "{metric} at the end against {what}."),
    (r"looks_(?P<what>.+)", "Settings searched for a counter-example to the claim {what}."),
    (r"map_(?P<what>.+)", "Map of the difference between the two sides of a claim over its cells: {what}."),
    (r"(?P<one>.+)_by_(?P<what>.+)", "{metric} at the end, as colours, by {one} and {what}."),
)  # fmt: skip


def title(name: str) -> str:
    """The caption of a figure: `"depth_map"` -> `"Depth map"`, `"trends-luck"` -> `"Luck (trends)"`."""
    run, own = _of_run(name)
    words = own.replace("_", " ").strip()
    return (words[:1].upper() + words[1:] or "Figure") + (f" ({run})" if run else "")


def alt_text(name: str, whose: str, objective: str, is_animation: bool = False) -> str:
    """What is seen on a figure.

    Args:
        name: of its file, without the suffix.
        whose: the experiment, and in a comparison the run.
        objective: the metric that the run's own figures show; "" where it is not known.
        is_animation: whether it moves.

    Returns:
        One or two sentences, never empty.
    """
    run, own = _of_run(name)
    seen = _known(own, objective) or f"{'Animation' if is_animation else 'Figure'}: {title(own)}."
    return f"{seen} Experiment: {whose}{f', {run}' if run else ''}."


def _of_run(name: str) -> tuple[str, str]:
    """A name in the folder of a lecture is that of a run, a dash, and its own: `"trends-luck"`."""
    run, _, own = name.partition("-")
    return (run, own) if _known(own, "") else ("", name)


def _known(name: str, objective: str) -> str:
    """What is seen on a figure of this name; "" of another."""
    if name in KNOWN:
        return KNOWN[name]
    for pattern, text in PATTERNS:
        if match := re.fullmatch(pattern, name, re.DOTALL):
            words = {n: w.replace("_", " ") for n, w in match.groupdict().items()}
            return text.format(metric=f"The metric {objective}" if objective else "The objective", **words)
    return ""
