"""Any configuration is refused in one line, or measured: numbers that are finite, or null for a reason that is told."""

from __future__ import annotations

import functools
import inspect
import json
import math
import types
import typing
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gsx import measure, registry, yardstick
from gsx.estimators.base import Estimator
from gsx.records import ConfigurationError, Interval, Result
from tests.fuzz.guided import ROUNDS

#: Models that are measured in a moment, and the distribution in each.
MODELS = {
    **dict.fromkeys(("bernoulli_toy", "tied_bernoulli", "bernoulli_ising", "random_table", "discontinuous_toy"), "Bernoulli"),
    **dict.fromkeys(("gaussian_toy", "polynomial"), "Normal"),
    "black_box_toy": "Bernoulli",
    "categorical_toy": "Categorical",
    "gamma_toy": "Gamma",
    "dirichlet_toy": "Dirichlet",
    "k_subset_toy": "KSubset",
}
EXAMPLES = max(10, ROUNDS // 4)

SOUND = st.one_of(
    st.floats(-3, 3),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, -2.0, 1e-3, 1e-8, 30.0, -30.0, 200.0]),
    st.sampled_from([-0.0, 1e-45, 5e-324, 1e4, -1e4, 1e18, 1e30, 1e38, 1e200, 1e300, -1e300]),
)
UNSOUND = st.sampled_from([None, "", "abc", [], {}, True, -1, "\x1b[31m", [[1]], 10**30, "0.5", {"_target_": "x"}, math.nan, math.inf])


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Of the type that a setting is declared with."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([values(one) for one in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(values(arguments[0]), min_size=1, max_size=4)
    known: dict[Any, st.SearchStrategy[Any]] = {float: SOUND, int: st.integers(0, 5), bool: st.booleans(), str: st.just("rloo")}
    return known.get(annotation, st.none())


@st.composite
def group(draw: st.DrawFn, room: registry.Room, names: Sequence[str]) -> dict[str, Any]:
    """A name, and up to two settings of it."""
    chosen: dict[str, Any] = {"name": draw(st.sampled_from(names))}
    parameters: Mapping[str, inspect.Parameter] = registry.schema(registry.find(room, chosen["name"]))
    for key in draw(st.lists(st.sampled_from(sorted(parameters)), max_size=2, unique=True)) if parameters else ():
        chosen[key] = draw(values(parameters[key].annotation))
    return chosen


@functools.cache
def suited(distribution: str) -> list[str]:
    kinds = {name: cast(type[Estimator], registry.find("estimators", name)) for name in registry.names("estimators")}
    return [name for name, kind in kinds.items() if distribution in {q.__name__ for q in kind.distributions} or name == "exact"]


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Two in three are as a user may mean them, with numbers of any size; in the others something does not go together, or is none."""
    model = draw(group("models", sorted(MODELS)))
    mixed = draw(st.integers(0, 5)) == 0
    usual: dict[str, Any] = {
        "model": model,
        "estimator": draw(group("estimators", registry.names("estimators") if mixed else suited(MODELS[model["name"]]))),
        "num_samples": draw(st.sampled_from([None, None, 1, 2, 3, 4, 6])),
        "block_size": draw(st.sampled_from([None, 1, 2, 3, 5, 8, 16])),
        "num_replicates": draw(st.sampled_from([1, 63, 64, 65, 200, 1024])),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "engine": draw(st.sampled_from(["structured", "batched", "vmap", "loop"])) if mixed else "auto",
        "wrt": draw(st.sampled_from(["all", "all", "distribution"])),
        "seed": draw(st.sampled_from([0, 1, 2**63 - 1])),
        "reference": {
            "kind": draw(st.sampled_from(["closed_form", "enumeration", "quadrature"])) if mixed else "auto",
            "num_replicates": 256,
        },
        "tune": {"kind": "auto", "steps": 3, "replicates": 4},
        "workers": 1,
    }
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.sampled_from([usual, usual["model"], usual["estimator"], usual["reference"], usual["tune"]]))
        place[draw(st.sampled_from([*place, "temprature"]))] = draw(UNSOUND)
    return usual


def check(configuration: dict[str, Any]) -> bool:
    """Whether it is measured; an AssertionError where it is neither that nor refused."""
    try:
        result = measure(**configuration)
    except ConfigurationError as refusal:
        said = str(refusal)
        assert "\n" not in said and 0 < len(said) < 2000, said
        return False
    told(result)
    return True


def told(result: Result) -> None:
    """Every number is finite, or its absence has a reason."""
    json.dumps(result.as_json(), allow_nan=False)
    variance = result.summary["variance"]
    absent = variance is None or not math.isfinite(variance.value)
    assert absent == bool(result.nonfinite["coordinates"]), (variance, result.nonfinite)
    assert (result.verdict.status == "nonfinite") == absent
    for name, interval in result.summary.items():
        if interval is not None and not absent:
            assert math.isfinite(interval.value), name
            assert interval.se is None or math.isfinite(interval.se), name
            assert interval.ci is None or not any(math.isnan(end) for end in interval.ci), name
    assert not absent or all(interval is None or math.isnan(interval.value) for interval in result.summary.values())


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(configurations())
@example({"model": {"name": "bernoulli_ising", "coupling": 1e200}, "estimator": "ar", "num_replicates": 1, "dtype": "float64"})
def test_any_configuration(configuration: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(yardstick, "SECONDS", 0.0)
        check(configuration)


def test_a_silent_nan_is_seen() -> None:
    """The control: a usual measurement passes, and the same with a number that is none does not."""
    result = measure("bernoulli_toy", "rloo", num_replicates=64, block_size=1)
    told(result)
    result.summary["variance"] = Interval(math.nan, None, None)
    with pytest.raises(AssertionError):
        told(result)
