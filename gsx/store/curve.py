"""curve.csv, what a training has logged: a number a row, which training.json declares."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from gsx.records import Point
from gsx.store.files import declared_bytes
from gsx.store.schema import count


def format_curve(curve: Sequence[Point]) -> bytes:
    """curve.csv in the order given; a NaN is an empty field."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Point._fields)
    writer.writerows([*point[:5], *("" if math.isnan(x) else repr(float(x)) for x in point[5:])] for point in curve)
    return text.getvalue().encode()


def parse_curve(stream: BinaryIO, declared: Mapping[str, Any]) -> tuple[Point, ...]:
    header, *rows = csv.reader(io.StringIO(declared_bytes(stream, declared).decode(), newline=""), strict=True)
    if tuple(header) != Point._fields or len(rows) != declared["rows"]:
        raise ValueError("its columns or its rows are not those that training.json declares")
    points = tuple(
        Point(int(seed), int(step), split, estimator, metric, *(float(x) if x else math.nan for x in numbers))
        for seed, step, split, estimator, metric, *numbers in rows
    )
    if not all(count(point.seed) and count(point.step) and not point.se < 0 for point in points):
        raise ValueError("a seed, a step or a standard error is none")
    return points
