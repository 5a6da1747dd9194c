"""Shares of a run's segments, as they are stored, and how they are put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gsx.records import Segments, Shard
from gsx.store import StoredSegments


@dataclass(frozen=True)
class Share:
    """Some moments of a run, and which of its segments they are of."""

    shard: Shard
    stored: StoredSegments


def own(segments: Segments, shard: Shard) -> Segments:
    """The rows of a shard, out of those of all segments: what it stores."""
    return _each(segments, lambda array: array[shard.rows])


def furthest(shares: Sequence[Share], number: int, most: int, shard: Shard = Shard()) -> tuple[Segments, float]:  # noqa: B008
    """For each of ``number`` segments the moments of the share that went furthest, but no further than ``most`` blocks.

    Nothing is there of the segments that belong to another ``shard``. All shares must be of one sequence of blocks: then a shorter one is
    the beginning of a longer one, and what comes out has the bits of a run that was never cut. Also the seconds that went into it.
    """
    blocks = np.zeros((len(shares), number), dtype=np.int64)
    for row, share in zip(blocks, shares, strict=True):
        row[share.shard.rows] = share.stored.segments.blocks
    wanted = np.zeros(number, dtype=bool)
    wanted[shard.rows] = True
    blocks[(blocks > most) | ~wanted] = 0
    chosen = blocks.argmax(0)
    joined = _each(shares[0].stored.segments, lambda array: np.zeros((number, *array.shape[1:]), array.dtype))
    joined.nonfinite_first_block[:] = -1
    seconds = 0.0
    for index, share in enumerate(shares):
        segments, taken = share.stored.segments, (chosen == index) & (blocks[index] > 0)
        for name in Segments.ARRAYS:
            if (array := getattr(joined, name)) is not None:
                array[taken] = getattr(segments, name)[taken[share.shard.rows]]
        seconds += share.stored.seconds * float(blocks[index, taken].sum()) / max(int(segments.blocks.sum()), 1)
    return joined, seconds


def _each(segments: Segments, change: Callable[[np.ndarray], np.ndarray]) -> Segments:
    arrays = {name: getattr(segments, name) for name in Segments.ARRAYS}
    return Segments(segments.layout, **{name: None if array is None else change(array) for name, array in arrays.items()})  # type: ignore[arg-type]
