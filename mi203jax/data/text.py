"""Texts as numbers: a code for each character, windows to learn from, pieces to be judged on in order.

Slide "Réseau récurrent". The text that is always there is the licence that Python came with.
"""

import os
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.core.errors import UsageError

UNKNOWN = "\ufffd"
"""How a character without a code of its own is written."""
PIECE = 200
"""Characters that are judged at once, and of the past that is read before the first of them, at most."""
_OF_PYTHON = "PYTHON SOFTWARE FOUNDATION LICENSE"


# ---- where texts are ----


def licence_text() -> str:
    """The licence of this Python, from the file that came with it. Versions of Python differ a little.

    Raises:
        UsageError: if it came without one, as some distributions' does.
    """
    for file in (folder / name for folder in _folders() for name in ("LICENSE.txt", "LICENSE")):
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeError):
            continue
        if _OF_PYTHON in text:
            return text
    raise UsageError("text= is Python's licence, and this Python came without that file: pass text=FILE.")


def _folders() -> tuple[Path, ...]:
    library = Path(os.__file__).parent
    # Not where `license()` looks last, the working directory: what is there is another's licence.
    return library, Path(sysconfig.get_paths()["stdlib"]), Path(sys.base_prefix), library.parent


def read_text(path: str) -> str:
    """A file's text.

    Args:
        path: of a file in UTF-8.

    Raises:
        UsageError: if there is no such file, it cannot be read, is not UTF-8, or empty.
    """
    try:
        file = Path(path).expanduser()
        if file.exists() and not file.is_file() and not file.is_dir():
            raise OSError("it is no regular file")
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"text={path}: there is no such file.") from None
    except IsADirectoryError:
        raise UsageError(f"text={path} is a folder: expected a file.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"text={path} is not UTF-8, from byte {error.start} on: expected a text.") from None
    except (OSError, RuntimeError, ValueError) as error:  # no rights; no such home; a name that no file has
        raise UsageError(f"text={path} cannot be read: {error}.") from None
    if not text:
        raise UsageError(f"text={path} is empty: expected a text.")
    return text


# ---- characters as codes ----


def alphabet_of(text: str) -> str:
    """The text's characters, each once, in the order of their code points."""
    return "".join(sorted(set(text)))


def encode(text: str, alphabet: str) -> np.ndarray:
    """Each character's place in the alphabet; of those that are not in it, the alphabet's length.

    Args:
        text: any.
        alphabet: as `alphabet_of` gives it, not empty.

    Returns:
        `[characters]`, int32, from 0 to the alphabet's length.
    """
    characters, known = _code_points(text), _code_points(alphabet)
    place = np.searchsorted(known, characters)
    found = known[np.minimum(place, len(known) - 1)] == characters
    return np.where(found, place, len(known)).astype(np.int32)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def decode(codes: np.ndarray | jax.Array, alphabet: str) -> str:
    """The text of codes `[characters]`; `UNKNOWN` where a code is none of the alphabet's."""
    return "".join(alphabet[k] if 0 <= k < len(alphabet) else UNKNOWN for k in np.asarray(codes).tolist())


class Corpus(NamedTuple):
    """A text in two parts: what is learnt from, and what follows it and is judged on."""

    alphabet: str  # of the first part
    train: np.ndarray  # codes, [characters], int32
    judged: np.ndarray  # codes, [characters], int32; the alphabet's length where a character is new


def corpus(text: str, begin: int, end: int) -> Corpus:
    """Cuts a text: what is before `begin` is learnt from; from there to `end` it is judged on.

    Raises:
        ValueError: if a part is empty.
    """
    if not 0 < begin < end <= len(text):
        raise ValueError(
            f"corpus: expected 0 < begin < end ≤ {len(text)}, the text's length, got {begin} and {end}."
        )
    alphabet = alphabet_of(text[:begin])
    return Corpus(alphabet, encode(text[:begin], alphabet), encode(text[begin:end], alphabet))


# ---- windows and pieces ----


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TextWindows:
    """Windows of a text, each from any place on, that are cut out as they are asked for.

    Attributes:
        codes: of the text, `[characters]`.
        length: characters that are read in a window, fewer than the text's; static. One more is in it, since
            after each comes the next.
    """

    codes: jax.Array
    length: int = field(metadata={"static": True})

    def batch(self, key: jax.Array, t: jax.Array, batch_size: int) -> dict[str, jax.Array]:
        """The windows of step t: "codes" `[batch_size, length + 1]`."""
        starts = jax.random.randint(
            jax.random.fold_in(key, t), (batch_size, 1), 0, len(self.codes) - self.length
        )
        return {"codes": self.codes[starts + jnp.arange(self.length + 1)]}


def pieces(text: Corpus, size: int = PIECE) -> dict[str, np.ndarray]:
    """The part that is judged on as pieces to be read one after the other, after the end of the first part.

    Args:
        text: in two parts.
        size: characters that are read in a piece, and at most as many of the first part, before.

    Returns:
        "codes" `[pieces, size + 1]`, int32, each piece beginning with the last character of the one before;
        "judged" `[pieces, size]`, bool: whether the next character is of the second part, and so judged. The
        end of the last piece is padding.
    """
    past = text.train[-size - 1 :]
    codes = np.concatenate([past, text.judged])
    number = -(-(len(codes) - 1) // size)
    codes = np.pad(codes, (0, number * size + 1 - len(codes)))
    following = np.arange(1, number * size + 1)  # places of the characters that are predicted
    judged = (following >= len(past)) & (following < len(past) + len(text.judged))
    places = size * np.arange(number)[:, None] + np.arange(size + 1)
    return {"codes": codes[places], "judged": judged.reshape(number, size)}


# ---- what counting alone reaches ----


def ngram_bits(text: Corpus, order: int) -> float:
    """Bits that a character of the second part costs, if predicted from counts in the first part alone.

    With n the order and h the n − 1 characters before, p(x | h) = (c(hx) + T(h) p(x | h')) / (c(h) + T(h)): c
    counts, T is the number of different characters seen after h, and h' is h without its first (Witten & Bell
    1991, method C). Of the first order, p(x) = (c(x) + 1) / (characters + codes).

    Args:
        text: in two parts.
        order: 1: characters by themselves; 2: each from the one before; and so on.

    Returns:
        The mean over the second part; the unknown character is a code as any other.
    """
    codes, seen, number = np.concatenate([text.train, text.judged]), len(text.train), len(text.alphabet) + 1
    p = ((np.bincount(text.train, minlength=number) + 1) / (seen + number))[codes]
    here = codes.astype(np.int64)  # a number for each kind of n-gram that ends there
    for n in range(1, min(order, seen)):
        before = np.roll(here, 1)
        here = np.unique(before * number + codes, return_inverse=True)[1]
        kinds, counts = here.max() + 1, before.max() + 1
        of_here = np.bincount(here[n:seen], minlength=kinds)
        of_before = np.bincount(before[n:seen], minlength=counts)
        first = np.unique(here[n:seen], return_index=True)[1] + n
        followers = np.bincount(before[first], minlength=counts)
        total = of_before[before] + followers[before]
        p = np.where(total > 0, (of_here[here] + followers[before] * p) / np.maximum(total, 1), p)
    return float(-np.log2(p[seen:]).mean())
