"""D independent categoricals over C outcomes, as one-hot rows."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.distributions.base import Discrete
from gsx.noise import gumbel


class Categorical(Discrete):
    """z in {one-hot of C}^D with P(z_d = c) = softmax(logits_d)_c; logits and events are ``[*batch, D, C]``."""

    event_ndim = 2

    @property
    def mean(self) -> Tensor:
        return torch.softmax(self.logits, -1)

    def log_prob(self, z: Tensor) -> Tensor:
        return (z * torch.log_softmax(self.logits, -1)).sum((-2, -1))

    def score(self, z: Tensor) -> dict[str, Tensor]:
        return {"logits": z - self.mean.detach()}

    def sample(self, u: Tensor) -> Tensor:
        return self.harden(self.latent(u)).detach()

    def latent(self, u: Tensor) -> Tensor:
        """Logits plus Gumbel noise: the largest of its C entries is the outcome."""
        return self.beside(u, "logits") + gumbel(u)

    def harden(self, latent: Tensor) -> Tensor:
        # F.one_hot cannot be vmapped.
        winner = latent.argmax(-1, keepdim=True)
        return (torch.arange(latent.shape[-1], device=latent.device) == winner).to(latent.dtype)

    def relax(self, latent: Tensor, temperature: float | Tensor) -> Tensor:
        return torch.softmax(latent / temperature, -1)

    def conditional_latent(self, z: Tensor, v: Tensor) -> Tensor:
        # Exponential races (E_c of rate exp(theta_c), Gumbel = -log E): the winner arrives at time E / Z whoever wins, and the others
        # restart there, memoryless. Written with logarithms of rates, it holds at probabilities far below the smallest float.
        log_rate = self.logits
        log_total = torch.logsumexp(log_rate, -1, keepdim=True)
        log_e = torch.log(-torch.log(v))
        log_winning_time = (z * log_e).sum(-1, keepdim=True) - log_total
        return torch.where(z > 0, -log_winning_time, -torch.logaddexp(log_e - log_rate, log_winning_time))

    def num_points(self, nodes: int) -> int:
        dimensions, categories = self.event_shape
        return int(categories**dimensions)

    def points(self, start: int, stop: int, nodes: int) -> tuple[Tensor, Tensor]:
        dimensions, categories = self.event_shape
        device = self.logits.device
        codes = torch.arange(start, stop, device=device)[:, None] // categories ** torch.arange(dimensions, device=device) % categories
        one_hot = (codes[..., None] == torch.arange(categories, device=device)).to(self.logits.dtype)
        z = one_hot.reshape(stop - start, *(1,) * len(self.batch_shape), dimensions, categories).expand(stop - start, *self.logits.shape)
        return z, self.log_prob(z).exp()

    def num_coordinate_points(self, nodes: int) -> int:
        return self.event_shape[1]

    def coordinate_points(self, nodes: int) -> tuple[Tensor, Tensor]:
        categories = self.event_shape[1]
        states = torch.eye(categories, dtype=self.logits.dtype, device=self.logits.device)
        z = states.reshape(categories, *(1,) * len(self.batch_shape), 1, categories).expand(categories, *self.logits.shape)
        return z, self.mean.movedim(-1, 0)
