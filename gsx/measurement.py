"""One measurement from beginning to end: what `gsx run` calls, and what a notebook calls."""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsx import statistics
from gsx.accumulate import accumulate
from gsx.accumulator import Accumulator, Plan
from gsx.configuration import Configuration
from gsx.distributions import Discrete, KSubset
from gsx.draws import check_draws, draws
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.identity import moments_id, reference_id, result_id, source
from gsx.models.base import Model
from gsx.moments import moments
from gsx.probe import probe, sites
from gsx.process import keep_freed_memory, one_thread_each
from gsx.program import Program
from gsx.provenance import fingerprint, peak_bytes, provenance
from gsx.records import ConfigurationError, Cost, IntegrityError, Reference, Result, Segments
from gsx.reference import check_exact, check_reference, exact_gradient, reference_gradient
from gsx.routes import choose
from gsx.store import RunDirectory, StoredSegments, check_fingerprint
from gsx.tune import tune
from gsx.yardstick import time_ratio

#: The groups of a configuration, each with the key that chooses in it.
GROUPS = {"model": "name", "estimator": "name", "device": "name", "data": "name", "reference": "kind", "tune": "kind"}

#: ``progress(what, replicates)`` opens a bar for that many replicates and returns the function that moves it.
Progress = Callable[[str, int], Callable[[int], None]]


def measure(
    model: str | Mapping[str, Any] | Model,
    estimator: str | Mapping[str, Any] | Estimator,
    *,
    directory: str | Path | None = None,
    progress: Progress | None = None,
    blocks_per_task: int | None = None,
    **settings: Any,
) -> Result:
    """Bias, variance, error and cost of an estimator's gradient on a model.

    ``model`` and ``estimator`` are names, mappings like ``{"name": "concrete", "temperature": 0.5}``, or objects. ``settings`` are the keys
    of `gsx run` (num_samples, num_replicates, block_size, seed, dtype, wrt, engine, workers, device, data, reference, tune, plugins,
    force).
    With a ``directory`` the run lives there: it is resumed if unfinished, returned if complete; its reference is shared through the parent.
    ``blocks_per_task`` is scheduling, like ``workers``: it does not change a bit of the result.

    Raises ConfigurationError before any work, MissingData, and with a directory Busy, IntegrityError and EnvironmentFault.
    """
    named = {"model": model, "estimator": estimator} | settings
    for group, key in GROUPS.items():
        if isinstance(named.get(group), str):
            named[group] = {key: named[group]}
    if directory is not None and (isinstance(model, Model) or isinstance(estimator, Estimator)):
        raise ConfigurationError(f"directory={directory}: an object made by hand has no identity to store it by; leave directory out")
    if isinstance(estimator, Estimator) and settings.get("num_samples") not in (None, estimator.num_samples):
        raise ConfigurationError(f"num_samples={settings['num_samples']}: the estimator that was given has {estimator.num_samples}")
    measurement = Measurement(
        Configuration.of(named),
        model=model if isinstance(model, Model) else None,
        estimator=estimator if isinstance(estimator, Estimator) else None,
    )
    return measurement.run(None if directory is None else Path(directory), progress, blocks_per_task)


