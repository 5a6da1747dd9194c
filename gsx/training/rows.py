"""The rows a training sees: three splits of a data set, and minibatches of one of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gsx import data
from gsx.data import Dataset
from gsx.models.base import Model
from gsx.noise import uniforms
from gsx.records import ConfigurationError

#: How many rows of digits are for validation and for test, and of the training images of the other sets for validation.
DIGITS = {"valid": 200, "test": 300}
VALID = 10000


@dataclass(frozen=True)
class Rows:
    """Rows of a split, on the device. Bits are kept as bytes, and become numbers as they are shown to a model."""

    inputs: Tensor
    labels: Tensor
    dtype: torch.dtype

    @classmethod
    def of(cls, dataset: Dataset, dtype: torch.dtype, device: torch.device) -> Rows:
        bits = bool(((dataset.inputs == 0) | (dataset.inputs == 1)).all())
        inputs = torch.from_numpy(dataset.inputs.astype(np.uint8) if bits else dataset.inputs)
        return cls((inputs if bits else inputs.to(dtype)).to(device), torch.from_numpy(dataset.labels).to(device), dtype)

    def __len__(self) -> int:
        return len(self.inputs)

    def first(self, most: int) -> Rows:
        return dataclasses.replace(self, inputs=self.inputs[:most], labels=self.labels[:most])

    def show(self, model: Model, which: Tensor | slice, of: int) -> None:
        """Make some of the rows those that the model's loss is about."""
        model.observe(self.inputs[which].to(self.dtype), self.labels[which], of)


def split(dataset: Dataset, root: str | None, seed: int) -> dict[str, Dataset]:
    """`train`, `valid` and `test`, of which the last two may be missing. ``seed`` is the problem's.

    mnist, fashion_mnist: the first 50000 training images, the last 10000, and the test images. digits: 1297, 200 and 300 rows, cut from the
    permutation by (seed, stream `data`). breast_cancer: all rows are `train`.

    The training rows are in the order of the permutation from which `gsx run` takes its minibatch: of digits, that is the first of them.
    """
    rows = len(dataset.inputs)
    if dataset.name == "breast_cancer":
        return {"train": dataset}
    order = uniforms((seed, "data", "rows"), 0, rows, torch.float64, torch.device("cpu")).argsort().numpy()
    if dataset.name == "digits":
        held = rows - DIGITS["valid"] - DIGITS["test"]
        parts = {"train": order[:held], "valid": order[held : held + DIGITS["valid"]], "test": order[held + DIGITS["valid"] :]}
        return {name: _part(dataset, which, name) for name, which in parts.items()}
    test = data.load(dataset.name, root=root, binarization=dataset.binarization, seed=seed, split="test")
    return {
        "train": _part(dataset, order[order < rows - VALID], "train"),
        "valid": _part(dataset, np.arange(rows - VALID, rows), "valid"),
        "test": test,
    }


def _part(dataset: Dataset, which: np.ndarray, name: str) -> Dataset:
    return dataclasses.replace(dataset, split=name, inputs=dataset.inputs[which], labels=dataset.labels[which])


class Minibatches:
    """The rows of step t: each epoch is a permutation by (seed, stream `rows`), cut into whole minibatches; what is over is left out."""

    def __init__(self, rows: int, batch: int | None, seed: int) -> None:
        if batch is not None and not 1 <= batch <= rows:
            raise ConfigurationError(f"model.batch={batch}: must be between 1 and {rows}, the rows to train on")
        self._rows, self._batch, self._seed, self._epoch = rows, batch, seed, -1
        self._order = torch.arange(rows)

    def at(self, step: int) -> Tensor | slice:
        if self._batch is None:
            return slice(None)
        epoch, place = divmod(step, self._rows // self._batch)
        if epoch != self._epoch:
            self._epoch = epoch
            numbers = uniforms((self._seed, "rows", epoch), 0, self._rows, torch.float64, torch.device("cpu"))
            self._order = numbers.argsort()
        return self._order[place * self._batch : (place + 1) * self._batch]
