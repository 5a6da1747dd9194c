"""Problems of continuous variables and of counts."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from gsx.costs import Expect, LogMeanExp
from gsx.distributions import Beta, Dirichlet, Distribution, Gamma, Normal, Poisson, VonMises
from gsx.models.base import DirectTerm, Params
from gsx.testing.problems.table import Table


class GaussianPolynomial(Table):
    start: ClassVar[dict[str, Any]] = {"loc": [0.4, -0.6], "log_scale": [-0.5, -0.3]}

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y = z.unbind(-1)
        return 1.5 * x - 1.2 * y + 0.3 * x**2 * y + 0.4 * x * y - 1.2


class GaussianElbo(GaussianPolynomial):
    direct_term: DirectTerm = "log_q"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        log_prob: Tensor = q.log_prob(z)
        return super().cost(z, q) + 0.5 * log_prob + 1.1


class GaussianBound(Table):
    """A bound of two samples of one Gaussian, so that there are two dimensions to integrate over."""

    start: ClassVar[dict[str, Any]] = {"loc": [0.4], "log_scale": [-0.4]}
    combine = LogMeanExp(2)
    direct_term: DirectTerm = "log_weights"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        log_prob: Tensor = q.log_prob(z)
        return log_prob + 0.4 * (z[..., 0] - 0.9).square() + 0.3 * torch.sin(2 * z[..., 0])


class GaussianBoundOfThree(GaussianBound):
    """Weights that hardly vary, or a quadrature of three dimensions takes long to settle."""

    start: ClassVar[dict[str, Any]] = {"loc": [0.4], "log_scale": [-0.6]}
    combine = LogMeanExp(3)

    def cost(self, z: Tensor, q: Any) -> Tensor:
        log_prob: Tensor = q.log_prob(z)
        return log_prob + 1.5 * z[..., 0].square() + 0.8 * z[..., 0]


class GaussianBoundRows(GaussianBound):
    """Two rows, and a parameter that the weights have besides those of q."""

    independent_rows = True
    start: ClassVar[dict[str, Any]] = {"loc": [0.4], "log_scale": [-0.4], "slope": [0.8]}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        x = params["loc"].new_tensor([[-0.7], [1.0]])
        q = Normal(params["loc"] + 0.3 * x, params["log_scale"].exp().expand(2, 1))
        return expect(q, lambda z, q: self.cost(z, q) + (params["slope"] * x * z).sum(-1), combine=self.combine)


class GaussianBoundDirect(GaussianBound):
    """Not of log weights."""

    direct_term: DirectTerm = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        direct: Tensor = z[..., 0] * (1.5 + 0.6 * q.scale[..., 0]) - 0.5 * q.log_prob(z)
        return super().cost(z, q) + direct


class GaussianDirect(GaussianPolynomial):
    direct_term: DirectTerm = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        direct: Tensor = 0.2 * q.log_prob(z) + 0.6 * z[..., 0] * q.loc[..., 1] - 0.4 * z[..., 1] * q.scale[..., 0]
        return super().cost(z, q) + direct


class GaussianNested(Table):
    """A Gaussian whose mean is made of the draw of another."""

    start: ClassVar[dict[str, Any]] = {"loc": [0.3], "log_scale": [-0.4], "second": [-0.6]}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        def outer(z: Tensor, q: Any) -> Tensor:
            inner = Normal(params["second"] + 0.7 * z, torch.full_like(z, 0.6))
            return 0.4 * z[..., 0] + expect(inner, lambda y, q: (y[..., 0] + 0.5 * z[..., 0] + 0.8) ** 2 - 0.8, site="z2")

        return expect(Normal(params["loc"], params["log_scale"].exp()), outer)


class GaussianStep(GaussianPolynomial):
    """Jumps where the first coordinate passes 0.3: the pathwise gradient sees the slope and not the jump."""

    cost_is = "discontinuous"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return (z[..., 0] > 0.3).to(z.dtype) + 0.4 * z[..., 0] * z[..., 1]

    def closed_form(self, params: Params) -> Params:
        loc, scale = params["loc"].clone(), params["log_scale"].exp()
        edge = (0.3 - loc[0]) / scale[0]
        density = torch.exp(-0.5 * edge**2) / math.sqrt(2 * math.pi)
        return {
            "loc": torch.stack((density / scale[0] + 0.4 * loc[1], 0.4 * loc[0])),
            "log_scale": torch.stack((density * edge, torch.zeros_like(edge))),
        }


class GammaQuotient(Table):
    """Bounded, because the estimators of gamma variables are slow and their scores heavy-tailed; and it does not separate."""

    start: ClassVar[dict[str, Any]] = {"concentration": [1.3, 3.0], "rate": [1.1, 2.0]}

    def posterior(self, params: Params) -> Distribution:
        return Gamma(params["concentration"], params["rate"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return (2 * z[..., 0] - z[..., 1]) / (1 + z.sum(-1))


class GammaDirect(GammaQuotient):
    direct_term: DirectTerm = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        direct: Tensor = 0.4 * torch.tanh(z[..., 0]) * q.rate[..., 1] - 0.1 * q.log_prob(z)
        return super().cost(z, q) + direct


class BetaDirect(Table):
    direct_term: DirectTerm = "other"
    start: ClassVar[dict[str, Any]] = {"a": [1.5, 0.8], "b": [0.7, 2.0]}

    def posterior(self, params: Params) -> Distribution:
        return Beta(params["a"], params["b"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        direct: Tensor = 0.5 * z[..., 1] * q.parameters["concentration1"][..., 0]
        return z[..., 0] * (1.5 - z[..., 1]) - z[..., 0].square() - 0.3 + direct


class DirichletDirect(Table):
    direct_term: DirectTerm = "other"
    start: ClassVar[dict[str, Any]] = {"concentration": [[0.8, 1.5, 2.5]]}

    def posterior(self, params: Params) -> Distribution:
        return Dirichlet(params["concentration"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y, w = z[..., 0, :].unbind(-1)
        direct: Tensor = 0.2 * y * q.concentration[..., 0, 2]
        return x * y - w.square() + 0.8 * x + 0.2 + direct


class VonMisesDirect(Table):
    """Not periodic: what an angle is counted from matters."""

    direct_term: DirectTerm = "other"
    start: ClassVar[dict[str, Any]] = {"loc": [0.6, -1.4], "concentration": [2.0, 0.9]}

    def posterior(self, params: Params) -> Distribution:
        return VonMises(params["loc"], params["concentration"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        direct: Tensor = 0.2 * z[..., 1] * q.loc[..., 0]
        return torch.cos(z[..., 0] + 0.4) * (1.0 - torch.sin(z[..., 1])) + 0.3 * z[..., 0] + direct


class PoissonDirect(Table):
    direct_term: DirectTerm = "other"
    start: ClassVar[dict[str, Any]] = {"rate": [0.7, 2.5]}

    def posterior(self, params: Params) -> Distribution:
        return Poisson(params["rate"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        direct: Tensor = 0.1 * z[..., 0] * q.rate[..., 1]
        return torch.cos(z[..., 0] - 0.5 * z[..., 1]) - 0.3 * z[..., 1] + 0.7 + direct
