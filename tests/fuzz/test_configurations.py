"""Any configuration is refused in one line, or measured: numbers that are finite, or null for a reason that is told."""

from __future__ import annotations

import inspect
import json
import math
import types
import typing
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gsx import measure, registry, yardstick
from gsx.records import ConfigurationError, Interval, Result
from tests.fuzz.guided import ROUNDS

#: Models that are measured in a moment.
MODELS = ("bernoulli_toy", "tied_bernoulli", "bernoulli_ising", "categorical_toy", "gaussian_toy", "random_table", "polynomial",
          "discontinuous_toy", "black_box_toy", "gamma_toy", "dirichlet_toy", "k_subset_toy")  # fmt: skip
EXAMPLES = max(10, ROUNDS // 2)

NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-3, 1e-30, 1e-45, 5e-324, 100.0, -100.0, 1e4, 1e30, 1e38, 1e300, -1e300]),
    st.floats(-5, 5),
    st.sampled_from([math.nan, math.inf, -math.inf]),
)
WHOLE = st.one_of(st.integers(-1, 5), st.sampled_from([8, 17, 64]))
WRONG = st.sampled_from([None, "", "abc", [], {}, True, "\x1b[31m", [[1]], 10**30, "0.5", {"_target_": "os.system"}])


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Of the type that a setting is declared with."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([values(one) for one in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(values(arguments[0]), max_size=4)
    known: dict[Any, st.SearchStrategy[Any]] = {
        float: NUMBERS,
        int: WHOLE,
        bool: st.booleans(),
        str: st.sampled_from(["rloo", "relu", "x"]),
    }
    return known.get(annotation, st.none())


@st.composite
def group(draw: st.DrawFn, room: registry.Room, names: tuple[str, ...]) -> dict[str, Any]:
    """A name, and up to three settings of it, one in ten of them of a wrong type or key."""
    chosen: dict[str, Any] = {"name": draw(st.sampled_from(names))}
    parameters: Mapping[str, inspect.Parameter] = registry.schema(registry.find(room, chosen["name"]))
    for key in draw(st.lists(st.sampled_from(sorted(parameters)), max_size=3, unique=True)) if parameters else ():
        wrong = draw(st.integers(0, 9)) == 0
        chosen[key] = draw(WRONG if wrong else values(parameters[key].annotation))
    return chosen


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "model": draw(group("models", MODELS)),
        "estimator": draw(group("estimators", tuple(registry.names("estimators")))),
        "num_samples": draw(st.one_of(st.none(), st.integers(0, 6))),
        "block_size": draw(st.one_of(st.none(), st.integers(0, 9))),
        "num_replicates": draw(st.sampled_from([0, 1, 63, 64, 65, 200, 1024])),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "engine": draw(st.sampled_from(["auto"] * 4 + ["structured", "batched", "vmap", "loop"])),
        "wrt": draw(st.sampled_from(["all"] * 3 + ["encoder", "distribution"])),
        "seed": draw(st.sampled_from([0, 1, 2**63 - 1, 2**63, -1])),
        "reference": {"kind": draw(st.sampled_from(["auto"] * 4 + ["closed_form", "enumeration", "quadrature"])), "num_replicates": 2048},
        "tune": {"kind": "auto", "steps": 3, "replicates": 4},
        "workers": 1,
    }
    if draw(st.integers(0, 9)) == 0:
        usual[draw(st.sampled_from([*usual, "numsamples"]))] = draw(WRONG)
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
