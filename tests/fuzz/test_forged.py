"""Runs and trainings that a forger has changed and sealed anew, beside a good run: every command answers, and tells of the good one."""

from __future__ import annotations

import contextlib
import copy
import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gsx.cli import main
from gsx.records import canonical_json
from gsx.report import canvas
from gsx.report.canvas import Plot
from gsx.store import RunDirectory, write_sweep
from tests.fuzz.guided import ROUNDS, bounded, shown
from tests.fuzz.mutation import VALUES, places
from tests.report import factory, trainings
from tests.store.factory import reseal

EXAMPLES = max(2, ROUNDS // 15)
CODES = {"status": {0, 1, 6}, "verify": {0, 1, 6}, "report": {0, 1, 6}}
NUMBERS = st.sampled_from([0, 1, -1, 3, 2**62, 0.0, -0.5, 5e-324, -1e-3, 1e300, 1.7e308, -1e308])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def good(root: Path) -> Path:
    """A run, and beside it what will be forged."""
    facts = {"needs_cost_gradient": False, "unbiased": True, "distributions": ["Bernoulli"]}
    for estimator, samples in (("rloo", 2), ("rloo", 4), ("reinforce", 4)):
        factory.make(root, estimator, samples=samples, facts=facts)
    trainings.vae(root, "rloo", -90.0, {"rloo": 1.0}, seeds=(0, 1))
    trainings.vae(root, "arm", -95.0, {"rloo": 1.0}, seeds=(0, 1))
    write_sweep([(root / "default" / f"gone-{'a' * 12}", "a" * 64)], "gsx run -m", {"a" * 64: {"model": {"name": "bernoulli_toy"}}})
    return factory.make(root, "reinforce", facts=facts)


def sealed(body: dict[str, Any]) -> str:
    return json.dumps({**body, "sha256": hashlib.sha256(canonical_json(body).encode()).hexdigest()})


@st.composite
def forged(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """One to four values replaced: numbers mostly by numbers, which a schema of types lets through."""
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 4))):
        # The summary of a training, and lists of many numbers, are not to crowd out everything else.
        key = draw(st.sampled_from(sorted(body)))
        every = [(body, key), *places(body[key])]
        holder, place = draw(st.sampled_from(every[1:] or every))
        number = isinstance(holder[place], int | float) and draw(st.integers(0, 3)) > 0
        holder[place] = draw(NUMBERS if number else st.sampled_from(VALUES).map(copy.deepcopy) | JSON)
    return body


def run(*arguments: str) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(arguments))
    return code, said.getvalue()


def undrawn(plot: Plot, folder: Path, style: str) -> list[Path]:
    return []


def test_beside_a_good_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "save", undrawn)
    outputs, report = tmp_path / "outputs", tmp_path / "report"
    kept = good(outputs)
    result = RunDirectory(kept).read_result()
    assert result is not None
    paths = [path for path in sorted(outputs.rglob("*.json")) if path.parent != kept and not path.name.startswith("sweep")]
    whole = {path: json.loads(path.read_text()) for path in paths}
    for body in whole.values():
        del body["sha256"]

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def answered(data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3, unique=True))
        forgeries = {path: data.draw(forged(whole[path]), label=str(path.parent.name)) for path in chosen}
        for path in paths:
            path.write_text(sealed(forgeries.get(path, whole[path])))
        for command, codes in CODES.items():
            with bounded():
                code, said = run(command, str(outputs), *(["--out", str(report)] if command == "report" else []))
            assert code in codes and "Traceback" not in said, (command, code, said[-3000:], shown(list(forgeries.values())))
        with (report / "tables" / "summary.csv").open(newline="") as stream:
            (row,) = [row for row in csv.DictReader(stream) if row["result_id"] == result.result_id and kept.name in row["run"]]
        assert row["state"] == "complete"

    answered()


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: body["config"].update(seed={"a": 1}),
        lambda body: body["config"].update(num_replicates="abc", wrt=[1]),
        lambda body: body.update(num_replicates=0, num_samples=0, blocks=0),
        lambda body: body["summary"]["variance"].update(value=-1.0, se=-3, ci=[5, -5]),
    ],
)
def test_two_alike(forge: Callable[[dict[str, Any]], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has brought a report down: each a row, `unreadable`, and the others as they were."""
    monkeypatch.setattr(canvas, "save", undrawn)
    outputs, table = tmp_path / "outputs", tmp_path / "report" / "tables" / "summary.csv"
    kept = good(outputs)
    for path in outputs.rglob("result.json"):
        if "rloo" in path.parent.name:
            reseal(path, forge)
    code, said = run("report", str(outputs), "--out", str(tmp_path / "report"))
    assert code == 0 and "Traceback" not in said
    with table.open(newline="") as stream:
        states = {row["run"].partition("/")[2]: row["state"] for row in csv.DictReader(stream)}
    assert states[kept.name] == "complete"
    assert {state for name, state in states.items() if "rloo" in name} == {"unreadable"}
    assert (run("status", str(outputs))[0], run("verify", str(outputs))[0]) == (1, 6)
