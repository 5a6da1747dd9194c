"""The per-coordinate table: every name and number restored, and no spreadsheet runs a formula of it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsx.records import Coordinates, Layout
from gsx.store import TABLE_COLUMNS, RunDirectory
from tests.store.factory import TEXT, make_coordinates, make_layout, make_result, refused, reseal, written


def test_the_table_holds_shortest_numbers_and_empty_fields(tmp_path: Path) -> None:
    layout = Layout(("w", "b"), ((1, 2), ()))
    columns = {name: np.array([0.1, -1e-300, math.nan]) for name in Coordinates.COLUMNS}
    run = RunDirectory(tmp_path)
    run.write_result(make_result(Coordinates(layout, **columns)))
    assert (tmp_path / "coordinates.csv").read_text() == (
        "parameter,index,mean,mean_se,variance,variance_se,reference,reference_se,bias,bias_se,z\n"
        f"w,0{',0.1' * 9}\n"
        f"w,1{',-1e-300' * 9}\n"
        f"b,0{',' * 9}\n"
    )
    table = run.read_coordinates()
    assert table is not None
    assert (table.columns["parameter"], table.columns["index"]) == (["w", "w", "b"], [0, 1, 0])
    for name in Coordinates.COLUMNS:
        np.testing.assert_array_equal(table.columns[name], columns[name])


@settings(deadline=None, max_examples=30)
@given(
    name=TEXT | st.sampled_from(["=1+1", "'=a", "''", "-2", "@x", 'a"b,c', "\r\n", "\r", "a\rb"]),
    values=st.lists(st.floats(), max_size=4),
)
def test_the_table_restores_every_name_and_number(name: str, values: list[float]) -> None:
    layout = Layout((name,), ((len(values),),))
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder))
        run.write_result(make_result(Coordinates(layout, **{column: np.array(values, float) for column in Coordinates.COLUMNS})))
        table = run.read_coordinates()
    assert table is not None
    assert table.columns["parameter"] == [name] * len(values)
    np.testing.assert_array_equal(table.columns["z"], values)


def test_no_spreadsheet_sees_a_formula_and_pandas_needs_no_options(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    names = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "plain")
    layout = Layout(names, tuple((1,) for _ in names))
    coordinates = make_coordinates(layout)
    RunDirectory(tmp_path).write_result(make_result(coordinates))
    frame = pandas.read_csv(tmp_path / "coordinates.csv")
    assert frame["parameter"].tolist() == [f"'{name}" for name in names[:-1]] + ["plain"]
    assert {str(dtype) for dtype in frame.dtypes.iloc[2:]} == {"float64"}
    np.testing.assert_allclose(frame["mean"], coordinates.mean, rtol=1e-14)


def test_large_tables_keep_the_largest_z_of_each_parameter_and_say_so(tmp_path: Path) -> None:
    layout = make_layout(9_000, 1_500, 10)
    z = np.concatenate([np.arange(9_000) - 4_500.0, np.full(1_500, np.nan), np.ones(10)])
    z[-1] = math.nan
    z[9_000 + 1_400] = -0.1
    run = RunDirectory(tmp_path)
    run.write_result(make_result(dataclasses.replace(make_coordinates(layout), z=z)))
    table = run.read_coordinates()
    assert table is not None
    assert (table.of, table.selection) == (10_510, "the 1000 largest |z| per parameter")
    index = np.array(table.columns["index"])
    assert len(index) == 1000 + 1000 + 10
    assert index[:1000].tolist() == [*range(501), *range(8_501, 9_000)]  # ties go to the lower index
    assert index[1000:2000].tolist() == [*range(999), 1_400]  # NaN comes last
    np.testing.assert_array_equal(table.columns["z"][:1000], z[index[:1000]])
    run.write_result(make_result(make_coordinates(make_layout(10_000))))
    table = run.read_coordinates()
    assert table is not None
    assert (len(table.columns["z"]), table.selection) == (10_000, "all")


@pytest.mark.parametrize(
    "text",
    ["", "parameter,index\n", "1,2,3,4,5,6,7,8,9,10,11\n", ",".join(TABLE_COLUMNS) + "\na,b" + ",0" * 9 + "\n", '"\n', "\xff"],
)
def test_sealed_but_wrong_tables_are_refused(tmp_path: Path, text: str) -> None:
    run = written(tmp_path)
    data = text.encode("latin-1")
    (tmp_path / "coordinates.csv").write_bytes(data)
    sha = hashlib.sha256(data).hexdigest()
    reseal(tmp_path / "result.json", lambda body: body.update(coordinates={**body["coordinates"], "rows": 1, "sha256": sha}))
    refused(run.read_coordinates, tmp_path / "coordinates.csv")
