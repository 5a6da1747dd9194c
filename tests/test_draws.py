"""Single draws against the formulas of the two estimators, at the same random numbers; and what they must not change."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gsx import measure
from gsx.noise import Block, normal
from gsx.records import ConfigurationError, IntegrityError
from gsx.store import RunDirectory

LOC, SCALE, K = 1.0, math.exp(-0.3), 2.0
MODEL = {"name": "gaussian_toy", "loc": [LOC], "log_scale": [-0.3], "cost": "cos", "k": K}
SETTINGS = {"num_replicates": 128, "block_size": 2, "dtype": "float64", "seed": 3, "workers": 1}


def expected(count: int) -> np.ndarray:
    """x of each replicate, from the addresses of its random numbers."""
    numbers = [Block(3, "base", r // 2, torch.float64, torch.device("cpu")).draw("z", 0, (1, 1), r % 2, r % 2 + 1) for r in range(count)]
    return LOC + SCALE * normal(torch.cat(numbers)).numpy().ravel()


@pytest.mark.parametrize("estimator", ["reparameterization", "reinforce"])
def test_draws_follow_the_formula(estimator: str, tmp_path: Path) -> None:
    folder = tmp_path / "default" / "run-1"
    result = measure(MODEL, estimator, directory=folder, draws=128, **SETTINGS)
    kept = RunDirectory(folder).read_draws()
    assert kept is not None
    x = expected(128)
    cost, slope, eps = np.cos(K * x), -K * np.sin(K * x), (x - LOC) / SCALE
    pathwise = estimator == "reparameterization"
    gradients = (slope, slope * SCALE * eps) if pathwise else (cost * eps / SCALE, cost * (eps**2 - 1))
    assert list(kept) == ["replicate", "z[0]", "cost", "gradient.loc[0]", "gradient.log_scale[0]"]
    for found, formula in zip(list(kept.values())[1:], (x, cost, *gradients), strict=True):
        np.testing.assert_allclose(found, formula, rtol=1e-12, atol=1e-13)
    assert not np.allclose(gradients[0], (cost * eps / SCALE, slope)[not pathwise])  # the other estimator's would be seen
    # All of the run's replicates: their variance is the one that was measured.
    assert result.parameters["loc"]["variance"].value == pytest.approx(kept["gradient.loc[0]"].var(ddof=1), rel=1e-9)


def test_draws_change_no_result_and_are_made_good(tmp_path: Path) -> None:
    folder = tmp_path / "default" / "run-1"
    without = measure(MODEL, "reinforce", directory=folder, **SETTINGS)
    assert RunDirectory(folder).read_draws() is None
    kept = measure(MODEL, "reinforce", directory=folder, draws=7, **SETTINGS)  # complete, but for the draws
    assert (kept.result_id, kept.moments_sha256, kept.config) == (without.result_id, without.moments_sha256, without.config)
    seven = RunDirectory(folder).read_draws()
    assert seven is not None and len(seven["cost"]) == 7
    before = (folder / "draws.csv").stat().st_mtime_ns
    measure(MODEL, "reinforce", directory=folder, draws=5, **SETTINGS)
    assert (folder / "draws.csv").stat().st_mtime_ns == before  # enough are there
    (folder / "draws.csv").write_text("replicate,z[0],cost\n0,1.0\n")
    with pytest.raises(IntegrityError, match=r"draws\.csv"):
        RunDirectory(folder).read_draws()


@pytest.mark.parametrize(
    ("estimator", "settings", "said"),
    [
        ("measure_valued", {}, "draws=4: measure_valued evaluates the cost"),
        ("reinforce", {"num_samples": 2}, "draws=4: reinforce evaluates the cost 2 times"),
        ("exact", {}, "draws=4: exact draws nothing"),
        ("reinforce", {"draws": -1}, "draws=-1: must be at least 0"),
    ],
)
def test_what_is_no_single_draw_is_refused_before_any_work(estimator: str, settings: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        measure(MODEL, estimator, directory=tmp_path / "run", **SETTINGS | {"draws": 4} | settings)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigurationError, match="give a directory"):
        measure(MODEL, "reinforce", draws=4, **SETTINGS)
