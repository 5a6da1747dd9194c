"""What every test leaves behind as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logging_put_back() -> Iterator[None]:
    """Hydra leaves handlers behind in a process, on a stream that is closed when the test has ended: whatever logs next would fail."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
