"""784 binary pixels: MNIST where it is on this machine, else the embedded digits enlarged."""

from __future__ import annotations

import dataclasses

import numpy as np

from gsx.data import Dataset, load
from gsx.records import MissingData

SIDE = 28


def images() -> Dataset:
    try:
        return load("mnist")
    except MissingData:
        return enlarged(load("digits"))


def enlarged(digits: Dataset) -> Dataset:
    """Each pixel of 8 x 8 as three or four of 28 x 28."""
    side = int(digits.inputs.shape[1] ** 0.5)
    nearest = np.arange(SIDE) * side // SIDE
    squares = digits.inputs.reshape(-1, side, side)[:, nearest][:, :, nearest]
    return dataclasses.replace(digits, name=f"digits enlarged to {SIDE} x {SIDE}", inputs=squares.reshape(-1, SIDE * SIDE))
