"""Problems with exact gradients, made so that a wrong estimator shows: asymmetric, none of them separable, some that depend on the
parameters, of one row, of several, nested, and of several samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gsx.costs import Combine, Expect, LogMeanExp
from gsx.distributions import Bernoulli, Beta, Categorical, Dirichlet, Distribution, Gamma, KSubset, Normal, Poisson, VonMises
from gsx.models.base import DirectTerm, Model, Params
from gsx.models.bernoulli_ising import BernoulliIsing
from gsx.noise import Noise


class Table(Model):
    """A cost written as a function of z and q; `start` are the parameters."""

    start: ClassVar[dict[str, Any]]
    combine: ClassVar[Combine | None] = None

    def init(self, noise: Noise) -> Params:
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in self.start.items()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.posterior(params), self.cost, combine=self.combine)

    def posterior(self, params: Params) -> Distribution:
        if "loc" in params:
            return Normal(params["loc"], params["log_scale"].exp())
        return Bernoulli(params["logits"]) if params["logits"].ndim == 1 else Categorical(params["logits"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        raise NotImplementedError


class BernoulliCubic(Table):
    """A cube of a sum: every estimator that leans on a first- or second-order expansion is wrong here."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.9, 0.3, 1.1]}

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return torch.pow(z @ z.new_tensor([1.0, -1.6, 0.8]) + 0.4, 3) - 0.7


class BernoulliDirect(Table):
    """Depends on the parameters, and in such a way that leaving the direct term out moves the mean: E grad log q is zero, that of its
    square is not."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.7, 0.2, 0.9]}
    direct_term: DirectTerm = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y, w = z.unbind(-1)
        log_prob: Tensor = q.log_prob(z)
        return 1.4 * x - y * w + 0.8 * w - 0.3 * log_prob.square() - log_prob - 1.3


class BernoulliRows(Table):
    """Three rows that share their parameters, each with a cost of its own: a batch `[3, 2]`."""

    independent_rows = True
    start: ClassVar[dict[str, Any]] = {"logits": [-0.6, 0.8]}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        x = torch.linspace(-1, 1.2, 3, dtype=params["logits"].dtype, device=params["logits"].device).unsqueeze(-1)
        return expect(Bernoulli(params["logits"] + 0.5 * x), lambda z, q: self.cost(z, q) * (1 + 0.5 * x[:, 0]) + x[:, 0] * z[..., 0])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return torch.pow(z @ z.new_tensor([1.0, -1.4]) + 0.5, 3)


class BernoulliNested(Table):
    """A second layer whose logits are made of the first one's draw; both have parameters of their own."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.4, 0.7], "second": [0.3, -0.8]}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        def outer(z: Tensor, q: Any) -> Tensor:
            mixed = z @ z.new_tensor([[1.0, -0.5], [0.4, 0.9]])
            inner = Bernoulli(params["second"] + mixed)
            return 0.6 * z[..., 0] - 1.2 + expect(inner, lambda y, q: (y @ y.new_tensor([1.2, -0.7]) + z[..., 1]) ** 3 - 1.5, site="z2")

        return expect(Bernoulli(params["logits"]), outer)


