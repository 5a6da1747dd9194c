"""Complete sets of shards become the result of their run: no replicate is drawn, and torch is not asked."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gsx.conclusion import combined, conclude
from gsx.records import Cost, IntegrityError, Layout, MissingData, Reference, Result, Segments, Shard
from gsx.shards import Share, furthest
from gsx.store import RunDirectory, StoredShard, check_alike, find_shards
from gsx.store.shards import advice, few

#: The way out of what is wrong with all shards at once.
ADVICE = "move the shards' folders away, and gsx run shard=k/n ... computes each anew"


@dataclass(frozen=True)
class Merged:
    """What became of the shards of a run: joined now, or before (`complete`), or not yet, and then which are missing."""

    state: str  # merged | complete | incomplete
    text: str


def merge(run: RunDirectory) -> Merged | None:
    """Join the shards in the folder of a run; None where there are none.

    Raises IntegrityError where a file is damaged or the shards do not belong together, MissingData without their reference, Busy,
    EnvironmentFault.
    """
    folders = find_shards(run.path)
    if not folders:
        return None
    with run.lock():
        with contextlib.suppress(IntegrityError):  # what is damaged there, whole shards make anew
            whole = run.read_result()
            if whole is not None and whole.status == "complete" and run.read_coordinates() is not None and run.holds_moments(whole):
                return Merged("complete", f"R={whole.num_replicates}")
        results = {shard: result for shard, folder in folders.items() if (result := folder.read_result()) is not None}
        missing = []
        for of in sorted({shard.of for shard in folders}):
            lacking = [number for number in range(of) if Shard(number, of) not in results]
            if not lacking:
                result = _joined(run, folders, {shard: result for shard, result in results.items() if shard.of == of})
                return Merged("merged", f"{of} shards, R={result.num_replicates}")
            missing.append(f"missing {len(lacking)} of {of}: {few(lacking)}")
    return Merged("incomplete", "; ".join(missing))


def _joined(run: RunDirectory, folders: Mapping[Shard, RunDirectory], results: Mapping[Shard, Result]) -> Result:
    shares = [_share(folders[shard], shard, result) for shard, result in results.items()]
    first, stored = results[shares[0].shard], shares[0].stored
    check_alike(run.path, [StoredShard(share.shard, folders[share.shard].path, results[share.shard], share.stored) for share in shares])
    number = sum(len(share.stored.segments.blocks) for share in shares)
    for share in shares:
        if len(share.stored.segments.blocks) != len(range(number)[share.shard.rows]):
            where = folders[share.shard].path
            raise IntegrityError(f"{where}: has not the segments of shard {share.shard}; {advice(share.shard)}")
    segments, seconds = furthest(shares, number, most=np.iinfo(np.int64).max)
    _check_whole(run, first, segments)
    reference = _reference(run, first, segments.layout)
    costs = [_cost(result) for result in results.values()]
    provenance = first.provenance | {"shards": [result.provenance for result in results.values()]}
    result = conclude(dataclasses.replace(first, provenance=provenance), segments, reference, combined(costs))
    run.write_segments(segments, stored.fingerprint, stored.result_id, seconds=seconds)
    run.write_result(result)
    return result


def _share(folder: RunDirectory, shard: Shard, result: Result) -> Share:
    """The moments of a finished shard. IntegrityError where they are not those that its result speaks of."""
    stored = folder.read_segments()
    if stored is None or stored.segments.digest() != result.moments_sha256:
        raise IntegrityError(f"{folder.path}: its segments.npz is not the one that its result speaks of; {advice(shard)}")
    return Share(shard, stored)


def _cost(result: Result) -> Cost:
    assert result.part is not None
    return dataclasses.replace(result.cost, time_ratio_log_se=result.part.time_ratio_log_se)


def _check_whole(run: RunDirectory, first: Result, segments: Segments) -> None:
    """IntegrityError unless these are all blocks that the configuration asks for, and no more."""
    replicates, size, dtype = (first.config.get(key) for key in ("num_replicates", "block_size", "dtype"))
    known = isinstance(replicates, int) and isinstance(size, int) and replicates > 0 and dtype in ("float32", "float64")
    even = known and len({*segments.blocks.tolist()}) == 1 and (segments.count == segments.blocks * size).all()
    if not even or segments.count.sum() != replicates:
        raise IntegrityError(f"{run.path}: its shards together have not the replicates that their configuration asks for; {ADVICE}")


def _reference(run: RunDirectory, first: Result, layout: Layout) -> Reference:
    """What the shards were measured against: the folder beside the run's."""
    identity = str(first.reference["id"])
    if not re.fullmatch(r"[0-9a-f]{64}", identity):
        raise IntegrityError(f"{run.path}: the id of its shards' reference is none; {ADVICE}")
    folder = RunDirectory(run.path.parent / f"reference-{identity[:12]}")
    folder.check_links()
    stored = folder.read_reference()
    if stored is None:
        raise MissingData(f"{folder.path}: missing, and the shards were measured against it; gsx run without shard= makes it again")
    if stored.reference.id != identity or stored.layout != layout:
        raise IntegrityError(f"{folder.path}: another reference than the one that the shards were measured against")
    return stored.reference
