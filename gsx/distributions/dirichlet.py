"""D independent Dirichlet variables."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.distributions.beta import Beta
from gsx.distributions.continuous import Continuous
from gsx.distributions.gamma import Gamma


class Dirichlet(Continuous):
    """z in (the simplex of C parts)^D, each row with density prod_c z_c^(a_c - 1) / B(a); a and events are ``[*batch, D, C]``.

    The coordinates are logarithms of C gamma variables of concentrations a and rate 1; divided by their sum these are z.
    """

    event_ndim = 2
    parameter_names = ("concentration",)

    def __init__(self, concentration: Tensor, context: Tensor | None = None) -> None:
        super().__init__(concentration=concentration, context=context)

    @property
    def concentration(self) -> Tensor:
        return self.parameters["concentration"]

    def _gammas(self) -> Gamma:
        return Gamma(self.concentration, torch.ones_like(self.concentration))

    def log_prob(self, z: Tensor) -> Tensor:
        a = self.concentration
        log_normaliser = torch.lgamma(a).sum(-1) - torch.lgamma(a.sum(-1))
        return (torch.xlogy(a - 1, z).sum(-1) - log_normaliser).sum(-1)

    def score(self, z: Tensor) -> dict[str, Tensor]:
        a = self.concentration.detach()
        return {"concentration": torch.log(z) - torch.digamma(a) + torch.digamma(a.sum(-1, keepdim=True))}

    def quantile(self, u: Tensor) -> Tensor:
        return self._gammas().quantile(u)

    def decode(self, s: Tensor) -> Tensor:
        return torch.softmax(s, -1)

    def slopes(self, s: Tensor) -> dict[str, Tensor]:
        return {"concentration": self._gammas().slopes(s)["concentration"]}

    # ------------------------------------------------------------------------------------------------------------- quadrature
    # A stick is broken C - 1 times: part c is a share Beta(a_c, a_{c+1} + ... + a_C) of what is left.

    def _sticks(self) -> Beta:
        """The shares ``[*batch, D, C - 1]``, as a batch of one distribution."""
        a = self.concentration
        after = a.flip(-1).cumsum(-1).flip(-1)[..., 1:]
        return Beta(a[..., :-1], after)

    def grid(self, nodes: int) -> tuple[Tensor, Tensor]:
        return self._sticks().grid(nodes)

    @property
    def _num_shares(self) -> int:
        return self.event_shape[1] - 1

    @property
    def dimensions(self) -> int:
        return self.event_shape[0] * self._num_shares

    def num_points(self, nodes: int) -> int:
        return int(nodes**self.dimensions)

    def points(self, start: int, stop: int, nodes: int) -> tuple[Tensor, Tensor]:
        z, weight = self._broken(start, stop, nodes, joint=True)
        return z, weight.flatten(-2).prod(-1)

    def num_coordinate_points(self, nodes: int) -> int:
        return int(nodes**self._num_shares)

    def coordinate_points(self, nodes: int) -> tuple[Tensor, Tensor]:
        z, weight = self._broken(0, self.num_coordinate_points(nodes), nodes, joint=False)
        return z, weight.prod(-1)

    def _broken(self, start: int, stop: int, nodes: int, *, joint: bool) -> tuple[Tensor, Tensor]:
        """Points ``[S, *batch, D, C]`` and the weights of their shares ``[S, *batch, D, C - 1]``: all rows at every point, or jointly."""
        s, weight = self.grid(nodes)
        rows = self.event_shape[0] if joint else 1
        digit = torch.arange(rows * self._num_shares, device=s.device).reshape(rows, self._num_shares)
        which = torch.arange(start, stop, device=s.device)[:, None, None] // nodes**digit % nodes
        which = which.reshape(stop - start, *(1,) * (s.ndim - 3), *digit.shape).expand(stop - start, *s.shape[1:])
        furthest = -math.log(torch.finfo(s.dtype).tiny) / self.event_shape[1]  # a product of C shares is no zero
        s = s.gather(0, which).clamp(-furthest, furthest)
        one = torch.ones_like(s[..., :1])
        left = torch.cat((one, torch.sigmoid(-s).cumprod(-1)), -1)
        return left * torch.cat((torch.sigmoid(s), one), -1), weight.gather(0, which)
