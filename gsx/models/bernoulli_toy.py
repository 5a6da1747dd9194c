"""The toy of the REBAR paper, for any number of Bernoullis."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect, Separable
from gsx.distributions import Bernoulli
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class BernoulliToy(Model):
    """L(logits) = E_{b ~ Bernoulli(sigmoid(logits))} mean_d |b_d - target|^power.

    Parameter: `logits` [D]. The gradient is p_d (1 - p_d) (|1 - target|^power - |target|^power) / D.
    References: Tucker et al. (2017), arXiv 1703.07370, section 5.1, with D = 1, target .45 and power 2.
    """

    start: Tensor

    def __init__(
        self,
        *,
        logits: list[float] = [-2.0, -1.2, -0.6, -0.1, 0.3, 0.8, 1.4, 2.2],  # noqa: B006 - read, never written
        target: float = 0.45,
        power: float = 2.0,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if not logits:
            raise ConfigurationError("logits=[]: must hold at least one number")
        if power <= 0:
            raise ConfigurationError(f"power={power:g}: must be positive")
        self.register_buffer("start", torch.tensor(logits, dtype=torch.float64))
        self.target, self.power = target, power

    def init(self, noise: Noise) -> Params:
        return {"logits": self.start.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["logits"]), Separable(lambda b: (b - self.target).abs() ** self.power, mean=True))

    def closed_form(self, params: Params) -> Params:
        p = torch.sigmoid(params["logits"])
        return {"logits": p * (1 - p) * (abs(1 - self.target) ** self.power - abs(self.target) ** self.power) / p.numel()}
