"""D independent gamma variables."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.distributions.continuous import TAIL, LogConcave
from gsx.noise import normal

#: Newton steps to the quantile of a part of the density's derivative.
PART_STEPS = 10


class Gamma(LogConcave):
    """z > 0 with density rate^a z^(a - 1) exp(-rate z) / Gamma(a), a the concentration; both parameters and events are ``[*batch, D]``.

    The coordinate is s = log z.
    """

    parameter_names = ("concentration", "rate")

    def __init__(self, concentration: Tensor, rate: Tensor, context: Tensor | None = None) -> None:
        super().__init__(concentration=concentration, rate=rate, context=context)

    @property
    def concentration(self) -> Tensor:
        return self.parameters["concentration"]

    @property
    def rate(self) -> Tensor:
        return self.parameters["rate"]

    def log_prob(self, z: Tensor) -> Tensor:
        a, rate = self.concentration, self.rate
        return (a * torch.log(rate) + (a - 1) * torch.log(z) - rate * z - torch.lgamma(a)).sum(-1)

    def score(self, z: Tensor) -> dict[str, Tensor]:
        return self.score_at(torch.log(z))

    def decode(self, s: Tensor) -> Tensor:
        return torch.exp(s)

    def inside(self, s: Tensor) -> Tensor:
        return s.clamp(min=math.log(torch.finfo(s.dtype).tiny))

    def log_density(self, s: Tensor) -> Tensor:
        a, standard = self.concentration, s + torch.log(self.rate)
        return a * standard - torch.exp(standard) - torch.lgamma(a)

    def score_at(self, s: Tensor) -> dict[str, Tensor]:
        a, rate = self.concentration.detach(), self.rate.detach()
        return {"concentration": s + torch.log(rate) - torch.digamma(a), "rate": a / rate - torch.exp(s)}

    def slopes(self, s: Tensor) -> dict[str, Tensor]:
        slope = self.in_float64()._slope(s.detach().to(torch.float64))
        return {"concentration": slope.to(s.dtype), "rate": (-1 / self.rate.detach()).expand_as(s)}  # the rate only shifts log z

    def _slope(self, s: Tensor) -> Tensor:
        """ds/da; the score in a is s less its mean."""
        sign, mean = self.side(s), self._mean()
        return self.tail(s, sign, lambda v: sign * (s - mean) + v)

    def _mean(self) -> Tensor:
        return torch.digamma(self.concentration) - torch.log(self.rate)

    def concentration_parts(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The Hahn-Jordan decomposition of dp/da, the density's derivative, as c (p+ - p-): c ``[*batch, D]``, and z from p+ and from p-.

        The derivative p (s - m), m the mean of s, is positive beyond m. What p+ has beyond s, and p- before it, is M(s) / c with
        M = -dF/da = p ds/da, c = M(m). From the same uniform v both solve log M = log (c v), concave on either side of m, by Newton's
        method.
        """
        q, at = self.in_float64(), v.to(torch.float64)
        mean = q._mean()
        slope, below = q._slope(mean), q.below(mean)
        c = q.log_density(mean).exp() * slope
        # Near m, M is a parabola; far out p+ and p- fall as p does.
        near = torch.sqrt(2 * (1 - at) * slope)
        left = torch.minimum(mean - near, q.start(at * below))
        right = torch.minimum(torch.maximum(mean + near, q.start((1 - at * (1 - below)).clamp(max=1 - 2.0**-53))), q.window()[1])
        s, target = torch.stack((right, left)), torch.log(c * at)
        for _ in range(PART_STEPS):
            slope = q._slope(s)
            s = s + (q.log_density(s) + torch.log(slope) - target) * slope / (s - mean)
        positive, negative = s.exp().to(v.dtype)
        return c.to(v.dtype), positive, negative

    def shape_at(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, x = self.concentration, self.rate * torch.exp(s)
        return a - x, x, a, torch.full_like(a, torch.inf)

    def middle(self) -> Tensor:
        return torch.log((self.concentration + 3) / self.rate)

    def start(self, u: Tensor) -> Tensor:
        """Wilson & Hilferty's guess where a >= 1: the cube root of z is nearly normal. Where a < 1, F is nearly z^a / Gamma(a + 1) to the
        left, and at most that, and 1 - F nearly a exp(-z) to the right.
        """
        a = self.concentration
        root = 1 - 1 / (9 * a) + normal(u) / (3 * torch.sqrt(a))
        right = torch.where(a < 1, torch.log(torch.log(a / (1 - u)).clamp(min=0)), torch.log(a) + 3 * torch.log(root.clamp(min=0)))
        return torch.maximum(right, (torch.log(u) + torch.lgamma(a + 1)) / a) - torch.log(self.rate)

    def window(self) -> tuple[Tensor, Tensor]:
        a = self.concentration
        at_least_one = a.clamp(min=1)
        low = (torch.lgamma(a + 1) - TAIL) / a
        high = torch.log(at_least_one + torch.sqrt(2 * TAIL * at_least_one) + TAIL)
        return low - torch.log(self.rate), high - torch.log(self.rate)

    def standardisation(self) -> tuple[Tensor, Tensor]:
        return self._mean(), torch.sqrt(torch.polygamma(1, self.concentration))
