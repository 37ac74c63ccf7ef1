"""digits: 1,797 handwritten digits of 8×8 pixels, in the order of their writers."""

import gzip
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds


class Builder(tfds.core.GeneratorBasedBuilder):
    """Reads `digits.csv.gz`, as the package scikit-learn (1.9) ships it: 64 pixels and the label a line.

    The file keeps the order in which 13 people wrote, each a block of about 130 to 180 digits. A test
    split that is shuffled out of it holds the same hands as the training split: easier than what one
    wants to know. The config `blocks` tests on the last fifth, `shuffled` on every fifth digit.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "As in scikit-learn 1.9."}  # noqa: RUF012
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="blocks", description="the last 360 digits are the test split"),
        tfds.core.BuilderConfig(name="shuffled", description="every fifth digit is in the test split"),
    ]
    SOURCE: Path  # the file, set by `prepare`

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),  # 0 to 16
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        )
        return self.dataset_info_from_configs(
            features=features, supervised_keys=("image", "label"), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        tests = {"blocks": lambda i: i >= 1437, "shuffled": lambda i: i % 5 == 4}
        is_test = tests[self.builder_config.name]
        return {
            "train": self._generate_examples(lambda i: not is_test(i)),
            "test": self._generate_examples(is_test),
        }

    def _generate_examples(self, chosen):
        with gzip.open(self.SOURCE) as file:
            table = np.loadtxt(file, np.float64, delimiter=",").astype(np.uint8)
        for i, line in enumerate(table):
            if chosen(i):
                yield i, {"image": line[:-1].reshape(8, 8, 1), "label": int(line[-1])}
