"""A training made concrete: everything that can be wrong has been checked, everything that identifies it is known."""

from __future__ import annotations

import contextlib
import copy
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsx import registry
from gsx.estimators.base import Estimator
from gsx.identity import source, training_id
from gsx.measurement import Progress
from gsx.models.base import Model
from gsx.naming import label as named
from gsx.probe import Probe, probe
from gsx.process import keep_freed_memory, one_thread_each
from gsx.program import Program
from gsx.provenance import fingerprint, provenance
from gsx.records import ConfigurationError, IntegrityError, Interval, Parameters, Point, Training
from gsx.statistics import student_t_quantile
from gsx.store import MOVE_AWAY, State, TrainingDirectory, check_fingerprint
from gsx.training import events
from gsx.training.configuration import TrainingConfiguration, at_probe
from gsx.training.evaluate import ExactLoss
from gsx.training.rows import Rows, split
from gsx.training.trajectory import FINAL, Trajectory
from gsx.training.variance import Truth
from gsx.training.workers import run_seeds


class Session:
    """What all seeds of a training share: the problem, the estimators by the names under which curves tell of them, the identity."""

    @one_thread_each()
    def __init__(self, configuration: TrainingConfiguration, model: Model | None = None, estimator: Estimator | None = None) -> None:
        keep_freed_memory()
        if configuration.tensorboard:
            events.check()
        self.configuration = configuration
        dataset = None if model is not None else configuration.dataset()
        seed = int(configuration.model.get("seed", 0))
        splits = {} if dataset is None else split(dataset, configuration.data.root, seed)
        self.model = configuration.build_model(splits.get("train")) if model is None else model
        self.dtype, self.device = getattr(torch, configuration.dtype), torch.device(configuration.device.name)
        self.rows = {name: Rows.of(part, self.dtype, self.device) for name, part in splits.items()}
        self.batch = configuration.model.get("batch")
        self._start = self.program()
        self.probe_program = self.program(configuration.wrt)
        self.probe_split = "train" if self.rows else ""
        if self.rows:
            rows = self.rows["train"]
            rows.show(self.probe_program.model, slice(self.batch), len(rows))
            self.probe_program = self.probe_program.at(self.probe_program.params)
        self._made_by_hand = estimator
        self._choose_estimators()
        self._check_schedules()
        self.truth = Truth(self.probe_program, configuration.reference)
        self.exact_loss = ExactLoss(self.program())
        self.config = configuration.canonical() | {"num_samples": self.build(self.chosen).num_samples}
        if dataset is not None:
            self.config["data"]["binarization"] = dataset.binarization
        self.fingerprint = fingerprint(self.device)
        sources = [source(self.model), *(source(self.build(label)) for label in self.labels)]
        self.training_id = training_id(self.config, sources, [part.digest for part in splits.values()])

    def program(self, wrt: str = "all") -> Program:
        """A program of its own, on a copy of the model."""
        kept = self.configuration.parameters
        return Program(self.model, wrt=wrt, dtype=self.dtype, device=self.device, parameters=kept)

    # ----------------------------------------------------------------------------------------------------------------- estimators

    def _choose_estimators(self) -> None:
        configuration = self.configuration
        chosen = configuration.estimator
        if chosen.get("baseline") in ("mean", "optimal"):
            raise ConfigurationError(f"estimator.baseline={chosen['baseline']}: a yardstick on fixed rows, not one to train with")
        probes, own = configuration.probes(), (chosen, configuration.num_samples)
        wanted = [own, *(entry for entry in probes if entry != own)]
        names = [settings["name"] for settings, _ in wanted]
        self._settings: dict[str, tuple[Any, int | None]] = {}
        for settings, samples in wanted:
            label = settings["name"]
            if names.count(label) > 1:
                usual = {key: parameter.default for key, parameter in self._schema(label).items()}
                label = named(label, settings, usual, None if samples == configuration.num_samples else samples)
            self._settings[label] = settings, samples
        self.chosen, *self.probes = self.labels = tuple(self._settings)
        self.seen: dict[str, Probe] = {}
        for label, entry in self._settings.items():
            with contextlib.nullcontext() if entry == own else at_probe(probes.index(entry)):
                estimator = self.build(label)
                if label != self.chosen or estimator.name != "exact":
                    self.seen[label] = probe(self.probe_program, estimator)

    def _schema(self, name: str) -> dict[str, Any]:
        return registry.schema(registry.find("estimators", name, self.configuration.plugins))

    def build(self, label: str) -> Estimator:
        """A new estimator, as it begins."""
        if label == self.chosen and self._made_by_hand is not None:
            return copy.deepcopy(self._made_by_hand)
        settings, samples = self._settings[label]
        return registry.estimator(settings, samples, self.configuration.plugins)

    def _check_schedules(self) -> None:
        schedules = self.configuration.schedules()
        learns = self.build(self.chosen)
        for key in schedules:
            if key == "kl_weight" and not hasattr(self.model, "kl_weight"):
                raise ConfigurationError(f"schedule.kl_weight: {self.model.name} has no divergence to weigh")
            if key.startswith("estimator.") and (learns.tuned_by != "none" or learns.warmup):
                raise ConfigurationError(f"schedule.{key}: {learns.name} learns for itself")
            if key.startswith("estimator.") and self._made_by_hand is not None:
                raise ConfigurationError(f"schedule.{key}: is for an estimator given by its name")

    # -------------------------------------------------------------------------------------------------------------------- running

    def run(self, directory: Path | None = None, progress: Progress | None = None) -> Training:
        """The training: read where it is complete, else computed, from its checkpoints where there are some."""
        if directory is None:
            states, ends = [], {}
            for seed in self.configuration.all_seeds:
                trajectory = self.trajectory(seed, None, progress)
                states.append(trajectory.state())
                ends[seed] = trajectory.parameters()
            return self._training("complete", states, ends, provenance(self.device, self.workers))
        folder = TrainingDirectory(directory)
        with folder.lock():
            if self.configuration.force:
                folder.discard()
            stored = self.complete(folder)
            if stored is not None:
                return stored
            reached = {state.seed: state for state in self._check(folder)}
            origin = provenance(self.device, self.workers)

            def told(state: State) -> None:
                # So that whoever looks at an unfinished training, or one that was killed, sees its curve so far.
                reached[state.seed] = state
                folder.write(self._training("partial", [reached[seed] for seed in sorted(reached)], {}, origin))

            try:
                run_seeds(self, directory, progress, told)
            finally:
                found = {seed: folder.read_state(seed) for seed in self.configuration.all_seeds}
                kept = [state for state in found.values() if state is not None]
                whole = len(kept) == len(found) and all(state.step >= self.configuration.steps for state in kept)
                ends = {state.seed: _parameters(state) for state in kept} if whole else {}
                origin = provenance(self.device, self.workers)
                training = self._training("complete" if whole else "partial", kept, ends, origin)
                folder.write(training)
            return training

    @one_thread_each()
    def trajectory(
        self,
        seed: int,
        directory: Path | None,
        progress: Progress | None = None,
        told: Callable[[State], None] = lambda state: None,
    ) -> Trajectory:
        """One seed, run to its end, from its checkpoint where there is one; ``told`` of each checkpoint that is on disk."""
        configuration = self.configuration
        folder = None if directory is None else TrainingDirectory(directory)
        state = None if folder is None else folder.read_state(seed)
        watch = self._watcher(seed, directory, 0 if state is None else state.step)
        trajectory = Trajectory(self, seed, watch)
        if state is not None:
            check_fingerprint(state.fingerprint, self.fingerprint)
            trajectory.resume(state)
        advance = progress(f"{self.chosen}, seed {seed}", configuration.steps) if progress else lambda steps: None
        advance(trajectory.step)

        def checkpoint(state: State) -> None:
            if folder is not None:
                folder.write_state(state)
                told(state)

        trajectory.run(checkpoint, advance)
        return trajectory

    def _watcher(self, seed: int, directory: Path | None, step: int) -> Callable[[Point], None]:
        if not self.configuration.tensorboard or directory is None:
            return lambda point: None
        return events.watcher(directory / "tensorboard" / f"seed{seed}", step)

    def complete(self, folder: TrainingDirectory) -> Training | None:
        """The finished training in a folder, with the files it declares, or None. IntegrityError where damaged."""
        stored = folder.read()
        if stored is None or stored.status != "complete" or stored.training_id != self.training_id:
            return None
        for seed in stored.seeds:
            folder.read_parameters(seed)
        return stored

    def _check(self, folder: TrainingDirectory) -> list[State]:
        """The checkpoints. IntegrityError where one is damaged, or of another training or machine: before any seed starts."""
        states = [state for seed in self.configuration.all_seeds if (state := folder.read_state(seed)) is not None]
        for state in states:
            if state.training_id != self.training_id:
                raise IntegrityError(f"{folder.path}: holds checkpoints of another training; {MOVE_AWAY}")
            check_fingerprint(state.fingerprint, self.fingerprint)
        return states

    @property
    def workers(self) -> int:
        """How many seeds at a time; one on a GPU."""
        if self.device.type == "cuda":
            return 1
        return min(self.configuration.seeds, self.configuration.workers or os.cpu_count() or 1)

    # ---------------------------------------------------------------------------------------------------------------------- the end

    def _training(self, status: str, states: list[State], ends: dict[int, Parameters], origin: dict[str, Any]) -> Training:
        curve = [point for state in states for point in state.curve]
        return Training(
            training_id=self.training_id,
            status=status,
            config=self.config,
            model=self.model.name,
            estimator=self.chosen,
            seeds=self.configuration.all_seeds,
            steps=self.configuration.steps,
            probe=tuple(self.probes),
            reference=self.truth.as_json(),
            summary=_summary(states) if status == "complete" else {},
            provenance=origin,
            curve=tuple(curve),
            parameters=ends,
        )


