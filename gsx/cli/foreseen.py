"""What a dry run foresees, of one command and of several."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gsx.cli.progress import duration


@dataclass(frozen=True)
class Foreseen:
    jobs: int = 0  # that are to be computed: runs or trainings
    evaluations: int = 0
    stored_bytes: int = 0
    seconds: float = 0.0
    untimed: int = 0  # of the jobs: their time is not in it
    broken: int = 0  # that will fail

    def __add__(self, other: Foreseen) -> Foreseen:
        return Foreseen(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def __str__(self) -> str:
        if not self.jobs:
            return "nothing to compute"
        text = f"{self.jobs} runs and trainings to compute: evaluations={self.evaluations} checkpoints~{size(self.stored_bytes)}"
        known = [f"about {duration(self.seconds)}"] if self.untimed < self.jobs else []
        unknown = [f"{self.untimed} that were not timed"] if self.untimed else []
        return f"{text}; {', and '.join(known + unknown)}"


def size(bytes_: float) -> str:
    """Two digits and a unit that fits."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 999.5:
            return f"{bytes_:.{0 if bytes_ >= 9.95 else 1}f}{unit}"
        bytes_ /= 1000
    return f"{bytes_:.1f}TB"
