"""Results: strict JSON that comes back equal, and is refused where it is hostile or sealed but wrong."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gsx.records import EnvironmentFault, IntegrityError, canonical_json
from gsx.store import RunDirectory, atomic_write, run_directory
from tests.store.factory import make_coordinates, make_layout, make_result, refused, reseal, written


def test_results_come_back_equal_and_as_the_same_bytes(tmp_path: Path) -> None:
    result = make_result(make_coordinates(make_layout(2, 1)))
    files = []
    for name in ("a", "b"):
        run = RunDirectory(tmp_path / name)
        run.write_error("an older failure")
        run.write_result(result)
        assert run.read_result() == result
        assert run.read_error() is None
        files.append([(run.path / file).read_bytes() for file in ("result.json", "coordinates.csv")])
    assert files[0] == files[1]
    body = json.loads(files[0][0])
    assert list(body) == [*result.as_json(), "coordinates", "draws", "sha256"]
    assert {key: body["coordinates"][key] for key in ("rows", "of", "selection")} == {"rows": 3, "of": 3, "selection": "all"}
    sha = body.pop("sha256")
    assert sha == hashlib.sha256(canonical_json(body).encode()).hexdigest()


def test_keys_that_json_turns_into_texts_are_sealed_as_a_reader_sees_them(tmp_path: Path) -> None:
    run = written(tmp_path, tuning={2: "a", 10: ("b",)})
    result = run.read_result()
    assert result is not None
    assert result.tuning == {"2": "a", "10": ["b"]}


def test_a_nan_in_the_body_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    run = written(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        run.write_result(make_result(config={"temperature": math.nan}))
    assert run.read_result() is not None
    assert run.read_coordinates() is not None


def test_a_failed_result_keeps_its_error_and_a_result_without_a_table_drops_the_old_one(tmp_path: Path) -> None:
    run = written(tmp_path)
    run.write_error("out of memory \ud800")
    run.write_result(make_result(status="failed"))
    assert run.read_error() == "out of memory \\ud800"
    assert run.read_coordinates() is None
    assert not (tmp_path / "coordinates.csv").exists()


def test_a_result_never_stands_beside_the_table_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = written(tmp_path)

    def full(path: Path, data: bytes) -> None:
        if path.name == "result.json":
            raise EnvironmentFault("disk full")
        atomic_write(path, data)

    monkeypatch.setattr(run_directory, "atomic_write", full)
    with pytest.raises(EnvironmentFault):
        run.write_result(make_result(make_coordinates(make_layout(2, 1), seed=1)))
    assert (run.read_result(), run.read_coordinates()) == (None, None)
    monkeypatch.undo()
    written(tmp_path)
    (tmp_path / "coordinates.csv").unlink()
    stored = run.read_stored()
    assert stored is not None and run.read_coordinates() is None
    with pytest.raises(IntegrityError, match=r"coordinates.csv: missing, .*; the same command makes it anew from segments.npz"):
        run.check(stored)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" * 1_000_000, "nested too deeply"),
        ('{"a":' * 1_000_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is not strict JSON"),
        ('{"a": -Infinity}', "-Infinity is not strict JSON"),
        ('{"a": ' + "9" * 301 + "}", "a number of 301 digits"),
        ('{"a": 1e999}', ""),
        ('{"a": ' + "1" * 5000 + "}", ""),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "does not match its sha256"),
        ('{"sha256": null}', "does not match its sha256"),
        ('{"\x1b[31m', ""),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    refused(RunDirectory(tmp_path).read_result, path, what)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda body: body.update(schema_version=2), "schema_version 2, this gsx reads 1"),
        (lambda body: body["config"].update(deep=json.loads("[" * 100 + "]" * 100)), "nested too deeply"),
        (lambda body: body["provenance"].update(deep=json.loads('{"a":' * 100 + "1" + "}" * 100)), "nested too deeply"),
        (lambda body: next(iter(body["parameters"].values())).update(shape=[1] * 65), "a shape that no parameter has"),
        (lambda body: next(iter(body["parameters"].values())).update(shape=[2**62]), "a shape that no parameter has"),
        (lambda body: body.update(status="\x1b[2Jdone"), "none of complete, partial, failed"),
        (lambda body: body.update(estimator=5), "'estimator' is no str"),
        (lambda body: body.update(config=[]), "'config' is no dict"),
        (lambda body: body.pop("summary"), "'summary' is missing"),
        (lambda body: body.pop("coordinates"), "'coordinates' is missing"),
        (lambda body: body.update(summary=[]), ""),
        (lambda body: body.update(cost={"pounds": 3}), ""),
        (lambda body: body["summary"].update(variance={"value": "a lot", "se": None, "ci": None}), ""),
        (lambda body: body["summary"].update(variance={"value": 1, "se": None, "ci": [1]}), ""),
        (lambda body: body.update(parameters={"logits": 3}), ""),
    ],
)
def test_sealed_but_wrong_results_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], what: str) -> None:
    run = written(tmp_path)
    reseal(tmp_path / "result.json", change)
    refused(run.read_result, tmp_path / "result.json", what)
