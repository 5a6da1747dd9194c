"""The shards in the folder of a run: how far each of them is, and whether they are parts of one run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gsx.records import IntegrityError, Result, Shard
from gsx.store.run_directory import RunDirectory
from gsx.store.segments import StoredSegments, check_fingerprint


@dataclass(frozen=True, eq=False)
class StoredShard:
    """What is there of a shard."""

    shard: Shard
    path: Path
    result: Result | None
    stored: StoredSegments | None


def read_shards(shards: Mapping[Shard, RunDirectory]) -> Iterator[StoredShard]:
    """One at a time: the moments of a large run fill the memory. IntegrityError, EnvironmentFault."""
    for shard, folder in shards.items():
        yield StoredShard(shard, folder.path, folder.read_result(), folder.read_segments())


def check_alike(run: Path, shards: Iterable[StoredShard]) -> None:
    """IntegrityError unless what is there of these shards is of one run, one machine, one set of versions, and lies where it belongs."""
    address = re.search(r"-([0-9a-f]{12})$", run.resolve().name)
    seen: dict[str, tuple[Shard, object]] = {}
    for one in shards:
        shard, result, stored = one.shard, one.result, one.stored
        facts: dict[str, object] = {}
        if result is not None:
            facts |= {"result_id": result.result_id, "reference": result.reference["id"]}
            if result.part is None or result.part.shard != shard:
                raise IntegrityError(f"{one.path}: its result is not that of shard {shard}; {advice(shard)}")
            if address and not result.result_id.startswith(address[1]):
                raise IntegrityError(f"{one.path}: of another run than the folder it lies in; {advice(shard)}")
        if stored is not None:
            facts |= {"moments": stored.result_id, "layout": stored.segments.layout}
            first, fingerprint = seen.setdefault("fingerprint", (shard, stored.fingerprint))
            assert isinstance(fingerprint, dict)
            try:
                check_fingerprint(fingerprint, stored.fingerprint, advice(shard))
            except IntegrityError as error:
                raise IntegrityError(f"{one.path}: beside {first.folder}, {error}") from None
        for name, fact in facts.items():
            first, known = seen.setdefault(name, (shard, fact))
            if known != fact:
                raise IntegrityError(f"{one.path}: of another run than {first.folder}; {advice(shard)}")


def advice(shard: Shard) -> str:
    """The way out where a shard, and no other, is not what it should be."""
    return f"move its folder away, and gsx run shard={shard} ... computes it anew; the other shards stay"


def progress(shards: Mapping[Shard, RunDirectory]) -> str:
    """How far they are, each set of one size for itself: a run may have been cut twice."""
    told = []
    for of in sorted({shard.of for shard in shards}):
        begun = {shard.number: folder for shard, folder in shards.items() if shard.of == of}
        ended = {number for number, folder in begun.items() if (folder.path / "result.json").exists()}
        rest = {"begun": begun.keys() - ended, "missing": set(range(of)) - begun.keys()}
        where = "; ".join(f"{state} {few(numbers)}" for state, numbers in rest.items() if numbers)
        told.append(f"{len(ended)} of {of} shards" + (f" ({where})" if where else ""))
        if len(ended) == of:
            told[-1] += "; gsx merge joins them"
    return "; ".join(told)


def few(numbers: Iterable[int]) -> str:
    """The first of them: a stranger's folder may speak of thousands."""
    told = sorted(numbers)
    return ", ".join([*map(str, told[:6]), *["..."] * (len(told) > 6)])
