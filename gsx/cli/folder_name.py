"""What the folder of a run or of a training is called: readable words, and the beginning of what it is addressed by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gsx.registry import Room, find, schema


def folder_name(words: Sequence[str], identity: str) -> str:
    return f"{'-'.join(words)[:100]}-{identity[:12]}"


def telling_words(config: Mapping[str, Any], plugins: list[str], num_samples: int) -> list[str]:
    """The model and the estimator, each with what is not as usual about it, and N."""
    words = []
    rooms: tuple[tuple[Room, str], ...] = (("models", "model"), ("estimators", "estimator"))
    for room, group in rooms:
        settings = config[group]
        usual = schema(find(room, settings["name"], plugins))
        words.append(settings["name"])
        words += [f"{key}_{_safe(value)}" for key, value in settings.items() if key in usual and value != usual[key].default]
        if "checkpoint" in settings:
            words.append(f"at_{settings['checkpoint'][:8]}")
    return [*words, f"n{num_samples}"]


def broken_name(given: Mapping[str, Any]) -> str:
    """Of what has no identity, as its own code raises before it has one: it is addressed by what was asked for."""
    asked = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
    return f"{'-'.join(map(_safe, chosen(given)))[:100]}-broken-{asked[:12]}"


def chosen(given: Mapping[str, Any]) -> list[str]:
    """The names of the model and of the estimator that are asked for."""
    return [str(given[group].get("name")) for group in ("model", "estimator")]


def _safe(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else "_".join(map(_safe, value)) if isinstance(value, list) else str(value)
    return "".join(c if c.isalnum() or c in "._" else "_" for c in text)
