"""Where a run goes on: its own checkpoint, what its shards or the whole have done, or a smaller run of the same blocks."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gsx.records import GsxError, IntegrityError, Segments, Shard
from gsx.shards import Share, furthest
from gsx.store import MOVE_AWAY, RunDirectory, StoredSegments, check_fingerprint, find_shards


@dataclass(frozen=True)
class Wanted:
    """What moments must be to go on from them: whose, computed how, of how many segments, and of how many blocks each at most."""

    moments_id: str
    fingerprint: Mapping[str, str]
    segments: int
    most: int
    shard: Shard = Shard()  # noqa: RUF009 (it is frozen)


@dataclass(frozen=True)
class Place:
    """Where moments are kept: the folder of the run, and that of the shard in it, or the same again; and what they must be."""

    run: RunDirectory
    own: RunDirectory
    wanted: Wanted
    anew: bool = False  # do not go on from what is there


def beginning(place: Place) -> tuple[Segments, float] | None:
    """The moments of all segments that can be gone on from, and the seconds they took; None where there are none.

    Raises IntegrityError where the own checkpoint is corrupted, of another measurement, of a larger one, or from another machine or
    version; of the others nobody has asked for more than there is.
    """
    if place.anew:
        return None
    run, own, wanted, shares = place.run, place.own, place.wanted, []
    if (stored := own.read_segments()) is not None:
        if stored.result_id != wanted.moments_id:
            raise IntegrityError(f"{own.path}: holds the moments of another measurement; {MOVE_AWAY}")
        check_fingerprint(stored.fingerprint, wanted.fingerprint)
        if int(stored.segments.blocks.max(initial=0)) > wanted.most:
            raise IntegrityError(f"{own.path}: holds more blocks than this run has; {MOVE_AWAY}")
        shares.append(Share(wanted.shard, stored))
    parts = {Shard(): run} | find_shards(run.path)
    shares += [Share(shard, found) for shard, folder in parts.items() if folder != own and (found := _fitting(folder, shard, wanted))]
    if not shares:
        shares = sorted(_smaller(run, wanted), key=lambda share: -int(share.stored.segments.blocks.sum()))[:1]
    return furthest(shares, wanted.segments, wanted.most, wanted.shard) if shares else None


def _smaller(run: RunDirectory, wanted: Wanted) -> Iterator[Share]:
    """The moments of neighbours that are those of the first blocks of this run."""
    for path in sorted(run.path.parent.glob(f"{run.path.name.rpartition('-')[0]}-*/segments.npz")):
        if path.parent.is_symlink() or _whose(path) != wanted.moments_id:
            continue
        stored = _fitting(RunDirectory(path.parent), Shard(), wanted)
        if stored is not None and int(stored.segments.blocks.max(initial=0)) <= wanted.most:
            yield Share(Shard(), stored)


def _whose(segments: Path) -> str | None:
    """The moments_id that a neighbour's file says; None where it cannot be read."""
    try:
        stat = segments.lstat()
    except OSError:
        return None
    return _said_by(segments, stat.st_ino, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=2**16)
def _said_by(segments: Path, *version: int) -> str | None:
    """Read once for each version of the file: every cell of a sweep asks all that were done before it."""
    with contextlib.suppress(GsxError):
        return RunDirectory(segments.parent).read_moments_id()
    return None


def _fitting(folder: RunDirectory, shard: Shard, wanted: Wanted) -> StoredSegments | None:
    try:
        stored = folder.read_segments()
    except IntegrityError:  # its own run will say so
        return None
    if stored is None or stored.result_id != wanted.moments_id or stored.fingerprint != wanted.fingerprint:
        return None
    return stored if len(stored.segments.blocks) == len(range(wanted.segments)[shard.rows]) else None
