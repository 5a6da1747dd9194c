"""A data set by its name, scaled, binarized where it should be, and fingerprinted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from gsx.data import embedded, idx
from gsx.records import ConfigurationError, canonical_json

#: The largest value of an image's pixel; breast_cancer has none, it is no image.
LARGEST = {"digits": 16, "mnist": 255, "fashion_mnist": 255}
IMAGES = tuple(LARGEST)

NAMES = ("digits", "breast_cancer", "mnist", "fashion_mnist")
BINARIZATIONS = ("none", "threshold", "stochastic")


@dataclass(frozen=True)
class Dataset:
    """A data set as a model sees it. Every `load` returns arrays of its own."""

    name: str
    split: str
    inputs: np.ndarray  # [n, d] float64
    labels: np.ndarray  # [n] int64
    binarization: str  # one of BINARIZATIONS
    seed: int | None  # of a stochastic binarization
    attribution: str
    digest: str  # sha256 of all of the above but the attribution

    @property
    def title(self) -> str:
        """The name for tables and captions; how the pixels became bits is a part of it: `digits, threshold(7)` is 1 above 7."""
        parts = [self.name] if self.split == "train" else [self.name, self.split]
        match self.binarization:
            case "threshold":
                parts.append(f"threshold({(LARGEST[self.name] - 1) // 2})")
            case "stochastic":
                parts.append(f"stochastic({self.seed})")
        return ", ".join(parts)


def load(name: str, *, root: str | None = None, binarization: str | None = None, seed: int = 0, split: str = "train") -> Dataset:
    """The data set called `name`.

    - digits: 1797 x 64, counts 0..16 divided by 16. breast_cancer: 569 x 30, every column with mean 0 and variance 1 (ddof 0), without a
      column of ones. Both are embedded, whole: they have one split, `train`.
    - mnist, fashion_mnist: 60000 x 784 (`split="test"`: 10000), bytes divided by 255. Looked for in `root`, $GSX_DATA, torchvision's
      layout under ./data, and the folder of the package that ships them.
    - `binarization`: `none`; `threshold`, 1 where a pixel is at least half the largest value (digits: 8 or more of 16; mnist and
      fashion_mnist: more than 127); `stochastic`, Bernoulli(value) drawn once and for all from `seed` (of a model: `model.seed`). None of
      them is the static binarized MNIST of Larochelle, whose bits were drawn elsewhere, nor the dynamic binarization of the DisARM, ARMS
      and RODEO papers, whose bits are drawn anew at every visit of a row. Null: `threshold` for images, else `none`.

    Raises ConfigurationError (a name, split or binarization that is not there), MissingData (also for a root that is no folder),
    IntegrityError.
    """
    if name not in NAMES:
        raise ConfigurationError(f"data.name={name}: there are {', '.join(NAMES)}")
    if binarization is None:
        binarization = "threshold" if name in LARGEST else "none"
    if binarization not in BINARIZATIONS:
        raise ConfigurationError(f"data.binarization={binarization}: there are {', '.join(BINARIZATIONS)}")
    if binarization != "none" and name not in LARGEST:
        raise ConfigurationError(f"data.binarization={binarization}: {name} has no pixels to binarize, only none goes with it")
    if split not in idx.SPLITS or (split != "train" and name in embedded.SHA256):
        raise ConfigurationError(f"split={split}: {name} has {'only train' if name in embedded.SHA256 else ' and '.join(idx.SPLITS)}")

    idx.check_root(root, "data.root")
    raw, labels = embedded.read(name) if name in embedded.SHA256 else idx.read(name, split, root)
    inputs = (
        embedded.standardise(raw) if name == "breast_cancer" else _binarize(raw / LARGEST[name], binarization, f"{name} {split} {seed}")
    )
    labels = labels.astype(np.int64)
    drawn_from = seed if binarization == "stochastic" else None
    head = {"name": name, "split": split, "binarization": binarization, "seed": drawn_from, "shape": inputs.shape}
    sha = hashlib.sha256(canonical_json(head).encode())
    sha.update(np.ascontiguousarray(inputs, "<f8").data)
    sha.update(np.ascontiguousarray(labels, "<i8").data)
    return Dataset(name, split, inputs, labels, binarization, drawn_from, attribution(name), sha.hexdigest())


def attribution(name: str) -> str:
    """Who made a data set, and its licence."""
    return embedded.ATTRIBUTION[name] if name in embedded.ATTRIBUTION else idx.SOURCES[name].attribution


def _binarize(inputs: np.ndarray, how: str, stream: str) -> np.ndarray:
    """Pixels in [0, 1] to bits, as float64. A stream's bits are Philox's, keyed by its name: the same on every machine, for ever."""
    if how == "none":
        return inputs
    if how == "threshold":
        return (inputs >= 0.5).astype(np.float64)
    key = hashlib.blake2b(f"gsx binarization {stream}".encode(), digest_size=16).digest()
    bits = np.random.Philox(key=int.from_bytes(key, "little"))
    drawn = np.empty_like(inputs)
    for row, pixels in zip(drawn, inputs, strict=True):  # a row at a time: all of MNIST's random numbers at once are 376 MB
        # Uniforms strictly inside (0, 1), so that 0 stays 0 and 1 stays 1.
        row[:] = ((bits.random_raw(pixels.size) >> 12) + 0.5) * 2.0**-52 < pixels
    return drawn
