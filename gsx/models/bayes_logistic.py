"""Bayesian logistic regression with a mean-field Gaussian posterior."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gsx.costs import Expect
from gsx.data import Dataset
from gsx.distributions import Normal
from gsx.models.base import Model, Params
from gsx.models.minibatch import draw_rows
from gsx.noise import Noise

#: Trapezoid nodes, and how many standard deviations they reach: the error is below 1e-13 for projections of standard deviation up to 20.
NODES, REACH = 2001, 9.0


class BayesLogistic(Model):
    """KL(q(w) || N(0, I)) + (n / batch) E_{w ~ q} sum over the rows of softplus(-y x'w), q = N(loc, diag(exp(log_scale)^2)).

    n rows of standardised features and a column of ones, labels y = +-1; `batch` rows drawn once, all of them for null; the KL is analytic.
    Parameters: `loc` [features + 1] = 0, `log_scale` [features + 1] = 0.
    References: Mohamed, Rosca, Figurnov & Mnih (2020), arXiv 1906.10652, section 9.
    """

    default_data = "breast_cancer"
    signed: Tensor

    def __init__(self, *, data: Dataset, batch: int | None = 32, seed: int = 0) -> None:
        super().__init__(seed=seed)
        rows = draw_rows(data, batch, seed)
        inputs, labels = torch.from_numpy(data.inputs)[rows], torch.from_numpy(data.labels)[rows]
        self.register_buffer("signed", torch.empty(0))
        self.observe(inputs, labels, len(data.inputs))

    def observe(self, inputs: Tensor, labels: Tensor, of: int) -> None:
        signs = 2 * (labels > 0).to(inputs.dtype) - 1
        self.signed = signs[:, None] * torch.cat((inputs, torch.ones_like(inputs[:, :1])), 1)
        self.weight = of / len(inputs)

    def init(self, noise: Noise) -> Params:
        width = self.signed.shape[1]
        return {"loc": torch.zeros(width, dtype=torch.float64), "log_scale": torch.zeros(width, dtype=torch.float64)}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = Normal(params["loc"], params["log_scale"].exp())
        misfit = expect(q, lambda w, q: softplus(-w @ self.signed.T).sum(-1))
        return self._divergence(params) + self.weight * misfit

    def _divergence(self, params: Params) -> Tensor:
        loc, log_scale = params["loc"], params["log_scale"]
        return (0.5 * (loc**2 + (2 * log_scale).exp() - 1) - log_scale).sum(-1)

    def closed_form(self, params: Params) -> Params:
        """A row meets w only through x'w, a Gaussian of one dimension: each expectation is a one-dimensional integral.

        By the trapezoid rule, whose error for an integrand analytic in a strip falls exponentially in the number of nodes (softplus has its
        poles at +-i pi).
        """
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        mean = self.signed @ leaves["loc"]
        deviation = (self.signed**2 @ (2 * leaves["log_scale"]).exp()).sqrt()
        node = torch.linspace(-REACH, REACH, NODES, dtype=mean.dtype, device=mean.device)
        density = torch.softmax(-0.5 * node**2, 0)
        misfit = (softplus(-(mean[:, None] + deviation[:, None] * node)) * density).sum()
        gradients = torch.autograd.grad(self._divergence(leaves) + self.weight * misfit, tuple(leaves.values()))
        return dict(zip(leaves, gradients, strict=True))
