"""The score-function estimator."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Continuous, Distribution, Poisson
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.records import ConfigurationError
from gsx.surrogate import average, follow_score


class Reinforce(Estimator):
    """REINFORCE: weigh the score of each sample by its cost, less a baseline.

    Approximates: grad E f = E[(f(z) - c) grad log q(z)] + E[grad f(z, q)], the second term where the cost itself depends on the parameters.
    With: z_n ~ q; value (1/N) sum_n f_n, gradient (1/N) sum_n (f_n - c) grad log q(z_n) + grad f_n; the product is formed sample by sample.
    Baseline c: `none`, 0. `constant`, the number given. `moving_average`, c <- decay c + (1 - decay) mean f over `warmup` draws of
    their own (stream `tune`), a number for each site, frozen before the measuring: no sample meets a baseline that has seen it.
    Requires: a score; nothing of the cost.
    Costs: N evaluations, no gradient of the cost. The warm-up is not counted: it is paid once, not per estimate.
    Bias: none.
    References: Glynn (1990), Comm. ACM 33; Williams (1992), Machine Learning 8, section 4.
    """

    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Continuous, Poisson)
    evaluations = "N"
    citation = "Williams (1992), Simple statistical gradient-following algorithms, Machine Learning 8, section 4"

    def __init__(
        self,
        *,
        baseline: Literal["none", "constant", "moving_average"] = "none",
        constant: float = 0.0,
        decay: float = 0.99,
        warmup: int = 512,
        num_samples: int | None = None,
    ) -> None:
        super().__init__(num_samples=num_samples)
        if not 0 <= decay < 1:
            raise ConfigurationError(f"decay={decay:g}: must be in [0, 1)")
        if warmup < 1:
            raise ConfigurationError(f"warmup={warmup}: must be at least 1")
        self.baseline, self.constant, self.decay = baseline, constant, decay
        self.warmup = warmup if baseline == "moving_average" else 0
        self._averages: dict[str, Tensor] = {}

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        signal = f.detach() - self._baseline(noise.site)
        return follow_score(average(f), signal, q, z)

    def _baseline(self, site: str) -> float | Tensor:
        if self.baseline == "constant":
            return self.constant
        return self._averages.get(site, 0.0) if self.baseline == "moving_average" else 0.0

    @torch.no_grad()
    def update(self, q: Distribution, cost: Cost, noise: Noise) -> None:
        mean = cost(q.sample(noise.uniform((self.num_samples,), q)), q).mean()
        old = self._averages.get(noise.site, mean)
        self._averages[noise.site] = self.decay * old + (1 - self.decay) * mean

    def tuned(self) -> dict[str, Any]:
        return {f"average.{site}": float(average) for site, average in self._averages.items()}
