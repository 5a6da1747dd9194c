"""Measurements on the structured route: the same answers as on the others, and the variance that enumeration gives.

Statistical: seeds are fixed; each test says how often another seed would fail it, and planted bugs are caught.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.estimators.base import Estimator
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.estimators.rloo import RLOO
from gsx.estimators.st_gumbel import STGumbel
from gsx.moments import Moments
from gsx.program import Program
from gsx.records import Result
from gsx.routes import structured as module
from gsx.routes.outer import OuterProducts
from tests.routes.factory import vae


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Nobody reads the times here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


def measure(model: Any, estimator: Any, **settings: Any) -> Result:
    return gsx.measure(model, estimator, **{"num_replicates": 4096, "workers": 1, "engine": "structured", **settings})


# ------------------------------------------------------------------------------------------------------------- the other routes


def deviations(a: Result, b: Result) -> dict[str, float]:
    """How far the variances of two independent measurements are apart, in joint standard errors, parameter by parameter."""
    found = {}
    for name in a.parameters:
        first, second = a.parameters[name]["variance"], b.parameters[name]["variance"]
        found[name] = (first.value - second.value) / math.hypot(first.se, second.se)
    return found


AGREE = [
    pytest.param("binary_vae", Reinforce(), "all", id="reinforce"),
    pytest.param("binary_vae", RLOO(num_samples=3), "all", id="rloo"),
    pytest.param("categorical_vae", STGumbel(num_samples=2), "all", id="st_gumbel"),
    pytest.param("gaussian_vae", Reparameterization(), "all", id="reparameterization"),
    pytest.param("gaussian_vae", Reinforce(), "encoder", id="encoder"),
]


@pytest.mark.statistical
@pytest.mark.parametrize(("model", "estimator", "wrt"), AGREE)
def test_the_variances_of_two_routes_agree(model: str, estimator: Estimator, wrt: str) -> None:
    """On other noise, within 5 joint standard errors, for some 36 parameters: another seed fails one time in 1e3, or less."""
    settings = {"wrt": wrt, "num_replicates": 2**14, "dtype": "float32"}
    of_structure = measure(vae(model, hidden=[3]), estimator, **settings, seed=1)
    mapped = measure(vae(model, hidden=[3]), estimator, **settings, seed=2, engine="vmap")
    assert (of_structure.engine, mapped.engine) == ("structured", "vmap")
    assert all(abs(apart) <= 5 for apart in deviations(of_structure, mapped).values())
    assert of_structure.verdict.status == mapped.verdict.status == ("unbiased" if estimator.unbiased else "biased")
    for name in ("variance", "bias_sq", "mse", "snr", "cosine"):
        first, second = of_structure.summary[name], mapped.summary[name]
        assert first is not None and second is not None and first.se is not None and second.se is not None
        assert abs(first.value - second.value) <= 5 * math.hypot(first.se, second.se), name
    assert of_structure.summary["cosine_single"] is None and mapped.summary["cosine_single"] is not None


# ------------------------------------------------------------------------------------------------------------- the whole truth


def enumerated(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance ``[P]`` of the one-sample REINFORCE gradient of a linear binary_vae of two latents, by hand: over all states.

    f = log q - log p(z) - log p(x|z); a row's gradient is (f + 1) (z - p) at the encoder's output, sigmoid(output) - x at the decoder's.
    """
    weights = [program.params[f"{side}.0.{kind}"].numpy() for side in ("encoder", "decoder") for kind in ("weight", "bias")]
    images, mean, variance = program.model.x.numpy(), 0.0, 0.0
    for x in images:
        read = 2 * x - 1
        p = 1 / (1 + np.exp(-(weights[0] @ read + weights[1])))
        gradients, chances = [], []
        for z in map(np.array, product((0.0, 1.0), repeat=2)):
            code = 2 * z - 1
            on = 1 / (1 + np.exp(-(weights[2] @ code + weights[3])))
            log_q = np.log(np.where(z > 0, p, 1 - p)).sum()
            f = log_q + 2 * math.log(2) - np.log(np.where(x > 0, on, 1 - on)).sum()
            at_encoder, at_decoder = (f + 1) * (z - p), on - x
            gradients.append(
                np.concatenate([np.outer(at_encoder, read).ravel(), at_encoder, np.outer(at_decoder, code).ravel(), at_decoder])
            )
            chances.append(math.exp(log_q))
        of_row = np.average(gradients, axis=0, weights=chances)
        mean = mean + of_row / len(images)
        variance = variance + np.average((gradients - of_row) ** 2, axis=0, weights=chances) / len(images) ** 2
    return np.asarray(mean), np.asarray(variance)


def farthest(num_samples: int = 1, replicates: int = 2**14) -> float:
    """How far a measured variance is from the enumerated one, in its standard errors: the farthest of 27 coordinates."""
    model = vae("binary_vae")
    mean, variance = enumerated(Program(model, dtype=torch.float64))
    result = measure(model, Reinforce(num_samples=num_samples), num_replicates=replicates, block_size=16, seed=4)
    table = result.coordinates
    assert table is not None
    np.testing.assert_allclose(table.reference, mean, rtol=1e-4, atol=1e-6)  # the parameters are rounded to float32 there
    assert (np.abs(table.mean - mean) <= 5 * table.mean_se + 1e-5).all()
    return float((np.abs(table.variance - variance / num_samples) / table.variance_se).max())


@pytest.mark.statistical
@pytest.mark.parametrize("num_samples", [1, 3])
def test_the_variance_by_enumeration(num_samples: int) -> None:
    """27 coordinates within 5 standard errors on 64 segments: another seed fails one time in five thousand."""
    assert farthest(num_samples) <= 5


#: Enough for a variance that is wrong by a factor of two.
FEW = 2**11


class Scaled(OuterProducts):
    factor = 1.0

    def __init__(self, d: Tensor, a: Tensor) -> None:
        super().__init__(d, a)
        self.squares = self.squares[0] * self.factor, self.squares[1] * self.factor


class Halved(Scaled):
    """(G_r - G_s)^2 taken for twice the variance twice over."""

    factor = 0.5


class OnceOverRows(Scaled):
    """The variance of a mean over three rows divided by three once, not squared."""

    factor = 3.0


class OneTooMany(Scaled):
    """n for n - 1, in blocks of 16."""

    factor = 16 / 15


class RowsAsOne(OuterProducts):
    """All rows one sample: a replicate's partner is of another row, and what rows differ by is taken for noise."""

    def __init__(self, d: Tensor, a: Tensor) -> None:
        super().__init__(d, a)
        self.squares = OuterProducts(*(x.transpose(1, 2).flatten(1, 2).unsqueeze(2) for x in (d, a))).squares


@pytest.mark.statistical
@pytest.mark.parametrize(("mutant", "replicates"), [(Halved, FEW), (OnceOverRows, FEW), (OneTooMany, 2**14), (RowsAsOne, FEW)])
def test_a_wrong_variance_after_the_draw_is_caught(mutant: type[OuterProducts], replicates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OuterProducts", mutant)
    assert farthest(replicates=replicates) > 5


@pytest.mark.statistical
@pytest.mark.parametrize(("factor", "replicates"), [(0.5, FEW), (15 / 16, 2**14)])
def test_a_wrong_variance_before_the_draw_is_caught(factor: float, replicates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    right = module.moments

    def wrong(gradients: Tensor, direction: Tensor | None) -> Moments:
        found = right(gradients, direction)
        found.second.mul_(factor)
        return found

    monkeypatch.setattr(module, "moments", wrong)
    assert farthest(replicates=replicates) > 5
