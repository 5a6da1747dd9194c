"""One text for one value."""

from __future__ import annotations

import json
from typing import Any


def canonical_json(data: Any) -> str:
    """One text for one value: sorted keys, no white space, shortest round-trip floats, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
