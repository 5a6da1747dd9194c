"""Many stored results out of a few measured ones: what reading ten thousand cells costs can be timed without measuring ten thousand."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from pathlib import Path
from typing import Any

from gsx.notebook import measure
from gsx.records import Result, canonical_json
from gsx.store import RunDirectory

ESTIMATORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("concrete", {"temperature": 0.5}),
    ("st_gumbel", {"temperature": 0.5}),
    ("reinforce", {}),
    ("rloo", {}),
    ("disarm", {}),
)
TARGETS = tuple(round(0.05 * (1 + step), 2) for step in range(10))
TEMPERATURES = tuple(round(0.1 * (1 + step), 1) for step in range(20))


def fabricate(root: Path, cells: int, *, replicates: int = 1024) -> None:
    """`cells` complete runs below a folder: five that were measured, stored again under other targets, temperatures and seeds.

    The copies are sealed as the store seals any result, and say what they are; their numbers mean nothing.
    """
    settings = {"name": "bernoulli_toy", "target": 0.45}
    measured = [
        measure(settings, {"name": name, **tunables}, num_replicates=replicates, workers=1, directory=root / "measured" / name)
        for name, tunables in ESTIMATORS
    ]
    stored = [RunDirectory(root / "measured" / name).read_segments() for name, _ in ESTIMATORS]
    grid = list(itertools.product(TARGETS, TEMPERATURES, range(len(ESTIMATORS))))
    for number in range(cells - len(ESTIMATORS)):
        seed, place = divmod(number, len(grid))
        target, temperature, which = grid[place]
        result, segments = measured[which], stored[which]
        assert segments is not None
        copy = _again(result, target, temperature, seed)
        folder = RunDirectory(root / "sweep" / f"{copy.model}-{copy.estimator}-n{copy.num_samples}-{copy.result_id[:12]}")
        folder.write_segments(segments.segments, segments.fingerprint, copy.result_id)
        folder.write_result(copy)


def _again(result: Result, target: float, temperature: float, seed: int) -> Result:
    """The same numbers under another configuration."""
    tunables = {"temperature": temperature} if "temperature" in result.config["estimator"] else {}
    config = result.config | {
        "model": result.config["model"] | {"target": target},
        "estimator": result.config["estimator"] | tunables,
        # What has no temperature takes it as one more seed, so that every cell is another configuration.
        "seed": 1 + seed if tunables else 1 + seed * len(TEMPERATURES) + TEMPERATURES.index(temperature),
    }
    identity = hashlib.sha256(canonical_json(config).encode()).hexdigest()
    return dataclasses.replace(result, result_id=identity, config=config, provenance=result.provenance | {"fabricated": True})