class Measurement:
    """A configuration made concrete: everything that can be wrong has been checked, everything that identifies the result is known."""

    @one_thread_each()
    def __init__(self, configuration: Configuration, model: Model | None = None, estimator: Estimator | None = None) -> None:
        keep_freed_memory()
        self.configuration = configuration
        # A copy, because tuning changes it: an object can be measured twice with the same answer.
        self.estimator = configuration.build_estimator() if estimator is None else copy.deepcopy(estimator)
        dataset = None if model is not None else configuration.dataset()
        self.model = configuration.build_model(dataset) if model is None else model
        self.program = Program(
            self.model,
            wrt=configuration.wrt,
            dtype=getattr(torch, configuration.dtype),
            device=configuration.device.name,
            parameters=configuration.parameters,
        )
        self.exact = isinstance(self.estimator, Exact)
        if self.exact:
            check_exact(self.program)
            self.plan = Plan(block_size=1, blocks=1, segments=64)
            self.engine = "exact"
        else:
            self.seen = probe(self.program, self.estimator)
            self.route = choose(configuration.engine, self.program, self.estimator, self.seen)
            self.plan = Plan.of(configuration.num_replicates, configuration.block_size, self.program.layout.size)
            self.engine = self.route.name
        self._check_draws()
        self.tuned_so = configuration.tune.of(self.estimator)
        check_reference(self.program, configuration.reference)
        canonical = configuration.canonical()
        if dataset is not None:
            canonical["data"]["binarization"] = dataset.binarization
        self.config = canonical | {
            "tune": dataclasses.asdict(self.tuned_so),
            "num_samples": self.estimator.num_samples,
            "num_replicates": self.plan.num_replicates,
            "block_size": self.plan.block_size,
            "engine": self.engine,
        }
        self.reference_id = reference_id(self.config, source(self.model), None if dataset is None else dataset.digest)
        self.moments_id = moments_id(self.config, source(self.estimator), self.reference_id)
        self.result_id = result_id(self.moments_id, self.plan.num_replicates)
        self.fingerprint = fingerprint(self.program.device)
        self._tuning: dict[str, Any] | None = None

    @property
    def workers(self) -> int:
        """How many blocks are computed at a time; one on a GPU, which is busy with one block."""
        if self.program.device.type == "cuda":
            return 1
        return self.configuration.workers or os.cpu_count() or 1

    # --------------------------------------------------------------------------------------------------------------------- running

    @one_thread_each()
    def run(self, directory: Path | None = None, progress: Progress | None = None, blocks_per_task: int | None = None) -> Result:
        """The result: read where it is complete, else computed, from the last checkpoint where there is one."""
        if directory is None:
            if self.configuration.draws:
                raise ConfigurationError(f"draws={self.configuration.draws}: draws are kept in the folder of a run; give a directory")
            return self._measure(None, self._reference(None, progress), progress, blocks_per_task)
        folder, wanted = RunDirectory(directory), self.configuration.draws
        with folder.lock():
            if self.configuration.force:
                folder.discard()
            stored = self.complete(folder)
            if stored is not None:
                return stored
            result = self._measure(folder, self._reference(directory.parent, progress), progress, blocks_per_task)
            if wanted:
                folder.write_draws(draws(self.route, self.plan, wanted, seed=self.configuration.seed))
            folder.write_result(result)
            return result

    def complete(self, folder: RunDirectory) -> Result | None:
        """The finished result of this very measurement in a folder, with the files it declares and the draws that are wanted, or None.

        IntegrityError where damaged.
        """
        stored = folder.read_result()
        if stored is None or stored.status != "complete" or stored.result_id != self.result_id or folder.read_coordinates() is None:
            return None
        # An identity stands for all that numbers depend on; what the file says else, nobody vouches for.
        if (stored.model, stored.estimator) != (self.model.name, self.estimator.name):
            raise IntegrityError(f"{folder.path}: holds a result of {stored.estimator} on {stored.model}; force=true starts anew")
        wanted = min(self.configuration.draws, self.plan.num_replicates)
        if wanted and ((kept := folder.read_draws()) is None or len(kept["replicate"]) < wanted):
            return None
        if not self.exact and not (folder.path / "segments.npz").exists():
            return None
        return dataclasses.replace(stored, config=self.config)

    def _check_draws(self) -> None:
        if self.configuration.draws and self.exact:
            raise ConfigurationError(f"draws={self.configuration.draws}: {self.estimator.name} draws nothing")
        if self.configuration.draws:
            check_draws(self.configuration.draws, self.route)

    def _reference(self, root: Path | None, progress: Progress | None) -> Reference:
        """The reference gradient, computed once for all the runs below a root."""

        def compute(resume: Segments | None, checkpoint: Callable[[Segments], None]) -> Reference:
            return reference_gradient(
                self.program,
                self.configuration.reference,
                seed=self.configuration.seed,
                workers=self.workers,
                progress=progress,
                resume=resume,
                checkpoint=checkpoint,
            )

        if root is None:
            return dataclasses.replace(compute(None, lambda segments: None), id=self.reference_id)
        folder = RunDirectory(root / f"reference-{self.reference_id[:12]}")
        with folder.lock(wait=True):
            try:
                stored, unfinished = folder.read_reference(), folder.read_segments()
            except IntegrityError:
                if not self.configuration.force:
                    raise
                folder.discard()
                stored = unfinished = None
            if stored is not None:
                return stored.reference
            if unfinished is not None:
                check_fingerprint(unfinished.fingerprint, self.fingerprint)
            found = compute(
                None if unfinished is None else unfinished.segments,
                lambda segments: folder.write_segments(segments, self.fingerprint, self.reference_id),
            )
            reference = dataclasses.replace(found, id=self.reference_id)
            folder.write_reference(reference, self.program.layout, provenance(self.program.device, self.workers))
            return reference

    def _measure(self, folder: RunDirectory | None, reference: Reference, progress: Progress | None, blocks_per_task: int | None) -> Result:
        if self._tuning is None:  # tuned once, then frozen: another run of the same measurement is the same measurement
            self._tuning = {} if self.exact else tune(self.estimator, self.program, self.seen, self.tuned_so, seed=self.configuration.seed)
        if self.exact:
            segments, cost = self._evaluate_once()
        else:
            segments, cost = self._accumulate(folder, reference, progress, blocks_per_task)
        self_referenced = reference.kind == "long_run" and reference.estimator == self.estimator.name
        analysis = statistics.analyse(
            segments,
            reference,
            cost,
            dtype=self.configuration.dtype,
            self_referenced=self_referenced,
            biased_because=self.estimator.biased_because(self.model),
            deterministic_by_construction=self.exact,
            rarest_draws=self._rarest_draws(),
        )
        return Result(
            result_id=self.result_id,
            status="complete",
            config=self.config,
            estimator=self.estimator.name,
            model=self.model.name,
            engine=self.engine,
            num_samples=self.estimator.num_samples,
            num_replicates=self.plan.num_replicates,
            blocks=self.plan.blocks,
            summary=analysis.summary,
            parameters=analysis.parameters,
            reference={"id": reference.id, "kind": reference.kind, "estimator": reference.estimator, "error": reference.error},
            verdict=analysis.verdict,
            cost=cost,
            nonfinite=analysis.nonfinite,
            tuning=self._tuning,
            moments_sha256=segments.digest(),
            provenance=provenance(self.program.device, self.workers),
            facts=self._facts(),
            coordinates=analysis.coordinates,
            segments=segments,
        )

    def _facts(self) -> dict[str, Any]:
        found = sites(self.program) if self.exact else self.seen.sites
        return {
            "distributions": sorted({type(site.q).__name__ for site in found.values()}),
            "needs_cost_gradient": self.estimator.needs_cost_gradient,
            "unbiased": self.estimator.biased_because(self.model) is None,
        }

    def _rarest_draws(self) -> float | None:
        """How often the least probable state of any discrete coordinate is expected in all draws together; None without one."""
        discrete = [] if self.exact else [site.q for site in self.seen.sites.values() if isinstance(site.q, Discrete | KSubset)]
        if not discrete:
            return None
        rarest = min(float(q.coordinate_points(1)[1].min()) for q in discrete)
        return rarest * self.plan.num_replicates * self.estimator.num_samples

    def _evaluate_once(self) -> tuple[Segments, Cost]:
        """`exact` has no noise: one replicate, in segment 0."""
        started = time.monotonic()
        gradient, evaluations = exact_gradient(self.program)
        accumulator = Accumulator(self.program.layout, self.plan.segments, torch.device("cpu"))
        accumulator.add(0, moments(torch.from_numpy(gradient)[None], None))
        segments = dataclasses.replace(accumulator.segments(), cosine_mean=None)
        return segments, Cost(evaluations, 0, 0, seconds=time.monotonic() - started, peak_bytes=peak_bytes(self.program.device))

    def _accumulate(
        self, folder: RunDirectory | None, reference: Reference, progress: Progress | None, blocks_per_task: int | None
    ) -> tuple[Segments, Cost]:
        """The moments of all blocks, and what they cost."""
        started, device = time.monotonic(), self.program.device
        accumulator, seconds = self._resumed(folder)
        ratio, ratio_log_se = time_ratio(self.route, self.plan.block_size, self.configuration.seed)
        advance = progress(self.estimator.name, self.plan.num_replicates) if progress else lambda replicates: None
        advance(self.plan.block_size * int(accumulator.blocks.sum()))
        norm = float(np.linalg.norm(reference.gradient))
        direction = torch.from_numpy(reference.gradient / norm).to(device) if norm > 0 else None

        def checkpoint() -> None:
            if folder is not None:
                spent = seconds + time.monotonic() - started
                folder.write_segments(accumulator.segments(), self.fingerprint, self.moments_id, seconds=spent)

        accumulate(
            accumulator,
            self.route,
            self.plan,
            seed=self.configuration.seed,
            stream="base",
            direction=direction,
            workers=self.workers,
            blocks_per_task=blocks_per_task,
            progress=advance,
            checkpoint=checkpoint,
        )
        checkpoint()
        segments = accumulator.segments()
        cost = Cost(
            self.seen.evaluations,
            self.seen.gradient_evaluations,
            self.seen.random_numbers,
            seconds=seconds + time.monotonic() - started,
            time_ratio=ratio,
            time_ratio_log_se=ratio_log_se,
            peak_bytes=peak_bytes(device),
        )
        return (segments if direction is not None else dataclasses.replace(segments, cosine_mean=None)), cost

    def _resumed(self, folder: RunDirectory | None) -> tuple[Accumulator, float]:
        """Where to start: from this run's checkpoint, else from that of the largest smaller run of the same blocks, else from nothing.

        Raises IntegrityError where a checkpoint is corrupted, of another measurement, or from another machine or version.
        """
        device = self.program.device
        if folder is not None and not self.configuration.force:
            stored = folder.read_segments()
            if stored is not None:
                if stored.result_id != self.moments_id:
                    raise IntegrityError(f"{folder.path}: holds the moments of another measurement; force=true starts anew")
                check_fingerprint(stored.fingerprint, self.fingerprint)
                return Accumulator.resume(stored.segments, device), stored.seconds
            alike = folder.path.parent.glob(f"{folder.path.name.rpartition('-')[0]}-*")
            smaller = [found for path in sorted(alike) if (found := self._beginning(RunDirectory(path)))]
            if smaller:
                largest = max(smaller, key=lambda found: int(found.segments.blocks.sum()))
                return Accumulator.resume(largest.segments, device), largest.seconds
        return Accumulator(self.program.layout, self.plan.segments, device, materialises=self.route.materialises), 0.0

    def _beginning(self, neighbour: RunDirectory) -> StoredSegments | None:
        """A neighbour's moments, where they are those of the first blocks of this run."""
        try:
            stored = neighbour.read_segments()
        except IntegrityError:  # its own run will say so
            return None
        if stored is None or stored.result_id != self.moments_id or stored.fingerprint != self.fingerprint:
            return None
        return stored if int(stored.segments.blocks.sum()) <= self.plan.blocks else None
