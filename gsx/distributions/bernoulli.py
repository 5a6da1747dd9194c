"""D independent Bernoullis."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gsx.distributions.base import Discrete
from gsx.noise import logistic


class Bernoulli(Discrete):
    """z in {0, 1}^D with P(z_d = 1) = sigmoid(logits_d); logits and events are ``[*batch, D]``."""

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logits)

    def log_prob(self, z: Tensor) -> Tensor:
        return (z * self.logits - softplus(self.logits)).sum(-1)

    def score(self, z: Tensor) -> dict[str, Tensor]:
        return {"logits": z - self.mean.detach()}

    def sample(self, u: Tensor) -> Tensor:
        # logit(u) > -logits without the two logarithms; may differ from harden(latent(u)) where the latent rounds to 0.
        # Of a difference in (-1, 1), ceil is 1 where it is positive: four times faster than a comparison and a cast.
        return (u - torch.sigmoid(-self.logits.detach())).ceil().abs()

    def latent(self, u: Tensor) -> Tensor:
        return self.beside(u, "logits") + logistic(u)

    def harden(self, latent: Tensor) -> Tensor:
        return (latent > 0).to(latent.dtype)

    def relax(self, latent: Tensor, temperature: float | Tensor) -> Tensor:
        return torch.sigmoid(latent / temperature)

    def conditional_latent(self, z: Tensor, v: Tensor) -> Tensor:
        # Given z = 1 the uniform is (1 - p) + v p, given z = 0 it is v (1 - p). Put into the latent, probabilities cancel, and what
        # remains has the right sign whatever is rounded.
        log_v, log_not_v = torch.log(v), torch.log1p(-v)
        above = softplus(self.logits + log_v) - log_not_v
        below = log_v - softplus(log_not_v - self.logits)
        return z * above + (1 - z) * below

    def num_points(self, nodes: int) -> int:
        return int(2 ** self.event_shape[0])

    def points(self, start: int, stop: int, nodes: int) -> tuple[Tensor, Tensor]:
        codes = torch.arange(start, stop, device=self.logits.device)
        bits = (codes[:, None] >> torch.arange(self.event_shape[0], device=self.logits.device)) & 1
        shape = (stop - start, *(1,) * len(self.batch_shape), *self.event_shape)
        z = bits.to(self.logits.dtype).reshape(shape).expand(stop - start, *self.logits.shape)
        return z, self.log_prob(z).exp()

    def num_coordinate_points(self, nodes: int) -> int:
        return 2

    def coordinate_points(self, nodes: int) -> tuple[Tensor, Tensor]:
        z = torch.stack((torch.zeros_like(self.logits), torch.ones_like(self.logits)))
        return z, torch.stack((torch.sigmoid(-self.logits), torch.sigmoid(self.logits)))
