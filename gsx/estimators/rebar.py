"""The REBAR estimator."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, follow_score


class Rebar(Estimator):
    """REBAR: REINFORCE, with the Concrete relaxation of the same draw as its control variate.

    Approximates: grad E f = E[f(b) grad log q(b)] + E[grad f(b, q)].
    With: z the latent of u, b = harden(z), z' the latent given b from fresh uniforms v, which is a function of the parameters; c(z) =
    f(relax(z)) at the temperature tau; gradient (1/N) sum_n (f(b_n) - rho c(z'_n)) grad log q(b_n) + rho (grad c(z_n) - grad c(z'_n)) +
    grad f(b_n); value (1/N) sum_n f(b_n) + rho (c(z_n) - c(z'_n)).
    Tuned: log tau and rho, a pair for each site, by the least E|g|^2; they begin at `temperature` and `scale`.
    Requires: a cost defined and differentiable between the states.
    Costs: 3 N evaluations and 2 N gradients of the cost.
    Bias: none, whatever rho and tau. (Without the derivative of z' in the parameters it is biased, and varies less.)
    References: Tucker, Mnih, Maddison, Lawson & Sohl-Dickstein (2017), arXiv 1703.07370, equation 7.
    """

    family = "control variate"
    unbiased = True
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "3 N"
    gradient_evaluations = "2 N"
    citation = (
        "Tucker et al. (2017), REBAR: Low-variance, unbiased gradient estimates for discrete latent variable models, arXiv 1703.07370"
    )
    tuned_by = "variance"

    def __init__(self, *, temperature: float = 0.5, scale: float = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature, self.scale = positive("temperature", temperature), scale
        self.sites = nn.ModuleDict()

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        like = next(iter(q.parameters.values()))
        own = {"log_temperature": math.log(self.temperature), "scale": self.scale}
        self.sites[site] = nn.ParameterDict(
            {name: nn.Parameter(like.new_tensor(value), requires_grad=False) for name, value in own.items()}
        )

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        own = dict(self.sites[noise.site].named_parameters())
        temperature, scale = own["log_temperature"].exp(), own["scale"]
        u, v = (noise.uniform((self.num_samples,), q) for _ in range(2))
        latent = q.latent(u)
        b = q.harden(latent).detach()
        f = cost(b, q)
        relaxed = q.relax(torch.cat((latent, q.conditional_latent(b, v))), temperature)
        c, conditional = (scale * cost(relaxed, q)).chunk(2)
        return follow_score(average(f + c - conditional), f.detach() - conditional, q, b)
