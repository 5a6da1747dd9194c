"""coordinates.csv, the per-coordinate table of a result: exact for gsx, harmless to a spreadsheet, and declared in result.json."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

from gsx.records import Coordinates
from gsx.store.files import declared_bytes

TABLE_COLUMNS = ("parameter", "index", *Coordinates.COLUMNS)
TABLE_WHOLE = 10_000  #: coordinates up to which coordinates.csv holds them all
TABLE_ROWS = 1_000  #: rows per parameter beyond that


@dataclass(frozen=True)
class CoordinateTable:
    """coordinates.csv: `columns` by the names of TABLE_COLUMNS (texts, ints, then floats with NaN), and which rows of how many."""

    columns: dict[str, list[Any]]
    of: int
    selection: str


def _guard(name: str) -> str:
    """A spreadsheet runs a cell that begins with one of these as a formula, quoted or not; an apostrophe in front makes it text.

    A name with an apostrophe of its own gets one more, so that `_unguard` restores every name. Numbers are never touched.
    """
    return f"'{name}" if name[:1] in tuple("=+-@\t\r\n'") else name


def _unguard(field: str) -> str:
    return field.removeprefix("'")


def format_table(coordinates: Coordinates) -> tuple[bytes, dict[str, Any]]:
    """coordinates.csv, and what result.json says about it. Rows are in the order of the coordinates; NaN is an empty field."""
    layout = coordinates.layout
    whole = layout.size <= TABLE_WHOLE
    text = io.StringIO(newline="")
    # Before Python 3.13 csv quotes a carriage return only where it is part of the line's end, which is then cut to a line feed.
    lines = SimpleNamespace(write=lambda line: text.write(line.removesuffix("\r\n") + "\n"))
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow(TABLE_COLUMNS)
    rows = 0
    for name, _, part in layout.slices():
        columns = [getattr(coordinates, column)[part] for column in Coordinates.COLUMNS]
        chosen = np.arange(part.stop - part.start)
        if not whole:
            chosen = np.sort(np.argsort(-np.abs(coordinates.z[part]), kind="stable")[:TABLE_ROWS])  # argsort puts NaN last
        cells = [["" if math.isnan(x) else repr(x) for x in column[chosen].tolist()] for column in columns]
        writer.writerows(zip([_guard(name)] * len(chosen), chosen.tolist(), *cells, strict=True))
        rows += len(chosen)
    data = text.getvalue().encode()
    selection = "all" if whole else f"the {TABLE_ROWS} largest |z| per parameter"
    return data, {"rows": rows, "of": layout.size, "selection": selection, "sha256": hashlib.sha256(data).hexdigest()}


def parse_table(stream: BinaryIO, declared: dict[str, Any]) -> CoordinateTable:
    header, *rows = csv.reader(io.StringIO(declared_bytes(stream, declared).decode(), newline=""), strict=True)
    if tuple(header) != TABLE_COLUMNS or len(rows) != declared["rows"]:
        raise ValueError("its columns or its rows are not those that result.json declares")
    fields = zip(*rows, strict=True) if rows else [()] * len(header)
    columns: dict[str, list[Any]] = {
        name: [_unguard(x) for x in column] if name == "parameter" else [int(x) for x in column] if name == "index"
        else [float(x) if x else math.nan for x in column]
        for name, column in zip(header, fields, strict=True)
    }  # fmt: skip
    return CoordinateTable(columns, int(declared["of"]), str(declared["selection"]))
