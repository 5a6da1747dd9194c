"""One share of a run that is cut into several, to be computed apart and joined."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from gsx.records.faults import ConfigurationError

_FOLDER = re.compile(r"shard-(0|[1-9][0-9]{0,3})-of-([1-9][0-9]{0,3})", re.ASCII)


@dataclass(frozen=True, order=True)
class Shard:
    """The segments g with g mod ``of`` == ``number``, with all their blocks; a run that is not cut is shard 0 of 1."""

    number: int = 0
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def folder(self) -> str:
        """The name of its folder, in that of the run."""
        return f"shard-{self.number}-of-{self.of}"

    @property
    def rows(self) -> slice:
        """Which of all segments are its own."""
        return slice(self.number, None, self.of)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``k/n``. ConfigurationError."""
        found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text, re.ASCII)
        self = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if self.number >= self.of:
            raise ConfigurationError(f"shard={text}: must be k/n, with k from 0 to n - 1, all/n in a sweep, or auto under torchrun")
        return self

    @classmethod
    def of_folder(cls, name: str) -> Self | None:
        """The shard that a folder of this name belongs to, if to any."""
        found = _FOLDER.fullmatch(name)
        return cls(int(found[1]), int(found[2])) if found and int(found[1]) < int(found[2]) else None
