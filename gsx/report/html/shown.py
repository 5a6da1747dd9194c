"""A table of a report as a page shows it: what each cell says, what it sorts by, and which values its reader may choose from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gsx.report import escape, rounding
from gsx.report.html.marks import FINDINGS, MARKS, Mark
from gsx.report.table import Table

#: Rows from which on a table can be searched, and notes that are shown without being asked for.
SEARCHED, MOST_NOTES = 12, 3

_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_CELL = re.compile(rf"\[?({_NUMBER})(?:\(\d+\))?(e[+-]?\d+)?(?:\s*(?:±|,|to\b).*)?[\]%×]?\Z")


@dataclass(frozen=True)
class Column:
    heading: str
    number: bool  # holds numbers and nothing else
    sorted: bool  # by a number


@dataclass(frozen=True)
class Cell:
    text: str
    order: str  # the number it sorts by; "" where it has none
    badge: str  # the word it begins with that has a mark; `text` is what follows


@dataclass(frozen=True)
class Shown:
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    marks: Mapping[str, Mark]
    choices: Mapping[int, Sequence[str]]  # by column
    counts: Mapping[str, int]  # of findings, by verdict
    verdict: int  # the column of these


def of(table: Table) -> Shown:
    findings = table.name == "scoreboard"
    marks = FINDINGS if findings else MARKS
    numeric = numeric_columns(table)
    columns = [Column(heading, i in numeric, i in numeric or heading in table.order) for i, heading in enumerate(table.headings)]
    rows = [[_cell(text, columns[i], table, marks, row) for i, text in enumerate(cells)] for row, cells in enumerate(table.body)]
    choices = {}
    for i, heading in enumerate(table.headings):
        # In the order in which they are met, which is that of the table.
        values = list(dict.fromkeys(value for row in rows if (value := row[i].badge or row[i].text)))
        if heading in table.choices and len(rows) >= SEARCHED and len(values) > 1:
            choices[i] = values
    verdict = list(table.headings).index("verdict") if findings else -1
    met = Counter(row[verdict].badge for row in rows) if findings else Counter()
    return Shown(columns, rows, marks, choices, {word: met[word] for word in FINDINGS if met[word]}, verdict)


def _cell(text: str, column: Column, table: Table, marks: Mapping[str, Mark], row: int) -> Cell:
    text = escape.line(text, 1000)
    if column.heading in table.order:
        value = table.order[column.heading][row]
        return Cell(text, "" if value is None else repr(float(value)), "")
    word, bracket, rest = text.partition(" (")
    if word in marks and not column.number:
        return Cell(bracket + rest, "", word)
    return Cell(text, order(text) if column.number else "", "")


def order(text: str) -> str:
    """What a cell sorts by where it is a number, with its error, 1.234(5)e-3, an interval or the first of two; nothing where it is none."""
    found = _CELL.match(text.replace("−", "-"))
    return (found[1] + (found[2] or "")) if found else ""


def numeric_columns(table: Table) -> set[int]:
    """Those that hold numbers and nothing else; a column in doubt is text."""
    cells = [[escape.line(row[i]) for row in table.body] for i in range(table.words, len(table.headings))]
    told = [[text for text in column if text not in ("", rounding.ABSENT)] for column in cells]
    numbers = {table.words + i for i, column in enumerate(told) if column and all(map(order, column))}
    return {i for i in numbers if table.headings[i] not in table.order}
