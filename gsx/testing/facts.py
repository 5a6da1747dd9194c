"""What an estimator declares about itself, held against its constructor, its docstring and what is counted."""

from __future__ import annotations

import ast
import inspect
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gsx import registry
from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.probe import probe, sites
from gsx.program import Program
from gsx.records import ConfigurationError
from gsx.testing.problems import PROBLEMS
from gsx.testing.problems.table import Table
from gsx.testing.subject import NotApplicable, Subject, require

_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}

SECTIONS = ("Approximates:", "With:", "Requires:", "Costs:", "Bias:", "References:")


def facts_are_declared(subject: Subject) -> None:
    kind = subject.kind
    for fact, wanted in {"unbiased": bool, "needs_cost_gradient": bool, "evaluations": str, "citation": str}.items():
        require(isinstance(getattr(kind, fact, None), wanted), f"{fact} is not declared: a class attribute of type {wanted.__name__}")
    require(kind.unbiased_if is None or kind.unbiased, "unbiased_if belongs to an unbiased estimator")
    known = isinstance(getattr(kind, "distributions", None), tuple) and all(issubclass(q, Distribution) for q in kind.distributions)
    require(known and bool(kind.distributions), "distributions is not declared: a tuple of Distribution classes")
    require(kind.least_samples >= 1, f"least_samples={kind.least_samples}: must be at least 1")
    require(re.search(r"\((19|20)\d\d\)", kind.citation) is not None, f"citation={kind.citation!r}: authors (year), title, where")
    require(kind.__mro__[1] is Estimator, f"it derives from {kind.__mro__[1].__name__}: an estimator is final, wrap it instead")


def the_docstring_agrees(subject: Subject) -> None:
    text = " ".join((inspect.getdoc(subject.kind) or "").split())
    for section in SECTIONS:
        require(section in text, f"its docstring has no section {section!r}")
    said = re.search(r"Bias: +(\w+)", text)
    require(said is not None and (said[1] == "none") == subject.kind.unbiased, "the docstring's `Bias:` and `unbiased` disagree")
    costs = f"Costs: {subject.kind.evaluations} evaluations"
    require(subject.is_exact or costs in text, f"its docstring does not say {costs!r}, as `evaluations` does")


def settings_are_typed(subject: Subject) -> None:
    """Keyword arguments with types and defaults: they are the schema of the configuration file."""
    for key, parameter in registry.schema(subject.kind).items():
        require(parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"{key} can be given by position")
        require(parameter.annotation is not inspect.Parameter.empty, f"{key} has no type")
        require(parameter.default is not inspect.Parameter.empty, f"{key} has no default")


def samples_are_checked(subject: Subject) -> None:
    """Too few are refused, and an odd number where they come in pairs."""
    least = subject.kind.least_samples
    require(subject.make(None).num_samples == least, f"num_samples=null does not resolve to {least}")
    odd = least + 1 + least % 2
    for number, refused in ((least - 1, True), (odd, subject.kind.in_pairs)):
        try:
            subject.make(number)
        except ConfigurationError:
            require(refused, f"num_samples={number} is refused")
        else:
            require(not refused, f"num_samples={number} is not refused")


def formula(text: str, symbols: dict[str, Any]) -> float:
    """What "N (2 D + 1)" is worth: two things with nothing between them are multiplied."""
    product = re.sub(r"(?<=[\w)]) +(?=[\w(])", " * ", text)
    if re.fullmatch(r"[\w\s()+*/-]+", product) is None:
        raise ValueError(f"{text!r}: not a formula in N, D, C and settings")
    return float(_worth(ast.parse(product), symbols))


def _worth(node: ast.AST, symbols: dict[str, Any]) -> Any:
    match node:
        case ast.Module(body=[ast.Expr(value=product)]):
            return _worth(product, symbols)
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return symbols[name]
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            return _OPERATIONS[type(operation)](_worth(left, symbols), _worth(right, symbols))
        case _:
            raise ValueError(f"{ast.unparse(node)!r}: not a formula in N, D, C and settings")


def evaluations_are_counted(subject: Subject) -> None:
    """Twice: by the engine's dry run, and by a cost that counts itself; both agree with what is declared."""
    kind = subject.kind
    require((kind.gradient_evaluations != "0") == kind.needs_cost_gradient, "gradient_evaluations and needs_cost_gradient disagree")
    checked = 0
    for problem in PROBLEMS.values():
        if not (isinstance(problem.model, Table) and subject.is_for(problem.model) and subject.supports(problem.model)):
            continue
        if any(site.q.batch_shape or site.nested for site in sites(Program(problem.model)).values()):
            continue  # where one evaluation is not one call
        for more in (0, 3):
            n = subject.samples(more)
            program = Program(problem.model, dtype=torch.float64)
            counted, seen = _counted(program, subject.make(n))
            require(seen.evaluations == counted, f"{seen.evaluations} evaluations were counted, {counted} were made")
            if subject.is_exact:
                continue
            q = next(iter(seen.sites.values())).q
            categories = q.event_shape[1] if q.event_ndim > 1 else 2
            symbols = {"N": n, "D": q.event_shape[0], "C": categories, "P": len(q.parameters), **subject.settings}
            for declared, found in ((kind.evaluations, seen.evaluations), (kind.gradient_evaluations, seen.gradient_evaluations)):
                wanted = q.copies * formula(declared, symbols)
                require(found == wanted, f"{declared!r} is {wanted:g} for N = {n} on {problem.model.name}, and {found} were counted")
        checked += 1
    if not checked:
        raise NotApplicable("no problem of one site is known for its distributions")


def _counted(program: Program, estimator: Estimator) -> tuple[int, Any]:
    """The evaluations a cost counts in itself during a dry run, the one look at the sites aside; and what the dry run says."""
    counted = 0
    original: Cost = program.model.cost  # type: ignore[assignment]

    def counting(z: Tensor, q: Any) -> Tensor:
        nonlocal counted
        counted += math.prod(z.shape[: -q.event_ndim])
        return original(z, q)

    program.model.cost = counting  # type: ignore[assignment]
    seen = probe(program, estimator)
    return counted - next(iter(seen.sites.values())).q.copies, seen
