"""A product of powers under gamma variables."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Gamma
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class GammaToy(Model):
    """L(log_concentration, log_rate) = E_{z ~ Gamma(a, rate)} [prod_d z_d^powers_d - sum_d log z_d].

    It does not separate, and is asymmetric where the powers differ. The mean is prod_d m_d - sum_d (digamma(a_d) - log rate_d) with
    m_d = Gamma(a_d + powers_d) / Gamma(a_d) rate_d^-powers_d. Parameters: `log_concentration` [D], `log_rate` [D].
    """

    start_concentration: Tensor
    start_rate: Tensor
    powers: Tensor

    def __init__(
        self,
        *,
        concentration: list[float] = [1.5, 4.0],  # noqa: B006 - read, never written
        rate: list[float] = [1.0, 3.0],  # noqa: B006
        powers: list[float] = [1.0, 0.5],  # noqa: B006
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if not concentration:
            raise ConfigurationError("concentration=[]: must hold at least one number")
        for key, value in (("rate", rate), ("powers", powers)):
            if len(value) != len(concentration):
                raise ConfigurationError(f"{key}={value}: must hold as many numbers as concentration, {len(concentration)}")
        for key, value in (("concentration", concentration), ("rate", rate)):
            if min(value) <= 0:
                raise ConfigurationError(f"{key}={value}: must hold positive numbers")
        if any(a + 2 * power <= 0 for a, power in zip(concentration, powers, strict=True)):
            raise ConfigurationError(f"powers={powers}: must be above -concentration / 2, or the cost has no variance")
        self.register_buffer("start_concentration", torch.tensor(concentration, dtype=torch.float64))
        self.register_buffer("start_rate", torch.tensor(rate, dtype=torch.float64))
        self.register_buffer("powers", torch.tensor(powers, dtype=torch.float64))

    def init(self, noise: Noise) -> Params:
        return {"log_concentration": self.start_concentration.log(), "log_rate": self.start_rate.log()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = Gamma(params["log_concentration"].exp(), params["log_rate"].exp())
        return expect(q, lambda z, q: (z**self.powers).prod(-1) - torch.log(z).sum(-1))

    def closed_form(self, params: Params) -> Params:
        a = params["log_concentration"].exp()
        mean = (torch.lgamma(a + self.powers) - torch.lgamma(a) - self.powers * params["log_rate"]).sum().exp()
        by_concentration = mean * (torch.digamma(a + self.powers) - torch.digamma(a)) - torch.polygamma(1, a)
        return {"log_concentration": a * by_concentration, "log_rate": 1 - mean * self.powers}