def _parameters(state: State) -> Parameters:
    return Parameters({name.removeprefix("param."): array for name, array in state.arrays.items() if name.startswith("param.")})


def _summary(states: list[State]) -> dict[str, dict[str, Any]]:
    """The end of each curve, on all rows of a split: its value for each seed, and their mean, with Student's t over several seeds."""
    last: dict[str, list[float]] = {}
    for state in states:
        ends = {_key(point): point.value for point in state.curve if point.step == state.step and point.metric != "seconds"}
        ends |= {name.removeprefix(FINAL): float(array) for name, array in state.arrays.items() if name.startswith(FINAL)}
        for key, value in ends.items():
            last.setdefault(key, []).append(value)
    found = {}
    for key, values in last.items():
        mean = float(np.mean(values))
        interval = Interval(mean, None, None)
        if len(values) > 1 and math.isfinite(mean):
            se = float(np.std(values, ddof=1)) / len(values) ** 0.5
            t = student_t_quantile(0.975, len(values) - 1)
            low, high = mean - t * se, mean + t * se
            interval = Interval(mean, se, (max(low, -1.0), min(high, 1.0)) if key.startswith("cosine.") else (low, high))
        found[key] = interval.as_json() | {"seeds": [value if math.isfinite(value) else None for value in values]}
    return found


def _key(point: Point) -> str:
    return ".".join(part for part in (point.metric, point.split, point.estimator) if part)
