"""When, with what and by which command stored results were measured, as they themselves say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gsx.store import find

VERSIONS = ("gsx", "python", "torch", "numpy")


@dataclass(frozen=True)
class Circumstances:
    days: list[str]  # in order
    versions: dict[str, str]
    systems: list[str]
    commands: list[str]
    commits: list[str]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Circumstances:
        """Of every run and training at or below the folders."""
        found = find(folders)
        results = [result for directory in found.runs if (result := directory.read_result())]
        trained = [training for directory in found.trainings if (training := directory.read())]
        said = [result.provenance for result in results] + [training.provenance for training in trained]

        def all_of(key: str) -> list[str]:
            return sorted({str(entry.get(key, "")) for entry in said})

        versions = {key: ", ".join(all_of(key)) for key in VERSIONS}
        return cls(sorted({time[:10] for time in all_of("time")}), versions, all_of("system"), all_of("command"), all_of("commit"))

    def software(self) -> str:
        return ", ".join(f"{key} {version}" for key, version in self.versions.items())
