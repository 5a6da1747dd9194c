"""One measurement from beginning to end."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gsx import torchrun
from gsx.accumulator import Plan
from gsx.conclusion import conclude, unopened
from gsx.configuration import Configuration
from gsx.draws import check_draws, draws
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.facts import facts, rarest
from gsx.identity import moments_id, reference_id, source
from gsx.models.base import Model
from gsx.probe import probe, sites
from gsx.process import keep_freed_memory, one_thread_each
from gsx.program import Program
from gsx.provenance import fingerprint, provenance
from gsx.records import ConfigurationError, IntegrityError, Part, Reference, Result, result_id
from gsx.reference import check_exact, check_reference
from gsx.replication import Drawn, evaluate_once, replicate
from gsx.replication import Progress as Progress
from gsx.resume import Place, Wanted
from gsx.routes import choose
from gsx.shards import own
from gsx.shared_reference import shared_reference
from gsx.store import MOVE_AWAY, RunDirectory, find_shards
from gsx.tune import tune


class Measurement:
    """A configuration made concrete: everything that can be wrong has been checked, everything that identifies the result is known."""

    @one_thread_each()
    def __init__(self, configuration: Configuration, model: Model | None = None, estimator: Estimator | None = None) -> None:
        keep_freed_memory()
        self.configuration = configuration
        #: Of which another process makes the same measurement; None where objects were made by hand.
        self.given = configuration.as_given() if model is None and estimator is None else None
        # A copy, because tuning changes it: an object can be measured twice with the same answer.
        self.estimator = configuration.build_estimator() if estimator is None else copy.deepcopy(estimator)
        dataset = None if model is not None else configuration.dataset()
        self.model = configuration.build_model(dataset) if model is None else model
        self.program = Program(
            self.model,
            wrt=configuration.wrt,
            dtype=getattr(torch, configuration.dtype),
            device=configuration.torch_device,
            parameters=configuration.parameters,
        )
        self.exact = isinstance(self.estimator, Exact)
        if self.exact:
            check_exact(self.program)
            self.plan = Plan(block_size=1, blocks=1, segments=64)
            self.engine = "exact"
            self.shard = None  # there is nothing to cut
        else:
            with self._within_range():
                self.seen = probe(self.program, self.estimator)
            self.route = choose(configuration.engine, self.program, self.estimator, self.seen)
            self.engine = self.route.name
            self.shard = configuration.share
            self.plan = self._planned()
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
        if self.exact:
            self.config.pop("target_se", None)  # it has no error
        self.reference_id = reference_id(self.config, source(self.model), None if dataset is None else dataset.digest)
        self.moments_id = moments_id(self.config, source(self.estimator), self.reference_id)
        self.result_id = result_id(self.moments_id, self.plan.num_replicates)
        self.fingerprint = fingerprint(self.program.device)
        self._tuning: dict[str, Any] | None = None

    @contextlib.contextmanager
    def _within_range(self) -> Iterator[None]:
        """Python's floats raise where those of torch become infinite: a power of a setting, a division by one."""
        try:
            yield
        except ArithmeticError as error:
            what = f"{self.model.name} with {self.estimator.name}"
            raise ConfigurationError(f"model={what}: these settings lead out of the range of numbers: {error}") from error

    @property
    def workers(self) -> int:
        """How many blocks are computed at a time; one on a GPU, which is busy with one block."""
        if self.program.device.type == "cuda":
            return 1
        return self.configuration.workers or max(1, (os.cpu_count() or 1) // torchrun.ranks_here(self.configuration.shard))

    def _planned(self) -> Plan:
        """The blocks. With a target, their size is that of a run that ends where it is looked at first: 1/64 of the most."""
        given, size = self.configuration, self.program.layout.size
        block_size = given.block_size
        if given.target_se is not None and block_size is None:
            block_size = Plan.of(-(-given.num_replicates // 64), None, size).block_size
        plan = Plan.of(given.num_replicates, block_size, size)
        if self.shard is None:
            return plan
        if self.shard.of > plan.segments:
            raise ConfigurationError(f"shard={self.shard}: at most {plan.segments} shards here, one for each segment")
        return dataclasses.replace(plan, shard=self.shard)

    # --------------------------------------------------------------------------------------------------------------------- running

    @one_thread_each()
    def run(self, directory: Path | None = None, progress: Progress | None = None, blocks_per_task: int | None = None) -> Result:
        """The result: read where it is complete, else computed, from the last checkpoint where there is one.

        Of a shard: its part of the result, or the whole one where that is complete. `exact` has nothing to cut: the shard that comes first
        computes it, the others wait for it.
        """
        if directory is None:
            for key in ("draws", "shard"):
                if getattr(self.configuration, key):
                    raise ConfigurationError(f"{key}={getattr(self.configuration, key)}: needs the folder of a run; give a directory")
            return self._measure(None, self._reference(None, progress), progress, blocks_per_task)
        folder, wanted = self.folder(directory), self.configuration.draws
        with folder.lock(wait=self.exact and self.configuration.share is not None):
            if self.configuration.force:
                self._discard(directory)
            elif (stored := self.complete(directory)) is not None:
                return stored
            folder.forget_error()
            result = self._measure(directory, self._reference(directory.parent, progress), progress, blocks_per_task)
            plan = dataclasses.replace(self.plan, blocks=result.blocks)
            folder.write_result(result, draws(self.route, plan, wanted, seed=self.configuration.seed) if wanted else None)
            return result

    def folder(self, run: Path) -> RunDirectory:
        """Where this measurement writes: the folder of the run, or that of a shard in it."""
        return RunDirectory(run if self.shard is None else run / self.shard.folder)

    def complete(self, run: Path) -> Result | None:
        """The finished result of this very measurement in the folder of a run, with the files it declares and the draws that are wanted, or
        None. For a shard its own part will do, and the whole may be damaged.

        IntegrityError where damaged; a table that is missing is made anew from the moments.
        """
        if self.shard is None:
            return self._complete(RunDirectory(run))
        with contextlib.suppress(IntegrityError):
            if (whole := self._complete(RunDirectory(run))) is not None:
                return whole
        folder = self.folder(run)
        stored = folder.read_result()
        if stored is None or stored.result_id != self.result_id or stored.part is None or stored.part.shard != self.shard:
            return None
        return stored if folder.holds_moments(stored) else None

    def _complete(self, folder: RunDirectory) -> Result | None:
        stored = folder.read_stored()
        if stored is None or stored.result.status != "complete" or stored.result.result_id != self.result_id or folder.lacks(stored):
            return None
        result = stored.result
        # An identity stands for all that numbers depend on; what the file says else, nobody vouches for.
        if (result.model, result.estimator) != (self.model.name, self.estimator.name):
            raise IntegrityError(f"{folder.path}: holds a result of {result.estimator} on {result.model}; {MOVE_AWAY}")
        wanted = min(self.configuration.draws, result.num_replicates)
        table, kept = folder.read_coordinates(stored), folder.read_draws(stored)
        if table is None or (wanted and (kept is None or len(kept["replicate"]) < wanted)):
            return None
        if not self.exact and not folder.holds_moments(result):
            return None
        return dataclasses.replace(result, config=self.config)

    def _discard(self, run: Path) -> None:
        """Forget what was there: of a run its shards too."""
        self.folder(run).discard()
        for folder in find_shards(run).values() if self.shard is None else ():
            with folder.lock():
                folder.discard()

    def _check_draws(self) -> None:
        if self.configuration.draws and self.exact:
            raise ConfigurationError(f"draws={self.configuration.draws}: {self.estimator.name} draws nothing")
        if self.configuration.draws:
            check_draws(self.configuration.draws, self.route)

    def _reference(self, root: Path | None, progress: Progress | None) -> Reference:
        """The reference gradient, computed once for all the runs below a root."""
        with self._within_range():
            return shared_reference(
                self.program,
                self.configuration.reference,
                root,
                self.reference_id,
                fingerprint=self.fingerprint,
                seed=self.configuration.seed,
                workers=self.workers,
                given=self.given,
                force=self.configuration.force,
                progress=progress,
            )

    def _measure(self, run: Path | None, reference: Reference, progress: Progress | None, blocks_per_task: int | None) -> Result:
        if self._tuning is None:  # tuned once, then frozen: another run of the same measurement is the same measurement
            self._tuning = {} if self.exact else tune(self.estimator, self.program, self.seen, self.tuned_so, seed=self.configuration.seed)
        if self.exact:
            drawn = evaluate_once(self.program, self.plan.segments)
        else:
            drawn = replicate(
                self.route,
                self.plan,
                self.seen,
                reference,
                None if run is None else self._place(run),
                seed=self.configuration.seed,
                given=self.given,
                target_se=self.configuration.target_se,
                workers=self.workers,
                blocks_per_task=blocks_per_task,
                progress=None if progress is None else functools.partial(progress, self.estimator.name),
            )
        known = self._known(drawn, reference)
        return known if self.shard is not None else conclude(known, drawn.segments, reference, drawn.cost)

    def _place(self, run: Path) -> Place:
        most = self.plan.blocks // self.plan.segments
        wanted = Wanted(self.moments_id, self.fingerprint, self.plan.segments, most, self.plan.shard)
        return Place(RunDirectory(run), self.folder(run), wanted, anew=self.configuration.force)

    def _known(self, drawn: Drawn, reference: Reference) -> Result:
        """All but the statistics: what a shard stores."""
        segments = own(drawn.segments, self.plan.shard)
        found = sites(self.program) if self.exact else self.seen.sites
        part = Part(
            self.plan.shard,
            self.estimator.biased_because(self.model),
            None if self.exact else rarest(found),
            drawn.cost.time_ratio_log_se,
        )
        summary, verdict = unopened(part)
        return Result(
            result_id=self.result_id,
            status="partial",
            config=self.config,
            estimator=self.estimator.name,
            model=self.model.name,
            engine=self.engine,
            num_samples=self.estimator.num_samples,
            num_replicates=int(segments.count.sum()),
            blocks=int(segments.blocks.sum()),
            summary=summary,
            parameters={},
            reference={"id": reference.id, "kind": reference.kind, "estimator": reference.estimator, "error": reference.error},
            verdict=verdict,
            cost=drawn.cost,
            nonfinite={},
            tuning=self._tuning or {},
            moments_sha256=segments.digest(),
            provenance=provenance(self.program.device, self.workers),
            facts=facts(self.estimator, self.model, found),
            stopping=drawn.stopping,
            part=part,
        )
