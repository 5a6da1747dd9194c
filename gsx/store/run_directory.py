"""The folder of one run, or of one reference: which files it holds, and in which order they are written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from gsx.records import IntegrityError, Layout, Reference, Result, Segments, result_id
from gsx.store.arrays import MAX_ARRAYS, parse_arrays, write_arrays
from gsx.store.draws import Columns, format_draws, parse_draws
from gsx.store.files import ADVICE, MAX_TEXT, atomic_write, create_folder, read, remove
from gsx.store.folder import Folder
from gsx.store.reference import StoredReference, pack_reference, parse_reference
from gsx.store.result import parse_result
from gsx.store.segments import StoredSegments, pack_segments, parse_segments
from gsx.store.strict_json import parse_json, sealed_json
from gsx.store.table import CoordinateTable, format_table, parse_table

T = TypeVar("T")


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
        return read(self._segments, 2 * MAX_ARRAYS, parse_segments)

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
            raise IntegrityError(f"{self._segments}: not the moments that result.json was made from; {ADVICE}")
        if result_id(stored.result_id, result.config.get("num_replicates", 0)) != result.result_id:
            raise IntegrityError(f"{self._segments}: of another measurement than result.json; {ADVICE}")
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

    def read_result(self) -> Result | None:
        """The result without its arrays, or None. IntegrityError, EnvironmentFault."""
        parsed = read(self._result, MAX_TEXT, parse_result)
        return None if parsed is None else parsed[0]

    def read_coordinates(self) -> CoordinateTable | None:
        """The table that belongs to result.json, or None where either was never written. IntegrityError, EnvironmentFault."""
        return self._declared("coordinates", self._table, parse_table)

    def read_draws(self) -> dict[str, np.ndarray] | None:
        """The columns of the draws.csv that belongs to result.json, or None where none were kept. IntegrityError, EnvironmentFault."""
        return self._declared("draws", self._draws, parse_draws)

    def _declared(self, name: str, path: Path, parse: Callable[[BinaryIO, dict[str, Any]], T]) -> T | None:
        """A table as result.json declares it; None where it declares none, or is from before it declared this one."""
        parsed = read(self._result, MAX_TEXT, parse_result)
        if parsed is None or (declared := parsed[1][name]) is None:
            return None
        table = read(path, MAX_TEXT, lambda stream: parse(stream, declared))
        if table is None and declared:
            raise IntegrityError(f"{path}: missing, and result.json declares it; {ADVICE}")
        return table

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
        body = read(self.path / "reference.json", MAX_TEXT, parse_json)
        if body is None:
            return None
        stored = read(self.path / "reference.npz", 2 * MAX_ARRAYS, lambda stream: parse_reference(body, parse_arrays(stream)))
        if stored is None:
            raise IntegrityError(f"{self.path / 'reference.npz'}: missing, and reference.json declares it; {ADVICE}")
        return stored
