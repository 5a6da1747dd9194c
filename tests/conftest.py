"""What every test leaves behind as it was; and which tests may be skipped."""

from __future__ import annotations

import gc
import logging
import os
import re
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import pytest

#: Where in the tests, and why, a test may be skipped though GSX_CI is set: there everything else is to be installed.
EXPECTED_SKIPS = [
    (r"tests/.*", r"torch sees no CUDA GPU|there is a GPU|auto is the GPU here"),
    (r"tests/.*", r"(zsh|fish) is not installed"),
    # A check of the contract that asks nothing of this estimator: see gsx/testing.
    (r"tests/estimators/", r"declared (un)?biased|it is not an unbiased estimator of Gaussians|bugs are planted in unbiased estimators"),
    (r"tests/estimators/", r"it is the truth that the others are held against|it is evaluated once, and takes no route"),
    (r"tests/estimators/", r"its cost never meets a draw both hard and relaxed"),
    (r"tests/estimators/", r"no black box is known for its distributions"),  # none is of k-subsets, gammas, ...
    (r"tests/models/test_presets.py", r"mnist: .*"),  # asks for files of which CI has none
    # What .ci/run could not install, as it has said.
    *((r"tests/.*", rf".*apt-get install .*\b{re.escape(word)}\b.*") for word in os.environ.get("GSX_CI", "").split()),
]


@pytest.fixture(autouse=True)
def logging_put_back() -> Iterator[None]:
    """Hydra leaves handlers behind in a process, on a stream that is closed when the test has ended: whatever logs next would fail."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Half a million objects are made that all stay: looking through them for garbage again and again is a third of this time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What mostly waits for other processes is first: meanwhile the cores are busy with what .ci/run does beside the tests."""
    items.sort(key=lambda item: "launchers" not in item.path.parts)


def is_expected(test: str, reason: str) -> bool:
    return any(re.match(where, test) and re.fullmatch(why, reason, re.DOTALL) for where, why in EXPECTED_SKIPS)


def _skips(session: pytest.Session) -> list[tuple[str, str]]:
    """Every skipped test, or file of tests, with the reason."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [(report.nodeid, report.longrepr[2].removeprefix("Skipped: ")) for report in reports if isinstance(report.longrepr, tuple)]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip that nobody expects is a failure: what is not tested must be seen."""
    if "GSX_CI" in os.environ and not all(is_expected(*skip) for skip in _skips(session)) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """In CI, what was skipped and why: by room, as there are many."""
    if "GSX_CI" not in os.environ:
        return
    skips = _skips(terminalreporter._session)
    terminalreporter.section("skipped")
    for (room, reason), count in sorted(Counter(("/".join(test.split("::")[0].split("/")[:2]), reason) for test, reason in skips).items()):
        terminalreporter.line(f"{count:5}  {room}: {' '.join(reason.split())[:160]}")
    for test, reason in skips:
        if not is_expected(test, reason):
            terminalreporter.line(f"NOT EXPECTED: {test}: {reason}")
