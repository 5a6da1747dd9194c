"""A passage of a page that a script writes, between two comments that stay."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gsx.records import MissingData


@dataclass(frozen=True)
class Passage:
    name: str

    def around(self, text: str) -> str:
        return f"<!-- {self.name} -->\n{text}\n<!-- end of {self.name} -->"

    def of(self, page: str) -> str:
        """What stands there, with its comments. MissingData where the page has no such passage, or several."""
        found = re.findall(re.escape(self.around("\0")).replace("\0", ".*?"), page, re.DOTALL)
        if len(found) != 1:
            raise MissingData(f"<!-- {self.name} -->: {len(found)} such passages in the page; must be one")
        return str(found[0])

    def replaced(self, page: str, text: str) -> str:
        return page.replace(self.of(page), self.around(text))
