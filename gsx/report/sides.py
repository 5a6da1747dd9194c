"""What the sides of a comparison are called: by the settings in which they differ, and by nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

from gsx.experiment import CurveNumber, Finding, Quantity
from gsx.report.labels import differences


def sides(finding: Finding) -> list[str]:
    """The name of each quantity of an ordering. A side whose own settings say nothing is called by its step."""
    quantities = finding.quantities
    told = differences([_facts(one) for one in quantities])
    names = [" ".join(words).replace("estimator=", "") or one.step for words, one in zip(told, quantities, strict=True)]
    if len(set(names)) == len(names):
        return names
    names = [f"{name} of {one.step}" for name, one in zip(names, quantities, strict=True)]
    return names if len(set(names)) == len(names) else ["left", *["right"] * (len(names) - 1)]


def _facts(quantity: Quantity) -> dict[str, Any]:
    number = quantity.number
    read = {key: value for key, value in dataclasses.asdict(number).items() if value} if isinstance(number, CurveNumber) else {}
    named = read or {"number": str(number)}
    return quantity.where | named | ({"times": quantity.times} if quantity.times != 1 else {})
