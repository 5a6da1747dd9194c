"""Addresses by content: a result and all who check it must come to the same one."""

from __future__ import annotations

import hashlib
from typing import Any

from gsx.records.canonical import canonical_json


def digest(facts: Any) -> str:
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def result_id(moments: str, num_replicates: int) -> str:
    """Of the first so many replicates of a sequence of blocks."""
    return digest({"moments": moments, "num_replicates": num_replicates})
