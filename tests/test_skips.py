"""The table of skips that CI lets pass: it must not let everything pass."""

from __future__ import annotations

import pytest

from tests.conftest import is_expected


@pytest.mark.parametrize(
    ("test", "reason", "expected"),
    [
        ("tests/test_noise.py::test_x", "torch sees no CUDA GPU", True),
        ("tests/estimators/test_bias.py::test_x[arm]", "declared unbiased", True),
        ("tests/estimators/test_bias.py::test_x[arm]", "no problem is known for its distributions", False),
        ("tests/estimators/test_contract.py::test_x[arm]", "the file is not there", False),
        ("tests/models/test_models.py::test_x", "declared unbiased", False),
        ("tests/report/test_browser.py", "no Chromium here; on Debian: apt-get install chromium", False),
        ("tests/launchers/test_launchers.py::test_x[ray]", "hydra/launcher=ray is not installed: pip install 'gsx[ray]'", False),
        ("tests/launchers/test_launchers.py::test_x[slurm]", "no SLURM here; on Debian: apt-get install slurm-wlm munge", False),
        ("tests/test_noise.py::test_x", "torch sees no CUDA GPU, or so I think", False),
    ],
)
def test_which_skips_are_expected(test: str, reason: str, expected: bool) -> None:
    assert is_expected(test, reason) == expected
