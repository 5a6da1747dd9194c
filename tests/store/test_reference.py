"""Shared references: both files or none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gsx.store import RunDirectory
from tests.store.factory import make_layout, make_reference, refused


def test_references_come_back_bit_for_bit(tmp_path: Path) -> None:
    layout = make_layout(3, 1)
    reference = make_reference(layout)
    run = RunDirectory(tmp_path / "reference-abc")
    run.write_reference(reference, layout, {"replicates": 10**6, "dtype": "float64"})
    first = [(run.path / name).read_bytes() for name in ("reference.json", "reference.npz")]
    run.write_reference(reference, layout, {"replicates": 10**6, "dtype": "float64"})
    assert first == [(run.path / name).read_bytes() for name in ("reference.json", "reference.npz")]
    stored = run.read_reference()
    assert stored is not None
    assert (stored.layout, stored.note) == (layout, {"replicates": 10**6, "dtype": "float64"})
    assert (stored.reference.id, stored.reference.kind, stored.reference.estimator) == ("abc", "long_run", "rloo")
    np.testing.assert_array_equal(stored.reference.gradient, reference.gradient)
    np.testing.assert_array_equal(stored.reference.se, reference.se)
    assert json.loads(first[0])["error"] == reference.error


def test_references_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    layout = make_layout(2)
    one, two = RunDirectory(tmp_path / "reference-1"), RunDirectory(tmp_path / "reference-2")
    one.write_reference(make_reference(layout), layout, {})
    two.write_reference(dataclasses.replace(make_reference(layout), se=np.zeros(2)), layout, {})
    (two.path / "reference.npz").replace(one.path / "reference.npz")
    refused(one.read_reference, one.path / "reference.npz", "not the one that reference.json")
    refused(two.read_reference, two.path / "reference.npz", "missing")
    (two.path / "reference.json").unlink()
    assert two.read_reference() is None
    for gradient in (np.zeros(3), np.array([0.0, np.nan]), np.zeros(2, np.float32)):
        with pytest.raises(ValueError, match="gradient"):
            one.write_reference(dataclasses.replace(make_reference(layout), gradient=gradient), layout, {})
