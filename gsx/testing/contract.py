"""All that is asked of an estimator, in the order of what it costs to ask."""

from __future__ import annotations

import time
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

from gsx import registry
from gsx.estimators.base import Estimator
from gsx.process import one_thread_each
from gsx.testing.bias import a_planted_bug_shows, biased_where_it_says_so, its_condition_is_meant, unbiased_where_it_says_so
from gsx.testing.facts import evaluations_are_counted, facts_are_declared, samples_are_checked, settings_are_typed, the_docstring_agrees
from gsx.testing.manners import (
    a_constant_has_no_gradient,
    extremes_are_finite,
    hard_and_relaxed_agree,
    nothing_is_changed,
    rows_are_independent,
    same_noise_same_bits,
    shapes_and_dtypes,
)
from gsx.testing.routes import a_black_box_is_measured_or_refused, routes_agree
from gsx.testing.subject import Broken, NotApplicable, Subject

Check = Callable[[Subject], None]

#: Each raises Broken where the contract is broken, and NotApplicable where it asks nothing.
CHECKS: dict[str, Check] = {
    check.__name__.replace("_", " "): check
    for check in (
        facts_are_declared,
        the_docstring_agrees,
        settings_are_typed,
        samples_are_checked,
        shapes_and_dtypes,
        rows_are_independent,
        nothing_is_changed,
        same_noise_same_bits,
        extremes_are_finite,
        hard_and_relaxed_agree,
        evaluations_are_counted,
        routes_agree,
        a_black_box_is_measured_or_refused,
        a_constant_has_no_gradient,
        unbiased_where_it_says_so,
        biased_where_it_says_so,
        its_condition_is_meant,
        a_planted_bug_shows,
    )
}


@dataclass(frozen=True)
class Outcome:
    """What one check has come to."""

    check: str
    status: Literal["passed", "failed", "n/a"]
    reason: str
    seconds: float


@one_thread_each()
def run(subject: Subject, check: str) -> Outcome:
    """One check of one subject. Whatever an estimator raises is a broken contract too."""
    started = time.monotonic()
    status: Literal["passed", "failed", "n/a"] = "passed"
    reason = ""
    try:
        CHECKS[check](subject)
    except NotApplicable as why:
        status, reason = "n/a", str(why)
    except Broken as why:
        status, reason = "failed", str(why)
    except Exception as error:
        status, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
    return Outcome(check, status, reason, time.monotonic() - started)


def subjects(names: Iterable[str], plugins: Iterable[str] = ()) -> Iterator[Subject]:
    """Estimators by name: each as it is by default, and once more for each other value of a setting that is a choice."""
    for name in names:
        kind = cast(type[Estimator], registry.find("estimators", name, plugins))
        yield Subject.of(kind)
        for key, parameter in registry.schema(kind).items():
            if typing.get_origin(parameter.annotation) is Literal:
                for choice in typing.get_args(parameter.annotation):
                    if choice != parameter.default:
                        yield Subject.of(kind, **{key: choice})
