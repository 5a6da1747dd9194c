"""Tables in a terminal, which is narrower than they are."""

from __future__ import annotations

import html
import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def terminal_width() -> int | None:
    """Of the terminal that standard output is; None where it is none, and everything is to be told whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def aligned(rows: Rows) -> str:
    """Columns as wide as their widest cell."""
    return "\n".join(_lines(rows))


def folded(rows: Rows, width: int) -> str:
    """The columns that there is room for; below each row what the others say of it, in words."""
    most = _fitting(rows, width)
    first, *others = rows
    heading, *lines = _lines([row[:most] for row in rows])
    told = [heading]
    for line, row in zip(lines, others, strict=True):
        further = "; ".join(f"{head}: {text}" for head, text in zip(first[most:], row[most:], strict=True) if text)
        told += [line, textwrap.fill(further, width, initial_indent="    ", subsequent_indent="    ")]
    return "\n".join(filter(None, told))


def fitted(markdown: str, width: int) -> str:
    """Markdown as plain text, its tables with the columns that there is room for; the others are named below.

    The first column, which says the same of many rows, becomes headings over them.
    """
    parts: list[str] = []
    for is_table, lines in itertools.groupby(markdown.splitlines(), lambda line: line.startswith("|")):
        if is_table:
            parts += _narrowed([_cells(line) for line in lines], width)
        else:
            parts += (textwrap.fill(_plain(line), width, subsequent_indent="  ") for line in lines)
    return "\n".join(parts)


def _narrowed(rows: Rows, width: int) -> list[str]:
    """The lines of a table whose second row is the rule below the headings."""
    heads = [row[0] for row in rows[2:]]
    body = [row[1:] for row in (rows[0], *rows[2:])]
    most = _fitting(body, width - 2)
    heading, *lines = (f"  {line}" for line in _lines([row[:most] for row in body]))
    told = [heading]
    for head, group in itertools.groupby(zip(heads, lines, strict=True), lambda pair: pair[0]):
        told += [head, *(line for _, line in group)]
    left = body[0][most:]
    if left:
        note = f"no room for: {', '.join(left)}; the tables in the report have all"
        told.append(textwrap.fill(note, width, initial_indent="  ", subsequent_indent="  "))
    return told


def _widths(rows: Rows) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _fitting(rows: Rows, width: int) -> int:
    """How many columns, one at least."""
    ends = itertools.accumulate(2 + wide for wide in _widths(rows))
    return max(1, sum(end - 2 <= width for end in ends))


def _lines(rows: Rows) -> list[str]:
    widths = _widths(rows)
    return ["  ".join(text.ljust(wide) for text, wide in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cells(line: str) -> list[str]:
    """Of a row of a pipe table."""
    return [_plain(cell.strip()) for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def _plain(markdown: str) -> str:
    return html.unescape(re.sub(r"\\([\W_])", r"\1", markdown))
