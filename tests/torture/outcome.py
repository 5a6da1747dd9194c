"""What came of one kind of fault: how often it was tried, what happened each time, and what was lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Counts of one kind of fault, and in one line each what must never happen: a number lost, a wrong one, a user left without advice."""

    fault: str
    counts: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    skipped: str = ""

    def saw(self, what: str) -> None:
        self.counts[what] += 1

    def expect(self, held: bool, otherwise: str) -> None:
        if not held:
            self.losses.append(f"{self.fault}: {otherwise}")

    def row(self) -> tuple[str, str, str]:
        told = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        return self.fault, f"skipped: {self.skipped}" if self.skipped else told, str(len(self.losses))
