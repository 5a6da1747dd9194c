"""The folder of one run, or of one reference: which files it holds, and in which order they are written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from gsx.records import IntegrityError, Layout, Reference, Result, Segments, Shard, result_id
from gsx.store.arrays import MAX_ARRAYS, check_index, write_arrays
from gsx.store.draws import Columns, format_draws, parse_draws
from gsx.store.files import MAX_JSON, MAX_TEXT, atomic_write, create_folder, declared_bytes, read, remove
from gsx.store.folder import Folder, check_address
from gsx.store.reference import StoredReference, pack_reference, parse_reference
from gsx.store.result import StoredResult, parse_result
from gsx.store.segments import StoredSegments, pack_segments, parse_moments_id, parse_segments
from gsx.store.strict_json import parse_json, sealed_json
from gsx.store.table import CoordinateTable, format_table, parse_table

T = TypeVar("T")

#: The way out of a damaged reference, which many runs may share.
ANOTHER_REFERENCE = "remove reference.json, and the same command computes the reference anew; no run is touched"


@dataclass(frozen=True)
class RunDirectory(Folder):
    """The folder of one run, or of one reference."""

    @property
    def _segments(self) -> Path:
        return self.path / "segments.npz"

    @property
    def _result(self) -> Path:
        return self.path / "result.json"

    @property
    def _table(self) -> Path:
        return self.path / "coordinates.csv"

    @property
    def _draws(self) -> Path:
        return self.path / "draws.csv"

    # -- what to do where one is damaged: the least that helps

    @property
    def _computed(self) -> str:
        return self._anew("computes it anew")

    @property
    def _made(self) -> str:
        """The same, of what follows from the moments."""
        return self._anew("makes it anew from segments.npz") if self._segments.exists() else self._computed

    def _anew(self, does: str) -> str:
        shard = Shard.of_folder(self.path.name)
        return f"the same command {does}" if shard is None else f"gsx run shard={shard} ... {does}; the other shards stay"

    # -- segments.npz

    def write_segments(
        self,
        segments: Segments,
        fingerprint: Mapping[str, str],
        result_id: str,
        extra: Mapping[str, np.ndarray] | None = None,
        *,
        seconds: float = 0.0,
    ) -> None:
        """Checkpoint. EnvironmentFault from the disk; ConfigurationError above MAX_ARRAYS; ValueError where arrays break their contract."""
        arrays = pack_segments(StoredSegments(segments, dict(fingerprint), result_id, seconds, dict(extra or {})))
        create_folder(self.path)
        write_arrays(self._segments, arrays)

    def read_segments(self) -> StoredSegments | None:
        """The last checkpoint, or None. IntegrityError, EnvironmentFault."""
        return read(self._segments, 2 * MAX_ARRAYS, parse_segments, f"remove it, and {self._computed}")

    def read_moments_id(self) -> str | None:
        """Whose moments the last checkpoint says to hold, unchecked; None where there is none. IntegrityError, EnvironmentFault."""
        return read(self._segments, 2 * MAX_ARRAYS, parse_moments_id, f"remove it, and {self._computed}")

    def holds_moments(self, result: Result) -> bool:
        """Whether the moments that this result was made from are there. IntegrityError where those that are there are others or damaged."""
        stored = self.read_segments()
        if stored is None:
            return False
        segments = stored.segments
        # A vanishing reference has no direction: the cosines that were kept then are none.
        kept = (segments, dataclasses.replace(segments, cosine_mean=None))
        counts = (segments.blocks.sum(), segments.count.sum())
        if (result.blocks, result.num_replicates) != counts or all(one.digest() != result.moments_sha256 for one in kept):
            raise IntegrityError(f"{self._segments}: not the moments that result.json was made from; remove it, and {self._computed}")
        if result_id(stored.result_id, result.config.get("num_replicates", 0)) != result.result_id:
            raise IntegrityError(f"{self._segments}: of another measurement than result.json; remove it, and {self._computed}")
        return True

    # -- result.json, coordinates.csv and draws.csv

    def write_result(self, result: Result, draws: Columns | None = None) -> None:
        """coordinates.csv and draws.csv, then result.json, which declares them: its presence says the rest is there.

        EnvironmentFault; ValueError for a NaN in the body.
        """
        table, declared = format_table(result.coordinates) if result.coordinates is not None else (None, None)
        kept, sealed = format_draws(draws) if draws is not None else (None, None)
        data = sealed_json({**result.as_json(), "coordinates": declared, "draws": sealed})
        create_folder(self.path)
        remove(self._result)  # an older result never stands beside a newer table
        for path, content in ((self._table, table), (self._draws, kept)):
            if content is None:
                remove(path)
            else:
                atomic_write(path, content)
        atomic_write(self._result, data)
        if result.status != "failed":
            remove(self._error)

    def read_stored(self) -> StoredResult | None:
        """The result without its arrays, and what it declares of its tables; or None. IntegrityError, EnvironmentFault."""
        return read(self._result, MAX_JSON, parse_result, f"remove it, and {self._made}")

    def read_result(self) -> Result | None:
        """The result without its arrays, or None. IntegrityError, EnvironmentFault."""
        stored = self.read_stored()
        return None if stored is None else stored.result

    def read_checked(self) -> Result | None:
        """The same, held against what lies beside it, as `check` does."""
        stored = self.read_stored()
        if stored is None:
            return None
        self.check(stored)
        return stored.result

    def read_coordinates(self, stored: StoredResult | None = None) -> CoordinateTable | None:
        """The table that belongs to result.json, or None where either was never written. IntegrityError, EnvironmentFault."""
        return self._declared(stored or self.read_stored(), "coordinates", self._table, parse_table)

    def read_draws(self, stored: StoredResult | None = None) -> dict[str, np.ndarray] | None:
        """The columns of the draws.csv that belongs to result.json, or None where none were kept. IntegrityError, EnvironmentFault."""
        return self._declared(stored or self.read_stored(), "draws", self._draws, parse_draws)

    def _declared(self, stored: StoredResult | None, name: str, path: Path, parse: Callable[[BinaryIO, dict[str, Any]], T]) -> T | None:
        """A table as result.json declares it; None where it is missing or not declared."""
        if stored is None or (declared := stored.declared[name]) is None:
            return None
        return read(path, MAX_TEXT, lambda stream: parse(stream, declared), f"remove it, and {self._made}")

    def lacks(self, stored: StoredResult) -> Path | None:
        """The first table that is declared and missing."""
        tables = {"coordinates": self._table, "draws": self._draws}
        return next((path for name, path in tables.items() if stored.declared[name] and not path.exists()), None)

    def check(self, stored: StoredResult) -> None:
        """IntegrityError unless a result lies where it belongs, and its tables and moments beside it, which are not torn. The bits of the
        moments are not looked at, so that ten thousand runs take seconds.
        """
        check_address(self.path, stored.result.result_id)
        if (path := self.lacks(stored)) is not None:
            raise IntegrityError(f"{path}: missing, and result.json declares it; {self._made}")
        self._declared(stored, "coordinates", self._table, declared_bytes)
        self._declared(stored, "draws", self._draws, declared_bytes)
        whole = read(self._segments, 2 * MAX_ARRAYS, check_index, f"remove it, and {self._computed}")
        if whole is None and stored.result.status == "complete" and stored.result.engine != "exact":
            raise IntegrityError(f"{self._segments}: missing, and result.json was made from it; {self._computed}")

    def discard(self) -> None:
        """Forget the run: what force=true does. EnvironmentFault."""
        # The marks of completion go first.
        remove(self._result, self.path / "reference.json", self._table, self._segments, self._error)
        remove(self.path / "reference.npz", self._draws)

    # -- reference.json and reference.npz

    def write_reference(self, reference: Reference, layout: Layout, note: Mapping[str, Any]) -> None:
        """A shared reference, with `note` as its provenance. EnvironmentFault; ConfigurationError where it is not finite."""
        body, arrays = pack_reference(reference, layout, note)
        data = sealed_json(body)
        create_folder(self.path)
        remove(self.path / "reference.json")  # it marks completion, as result.json does
        write_arrays(self.path / "reference.npz", arrays)
        atomic_write(self.path / "reference.json", data)

    def read_reference(self) -> StoredReference | None:
        """The reference, or None where it was not finished. IntegrityError, EnvironmentFault."""
        body = read(self.path / "reference.json", MAX_JSON, parse_json, ANOTHER_REFERENCE)
        if body is None:
            return None
        path = self.path / "reference.npz"
        stored = read(path, 2 * MAX_ARRAYS, lambda stream: parse_reference(body, stream), ANOTHER_REFERENCE)
        if stored is None:
            raise IntegrityError(f"{path}: missing, and reference.json declares it; {ANOTHER_REFERENCE}")
        return stored
