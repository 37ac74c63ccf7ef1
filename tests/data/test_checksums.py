"""The sets within the package are as it was made with them, and that is looked at."""

import shutil
import subprocess

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.data import checksums, sets
from tests.core.documents import flip

FILES = sorted(
    p.relative_to(checksums.EMBEDDED).as_posix() for p in checksums.EMBEDDED.rglob("*.*") if p.is_file()
)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the sets, in their place."""
    shutil.copytree(checksums.EMBEDDED, tmp_path / "prepared")
    for module in (checksums, sets):
        monkeypatch.setattr(module, "EMBEDDED", tmp_path / "prepared")
    return tmp_path / "prepared"


def test_each_file_has_its_sum():
    assert sorted(p.relative_to(checksums.EMBEDDED).as_posix() for p in checksums.sums()) == FILES


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils are not there")
def test_by_the_program_that_everyone_has():
    command = ["sha256sum", "--check", "--strict", "--quiet", checksums.SUMS]
    subprocess.run(command, cwd=checksums.EMBEDDED, check=True)


@pytest.mark.parametrize("file", FILES)
def test_one_bit_is_seen(copy, file):
    name = file.split("/1.0.0")[0]
    assert len(sets.open_source(name)[0])
    flip(copy / file, bit=8 * (copy / file).stat().st_size // 2)
    with pytest.raises(UsageError, match=f"{file} is not what this package was made with: install it again"):
        sets.open_source(name)


def test_a_file_that_is_gone(copy):
    (copy / FILES[0]).unlink()
    with pytest.raises(UsageError, match="is not what this package was made with"):
        sets.open_source(FILES[0].split("/")[0])
