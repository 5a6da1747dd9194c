"""What gsx stands on: the least versions are above known holes, and the tested ones satisfy them. No network is asked."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]

#: package: the first version without the holes named, as far as gsx is concerned; reviewed with every release.
FLOORS = {
    "filelock": ("3.20.3", "CVE-2025-68146 and CVE-2026-22701: a lock that is a link truncates what it points to"),
    "hydra-core": ("1.3.8", "instantiate runs what a configuration names; earlier versions have no block-list"),
    "jinja2": ("3.1.6", "CVE-2024-56326 and CVE-2025-27516: out of the sandbox; CVE-2024-34064: attributes by xmlattr"),
    "pillow": ("10.3", "CVE-2024-28219 and CVE-2023-50447; comes with matplotlib"),
    "pyyaml": ("6", "CVE-2020-14343: full_load runs code before 5.4"),
    "torch": ("2.6", "CVE-2025-32434: torch.load runs code although weights_only is set; gsx never calls it"),
    "tqdm": ("4.66.3", "CVE-2024-34062: the arguments of its command are evaluated"),
}


def requirements() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {found.name.lower(): found for found in map(Requirement, project["dependencies"])}


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower(): Version(version) for name, version in pinned}


def too_low(required: Requirement, floor: str) -> bool:
    """Whether a version below the floor would do."""
    least = [Version(one.version) for one in required.specifier if one.operator in (">=", "==", "~=")]
    return not least or max(least) < Version(floor)


@pytest.mark.parametrize("name", FLOORS)
def test_least_versions_are_above_known_holes(name: str) -> None:
    assert name in requirements(), f"{name}: declare {name}>={FLOORS[name][0]} in pyproject.toml: {FLOORS[name][1]}"
    assert not too_low(requirements()[name], FLOORS[name][0])


def test_the_tested_versions_satisfy_what_is_declared() -> None:
    pinned = pins()
    assert {name for name, required in requirements().items() if name not in pinned or pinned[name] not in required.specifier} == set()
    assert {name for name, (floor, _) in FLOORS.items() if pinned[name] < Version(floor)} == set()


@pytest.mark.parametrize(("text", "low"), [("jinja2", True), ("jinja2>=3.1", True), ("jinja2>=3.1.6,<4", False), ("jinja2<4", True)])
def test_a_floor_that_is_too_low_is_seen(text: str, low: bool) -> None:
    assert too_low(Requirement(text), "3.1.6") is low
