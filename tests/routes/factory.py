"""Small problems for the routes, and what moments should be, row by row: the gradient of every row of every replicate, one at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from gsx.costs import Expect
from gsx.data import Dataset
from gsx.distributions import Normal
from gsx.estimators.base import Estimator
from gsx.models.base import Model, Params
from gsx.models.binary_vae import BinaryVAE
from gsx.models.categorical_vae import CategoricalVAE
from gsx.models.gaussian_vae import GaussianVAE
from gsx.moments import Moments
from gsx.noise import Block, Noise, replay
from gsx.probe import Probe, probe, sites
from gsx.program import Program, flatten
from gsx.records import ConfigurationError
from gsx.routes import ROUTES, Route, choose, implement
from gsx.routes.lay_open import can_structure

CPU = torch.device("cpu")


def pixels(width: int = 5) -> Dataset:
    """Nine images of a few pixels, each on with a probability of its own."""
    rows = (np.random.default_rng(5).random((9, width)) < np.linspace(0.2, 0.8, width)).astype(np.float64)
    return Dataset("digits", "train", rows, np.zeros(9, dtype=np.int64), "none", None, "made up", "0" * 64)


def vae(name: str, *, hidden: list[int] | None = None, batch: int = 3) -> Model:
    """A variational autoencoder of two latents, and of one hidden layer where `hidden` says so."""
    widths = hidden or []
    if name == "binary_vae":
        return BinaryVAE(data=pixels(), latents=2, hidden=widths, batch=batch)
    if name == "categorical_vae":
        return CategoricalVAE(data=pixels(4), latents=2, categories=3, hidden=widths, batch=batch)
    return GaussianVAE(data=pixels(6), latents=2, hidden=widths, batch=batch)


class Linear(Model):
    """Rows x through two linear layers and a Gaussian between them; tests change a line of it. Parameters: the two layers, and `extra`."""

    independent_rows = True
    extra: tuple[int, ...] | None = None
    x: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("x", torch.linspace(-1.2, 1.5, 12, dtype=torch.float64).sin().reshape(3, 4))

    def init(self, noise: Noise) -> Params:
        shapes = {"encoder.weight": (2, 4), "encoder.bias": (2,), "decoder.weight": (4, 2), "decoder.bias": (4,)}
        own = {} if self.extra is None else {"extra": self.extra}
        return {name: noise.standard_normal(shape) for name, shape in (shapes | own).items()}

    def posterior(self, params: Params) -> Normal:
        loc = linear(self.x, params["encoder.weight"], params["encoder.bias"])
        return Normal(loc, (0.3 * loc - 1).exp())

    def decode(self, params: Params, z: Tensor) -> Tensor:
        return linear(z, params["decoder.weight"], params["decoder.bias"])

    def cost(self, params: Params, z: Tensor, q: Normal) -> Tensor:
        return ((self.decode(params, z) - self.x) ** 2).sum(-1) + 0.1 * q.log_prob(z)

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.posterior(params), lambda z, q: self.cost(params, z, q))


def block(index: int = 2, dtype: torch.dtype = torch.float64) -> Block:
    return Block(0, "base", index, dtype, CPU)


def route(engine: str, program: Program, estimator: Estimator) -> Route:
    """The route of that name; ConfigurationError where it is not possible."""
    return choose(engine, program, estimator, probe(program, estimator))


def oracle(program: Program, estimator: Estimator) -> Route:
    """One backward pass for each replicate."""
    return ROUTES["loop"](program, estimator, probe(program, estimator))


def refused(program: Program, estimator: Estimator) -> bool:
    """Whether it is, in one line; `auto` then takes another route."""
    seen = Probe(sites(program))
    if can_structure(program, estimator, seen):
        assert choose("structured", program, estimator, seen).name == "structured"
        return False
    with pytest.raises(ConfigurationError) as error:
        choose("structured", program, estimator, seen)
    text = str(error.value)
    assert text.startswith("engine=structured: ") and "\n" not in text and program.model.name in text and estimator.name in text
    assert choose("auto", program, estimator, seen).name != "structured"
    return True


def of_rows(program: Program, estimator: Estimator, numbers: Block, replicates: int) -> Tensor:
    """The gradient of the loss of each row of each replicate, ``[n, rows, P]``, on the noise that a route would give it."""
    seen: Probe = probe(program, estimator)
    drawn = {(site, draw): numbers.draw(site, draw, shape, 0, replicates) for site, draw, shape in seen.draws}
    found = []
    for r in range(replicates):
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in program.leaves.items()}
        noise = replay({address: values[r] for address, values in drawn.items()})
        for loss in program.loss(leaves, implement(estimator, noise)):
            slopes = torch.autograd.grad(loss, tuple(leaves.values()), retain_graph=True, allow_unused=True, materialize_grads=True)
            found.append(flatten(dict(zip(leaves, slopes, strict=True))))
    return torch.stack(found).unflatten(0, (replicates, -1))


def before_the_draw(program: Program) -> Tensor:
    """Which coordinates ``[P]`` belong to the layers before the draw."""
    return torch.cat([torch.full((leaf.numel(),), name.startswith("encoder")) for name, leaf in program.leaves.items()])


def expected(program: Program, rows: Tensor, tiles: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Mean and second moment ``[P]`` from the gradients of rows ``[n, rows, P]``; the loss is their mean.

    Before the draw: the rows' sums of squared deviations, added. After it: n - 1 times the mean over pairs of (G_r - G_s)^2 / 2, added over
    rows; within a tile replicate r is paired with r + half of it.
    """
    scaled = rows / rows.shape[1]
    deviations = ((scaled - scaled.mean(0)) ** 2).sum((0, 1))
    squares, pairs = torch.zeros_like(deviations), 0
    for start, stop in tiles:
        half = (stop - start) // 2
        first, second = scaled[start : start + half], scaled[start + half : start + 2 * half]
        squares, pairs = squares + ((first - second) ** 2 / 2).sum((0, 1)), pairs + half
    paired = (len(rows) - 1) * squares / max(pairs, 1)
    return scaled.sum(1).mean(0), torch.where(before_the_draw(program), deviations, paired)


def assert_moments(found: Moments, mean: Tensor, second: Tensor, *, rtol: float = 1e-9) -> None:
    """Equal to rounding, relative to each coordinate; where one is zero, to the largest."""
    torch.testing.assert_close(found.mean, mean, rtol=rtol, atol=1e-3 * rtol * float(mean.abs().max()))
    torch.testing.assert_close(found.second, second, rtol=rtol, atol=1e-3 * rtol * float(second.abs().max()))


def assert_right(program: Program, estimator: Estimator, replicates: int = 7) -> Moments:
    """The structured route's moments of a block of one tile, held against the gradients of all its rows; and those moments."""
    found = route("structured", program, estimator).moments(block(), replicates, None)
    rows = of_rows(program, estimator, block(), replicates)
    assert_moments(found, *expected(program, rows, [(0, replicates)]))
    loop = oracle(program, estimator).moments(block(), replicates, None)
    torch.testing.assert_close(loop.mean, rows.mean((0, 1)))  # the oracles agree
    assert (found.largest >= loop.largest * (1 - 1e-12)).all()
    assert found.count == replicates and found.nonfinite.item() == 0
    assert found.third is None and found.cosine is None
    assert all(tensor.dtype == torch.float64 for tensor in (found.mean, found.second, found.largest))
    return found
