"""What a grid of settings tells of its best one: it is known to the neighbours."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def neighbours(grid: Sequence[float], near: Collection[float]) -> tuple[float | None, float | None]:
    """One step of the grid, in ascending order, beyond all settings that may be the best; None beyond an end, where nothing is known."""
    low, high = grid.index(min(near)), grid.index(max(near))
    return grid[low - 1] if low > 0 else None, grid[high + 1] if high + 1 < len(grid) else None
