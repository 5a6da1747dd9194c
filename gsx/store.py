"""The disk: one folder per run, its files replaced whole or not at all, and read as data that anyone may have written.

Writing is atomic, so a kill at any instant leaves the old file or the new one. Reading verifies a sha256 before it believes a number,
checks every declared size before it allocates one, and runs nothing: no pickle, no class looked up by name. A bad file is an
`IntegrityError` that names the file, the fault and the way out; a disk that cannot be read or written is an `EnvironmentFault`; a missing
file is None.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import secrets
import socket
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar

import filelock
import numpy as np

from gsx.records import (
    Busy,
    ConfigurationError,
    Coordinates,
    EnvironmentFault,
    GsxError,
    IntegrityError,
    Layout,
    Reference,
    Result,
    Segments,
    canonical_json,
)

FORMAT_VERSION = 1  #: of segments.npz and of a reference folder
MAX_TEXT = 64 << 20  #: bytes of a JSON, CSV or text file
MAX_ARRAYS = 4 << 30  #: bytes of all the arrays of one npz

TABLE_COLUMNS = ("parameter", "index", *Coordinates.COLUMNS)
TABLE_WHOLE = 10_000  #: coordinates up to which coordinates.csv holds them all
TABLE_ROWS = 1_000  #: rows per parameter beyond that

_ADVICE = "force=true starts anew"
_COMMAND_STARTED = datetime.now(UTC).isoformat(timespec="seconds")  # the store is imported as a command begins

T = TypeVar("T")


# ---- one file, written whole ---------------------------------------------------------------------------------------------------------


def atomic_write(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, durably and all at once. EnvironmentFault where the disk refuses; the old content then stays."""
    _replace(path, lambda stream: stream.write(data))


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:  # Ctrl-C leaves no litter either
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _environment_fault(path, "cannot be written", error) from error
        raise


def _sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder, and need not
            raise
    finally:
        os.close(descriptor)


def _remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _environment_fault(path, "cannot be removed", error) from error


def _environment_fault(path: Path, what: str, error: OSError) -> EnvironmentFault:
    return EnvironmentFault(f"{path}: {what}: {error.strerror or error}")


# ---- one file, read with suspicion ---------------------------------------------------------------------------------------------------


def _read(path: Path, limit: int, parse: Callable[[BinaryIO], T]) -> T | None:
    """What `parse` makes of the file, or None where there is none; whatever it raises becomes an IntegrityError."""
    try:
        # A FIFO in a file's place must not hang the report: hence O_NONBLOCK, which regular files ignore.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size > limit:
                raise ValueError(f"{status.st_size} bytes, more than the {limit} that are read")
            return parse(stream)
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise IntegrityError(f"{path}: not a regular file; {_ADVICE}") from error
    except MemoryError as error:
        raise EnvironmentFault(f"{path}: does not fit into memory") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # a seek to where a corrupted offset points
            raise IntegrityError(f"{path}: {_one_line(str(error))}; {_ADVICE}") from error
        raise _environment_fault(path, "cannot be read", error) from error
    except Exception as error:  # a parser fed hostile bytes raises anything: struct.error, tokenize.TokenError, RecursionError, ...
        what = f"key {error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise IntegrityError(f"{path}: {_one_line(what)}; {_ADVICE}") from error


def _one_line(text: str) -> str:
    """Foreign text, fit for a terminal: no line breaks, no escape sequences, no novel."""
    return "".join(c if c.isprintable() else " " for c in text[:200])


# ---- JSON ----------------------------------------------------------------------------------------------------------------------------


def _sealed_json(body: dict[str, Any]) -> bytes:
    """Strict JSON with the sha256 of its canonical form inside. ValueError for NaN, infinities and non-JSON values."""
    body = json.loads(json.dumps(body, allow_nan=False))  # as a reader will see it: tuples are lists, keys are strings
    body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    return (json.dumps(body, indent=2, allow_nan=False) + "\n").encode()


