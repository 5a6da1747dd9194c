"""What the tests of all estimators share: every estimator that has a YAML file, in every variant, and every model."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

import gsx
from gsx.configuration import Configuration
from gsx.models.base import Model
from gsx.testing import Subject, subjects

CONF = Path(gsx.__file__).resolve().parents[1] / "conf"


def settings_of(group: str, name: str) -> dict[str, Any]:
    """A YAML file with its `defaults` followed, as Hydra would compose it."""
    own = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    merged: dict[str, Any] = {}
    for parent in own.pop("defaults", ["_self_"]):
        merged |= own if parent == "_self_" else settings_of(group, parent)
    return merged


def files(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def is_preset(group: str, name: str) -> bool:
    """An alias or a preset: a file that begins with another's settings."""
    return "defaults" in yaml.safe_load((CONF / group / f"{name}.yaml").read_text())


NAMES = [name for name in files("estimator") if not is_preset("estimator", name)]
#: Every estimator as its YAML file has it, and once more for each other value of a setting that is a choice.
SUBJECTS: dict[str, Subject] = {subject.label: subject for subject in subjects(NAMES)}
SUBJECTS = {label: subject.among(len(SUBJECTS)) for label, subject in SUBJECTS.items()}


@functools.cache
def shipped_model(name: str) -> Model:
    configuration = Configuration.of({"estimator": {"name": "reinforce"}, "model": settings_of("model", name)})
    return configuration.build_model(configuration.dataset())
