"""The contract of an estimator, as functions that raise where it is broken: for `gsx check`, for gsx's own tests, and for yours.

import pytest
from gsx.testing import CHECKS, Subject

@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_my_estimator(check):
    check(Subject.of(MyEstimator))
"""

from gsx.testing.contract import CHECKS, Outcome, run, subjects
from gsx.testing.subject import Broken, NotApplicable, Subject

__all__ = ["CHECKS", "Broken", "NotApplicable", "Outcome", "Subject", "run", "subjects"]