def _parse_json(stream: BinaryIO) -> dict[str, Any]:
    """The body that `_sealed_json` was given. ValueError or TypeError where it is anything else."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not strict JSON")

    try:
        body = json.loads(stream.read().decode(), parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(body, dict):
        raise TypeError("not a JSON object")
    if body.pop("sha256", None) != hashlib.sha256(canonical_json(body).encode()).hexdigest():
        raise ValueError("the body does not match its sha256")
    return body


def _require(body: dict[str, Any], kind: type, *keys: str) -> None:
    for key in keys:
        if not isinstance(body[key], kind):
            raise TypeError(f"{key!r} is no {kind.__name__}")


# ---- arrays --------------------------------------------------------------------------------------------------------------------------

Arrays = dict[str, np.ndarray]


def _seal(arrays: Arrays) -> str:
    """sha256 of names, types, shapes and bits: the CRC of a zip guards each member, but not which members there are."""
    sha = hashlib.sha256()
    for name, array in arrays.items():
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """Little-endian and in C order, so that equal values are equal bytes. ValueError for what cannot be read without pickle."""
    array = np.asarray(array, order="C")
    if array.dtype.kind not in "biufU":
        raise ValueError(f"array {name!r} has dtype {array.dtype}; only numbers and text are stored")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _write_arrays(path: Path, arrays: Arrays) -> None:
    """An npz as `numpy.savez` writes it, straight to disk. ConfigurationError where it would be too large to be read again."""
    if (size := sum(array.nbytes for array in arrays.values())) > MAX_ARRAYS:
        raise ConfigurationError(f"{path}: {size} bytes of arrays, and {MAX_ARRAYS} can be stored; measure fewer coordinates (wrt=...)")
    members = {**arrays, "sha256": np.array(_seal(arrays))}

    def write(stream: BinaryIO) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            for name, array in members.items():
                # A bare ZipInfo is dated 1980: the same arrays are the same bytes on any day.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    _replace(path, write)


def _parse_arrays(stream: BinaryIO) -> Arrays:
    """The arrays that `_write_arrays` was given. Raises anything where the file is anything else."""
    arrays: Arrays = {}
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if (size := sum(member.file_size for member in members)) > MAX_ARRAYS:
            raise ValueError(f"declares {size} bytes of arrays, more than the {MAX_ARRAYS} that are read")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"array {_one_line(name)!r} is there twice")
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                raise ValueError(f"array {_one_line(name)!r} is compressed; gsx stores arrays plain")
            _check_header(archive, member)
            with archive.open(member) as content:
                arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
    if "sha256" not in arrays or _text(arrays, "sha256") != _seal({name: array for name, array in arrays.items() if name != "sha256"}):
        raise ValueError("the arrays do not match their sha256")
    del arrays["sha256"]
    return arrays


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """ValueError unless the array is plain and exactly as large as its member: numpy allocates what a header declares."""
    with archive.open(member) as content:
        try:
            if np.lib.format.read_magic(content) != (1, 0):
                raise ValueError("format")
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(content)
        except OSError:
            raise
        except Exception as error:  # MemoryError too: a nested header exhausts Python's parser, not the machine
            raise ValueError(f"array {_one_line(member.filename)!r} has an unreadable header") from error
        if fortran_order or dtype.kind not in "biufU":
            raise ValueError(f"array {_one_line(member.filename)!r} has dtype {dtype}; only plain numbers and text are read")
        if content.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"array {_one_line(member.filename)!r} declares a size that is not its own")


def _array(arrays: Arrays, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    array = arrays[name]
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"array {name!r} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
    return array


def _text(arrays: Arrays, name: str) -> str:
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    if arrays[name].dtype.kind != "U" or arrays[name].shape != ():
        raise ValueError(f"array {name!r} is no text")
    return str(arrays[name])


def _parse_layout(data: Any) -> Layout:
    layout = Layout.from_json(data)
    if any(n < 0 for shape in layout.shapes for n in shape) or len(set(layout.names)) != len(layout.names):
        raise ValueError("the layout has a negative size or a name twice")
    return layout


# ---- segments ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StoredSegments:
    """A checkpoint: the moments, what they were computed with, and the seconds spent on them so far."""

    segments: Segments
    fingerprint: dict[str, str]
    result_id: str
    seconds: float
    extra: dict[str, np.ndarray]


_PER_SEGMENT = {"blocks": "<i8", "count": "<i8", "cosine_mean": "<f8", "nonfinite_replicates": "<i8", "nonfinite_first_block": "<i8"}
_OPTIONAL = ("third", "largest", "cosine_mean")
_EXTRA = "extra."
_SEGMENT_MEMBERS = {"format_version", "result_id", "fingerprint", "layout", "accumulated_seconds", "moments_sha256", *Segments.ARRAYS}


def _pack_segments(stored: StoredSegments) -> Arrays:
    """ValueError where the moments are not what `Segments` promises: a checkpoint that cannot be read again is never written."""
    segments = stored.segments
    arrays = {
        "format_version": np.array(FORMAT_VERSION, dtype="<i8"),
        "result_id": np.array(stored.result_id),
        "fingerprint": np.array(canonical_json(stored.fingerprint)),
        "layout": np.array(json.dumps(segments.layout.as_json())),
        "accumulated_seconds": np.array(stored.seconds, dtype="<f8"),
        "moments_sha256": np.array(segments.digest()),
    }
    moments = {name: getattr(segments, name) for name in Segments.ARRAYS}
    arrays |= {name: _plain(name, array) for name, array in moments.items() if array is not None}
    for name in sorted(stored.extra):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ValueError(f"extra array {name!r}: letters, digits and _ . - only")
        arrays[_EXTRA + name] = _plain(name, stored.extra[name])
    _unpack_segments(arrays)
    return arrays


def _unpack_segments(arrays: Arrays) -> StoredSegments:
    version = int(_array(arrays, "format_version", "<i8", ()))
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version}, this gsx reads {FORMAT_VERSION}")
    if foreign := sorted(name for name in arrays if name not in _SEGMENT_MEMBERS and not name.startswith(_EXTRA)):
        raise ValueError(f"array {foreign[0]!r} does not belong here")
    fingerprint = json.loads(_text(arrays, "fingerprint"))
    if not isinstance(fingerprint, dict) or not all(isinstance(value, str) for value in fingerprint.values()):
        raise ValueError("the fingerprint is no table of texts")
    seconds = float(_array(arrays, "accumulated_seconds", "<f8", ()))
    if not 0 <= seconds < math.inf:
        raise ValueError(f"accumulated_seconds is {seconds}")
    layout = _parse_layout(json.loads(_text(arrays, "layout")))
    number = arrays["blocks"].size if "blocks" in arrays else 0
    moments = {
        name: None
        if name in _OPTIONAL and name not in arrays
        else _array(arrays, name, _PER_SEGMENT[name], (number,))
        if name in _PER_SEGMENT
        else _array(arrays, name, "<f8", (number, layout.size))
        for name in Segments.ARRAYS
    }
    extra = {name.removeprefix(_EXTRA): array for name, array in arrays.items() if name.startswith(_EXTRA)}
    return StoredSegments(Segments(layout, **moments), fingerprint, _text(arrays, "result_id"), seconds, extra)  # type: ignore[arg-type]


def _parse_segments(stream: BinaryIO) -> StoredSegments:
    arrays = _parse_arrays(stream)
    stored = _unpack_segments(arrays)
    if stored.segments.digest() != _text(arrays, "moments_sha256"):
        raise ValueError("the moments do not match moments_sha256")
    return stored


def check_fingerprint(stored: Mapping[str, str], current: Mapping[str, str]) -> None:
    """IntegrityError that lists what differs between the machine and versions of some stored segments and the present ones."""
    differing = [
        f"{_one_line(key)} was {_one_line(stored[key]) if key in stored else 'not recorded'}, "
        f"is {_one_line(current[key]) if key in current else 'not recorded'}"
        for key in sorted({*stored, *current})
        if stored.get(key) != current.get(key)
    ]
    if differing:
        raise IntegrityError(f"the machine or the versions changed: {'; '.join(differing)}; {_ADVICE}")


# ---- the per-coordinate table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CoordinateTable:
    """coordinates.csv: `columns` by the names of TABLE_COLUMNS (texts, ints, then floats with NaN), and which rows of how many."""

    columns: dict[str, list[Any]]
    of: int
    selection: str


def _guard(name: str) -> str:
    """A spreadsheet runs a cell that begins with one of these as a formula, quoted or not; an apostrophe in front makes it text.

    A name with an apostrophe of its own gets one more, so that `_unguard` restores every name. Numbers are never touched.
    """
    return f"'{name}" if name[:1] in tuple("=+-@\t\r\n'") else name


def _unguard(field: str) -> str:
    return field.removeprefix("'")


def _format_table(coordinates: Coordinates) -> tuple[bytes, dict[str, Any]]:
    """coordinates.csv, and what result.json says about it. Rows are in the order of the coordinates; NaN is an empty field."""
    layout = coordinates.layout
    whole = layout.size <= TABLE_WHOLE
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TABLE_COLUMNS)
    rows = 0
    for name, _, part in layout.slices():
        columns = [getattr(coordinates, column)[part] for column in Coordinates.COLUMNS]
        chosen = np.arange(part.stop - part.start)
        if not whole:
            chosen = np.sort(np.argsort(-np.abs(coordinates.z[part]), kind="stable")[:TABLE_ROWS])  # argsort puts NaN last
        cells = [["" if math.isnan(x) else repr(x) for x in column[chosen].tolist()] for column in columns]
        writer.writerows(zip([_guard(name)] * len(chosen), chosen.tolist(), *cells, strict=True))
        rows += len(chosen)
    data = text.getvalue().encode()
    selection = "all" if whole else f"the {TABLE_ROWS} largest |z| per parameter"
    return data, {"rows": rows, "of": layout.size, "selection": selection, "sha256": hashlib.sha256(data).hexdigest()}


def _parse_table(stream: BinaryIO, declared: dict[str, Any]) -> CoordinateTable:
    data = stream.read()
    if hashlib.sha256(data).hexdigest() != declared["sha256"]:
        raise ValueError("the table is not the one that result.json was written with")
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    if tuple(header) != TABLE_COLUMNS or len(rows) != declared["rows"]:
        raise ValueError("its columns or its rows are not those that result.json declares")
    fields = zip(*rows, strict=True) if rows else [()] * len(header)
    columns: dict[str, list[Any]] = {
        name: [_unguard(x) for x in column] if name == "parameter" else [int(x) for x in column] if name == "index"
        else [float(x) if x else math.nan for x in column]
        for name, column in zip(header, fields, strict=True)
    }  # fmt: skip
    return CoordinateTable(columns, int(declared["of"]), str(declared["selection"]))


# ---- results and references ----------------------------------------------------------------------------------------------------------


def _parse_result(stream: BinaryIO) -> tuple[Result, dict[str, Any] | None]:
    """The result and what it declares about coordinates.csv."""
    body = _parse_json(stream)
    result = Result.from_json(body)
    _require(body, str, "result_id", "status", "estimator", "model", "engine", "moments_sha256")
    _require(body, dict, "config", "parameters", "reference", "nonfinite", "tuning", "provenance")
    if result.status not in ("complete", "partial", "failed"):
        raise ValueError(f"status {result.status!r} is none of complete, partial, failed")
    if body["coordinates"] is not None:
        _require(body, dict, "coordinates")
    return result, body["coordinates"]


@dataclass(frozen=True, eq=False)
class StoredReference:
    reference: Reference
    layout: Layout
    note: dict[str, Any]  # its provenance


def _parse_reference(body: dict[str, Any], arrays: Arrays) -> StoredReference:
    if body["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format version {body['format_version']}, this gsx reads {FORMAT_VERSION}")
    _require(body, str, "id", "kind")
    _require(body, dict, "provenance")
    if body["estimator"] is not None:
        _require(body, str, "estimator")
    layout = _parse_layout(body["layout"])
    if body["arrays_sha256"] != _seal(arrays):
        raise ValueError("reference.npz is not the one that reference.json was written with")
    gradient, se = (_array(arrays, name, "<f8", (layout.size,)) for name in ("gradient", "se"))
    return StoredReference(Reference(body["id"], body["kind"], body["estimator"], gradient, se), layout, body["provenance"])


# ---- the folder ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunDirectory:
    """The folder of one run, or of one reference. Writers create it; whoever writes should hold its lock."""

    path: Path

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
    def _error(self) -> Path:
        return self.path / "error.txt"

    def _create(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _environment_fault(self.path, "cannot be created", error) from error

    # -- the lock

    @contextlib.contextmanager
    def lock(self, wait: bool = False) -> Iterator[None]:
        """Hold the folder against other processes. The operating system keeps the lock and drops it when the holder dies.

        Raises Busy, saying who holds it, unless told to `wait`; EnvironmentFault where the folder or the lock cannot be made.
        """
        self._create()
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except filelock.Timeout:
            raise Busy(f"{self.path}: busy, {self._holder()}") from None
        except OSError as error:
            raise _environment_fault(self.path, "cannot be locked", error) from error
        try:
            for leftover in self.path.glob(".*.tmp"):  # of a holder that was killed while it wrote
                with contextlib.suppress(OSError):
                    leftover.unlink()
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": _COMMAND_STARTED}
            atomic_write(self.path / ".holder", canonical_json(holder).encode())
            yield
        finally:
            with contextlib.suppress(OSError):
                (self.path / ".holder").unlink()
            lock.release()

    def _holder(self) -> str:
        """Who holds the lock, as far as its note can be believed: a killed holder leaves it behind, a new one has yet to write it."""
        try:
            holder = _read(self.path / ".holder", 4096, lambda stream: json.loads(stream.read().decode())) or {}
            pid, host, since = int(holder["pid"]), str(holder["host"]), str(holder["since"])
            if host == socket.gethostname() and os.name == "posix":
                os.kill(pid, 0)
        except PermissionError:
            pass  # alive, and somebody else's
        except (GsxError, OSError, KeyError, TypeError, ValueError, OverflowError):
            return "held by another process"
        return f"held by pid {pid} on {_one_line(host)} since {_one_line(since)}"

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
        arrays = _pack_segments(StoredSegments(segments, dict(fingerprint), result_id, seconds, dict(extra or {})))
        self._create()
        _write_arrays(self._segments, arrays)

    def read_segments(self) -> StoredSegments | None:
        """The last checkpoint, or None. IntegrityError, EnvironmentFault."""
        return _read(self._segments, 2 * MAX_ARRAYS, _parse_segments)

    # -- result.json and coordinates.csv

    def write_result(self, result: Result) -> None:
        """coordinates.csv, then result.json, whose presence says the rest is there. EnvironmentFault; ValueError for a NaN in the body."""
        table, declared = _format_table(result.coordinates) if result.coordinates is not None else (None, None)
        data = _sealed_json({**result.as_json(), "coordinates": declared})
        self._create()
        _remove(self._result)  # an older result never stands beside a newer table
        if table is None:
            _remove(self._table)
        else:
            atomic_write(self._table, table)
        atomic_write(self._result, data)
        if result.status != "failed":
            _remove(self._error)

    def read_result(self) -> Result | None:
        """The result without its arrays, or None. IntegrityError, EnvironmentFault."""
        parsed = _read(self._result, MAX_TEXT, _parse_result)
        return None if parsed is None else parsed[0]

    def read_coordinates(self) -> CoordinateTable | None:
        """The table that belongs to result.json, or None where either was never written. IntegrityError, EnvironmentFault."""
        parsed = _read(self._result, MAX_TEXT, _parse_result)
        if parsed is None or (declared := parsed[1]) is None:
            return None
        table = _read(self._table, MAX_TEXT, lambda stream: _parse_table(stream, declared))
        if table is None:
            raise IntegrityError(f"{self._table}: missing, and result.json declares it; {_ADVICE}")
        return table

    # -- error.txt

    def write_error(self, text: str) -> None:
        """Why the run failed. EnvironmentFault."""
        self._create()
        atomic_write(self._error, text.encode(errors="backslashreplace"))

    def read_error(self) -> str | None:
        """Why the run failed, or None. IntegrityError where error.txt is no text file of a sane size, EnvironmentFault."""
        return _read(self._error, MAX_TEXT, lambda stream: stream.read().decode())

    def discard(self) -> None:
        """Forget the run: what force=true does. EnvironmentFault."""
        _remove(self._result, self._table, self._segments, self._error)  # the completion mark goes first

    # -- reference.json and reference.npz

    def write_reference(self, reference: Reference, layout: Layout, note: Mapping[str, Any]) -> None:
        """A shared reference, with `note` as its provenance. EnvironmentFault; ValueError for arrays that are no finite `[P]` float64."""
        arrays = {"gradient": _plain("gradient", reference.gradient), "se": _plain("se", reference.se)}
        body = {
            "format_version": FORMAT_VERSION,
            "id": reference.id,
            "kind": reference.kind,
            "estimator": reference.estimator,
            "error": reference.error,
            "layout": layout.as_json(),
            "arrays_sha256": _seal(arrays),
            "provenance": dict(note),
        }
        for name in arrays:
            if not np.isfinite(_array(arrays, name, "<f8", (layout.size,))).all():
                raise ValueError(f"array {name!r} of a reference is not finite")
        data = _sealed_json(body)
        self._create()
        _remove(self.path / "reference.json")  # it marks completion, as result.json does
        _write_arrays(self.path / "reference.npz", arrays)
        atomic_write(self.path / "reference.json", data)

    def read_reference(self) -> StoredReference | None:
        """The reference, or None where it was not finished. IntegrityError, EnvironmentFault."""
        body = _read(self.path / "reference.json", MAX_TEXT, _parse_json)
        if body is None:
            return None
        stored = _read(self.path / "reference.npz", 2 * MAX_ARRAYS, lambda stream: _parse_reference(body, _parse_arrays(stream)))
        if stored is None:
            raise IntegrityError(f"{self.path / 'reference.npz'}: missing, and reference.json declares it; {_ADVICE}")
        return stored


def find_runs(paths: Iterable[Path]) -> Iterator[RunDirectory]:
    """Every folder at or below `paths` that holds a result, a checkpoint or an error; in the order of their paths, each once.

    Symbolic links, hidden folders and references are not entered. ConfigurationError for a path that is no folder; EnvironmentFault for
    one that cannot be read, because a report that silently leaves a result out is wrong.
    """
    found: dict[str, Path] = {}

    def fault(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a folder that vanished under the walk
            raise _environment_fault(Path(error.filename), "cannot be read", error)

    for path in paths:
        if not path.is_dir():
            raise ConfigurationError(f"{path}: no such folder")
        for folder, subfolders, files in os.walk(path, onerror=fault):
            subfolders[:] = [name for name in subfolders if not name.startswith((".", "reference-"))]
            if not {"result.json", "segments.npz", "error.txt"}.isdisjoint(files):
                found.setdefault(os.path.realpath(folder), Path(folder))
    return (RunDirectory(path) for path in sorted(found.values()))
