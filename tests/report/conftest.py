"""A fault of ours is none that a report is spared."""

from __future__ import annotations

import pytest

from gsx.report import spared


@pytest.fixture(autouse=True)
def nothing_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spared, "SURPRISES", ())