class BernoulliBound(Table):
    """A bound of two samples: minus the log of their mean weight."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.6, 0.8]}
    combine = LogMeanExp(2)
    direct_term: DirectTerm = "log_weights"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y = z.unbind(-1)
        log_prob: Tensor = q.log_prob(z)
        return log_prob + 1.5 * x - 0.8 * y + 0.9 * x * y


class BernoulliBoundOfThree(BernoulliBound):
    """Three samples, whose costs are no log weights."""

    combine = LogMeanExp(3)
    direct_term: DirectTerm = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        log_prob: Tensor = q.log_prob(z)
        return super().cost(z, q) + 0.2 * log_prob.square()


class CategoricalTable(Table):
    """A table over two variables of three outcomes, extended multilinearly: it does not separate."""

    start: ClassVar[dict[str, Any]] = {"logits": [[0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]]}

    def cost(self, z: Tensor, q: Any) -> Tensor:
        table = z.new_tensor([[2.1, 1.0, -0.2], [-0.5, -1.9, 0.1], [0.4, -1.0, 0.6]])
        return torch.einsum("...i,...j,ij->...", z[..., 0, :], z[..., 1, :], table)


class CategoricalCubic(CategoricalTable):
    def cost(self, z: Tensor, q: Any) -> Tensor:
        sums = (z * z.new_tensor([[1.0, -0.4, 0.2], [0.3, -1.1, 0.7]])).sum((-2, -1)) + 0.3
        return torch.pow(sums, 3) - 1.0


class CategoricalBound(CategoricalTable):
    combine = LogMeanExp(2)


class CategoricalDirect(CategoricalTable):
    direct_term: DirectTerm = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        log_prob: Tensor = q.log_prob(z)
        return super().cost(z, q) - 0.3 * log_prob.square()


class KSubsetCubic(Table):
    start: ClassVar[dict[str, Any]] = {"logits": [-0.9, 0.3, 1.1, -0.2]}

    def posterior(self, params: Params) -> Distribution:
        return KSubset(params["logits"], 2)

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return torch.pow(z @ z.new_tensor([1.0, -1.6, 0.8, 0.5]) + 0.4, 3) - 0.7


class KSubsetDirect(KSubsetCubic):
    direct_term: DirectTerm = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        log_prob: Tensor = q.log_prob(z)
        return super().cost(z, q) - 0.3 * log_prob.square()


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


class BlackBox(Table):
    """A cost that torch cannot see into."""

    cost_is = "black_box"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        numbers = z.detach().numpy()
        return torch.from_numpy(np.tanh(numbers.reshape(*numbers.shape[: -q.event_ndim], -1) @ np.arange(1, 1 + math.prod(q.event_shape))))


class BernoulliBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"logits": [-0.5, 0.3, 0.8]}


class CategoricalBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"logits": [[0.2, -0.4, 0.6]]}


class GaussianBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"loc": [0.3, -0.2], "log_scale": [0.1, -0.4]}


class BernoulliBlackBoxes(BernoulliBlackBox):
    combine = LogMeanExp(2)


class GaussianBlackBoxes(GaussianBlackBox):
    combine = LogMeanExp(2)


@dataclass(frozen=True)
class Problem:
    model: Model
    #: Made so that a biased estimator is biased here.
    cubic: bool = False
    #: A draw takes long: where there are other problems, less is asked of this one.
    slow: bool = False

    @property
    def direct(self) -> bool:
        """The cost depends on the parameters beyond the draw."""
        return self.model.direct_term != "none"


PROBLEMS: dict[str, Problem] = {
    "bernoulli_cubic": Problem(BernoulliCubic(), cubic=True),
    "bernoulli_direct": Problem(BernoulliDirect()),
    "bernoulli_ising": Problem(BernoulliIsing(logits=[-1.1, -0.3, 0.4, 0.9], seed=1)),
    "bernoulli_rows": Problem(BernoulliRows()),
    "bernoulli_nested": Problem(BernoulliNested()),
    "bernoulli_bound": Problem(BernoulliBound()),
    "bernoulli_bound_of_three": Problem(BernoulliBoundOfThree()),
    "categorical_table": Problem(CategoricalTable()),
    "categorical_cubic": Problem(CategoricalCubic(), cubic=True),
    "categorical_direct": Problem(CategoricalDirect()),
    "categorical_bound": Problem(CategoricalBound()),
    "k_subset_cubic": Problem(KSubsetCubic(), cubic=True),
    "k_subset_direct": Problem(KSubsetDirect()),
    "gaussian_polynomial": Problem(GaussianPolynomial(), cubic=True),
    "gaussian_direct": Problem(GaussianDirect()),
    "gaussian_elbo": Problem(GaussianElbo()),
    "gaussian_nested": Problem(GaussianNested()),
    "gaussian_bound": Problem(GaussianBound()),
    "gaussian_bound_of_three": Problem(GaussianBoundOfThree()),
    "gaussian_bound_rows": Problem(GaussianBoundRows()),
    "gaussian_bound_direct": Problem(GaussianBoundDirect()),
    "gamma_quotient": Problem(GammaQuotient(), slow=True),
    "gamma_direct": Problem(GammaDirect(), slow=True),
    "beta_direct": Problem(BetaDirect(), slow=True),
    "dirichlet_direct": Problem(DirichletDirect(), slow=True),
    "von_mises_direct": Problem(VonMisesDirect(), slow=True),
    "poisson_direct": Problem(PoissonDirect(), slow=True),
}
BLACK_BOXES: list[Model] = [BernoulliBlackBox(), CategoricalBlackBox(), GaussianBlackBox(), BernoulliBlackBoxes(), GaussianBlackBoxes()]
