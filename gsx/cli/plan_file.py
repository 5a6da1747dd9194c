"""What a sweep, of runs or of trainings, is about to do, written down before its first cell begins: `gsx status` knows what never did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from gsx.provenance import typed_command
from gsx.store import write_sweep


class Planned(Protocol):
    """A cell of either."""

    @property
    def folder(self) -> Path: ...
    @property
    def result_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def config(self) -> dict[str, Any]: ...


def write_plan(cells: Sequence[Planned]) -> None:
    """Where there are several, and something is left to do. EnvironmentFault."""
    if len(cells) > 1 and any(cell.state != "complete" for cell in cells):
        whole = [cell for cell in cells if cell.state != "broken"]
        write_sweep(((cell.folder, cell.result_id) for cell in whole), typed_command(), {cell.result_id: cell.config for cell in whole})
