"""The structured route on models of one's own: row by row, on the same noise, wherever it does not refuse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from gsx.costs import Expect
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.models.base import Model, Params
from gsx.models.gaussian_vae import GaussianVAE
from gsx.noise import Noise
from gsx.program import Program
from gsx.surrogate import zero
from tests.routes.factory import Linear, assert_right, pixels, refused, vae


class AnalyticKL(GaussianVAE):
    """The divergence from the prior outside the expectation, in its closed form, and a weight decay beside it."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        seen: list[Normal] = []

        def likelihood(q: Distribution, cost: object, site: str = "z") -> Tensor:
            assert isinstance(q, Normal)
            seen.append(q)
            return expect(q, lambda z, q: -self.log_likelihood(params, z), site)

        misfit = super().loss(params, likelihood)
        (q,) = seen
        divergence = (0.5 * (q.loc**2 + q.scale**2 - 1) - torch.log(q.scale)).sum(-1)
        return misfit + divergence + 0.05 * (params["decoder.0.weight"] ** 2).sum()


class TwoHeads(Linear):
    """Two layers for the distribution, without biases, and a decoder that is called twice."""

    def init(self, noise: Noise) -> Params:
        shapes = {"encoder.loc": (2, 4), "encoder.scale": (2, 4), "decoder.weight": (4, 2), "decoder.bias": (4,)}
        return {name: noise.standard_normal(shape) for name, shape in shapes.items()}

    def posterior(self, params: Params) -> Normal:
        return Normal(linear(self.x, params["encoder.loc"]), (0.2 * linear(self.x, params["encoder.scale"])).exp())

    def decode(self, params: Params, z: Tensor) -> Tensor:
        return super().decode(params, torch.tanh(z)) + super().decode(params, z**2) ** 2


class FixedPosterior(Linear):
    """Neither does; all measured layers come after the draw."""

    def init(self, noise: Noise) -> Params:
        return {name: value for name, value in super().init(noise).items() if name.startswith("decoder")}

    def posterior(self, params: Params) -> Normal:
        return Normal(self.x[:, :2], self.x[:, 2:].exp())


class Penalised(Linear):
    """An analytic term outside the expectation, in layers on both sides and in the distribution."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = self.posterior(params)
        penalty = 0.1 * (params["decoder.weight"] ** 3).sum() + (q.loc**2 - q.scale.log()).sum(-1)
        return expect(q, lambda z, handed: self.cost(params, z, handed)) + penalty


class Weights(Linear):
    """The expectation is weighed by what is no parameter, a number for each row."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return (1 + self.x[:, 0] ** 2) * super().loss(params, expect)


MODELS = [AnalyticKL(data=pixels(), latents=2, hidden=[3], batch=3), Linear(), TwoHeads(), FixedPosterior(), Penalised(), Weights()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("kind", [Reparameterization, Reinforce])
@pytest.mark.parametrize("num_samples", [1, 2])
def test_other_models_row_by_row(model: Model, kind: type[Estimator], num_samples: int) -> None:
    assert_right(Program(model, dtype=torch.float64), kind(num_samples=num_samples))


class Antithetic(Estimator):
    """Two calls of the cost, the second of them for its value alone."""

    unbiased = True
    needs_cost_gradient = True
    distributions = (Normal,)
    evaluations = "2 N"
    citation = "made up"

    def expect(self, q: Distribution, cost: object, noise: Noise) -> Tensor:
        assert isinstance(q, Normal) and callable(cost)
        z = q.reparameterize(noise.uniform((self.num_samples,), q))
        with torch.no_grad():
            baseline = cost(2 * q.loc - z, q)
        f = cost(z, q)
        return (f + (f.detach() - baseline) * zero(q.log_prob(z.detach()))).mean(0)


def test_a_second_call_of_the_cost_may_be_for_its_value_alone() -> None:
    assert_right(Program(Linear(), dtype=torch.float64), Antithetic())


@pytest.mark.parametrize("model", ["binary_vae", "gaussian_vae"])
def test_the_float64_twin_of_a_float32_program(model: str) -> None:
    """What a long run of a reference is made on: its leaves are other tensors than its parameters."""
    assert_right(Program(vae(model, hidden=[3]), dtype=torch.float32).in_float64(), Reinforce())


class OtherOutput(Linear):
    """A layer before the draw that the distribution does not depend on."""

    extra = (3, 4)

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return super().loss(params, expect) + (linear(self.x, params["extra"]) ** 2).sum(-1)


class Replaced(Linear):
    """One of the distribution's parameters is the negative of a layer's output, the other no layer's."""

    def posterior(self, params: Params) -> Normal:
        q = super().posterior(params)
        return Normal(-q.loc, 1 + self.x[:, :2] ** 2)


class FixedScale(Linear):
    """Only one of the distribution's parameters depends on measured ones."""

    def posterior(self, params: Params) -> Normal:
        loc = super().posterior(params).loc
        return Normal(loc, torch.full_like(loc, 0.3).detach())


@pytest.mark.parametrize("model", [OtherOutput, FixedScale, Replaced])
def test_what_it_does_not_refuse_it_gets_right(model: type[Linear]) -> None:
    program = Program(model(), dtype=torch.float64)
    if not refused(program, Reinforce()):
        assert_right(program, Reinforce())
