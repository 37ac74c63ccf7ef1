"""breast_cancer: 569 tumours, 30 numbers of their cells' nuclei, malignant (1) or benign (−1)."""

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds


class Builder(tfds.core.GeneratorBasedBuilder):
    """Reads `breast_cancer.csv`, as the package scikit-learn (1.9) ships it."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "As in scikit-learn 1.9."}  # noqa: RUF012
    SOURCE: Path  # the file, set by `prepare`

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "features": tfds.features.Tensor(shape=(30,), dtype=np.float32),
                "label": tfds.features.Tensor(shape=(), dtype=np.int32),  # in {−1, 1}, as on the slide
            }
        )
        return self.dataset_info_from_configs(
            features=features, supervised_keys=("features", "label"), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {
            "train": self._generate_examples(lambda i: i % 5 != 4),
            "test": self._generate_examples(lambda i: i % 5 == 4),
        }

    def _generate_examples(self, chosen):
        table = np.loadtxt(self.SOURCE, np.float32, delimiter=",", skiprows=1)
        for i, line in enumerate(table):
            if chosen(i):
                malignant = line[-1] == 0  # the file's classes: 0 malignant, 1 benign
                yield i, {"features": line[:-1], "label": 1 if malignant else -1}
