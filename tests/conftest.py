"""What holds for all tests."""

from __future__ import annotations

from typing import Any

import pytest

from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.models.base import Model


def pytest_make_parametrize_id(config: pytest.Config, val: Any, argname: str) -> str | None:
    """A name on which two processes agree, where an object would be called by its address or by all of its numbers."""
    return type(val).__name__.lower() if isinstance(val, Distribution | Estimator | Model) else None
