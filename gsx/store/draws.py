"""draws.csv: single draws of a run, a row for each; columns of floats, the first of them the replicate."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

Columns = Mapping[str, np.ndarray]


def format_draws(columns: Columns) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([repr(number) for number in row] for row in zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue().encode()


def parse_draws(stream: BinaryIO) -> dict[str, np.ndarray]:
    header, *rows = csv.reader(io.StringIO(stream.read().decode(), newline=""), strict=True)
    if header[:1] != ["replicate"] or "cost" not in header or len(set(header)) != len(header):
        raise ValueError("its columns are not those of draws")
    numbers = np.array([[float(field) for field in row] for row in rows]).reshape(len(rows), len(header))
    if not np.array_equal(numbers[:, 0], np.arange(len(rows))):
        raise ValueError("its replicates are not 0, 1, 2, ...")
    return dict(zip(header, numbers.T, strict=True))
