"""One reference for all the runs, and all the shards, below a folder: who comes first computes it, the others wait for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gsx.program import Program
from gsx.provenance import provenance
from gsx.records import ConfigurationError, IntegrityError, Reference, Segments
from gsx.reference import ReferenceSettings, reference_gradient
from gsx.replication import Progress
from gsx.store import MOVE_AWAY, RunDirectory, check_fingerprint


def shared_reference(
    program: Program,
    settings: ReferenceSettings,
    root: Path | None,
    identity: str,
    *,
    fingerprint: Mapping[str, str],
    seed: int,
    workers: int,
    given: Mapping[str, Any] | None,
    force: bool,
    progress: Progress | None,
) -> Reference:
    """The reference gradient in its folder below a root, which goes on from its checkpoint and is never computed twice; or, without a root,
    computed and kept nowhere. ``force`` computes one anew that is damaged.

    Raises ConfigurationError where it is not finite, IntegrityError, EnvironmentFault.
    """

    def compute(resume: Segments | None, checkpoint: Callable[[Segments], None]) -> Reference:
        with np.errstate(all="ignore"):
            found = reference_gradient(
                program, settings, seed=seed, workers=workers, given=given, progress=progress, resume=resume, checkpoint=checkpoint
            )
        if not (np.isfinite(found.gradient).all() and np.isfinite(found.se).all()):
            raise ConfigurationError(f"model={program.model.name}: its gradient is not finite at these parameters: there is no reference")
        return dataclasses.replace(found, id=identity)

    if root is None:
        return compute(None, lambda segments: None)
    folder = RunDirectory(root / f"reference-{identity[:12]}")
    with folder.lock(wait=True):
        try:
            stored, unfinished = folder.read_reference(), folder.read_segments()
            if not {stored and stored.reference.id, unfinished and unfinished.result_id} <= {None, identity}:
                raise IntegrityError(f"{folder.path}: holds another reference; {MOVE_AWAY}; no run is touched")
        except IntegrityError:
            if not force:
                raise
            folder.discard()
            stored = unfinished = None
        if stored is not None:
            return stored.reference
        if unfinished is not None:
            check_fingerprint(unfinished.fingerprint, fingerprint)
        reference = compute(
            None if unfinished is None else unfinished.segments,
            lambda segments: folder.write_segments(segments, fingerprint, identity),
        )
        folder.write_reference(reference, program.layout, provenance(program.device, workers))
        return reference
