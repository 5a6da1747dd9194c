"""D independent beta variables."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from gsx.distributions.continuous import TAIL, LogConcave
from gsx.distributions.gamma import Gamma
from gsx.noise import normal


class Beta(LogConcave):
    """z in (0, 1) with density z^(a - 1) (1 - z)^(b - 1) / B(a, b), a = concentration1 and b = concentration0, ``[*batch, D]``.

    The coordinate is s = logit z. Where b is small z rounds to 1 now and then (in float64 at b = 0.1: one draw in 40 of one at b = a).
    """

    parameter_names = ("concentration1", "concentration0")

    def __init__(self, concentration1: Tensor, concentration0: Tensor, context: Tensor | None = None) -> None:
        super().__init__(concentration1=concentration1, concentration0=concentration0, context=context)

    @property
    def _ab(self) -> tuple[Tensor, Tensor]:
        return self.parameters["concentration1"], self.parameters["concentration0"]

    def _log_normaliser(self) -> Tensor:
        a, b = self._ab
        log_normaliser: Tensor = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        return log_normaliser

    def log_prob(self, z: Tensor) -> Tensor:
        a, b = self._ab
        logs: Tensor = torch.xlogy(a - 1, z) + torch.special.xlog1py(b - 1, -z)
        return (logs - self._log_normaliser()).sum(-1)

    def score(self, z: Tensor) -> dict[str, Tensor]:
        return self._score(torch.log(z), torch.log1p(-z))

    def decode(self, s: Tensor) -> Tensor:
        return torch.sigmoid(s)

    def inside(self, s: Tensor) -> Tensor:
        kind = torch.finfo(s.dtype)
        return s.clamp(math.log(kind.tiny), -math.log(kind.eps))

    def log_density(self, s: Tensor) -> Tensor:
        a, b = self._ab
        return (a + b) * logsigmoid(s) - b * s - self._log_normaliser()  # a log z + b log(1 - z): the density of z times z (1 - z)

    def score_at(self, s: Tensor) -> dict[str, Tensor]:
        return self._score(logsigmoid(s), logsigmoid(-s))

    def _score(self, log_z: Tensor, log_not_z: Tensor) -> dict[str, Tensor]:
        a, b = (parameter.detach() for parameter in self._ab)
        both = torch.digamma(a + b)
        return {"concentration1": log_z - torch.digamma(a) + both, "concentration0": log_not_z - torch.digamma(b) + both}

    def shape_at(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        (a, b), z = self._ab, torch.sigmoid(s)
        return a - (a + b) * z, (a + b) * z * torch.sigmoid(-s), a, b

    def middle(self) -> Tensor:
        a, b = self._ab
        return torch.log((a + 3) / (b + 3))

    def start(self, u: Tensor) -> Tensor:
        """Where a, b < 1: as if F were a power of z up to the mean, and 1 - F one of 1 - z beyond it. Where one is much larger: as if
        z / (1 - z), or its inverse, were a gamma variable of the smaller over the larger, being the ratio of two. Else as if s were normal.
        """
        a, b = self._ab
        log_left, log_right = a * torch.log(a / (a + b)) - torch.log(a), b * torch.log(b / (a + b)) - torch.log(b)
        log_both = torch.logaddexp(log_left, log_right)
        log_z, log_not_z = (torch.log(u) + torch.log(a) + log_both) / a, (torch.log1p(-u) + torch.log(b) + log_both) / b
        power = torch.where(torch.log(u) < log_left - log_both, _logit(log_z), -_logit(log_not_z))
        less, more = torch.minimum(a, b), torch.maximum(a, b)
        log_ratio = Gamma(less, more + (less - 1) / 2).start(torch.where(a < b, u, 1 - u))
        unequal = torch.where(a < b, log_ratio, -log_ratio)
        mean, deviation = self.standardisation()
        return torch.where(more < 1, power, torch.where(more > 5 * less, unequal, mean + deviation * normal(u)))

    def window(self) -> tuple[Tensor, Tensor]:
        a, b = self._ab
        # F(z) is at most z^a / (a B(a, b)), times (1 - z)^(b - 1) where b < 1: a constant, this far out.
        low, high = (
            torch.minimum((self._log_normaliser() + torch.log(c) - TAIL) / c, torch.digamma(c) - torch.digamma(d) - 1)
            for c, d in ((a, b), (b, a))
        )
        return low, -high

    def standardisation(self) -> tuple[Tensor, Tensor]:
        a, b = self._ab
        return torch.digamma(a) - torch.digamma(b), torch.sqrt(torch.polygamma(1, a) + torch.polygamma(1, b))


def _logit(log_p: Tensor) -> Tensor:
    return log_p - torch.log(-torch.expm1(log_p))
