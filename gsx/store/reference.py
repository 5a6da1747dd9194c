"""A shared reference: reference.json says what it is and which reference.npz holds its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from gsx.records import ConfigurationError, Layout, Reference
from gsx.store.arrays import FORMAT_VERSION, Arrays, array_of, parse_arrays, plain, seal
from gsx.store.files import MAX_TEXT
from gsx.store.strict_json import parse_layout, require


@dataclass(frozen=True, eq=False)
class StoredReference:
    reference: Reference
    layout: Layout
    note: dict[str, Any]  # its provenance


def pack_reference(reference: Reference, layout: Layout, note: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """The body of reference.json and the arrays of reference.npz.

    ConfigurationError where they are not finite, ValueError where they are no `[P]` float64.
    """
    arrays = {"gradient": plain("gradient", reference.gradient), "se": plain("se", reference.se)}
    body = {
        "format_version": FORMAT_VERSION,
        "id": reference.id,
        "kind": reference.kind,
        "estimator": reference.estimator,
        "error": reference.error,
        "layout": layout.as_json(),
        "arrays_sha256": seal(arrays),
        "provenance": dict(note),
    }
    for name in arrays:
        if not np.isfinite(array_of(arrays, name, "<f8", (layout.size,))).all():
            raise ConfigurationError(f"reference={reference.kind}: the {name} is not finite, and nothing can be compared with it")
    return body, arrays


def parse_reference(body: dict[str, Any], stream: BinaryIO) -> StoredReference:
    """Of what reference.json says, and reference.npz. Raises anything where they are not such."""
    if body["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format version {body['format_version']}, this gsx reads {FORMAT_VERSION}")
    require(body, str, "id", "kind")
    require(body, dict, "provenance")
    if body["estimator"] is not None:
        require(body, str, "estimator")
    layout = parse_layout(body["layout"])
    arrays = parse_arrays(stream, lambda name, before: max(8 * layout.size, MAX_TEXT))
    if body["arrays_sha256"] != seal(arrays):
        raise ValueError("reference.npz is not the one that reference.json was written with")
    gradient, se = (array_of(arrays, name, "<f8", (layout.size,)) for name in ("gradient", "se"))
    if not (np.isfinite(gradient).all() and np.isfinite(se).all() and (se >= 0).all()):
        raise ValueError("a gradient that is not finite, or a standard error that is none")
    return StoredReference(Reference(body["id"], body["kind"], body["estimator"], gradient, se), layout, body["provenance"])
