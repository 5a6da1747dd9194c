"""A table of a report that is not one row per run: one value for CSV, Markdown, LaTeX and HTML alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from gsx.report import escape, tables


@dataclass(frozen=True)
class Table:
    """`frame` is what the CSV holds, every digit; `body` is what is read, one text a cell, not yet escaped for any language."""

    name: str
    title: str
    headings: Sequence[str]
    body: Sequence[Sequence[str]]
    frame: pd.DataFrame
    notes: Sequence[str] = ()
    words: int = 1  # the first columns, which are text
    choices: Sequence[str] = ()  # headings whose values a page lets its reader choose from
    order: Mapping[str, Sequence[float | None]] = field(default_factory=dict)  # by heading, what the rows of a text sort by

    def csv(self) -> str:
        return tables.csv(self.frame)

    def plain(self) -> str:
        """For a terminal: nothing escaped but what a terminal would obey."""
        body = [[escape.line(cell) for cell in row] for row in self.body]
        return tables.aligned(list(self.headings), body, self.words) + "".join(f"- {escape.line(note, 2000)}\n" for note in self.notes)

    def markdown(self) -> str:
        body = [[escape.markdown(cell) for cell in row] for row in self.body]
        below = "".join(f"- {escape.markdown(note, 2000)}\n" for note in self.notes)
        return tables.aligned(list(self.headings), body, self.words) + ("\n" + below if below else "")

    def latex(self) -> str:
        sides = "".join("l" if column < self.words else "r" for column in range(len(self.headings)))
        head = tables.latex_head(sides, self.headings)
        rows = [" & ".join(escape.latex(cell) for cell in row) + " \\\\\n" for row in self.body]
        foot = "".join(f"% {escape.line(note, 1000)}\n" for note in self.notes)
        return head + "".join(rows) + "\\end{longtable}\n" + foot

    def texts(self) -> dict[str, str]:
        """By the ending of the file."""
        return {"csv": self.csv(), "md": self.markdown(), "tex": self.latex()}
