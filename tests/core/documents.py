"""Documents of a run that say something else, sealed as their writer would."""

from mi203jax.core.documents import read_document, write_document


def edit(path, **changes):
    """Changes what a document says; None takes a name away."""
    contents = read_document(path) | changes
    run = contents.pop("run")
    write_document(path, run, {n: v for n, v in contents.items() if v is not None})


def flip(path, bit):
    """Flips one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
