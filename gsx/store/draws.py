"""draws.csv: single draws of a run, a row for each; columns of floats, the first of them the replicate. result.json holds its sha256."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from gsx.store.files import declared_bytes

Columns = Mapping[str, np.ndarray]


def format_draws(columns: Columns) -> tuple[bytes, dict[str, Any]]:
    """draws.csv, and what result.json says about it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([repr(number) for number in row] for row in zip(*(column.tolist() for column in columns.values()), strict=True))
    data = text.getvalue().encode()
    return data, {"sha256": hashlib.sha256(data).hexdigest()}


def parse_draws(stream: BinaryIO, declared: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """ValueError unless the table is as declared."""
    header, *rows = csv.reader(io.StringIO(declared_bytes(stream, declared).decode(), newline=""), strict=True)
    if header[:1] != ["replicate"] or "cost" not in header or len(set(header)) != len(header):
        raise ValueError("its columns are not those of draws")
    numbers = np.array([[float(field) for field in row] for row in rows]).reshape(len(rows), len(header))
    if not np.array_equal(numbers[:, 0], np.arange(len(rows))):
        raise ValueError("its replicates are not 0, 1, 2, ...")
    return dict(zip(header, numbers.T, strict=True))
