"""Every route of the engine gives an estimator the same gradients; a black box is measured, or refused in one line."""

from __future__ import annotations

import torch

from gsx.noise import Block
from gsx.probe import probe
from gsx.program import Program
from gsx.records import ConfigurationError
from gsx.routes import ROUTES, Materialising, choose
from gsx.testing.problems import BLACK_BOXES, PROBLEMS
from gsx.testing.subject import CPU, NotApplicable, Subject, require

REPLICATES = 3


def routes_agree(subject: Subject) -> None:
    """Replicate by replicate, to rounding, on the same noise: also where the draws are nested."""
    if subject.is_exact:
        raise NotApplicable("it is evaluated once, and takes no route")
    compared = 0
    for name, problem in PROBLEMS.items():
        if not (subject.is_for(problem.model) and subject.supports(problem.model)):
            continue
        program, estimator = Program(problem.model, dtype=torch.float64), subject.make(subject.samples(1))
        seen = probe(program, estimator)
        block = Block(5, "base", 2, torch.float64, CPU)
        found = {}
        for engine in ROUTES:
            try:
                route = choose(engine, program, estimator, seen)
            except ConfigurationError:
                continue
            if isinstance(route, Materialising):
                found[engine] = route.gradients(block, 1, 1 + REPLICATES)
        oracle = found.pop("loop")
        for engine, g in found.items():
            agree = bool(((g - oracle).abs() <= 1e-9 * oracle.abs() + 1e-11 * oracle.abs().max()).all())
            require(agree, f"{name}: engine={engine} and engine=loop differ on the same noise")
            compared += 1
    if not compared:
        raise NotApplicable("no problem is known for its distributions")


def a_black_box_is_measured_or_refused(subject: Subject) -> None:
    boxes = [model for model in BLACK_BOXES if subject.is_for(model)]
    if not boxes:
        raise NotApplicable("no black box is known for its distributions")
    for model in boxes:
        program, estimator = Program(model, dtype=torch.float64), subject.make(None)
        try:
            seen = probe(program, estimator)
        except ConfigurationError as error:
            require(subject.kind.needs_cost_gradient, f"it needs no gradient of the cost, and refuses a black box: {error}")
            continue
        require(not subject.kind.needs_cost_gradient, "it needs the gradient of the cost, and takes a black box")
        if not subject.is_exact:
            g = ROUTES["loop"](program, estimator, seen)
            assert isinstance(g, Materialising)
            found = g.gradients(Block(5, "base", 0, torch.float64, CPU), 0, 8)
            require(bool(torch.isfinite(found).all() and found.abs().max() > 0), "its gradients of a black box are zero or not finite")
