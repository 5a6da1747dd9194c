"""segments.npz, the checkpoint of a run: its moments as arrays, and the machine that they may be continued on."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from gsx.records import IntegrityError, Layout, Segments, canonical_json
from gsx.store.arrays import FORMAT_VERSION, Arrays, array_of, check_version, parse_array, parse_arrays, plain, text_of
from gsx.store.files import MAX_TEXT, one_line
from gsx.store.strict_json import parse_layout


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
_MOST_SEGMENTS = 64  #: no run has more
#: Bytes of the text of a layout, at four a letter: names and shapes of some ten thousand parameters.
_MOST_LAYOUT = 4 << 20
_SEGMENT_MEMBERS = {"format_version", "result_id", "fingerprint", "layout", "accumulated_seconds", "moments_sha256", *Segments.ARRAYS}


def pack_segments(stored: StoredSegments) -> Arrays:
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
    arrays |= {name: plain(name, array) for name, array in moments.items() if array is not None}
    for name in sorted(stored.extra):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ValueError(f"extra array {name!r}: letters, digits and _ . - only")
        arrays[_EXTRA + name] = plain(name, stored.extra[name])
    _unpack_segments(arrays)
    return arrays


def _unpack_segments(arrays: Arrays) -> StoredSegments:
    check_version(arrays)
    if foreign := sorted(name for name in arrays if name not in _SEGMENT_MEMBERS and not name.startswith(_EXTRA)):
        raise ValueError(f"array {foreign[0]!r} does not belong here")
    fingerprint = json.loads(text_of(arrays, "fingerprint"))
    if not isinstance(fingerprint, dict) or not all(isinstance(value, str) for value in fingerprint.values()):
        raise ValueError("the fingerprint is no table of texts")
    seconds = float(array_of(arrays, "accumulated_seconds", "<f8", ()))
    if not 0 <= seconds < math.inf:
        raise ValueError(f"accumulated_seconds is {seconds}")
    layout = _layout(text_of(arrays, "layout"))
    number = arrays["blocks"].size if "blocks" in arrays else 0
    moments = {
        name: None
        if name in _OPTIONAL and name not in arrays
        else array_of(arrays, name, _PER_SEGMENT[name], (number,))
        if name in _PER_SEGMENT
        else array_of(arrays, name, "<f8", (number, layout.size))
        for name in Segments.ARRAYS
    }
    extra = {name.removeprefix(_EXTRA): array for name, array in arrays.items() if name.startswith(_EXTRA)}
    return StoredSegments(Segments(layout, **moments), fingerprint, text_of(arrays, "result_id"), seconds, extra)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1)
def _layout(text: str) -> Layout:
    """Parsed once for a file, which asks for it with every array."""
    return parse_layout(text)


def _most(name: str, before: Arrays) -> int:
    """Moments are as large as the layout has it, which stands before them."""
    if name == "layout":
        return _MOST_LAYOUT
    if name not in Segments.ARRAYS:
        return MAX_TEXT
    return 8 * _MOST_SEGMENTS * (1 if name in _PER_SEGMENT else _layout(text_of(before, "layout")).size)


def parse_segments(stream: BinaryIO) -> StoredSegments:
    arrays = parse_arrays(stream, _most)
    stored = _unpack_segments(arrays)
    if stored.segments.digest() != text_of(arrays, "moments_sha256"):
        raise ValueError("the moments do not match moments_sha256")
    return stored


def parse_moments_id(stream: BinaryIO) -> str:
    """Whose moments they are said to be, without reading them."""
    return text_of({"result_id": parse_array(stream, "result_id", 4096)}, "result_id")


#: The way out where a checkpoint is whole, and from elsewhere.
ELSEWHERE = "what is stored is whole, and goes on where it began; here force=true starts anew"


def check_fingerprint(stored: Mapping[str, str], current: Mapping[str, str], advice: str = ELSEWHERE) -> None:
    """IntegrityError that lists what differs between the machine and versions of a checkpoint and the present ones."""
    differing = [
        f"{one_line(key)} was {one_line(stored[key]) if key in stored else 'not recorded'}, "
        f"is {one_line(current[key]) if key in current else 'not recorded'}"
        for key in sorted({*stored, *current})
        if stored.get(key) != current.get(key)
    ]
    if differing:
        raise IntegrityError(f"the machine or the versions changed: {'; '.join(differing)}; {advice}")
