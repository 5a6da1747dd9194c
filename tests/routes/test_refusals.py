"""A model that is linear layers on independent rows but for one line: the structured route refuses it, in one line."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

from gsx.costs import Expect
from gsx.distributions import Normal
from gsx.estimators.base import Estimator
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.models.base import Params
from gsx.program import Program
from tests.routes.factory import Linear, refused


class DependentRows(Linear):
    independent_rows = False


class LearnedPrior(Linear):
    extra = (2,)

    def cost(self, params: Params, z: Tensor, q: Normal) -> Tensor:
        return super().cost(params, z, q) - Normal(params["extra"], torch.ones_like(params["extra"])).log_prob(z)


class ByProduct(Linear):
    """The decoder is z @ W.T, and not a layer."""

    def decode(self, params: Params, z: Tensor) -> Tensor:
        return z @ params["decoder.weight"].T + params["decoder.bias"]


class EncodedByProduct(Linear):
    def posterior(self, params: Params) -> Normal:
        loc = self.x @ params["encoder.weight"].T + params["encoder.bias"]
        return Normal(loc, (0.3 * loc - 1).exp())


class ClosesOver(Linear):
    """The cost looks at an activation of the encoder."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = self.posterior(params)
        h = torch.tanh(q.loc)
        return expect(q, lambda z, handed: self.cost(params, z + h, handed))


class ClosesOverItsOwn(Linear):
    """The cost does not use the q it is handed."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = self.posterior(params)
        return expect(q, lambda z, handed: self.cost(params, z, q))


class Tied(Linear):
    """The encoder's weight, transposed, is one of the decoder's."""

    def decode(self, params: Params, z: Tensor) -> Tensor:
        return super().decode(params, z) + linear(z, params["encoder.weight"].T)


class TiedBesideABias(Linear):
    """The same in a layer whose bias is a parameter as it stands, and once only."""

    def decode(self, params: Params, z: Tensor) -> Tensor:
        return linear(z, params["encoder.weight"].T, params["decoder.bias"]) + linear(z, params["decoder.weight"])


class BeforeAndAfter(Linear):
    """One layer on both sides of the draw."""

    def decode(self, params: Params, z: Tensor) -> Tensor:
        back = linear(super().decode(params, z), params["encoder.weight"], params["encoder.bias"])
        return super().decode(params, z) + back.sum(-1, keepdim=True)


class TwoBiases(Linear):
    """One weight in two layers after the draw."""

    extra = (4,)

    def decode(self, params: Params, z: Tensor) -> Tensor:
        return super().decode(params, z) + softplus(linear(z, params["decoder.weight"], params["extra"]))


class TwiceBefore(Linear):
    """One layer called twice before the draw: two terms, which that side does not add up."""

    def posterior(self, params: Params) -> Normal:
        q = super().posterior(params)
        return Normal(q.loc + linear(self.x**2, params["encoder.weight"], params["encoder.bias"]), q.scale)


class Weighed(Linear):
    """A parameter weighs the expectation, outside of it: a layer's bias, so that nothing else is wrong with it."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return (1 + params["encoder.bias"].sum() ** 2) * super().loss(params, expect)


class WeighedByActivation(Linear):
    def loss(self, params: Params, expect: Expect) -> Tensor:
        return softplus(self.posterior(params).loc).sum(-1) * super().loss(params, expect)


class Outside(Linear):
    """A parameter that no layer has: its gradient does not vary, but the layers do not know of it."""

    extra = (2,)

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return super().loss(params, expect) + (params["extra"] ** 2).sum()


class OnRowsAlone(Linear):
    """A layer inside the cost that reads the rows and not the draw: it has no axis of replicates."""

    extra = (4, 4)

    def decode(self, params: Params, z: Tensor) -> Tensor:
        return super().decode(params, z) + linear(self.x, params["extra"])


class NotRows(Linear):
    """A layer before the draw that reads something else than rows."""

    extra = (3, 2)

    def posterior(self, params: Params) -> Normal:
        q = super().posterior(params)
        return Normal(q.loc + linear(self.x.new_ones(2, 2), params["extra"]).T, q.scale)


class TwoSites(Linear):
    def loss(self, params: Params, expect: Expect) -> Tensor:
        return super().loss(params, expect) + expect(Normal(self.x, 1 + self.x**2), lambda z, q: z.sum(-1), site="other")


class TwoAxes(Linear):
    """The batch of the distribution is not one axis of rows."""

    def posterior(self, params: Params) -> Normal:
        q = super().posterior(params)
        return Normal(q.loc[:, None], q.scale[:, None])

    def cost(self, params: Params, z: Tensor, q: Normal) -> Tensor:
        return ((self.decode(params, z) - self.x[:, None]) ** 2).sum(-1)


CHANGED: list[type[Linear]] = [
    DependentRows,
    LearnedPrior,
    ByProduct,
    EncodedByProduct,
    ClosesOver,
    ClosesOverItsOwn,
    Tied,
    TiedBesideABias,
    BeforeAndAfter,
    TwoBiases,
    TwiceBefore,
    Weighed,
    WeighedByActivation,
    Outside,
    OnRowsAlone,
    NotRows,
    TwoSites,
    TwoAxes,
]


def test_the_unchanged_model_is_taken() -> None:
    """The control of those below."""
    assert not refused(Program(Linear()), Reparameterization()) and not refused(Program(Linear()), Reinforce())


@pytest.mark.parametrize("model", CHANGED)
@pytest.mark.parametrize("estimator", [Reinforce(), Reparameterization()], ids=lambda estimator: estimator.name)
def test_one_line_is_enough_to_be_refused(model: type[Linear], estimator: Estimator) -> None:
    assert refused(Program(model()), estimator)
