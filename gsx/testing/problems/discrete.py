"""Problems of Bernoulli and categorical variables, and of subsets."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gsx.costs import Expect, LogMeanExp
from gsx.distributions import Bernoulli, Distribution, KSubset
from gsx.models.base import DirectTerm, Params
from gsx.testing.problems.table import Table


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
