"""Downloads and prepares TFDS's own sets. Only this needs TensorFlow and a network; reading needs neither."""

import contextlib
import difflib
import importlib.util
import os
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from mi203jax.core.errors import UsageError, did_you_mean

DEADLINE = 3.0
"""Seconds that a set's server has to answer."""
CATALOG = "https://www.tensorflow.org/datasets/catalog"
NEAR = (0.75, 0.5)
"""How alike names are of which one may have been meant for the other: the first that any reaches counts."""


class UnknownSetError(UsageError):
    """There is no set of this name, neither here nor of TFDS's."""

    def __init__(
        self, name: str, data_dir: Path, ours: Sequence[str], theirs: Collection[str], remark: str = ""
    ):
        """Args are what was asked for, where it is not, the names that there are, and what to say last."""
        super().__init__(name, data_dir, ours, theirs, remark)

    def __str__(self) -> str:
        """One line, with the nearest names: of those that are very near, these alone."""
        name, data_dir, ours, theirs, remark = self.args
        matches = (difflib.get_close_matches(name.lower(), {*ours, *theirs}, 3, cutoff) for cutoff in NEAR)
        near = " or ".join(map(repr, next(filter(None, matches), ())))
        others = ", ".join([*ours, f"those of {CATALOG}"])
        hint = f"Did you mean {near}?" if near else f"Choose one of: {others}."
        return f"Unknown data={name}: neither prepared in {data_dir} nor a set of TFDS's. {hint}{remark}"


@contextlib.contextmanager
def suggesting(made: Iterable[str]) -> Iterator[None]:
    """Where a task reads a set and makes others: an unknown name may have been meant for one of these."""
    try:
        yield
    except UnknownSetError as error:
        name, data_dir, ours, *rest = error.args
        raise UnknownSetError(name, data_dir, [*made, *ours], *rest) from None


def download(name: str, version: str, data_dir: Path, ours: Iterable[str]) -> None:
    """Downloads a set of TFDS's own and prepares it, as array_record, in `data_dir/NAME/VERSION`.

    What cannot be done is found out in a few seconds; TFDS alone would retry for minutes. TFDS prepares
    in a folder of another name, which it renames at the end: what breaks leaves no half-prepared set.

    Args:
        name: TFDS's name, with a configuration if the set has several: `"mnist"`, `"glue/cola"`.
        version: such as `"3.0.1"`; empty: the newest.
        data_dir: folder for the prepared set and the downloaded files.
        ours: names of the sets that are there, to choose from if TFDS has no such set.

    Raises:
        UnknownSetError: if there is no such set.
        UsageError: if it cannot be downloaded; says what to do.
    """
    plain = name.partition("/")[0]
    has_tensorflow = importlib.util.find_spec("tensorflow") is not None
    theirs = _theirs(has_tensorflow)
    if plain not in theirs:
        remark = "" if has_tensorflow else " (Without TensorFlow, not all of TFDS's names are known here.)"
        raise UnknownSetError(name, data_dir, sorted(ours), theirs, remark)
    problem = f"{name} is a set of TFDS's, not prepared in {data_dir}, and downloading it needs"
    instead = "or name the folder of a copy prepared elsewhere: data_dir=FOLDER with NAME/VERSION/ in it."
    if not has_tensorflow:
        raise UsageError(f'{problem} TensorFlow: pip install "mi203jax[download]", {instead}')
    reason = no_answer(_url(plain))
    if reason:
        raise UsageError(f"{problem} a network ({reason}): connect, {instead}")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            _prepare(f"{name}:{version}" if version else name, data_dir)
    except UsageError:
        raise
    except Exception as error:  # what builders raise is open-ended, their imports included
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(f"{name} cannot be prepared in {data_dir}. {reason}") from error


def no_answer(url: str) -> str:
    """Why a server cannot be reached; empty if it can. Takes three seconds at most.

    Asks as TFDS will: by the same library, hence by the same proxies and certificates. Any answer
    counts, except those by which a proxy says that it cannot pass the request on.
    """
    import requests

    host = urlsplit(url).netloc
    reason = [f"{host}: no answer in {DEADLINE:.0f} s"]

    def ask() -> None:
        try:
            status = requests.head(url, timeout=DEADLINE).status_code
            reason[0] = f"{host}: a proxy answers {status}" if status in (407, 502, 503, 504) else ""
        except Exception as error:  # not only requests' own: a proxy's address may be malformed
            reason[0] = f"{host}: {type(error).__name__}"

    # In a thread of its own, since looking up a server's name knows no time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    return reason[0]


def _prepare(name: str, data_dir: Path) -> None:
    """Everything cheap comes before TensorFlow, which takes seconds to import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow_datasets as tfds

    plain, _, config = name.partition(":")[0].partition("/")
    configs = [f"{plain}/{c}" for c in tfds.builder_cls(plain).builder_configs]
    if len(configs) > 1 and not config:
        raise UsageError(f"data={plain} comes in several forms: expected one of {', '.join(configs)}.")
    if configs and config and f"{plain}/{config}" not in configs:
        raise UsageError(f"Unknown data={name}. {did_you_mean(f'{plain}/{config}', configs)}")
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    by_hand = data_dir / "downloads" / "manual"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not any(by_hand.glob("*")):
        how = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        raise UsageError(f"{name} must be downloaded by hand, into {by_hand}. {how}")

    print(f"Downloading {name} into {data_dir}; TFDS prepares it there.", file=sys.stderr)
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # it would take all memory of the device
    builder.download_and_prepare()


def _theirs(has_tensorflow: bool) -> set[str]:
    """Names of TFDS's own sets. It lists half of them without TensorFlow; more have a list of URLs."""
    import tensorflow_datasets as tfds

    names = set(tfds.list_builders(with_community_datasets=False))
    return names if has_tensorflow else names | {f.stem for f in _package().glob("url_checksums/*.txt")}


def _url(plain: str) -> str:
    """A file of the set's, else the server that has the files of many."""
    for file in ("url_checksums", f"{plain}.txt"), ("datasets", plain, "checksums.tsv"):
        path = _package().joinpath(*file)
        words = path.read_text(encoding="utf-8").split() if path.is_file() else []
        for url in words:
            if url.startswith(("http://", "https://")):
                return url
    return "https://storage.googleapis.com"


def _package() -> Path:
    import tensorflow_datasets as tfds

    return Path(tfds.__file__).parent
