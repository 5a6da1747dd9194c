"""The score-function estimator."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Continuous, Distribution, KSubset, Poisson
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.records import ConfigurationError
from gsx.surrogate import average, inject


class Reinforce(Estimator):
    """REINFORCE: weigh the score of each sample by its cost, less a baseline.

    Approximates: grad E f = E[(f(z) - c) grad log q(z)] + E[grad f(z, q)], the second term where the cost itself depends on the parameters.
    With: z_n ~ q; value (1/N) sum_n f_n, gradient (1/N) sum_n (f_n - c) grad log q(z_n) + grad f_n; the product is formed sample by sample.
    Baseline c: `none`, 0. `constant`, the number given. The others are learnt from `warmup` draws of their own (stream `tune`) and frozen
    before the measuring: no sample meets a baseline that has seen it. `moving_average`, c <- decay c + (1 - decay) mean f, a number for
    each site. `mean`, E f, a number for each row. `optimal`, E[f s^2] / E[s^2], a number for each row and score s = d log q / d phi_i: the
    constant with the least variance, where f does not depend on phi. These two are yardsticks on fixed rows, not baselines to train with.
    Requires: a score; nothing of the cost.
    Costs: N evaluations, no gradient of the cost. The warm-up is not counted: it is paid once, not per estimate.
    Bias: none.
    References: Glynn (1990), Comm. ACM 33; Williams (1992), Machine Learning 8, section 4; Greensmith, Bartlett & Baxter (2004), JMLR 5,
    for the optimal baseline.
    """

    family = "score function"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Continuous, KSubset, Poisson)
    evaluations = "N"
    citation = "Williams (1992), Simple statistical gradient-following algorithms, Machine Learning 8, section 4"

    def __init__(
        self,
        *,
        baseline: Literal["none", "constant", "moving_average", "mean", "optimal"] = "none",
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
        self.warmup = 0 if baseline in ("none", "constant") else warmup
        #: Of each site and parameter, with axes for the event: what is subtracted, and the weight of the draws that it is the mean of.
        self._learnt: dict[tuple[str, str], Tensor] = {}
        self._weights: dict[tuple[str, str], Tensor] = {}

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        value = average(f)
        for name, score in q.score(z).items():
            signal = f.detach().reshape(*f.shape, *(1,) * q.event_ndim) - self._baseline(noise.site, name)
            value = inject(value, average(signal * score), q.parameters[name])
        return value

    def _baseline(self, site: str, name: str) -> float | Tensor:
        return self.constant if self.baseline == "constant" else self._learnt.get((site, name), 0.0)

    @torch.no_grad()
    def update(self, q: Distribution, cost: Cost, noise: Noise) -> None:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q).reshape(self.num_samples, *q.batch_shape, *(1,) * q.event_ndim)
        for name, score in q.score(z).items():
            key = noise.site, name
            if self.baseline == "moving_average":
                self._learnt[key] = self.decay * self._learnt.get(key, f.mean()) + (1 - self.decay) * f.mean()
                continue
            weight = score**2 if self.baseline == "optimal" else torch.ones_like(f)
            total = self._weights.get(key, 0.0) + weight.sum(0)
            old = self._learnt.get(key, torch.zeros_like(total))
            # Where the score has been 0 in every draw there is nothing to learn yet.
            self._learnt[key] = old + torch.where(total > 0, (weight * (f - old)).sum(0) / total, 0.0)
            self._weights[key] = total

    def get_extra_state(self) -> dict[str, Tensor]:
        """What was learnt, for a checkpoint; of a moving average that is all there is to keep."""
        return {" ".join(key): learnt for key, learnt in self._learnt.items()}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self._learnt = {tuple(key.split(" ")): learnt for key, learnt in state.items()}  # type: ignore[misc]

    def tuned(self) -> dict[str, Any]:
        """Of a baseline of many numbers, their mean."""
        per_parameter = self.baseline == "optimal"
        return {f"average.{'.'.join(key[: 1 + per_parameter])}": float(learnt.mean()) for key, learnt in self._learnt.items()}
