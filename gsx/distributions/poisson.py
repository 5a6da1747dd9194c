"""D independent Poisson variables."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.distributions.base import Distribution
from gsx.noise import normal

#: The Cornish-Fisher guess of a quantile is off by fewer than 2^DEPTH / 2.
DEPTH = 5
#: States beyond which there is less than exp(-TAIL) of the probability are not enumerated.
TAIL = 45.0


class Poisson(Distribution):
    """z in {0, 1, 2, ...}^D with P(z) = rate^z exp(-rate) / z!; rate and events are ``[*batch, D]``."""

    parameter_names = ("rate",)

    def __init__(self, rate: Tensor, context: Tensor | None = None) -> None:
        super().__init__(rate=rate, context=context)

    @property
    def rate(self) -> Tensor:
        return self.parameters["rate"]

    def log_prob(self, z: Tensor) -> Tensor:
        return self._log_probs(z).sum(-1)

    def _log_probs(self, z: Tensor) -> Tensor:
        log_factorial: Tensor = torch.lgamma(z + 1)
        return z * torch.log(self.rate) - self.rate - log_factorial

    def score(self, z: Tensor) -> dict[str, Tensor]:
        return {"rate": z / self.rate.detach() - 1}

    def sample(self, u: Tensor) -> Tensor:
        """The smallest z with P(Z <= z) >= u, by bisection around a guess; P(Z <= z) is P(gamma of concentration z + 1 > rate)."""
        rate, at = self.rate.detach().to(torch.float64), u.to(torch.float64)
        eps = normal(at)
        guess = torch.floor(rate + torch.sqrt(rate) * eps + (eps**2 - 1) / 6)
        low = (guess - 2 ** (DEPTH - 1)).clamp(min=-1)  # P(Z <= low) < u
        high = low + 2**DEPTH
        for _ in range(DEPTH):
            middle = torch.floor((low + high) / 2)
            enough = torch.special.gammaincc(middle + 1, rate.expand_as(middle)) >= at
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        z: Tensor = high.to(u.dtype)
        return z

    def _num_states(self) -> int:
        """By Chernoff's bound, P(Z >= k) <= exp(k - rate) (rate / k)^k beyond the rate."""
        largest = float(self.rate.detach().max())
        k = torch.arange(1, math.ceil(largest + math.sqrt(2 * TAIL * largest) + TAIL) + 1, dtype=torch.float64)
        too_likely = (k <= largest) | (k * torch.log(k / largest) - k + largest < TAIL)
        return 1 + int(too_likely.sum())

    def num_points(self, nodes: int) -> int:
        return int(self._num_states() ** self.event_shape[0])

    def points(self, start: int, stop: int, nodes: int) -> tuple[Tensor, Tensor]:
        codes = torch.arange(start, stop, device=self.rate.device)[:, None]
        states = self._num_states()
        z = codes // states ** torch.arange(self.event_shape[0], device=self.rate.device) % states
        z = z.to(self.rate.dtype).reshape(stop - start, *(1,) * len(self.batch_shape), *self.event_shape)
        z = z.expand(stop - start, *self.rate.shape)
        return z, self.log_prob(z).exp()

    def num_coordinate_points(self, nodes: int) -> int:
        return self._num_states()

    def coordinate_points(self, nodes: int) -> tuple[Tensor, Tensor]:
        states = torch.arange(self._num_states(), dtype=self.rate.dtype, device=self.rate.device)
        z = states.reshape(-1, *(1,) * self.rate.ndim).expand(-1, *self.rate.shape)
        return z, self._log_probs(z).exp()
