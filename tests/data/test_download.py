"""What is said, and how soon, if a set of TFDS's own is not there. Nothing here reaches the network."""

import importlib.util
import pickle
import shutil
import threading
import time

import pytest
import requests

from mi203jax.configs import Segmentation, Vectors
from mi203jax.core.errors import UsageError
from mi203jax.data import download as module
from mi203jax.data import load
from mi203jax.data.download import download, no_answer
from mi203jax.data.sets import EMBEDDED
from mi203jax.tasks import segmentation, vectors

find_spec = importlib.util.find_spec


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """No request leaves; returns whom one was meant for."""
    urls = []

    def head(url, timeout):
        urls.append(url)
        raise requests.ConnectionError("Failed to resolve")

    monkeypatch.setattr(requests, "head", head)
    return urls


@pytest.fixture
def tensorflow(monkeypatch):
    """Says whether TensorFlow is installed."""

    def installed(there):
        spec = object() if there else None
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda n, *a: spec if n == "tensorflow" else find_spec(n, *a)
        )

    installed(True)
    return installed


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(module, "no_answer", lambda url: "")


class TestBeforeAnything:
    def test_without_tensorflow(self, tensorflow, asked, tmp_path):
        tensorflow(False)
        with pytest.raises(UsageError) as e:
            load("fashion_mnist", data_dir=tmp_path)
        assert str(e.value) == (
            f"fashion_mnist is a set of TFDS's, not prepared in {tmp_path}, and downloading it needs TensorFlow: "
            'pip install "mi203jax[download]", or name the folder of a copy prepared elsewhere: data_dir=FOLDER '
            "with NAME/VERSION/ in it."
        )
        assert not asked

    @pytest.mark.parametrize("name", ["fashion_mnist", "mnist_corrupted/fog", "iris", "cifar10:3.0.2"])
    def test_names_of_tfds_are_known_without_tensorflow(self, name, tensorflow, tmp_path):
        tensorflow(False)
        with pytest.raises(UsageError, match="is a set of TFDS's.*needs TensorFlow"):
            load(name, data_dir=tmp_path)

    def test_without_a_network(self, tensorflow, asked, tmp_path):
        started = time.perf_counter()
        with pytest.raises(
            UsageError, match="a set of TFDS's.*a network.*ConnectionError.*data_dir=FOLDER"
        ) as e:
            load("cifar10", data_dir=tmp_path)
        assert time.perf_counter() - started < 5
        assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]  # the set's own server
        assert "\n" not in str(e.value)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("fashon_mnist", "Did you mean 'fashion_mnist'"),
            ("CIFAR10", "Did you mean 'cifar10'"),
            ("digit", "Did you mean .*'digits/blocks'"),
            ("xqzt", "Choose one of: digits/blocks, mine, those of https://www.tensorflow.org"),
        ],
    )
    def test_an_unknown_name(self, name, hint, tensorflow, asked, tmp_path):
        with pytest.raises(UsageError, match=f"^Unknown data={name}: neither prepared in .*{hint}") as e:
            download(name, "", tmp_path, ["mine", "digits/blocks"])
        assert "Without TensorFlow" not in str(e.value)
        assert not asked
        tensorflow(False)
        with pytest.raises(UsageError, match="Without TensorFlow, not all of TFDS's names are known"):
            download(name, "", tmp_path, ["mine", "digits/blocks"])

    @pytest.mark.parametrize(
        ("task", "c", "hint"),
        [
            (vectors, Vectors(data="moon"), r"Did you mean 'moons'\? "),
            (
                vectors,
                Vectors(data="xqzt"),
                "Choose one of: moons, circles, blobs, spirals, xor, breast_cancer, ",
            ),
            (segmentation, Segmentation(data="digit_scene"), r"Did you mean 'digit_scenes'\? "),
        ],
    )
    def test_one_may_have_meant_what_a_task_makes_itself(self, task, c, hint, tensorflow, asked):
        tensorflow(False)
        with pytest.raises(UsageError, match=hint) as e:
            task.data(c)
        assert str(pickle.loads(pickle.dumps(e.value))) == str(e.value)  # as it comes from another process
        assert not asked


class TestNoAnswer:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (200, ""),
            (301, ""),
            (403, ""),
            (404, ""),
            (500, ""),
            (502, "a.org: a proxy answers 502"),
            (407, "407"),
        ],
    )
    def test_answers(self, status, reason, monkeypatch):
        response = requests.Response()
        response.status_code = status
        monkeypatch.setattr(requests, "head", lambda url, timeout: response)
        assert reason in no_answer("https://a.org/file")
        assert bool(reason) == bool(no_answer("https://a.org/file"))

    def test_a_refusal(self):
        assert no_answer("https://a.org/file") == "a.org: ConnectionError"

    def test_a_name_server_that_hangs(self, monkeypatch):
        over = threading.Event()
        monkeypatch.setattr(requests, "head", lambda url, timeout: over.wait(60))
        monkeypatch.setattr(module, "DEADLINE", 0.2)
        started = time.perf_counter()
        assert no_answer("https://a.org/file").startswith("a.org: no answer in")
        assert time.perf_counter() - started < 2
        over.set()


@pytest.mark.usefixtures("tensorflow", "network")
class TestWithANetwork:
    def test_what_was_prepared_is_read(self, monkeypatch, tmp_path, capsys):
        def prepare(name, data_dir):
            print("as TFDS prints")
            shutil.copytree(EMBEDDED / "breast_cancer" / "1.0.0", data_dir / "mnist" / "3.0.1")

        monkeypatch.setattr(module, "_prepare", prepare)
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "new"))
        assert load("mnist", "test").num_examples == 113
        assert (tmp_path / "new" / "mnist" / "3.0.1").is_dir()
        assert capsys.readouterr() == ("", "as TFDS prints\n")  # standard output is the program's
        monkeypatch.setattr(module, "_prepare", None)
        assert load("mnist", "test").num_examples == 113

    def test_one_that_breaks(self, monkeypatch, tmp_path):
        def prepare(name, data_dir):
            assert (name, data_dir) == ("mnist:3.0.1", tmp_path)
            raise OSError("Connection broken:\n  10 bytes read")

        monkeypatch.setattr(module, "_prepare", prepare)
        with pytest.raises(UsageError) as e:
            load("mnist:3.0.1", data_dir=tmp_path)
        expected = f"mnist cannot be prepared in {tmp_path}. OSError: Connection broken: 10 bytes read"
        assert str(e.value) == expected

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            (
                "mnist_corrupted",
                "comes in several forms: expected one of mnist_corrupted/identity, mnist_corr",
            ),
            (
                "mnist_corrupted/fogg",
                "Unknown data=mnist_corrupted/fogg. Did you mean 'mnist_corrupted/fog'?",
            ),
            ("mnist:9.9.9", "mnist cannot be prepared in .*at version 9.9.9, only: 3.0.1"),
            (
                "imagenet2012",
                "imagenet2012 must be downloaded by hand, into .*/downloads/manual. manual_dir should",
            ),
        ],
    )
    def test_what_tfds_cannot_prepare(self, name, message, tmp_path, capsys):
        with pytest.raises(UsageError, match=message) as e:
            load(name, data_dir=tmp_path)
        assert "\n" not in str(e.value)
        assert capsys.readouterr().out == ""
        assert not list(tmp_path.iterdir())
