"""japanese_vowels: 640 utterances of 7 to 29 frames by 9 speakers."""

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds


class Builder(tfds.core.GeneratorBasedBuilder):
    """Reads `JapaneseVowels_TRAIN.ts` and `…_TEST.ts`, as the package aeon (1.6) ships them.

    The split is the official one. After `@data`, a line an utterance: its 12 channels separated by
    colons, the values of a channel by commas, and at the end the speaker, from 1.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "As in aeon 1.6."}  # noqa: RUF012
    SOURCE: Path  # the folder, set by `prepare`

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "sequence": tfds.features.Tensor(shape=(None, 12), dtype=np.float32),
                "label": tfds.features.ClassLabel(num_classes=9),
            }
        )
        return self.dataset_info_from_configs(
            features=features, supervised_keys=("sequence", "label"), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {name: self._generate_examples(name.upper()) for name in ("train", "test")}

    def _generate_examples(self, split):
        text = (self.SOURCE / f"JapaneseVowels_{split}.ts").read_text(encoding="utf-8")
        lines = text.split("@data\n", 1)[1].splitlines()
        for i, line in enumerate(lines):
            *channels, speaker = line.split(":")
            values = [np.array(c.split(","), np.float32) for c in channels]
            yield i, {"sequence": np.stack(values, axis=-1), "label": int(speaker) - 1}
