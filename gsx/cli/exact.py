"""The exact mean and variance of the runs that findings are about, where they can be computed: the third column of the scoreboard."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsx.experiment import Crossing, CurveNumber, Experiment, Step, matches
from gsx.records import IntegrityError, canonical_json
from gsx.store import StoredExperiment, read_experiment

if TYPE_CHECKING:
    from gsx.cli.cell import Cell
    from gsx.cli.train_cell import Cell as Training
    from gsx.exact_moments import ExactMoments
    from gsx.training import Session

#: The keys on which the moments depend, but for the number of samples.
SAME = ("model", "data", "wrt", "dtype", "estimator", "seed")

#: States of all rows of data that are gone through: a few seconds at the quick size, else half a minute.
FEW_STATES, MANY_STATES = 2**22, 2**24

#: The statistics that follow from mean, variance and reference.
STATISTICS = ("variance", "mse", "bias_sq", "mean", "variance_times_evaluations")


def known_values(folder: Path) -> dict[str, dict[str, Any]]:
    """What is exact in a plan that is there already, and what is not by these very methods: an identity stands for one answer."""
    try:
        stored = read_experiment(folder)
    except IntegrityError:  # it is about to be written anew
        return {}
    if stored is None:
        return {}
    methods = _methods()
    return {"exact": stored.exact, "not_exact": {key: by for key, by in stored.not_exact.items() if by == methods}}


def _methods() -> str:
    """A digest of their text: another one may reach further."""
    files = [Path(__file__), *sorted((Path(__file__).parents[1] / "exact_moments").glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def find_exact(experiment: Experiment, step: Step, cells: Sequence[Cell], plan: StoredExperiment, quiet: bool = False) -> None:
    """By result_id, what is exact about the cells of a step that findings name, and not known yet: into the plan."""
    known = plan.exact | plan.not_exact
    wanted = {cell.result_id: cell for cell in _named(experiment, step, cells) if cell.state != "broken" and cell.result_id not in known}
    shared: dict[str, dict[int, ExactMoments | None]] = {}
    most = FEW_STATES if experiment.size == "quick" else MANY_STATES
    _keep(experiment, plan, {identity: _exact(cell, shared, most) for identity, cell in wanted.items()}, quiet)


def find_exact_at_start(experiment: Experiment, step: Step, cells: Sequence[Training], plan: StoredExperiment, quiet: bool = False) -> None:
    """By `CurveNumber.key`, the variances before the first step of the trainings that findings name, where they are exact."""
    known = plan.exact | plan.not_exact
    found: dict[str, dict[str, Any] | None] = {}
    for finding in experiment.findings:
        for quantity in finding.quantities:
            number = quantity.number
            if quantity.step != step.name or not isinstance(number, CurveNumber) or not number.at_start:
                continue
            for cell in cells:
                key = number.key(cell.result_id)
                if cell.state != "broken" and matches(quantity.where, cell.config) and key not in known and key not in found:
                    found[key] = _at_start(cell.session, number.estimator or cell.session.chosen)
    _keep(experiment, plan, found, quiet)


def _keep(experiment: Experiment, plan: StoredExperiment, found: Mapping[str, dict[str, Any] | None], quiet: bool) -> None:
    exact = {key: value for key, value in found.items() if value is not None}
    plan.exact.update(exact)
    plan.not_exact.update({key: _methods() for key in found if key not in exact})
    if exact and not quiet:
        print(f"{experiment.folder}: exact values of {len(exact)} cells", file=sys.stderr)


def _named(experiment: Experiment, step: Step, cells: Sequence[Cell]) -> list[Cell]:
    wheres = []
    for finding in experiment.findings:
        for quantity in finding.quantities:
            statistic = quantity.statistic
            if quantity.step == step.name and statistic is not None and statistic.name in STATISTICS:
                between = quantity.number.between if isinstance(quantity.number, Crossing) else ({},)
                wheres += [quantity.where | one for one in between]
    return [cell for cell in cells if any(matches(where, cell.config) for where in wheres)]


def _exact(cell: Cell, shared: dict[str, dict[int, ExactMoments | None]], most_states: int) -> dict[str, Any] | None:
    """``shared`` by all cells: those that differ in the number of samples alone have much in common."""
    from gsx.configuration import Configuration
    from gsx.exact_moments import exact_moments
    from gsx.measurement import Measurement
    from gsx.process import one_thread_each
    from gsx.tune import tune

    measurement = Measurement(Configuration.of({**json.loads(cell.given), "engine": "auto"}))
    program, estimator, seen = measurement.program, measurement.estimator, measurement.seen
    if measurement.exact:  # nothing to average
        return None
    known = shared.setdefault(canonical_json([cell.config.get(key) for key in SAME]), {})
    if measurement.tuned_so.kind != "none":
        # What is out of reach before it has learnt is so afterwards, and learning takes long; what is learnt may depend on N.
        if exact_moments(program, estimator, seen, most_states=most_states) is None:
            return None
        known = {}
    with one_thread_each():
        tune(estimator, program, seen, measurement.tuned_so, seed=measurement.configuration.seed)
    return _stored([exact_moments(program, estimator, seen, known, most_states)])


def _at_start(session: Session, label: str) -> dict[str, Any] | None:
    """What an estimator has learnt before the first step depends on the seed: the mean is over all seeds, as it is on the curve."""
    import torch

    from gsx.exact_moments import exact_moments
    from gsx.training.trajectory import Trajectory

    if label not in session.seen or session.configuration.schedule:
        return None
    position, program = session.labels.index(label), session.probe_program
    learnt = [Trajectory(session, seed).learners[position].ready(program, 0) for seed in session.configuration.all_seeds]
    alike = all(not one.warmup and all(map(torch.equal, one.parameters(), learnt[0].parameters())) for one in learnt)
    return _stored([exact_moments(program, one, session.seen[label]) for one in learnt[: 1 if alike else None]])


def _stored(moments: Sequence[ExactMoments | None]) -> dict[str, Any] | None:
    """The mean over estimators that have learnt each for itself; None where one of them is out of reach."""
    import numpy as np

    known = [one for one in moments if one is not None]
    if len(known) < len(moments):
        return None
    mean, variance = (np.mean([getattr(one, name) for one in known], axis=0).tolist() for name in ("mean", "variance"))
    return {"mean": mean, "variance": variance, "error": max(float(one.error) for one in known), "how": known[0].how}
