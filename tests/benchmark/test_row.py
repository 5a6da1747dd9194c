"""What samples say: ratios, quartiles and verdicts, by numbers that can be checked in the head."""

from __future__ import annotations

import json

import pytest

from gsx.benchmark.row import Effort, Kind, Row, Samples

OURS, THEIRS = (1.0, 2.0, 4.0, 4.0, 5.0), (10.0, 10.0, 12.0, 8.0, 25.0)


def row(kind: Kind, target: float | None = None) -> Row:
    return Row("work", "what", kind, "estimate", "peer", target=target).filled(Samples(OURS, () if kind == "alone" else THEIRS, "a note"))


def test_ratios_are_taken_pair_by_pair() -> None:
    assert row("faster").numbers == [10, 5, 3, 2, 5]
    assert row("cost").numbers == [0.1, 0.2, 4 / 12, 0.5, 0.2]
    assert row("alone").numbers == list(OURS)


def test_the_median_of_ratios_is_not_the_ratio_of_medians() -> None:
    assert row("faster").quartiles == (3, 5, 5)
    assert 10 / 4 != 5


def test_one_pair_is_its_own_quartiles() -> None:
    assert Row("work", "what", "cost", "run", ours=(3.0,), theirs=(4.0,)).quartiles == (0.75, 0.75, 0.75)


@pytest.mark.parametrize(
    ("kind", "target", "verdict"),
    [
        ("faster", 5.0, "pass"),
        ("faster", 5.1, "MISSED"),
        ("cost", 0.2, "pass"),
        ("cost", 0.19, "MISSED"),
        ("alone", 4.0, "pass"),
        ("alone", 3.9, "MISSED"),
        ("faster", None, ""),
    ],
)
def test_a_target_is_met_or_missed(kind: Kind, target: float | None, verdict: str) -> None:
    assert row(kind, target).verdict == verdict


def test_what_was_not_measured_has_no_verdict() -> None:
    assert Row("work", "what", "cost", "run", target=1.0, not_measured="no GPU").verdict == ""


@pytest.mark.parametrize("kind", ["faster", "cost", "alone"])
def test_a_row_survives_json(kind: Kind) -> None:
    body = json.loads(json.dumps(row(kind, 2.0).as_json()))
    assert Row.of_json(body) == row(kind, 2.0)
    assert body["quartiles"] == list(row(kind).quartiles) and body["median_ours"] == 4 and body["verdict"] == row(kind, 2.0).verdict


def test_a_row_without_samples_survives_json() -> None:
    missing = Row("work", "what", "faster", "run", target=1.0, not_measured="no GPU")
    assert Row.of_json(json.loads(json.dumps(missing.as_json()))) == missing


def test_effort_chooses_sizes() -> None:
    assert Effort(quick=True).of(1, 2) == 1 and Effort(quick=False).of(1, 2) == 2
