"""Subsets of exactly k out of D elements."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from gsx.distributions.base import Distribution
from gsx.noise import gumbel
from gsx.records import ConfigurationError

#: Stands for log 0: finite, because the sum of two infinities has no gradient, and so far down that nothing is lost by it.
IMPOSSIBLE = -1e30


class KSubset(Distribution):
    """z in {0, 1}^D with k ones, P(z) proportional to prod_d exp(logits_d z_d); logits and events are ``[*batch, D]``.

    The law of D independent Bernoullis given that their sum is k. Its normaliser is the elementary symmetric polynomial e_k of the weights
    exp(logits), and its marginals are ratios of such polynomials: tables of D k logarithms, and never a difference of probabilities.

    `latent` and `harden` perturb and maximise: logits plus Gumbel noise, and its k largest. That draws k elements one after the other
    without replacement, which for k > 1 is *another* law than this one's: `sample` does not go through them. So this is no `Discrete`:
    estimators that lean on a latent whose hardening is the draw cannot use it, and those of perturb-and-MAP can.
    """

    parameter_names = ("logits",)

    def __init__(self, logits: Tensor, k: int, context: Tensor | None = None) -> None:
        if not 1 <= k <= logits.shape[-1]:
            raise ConfigurationError(f"k={k}: must be from 1 to {logits.shape[-1]}, as many as there are elements")
        super().__init__(logits=logits, context=context)
        self.k = k

    @property
    def logits(self) -> Tensor:
        return self.parameters["logits"]

    def power(self, copies: int) -> Self:
        raise ConfigurationError("combine: samples of a KSubset cannot be combined, because side by side they are none")

    def replace(self, parameters: dict[str, Tensor]) -> Self:
        return type(self)(k=self.k, context=self.context, **parameters)

    @property
    def mean(self) -> Tensor:
        """E z, the exact marginals ``[*batch, D]``, differentiable."""
        return self._marginals()[1]

    def log_prob(self, z: Tensor) -> Tensor:
        return (z * self.logits).sum(-1) - log_polynomials(self.logits, self.k)[-1, ..., -1]

    def score(self, z: Tensor) -> dict[str, Tensor]:
        return {"logits": z - self.map(Tensor.detach).mean}

    def sample(self, u: Tensor) -> Tensor:
        """One element after the other, each taken with its probability given how many are still to be taken: exact."""
        logits = self.logits.detach()
        after = log_polynomials(logits.flip(-1), self.k).flip(0)
        missing = torch.full_like(u[..., 0], self.k, dtype=torch.int64)
        taken = []
        for d in range(self.event_shape[0]):
            log_odds = _next_order(after[d + 1], logits[..., d]) - after[d + 1]  # of taking d, for each number that may be missing
            probability = torch.sigmoid(log_odds).expand(*missing.shape, -1).gather(-1, missing.unsqueeze(-1)).squeeze(-1)
            taken.append(u[..., d] < probability)
            missing = missing - taken[-1].to(torch.int64)
        return torch.stack(taken, -1).to(u.dtype)

    def latent(self, u: Tensor) -> Tensor:
        """Logits plus Gumbel noise: perturbed logits, whose most probable subset is no draw of this law."""
        return self.beside(u, "logits") + gumbel(u)

    def harden(self, latent: Tensor) -> Tensor:
        """The most probable subset under these logits: the k largest."""
        return torch.zeros_like(latent).scatter(-1, latent.topk(self.k, -1).indices, 1.0)

    def num_points(self, nodes: int) -> int:
        return math.comb(self.event_shape[0], self.k)

    def points(self, start: int, stop: int, nodes: int) -> tuple[Tensor, Tensor]:
        """The subsets in lexicographic order, those with the first element first."""
        size, device = self.event_shape[0], self.logits.device
        rank, missing = torch.arange(start, stop, device=device), torch.full((stop - start,), self.k, device=device)
        taken = []
        for others in reversed(range(size)):
            # How many subsets take this element, for each number that may be missing.
            with_it = torch.tensor([0, *(math.comb(others, j) for j in range(self.k))], device=device)[missing]
            taken.append(rank < with_it)
            rank = torch.where(taken[-1], rank, rank - with_it)
            missing = missing - taken[-1].to(torch.int64)
        z = torch.stack(taken, -1).to(self.logits.dtype).reshape(stop - start, *(1,) * len(self.batch_shape), size)
        z = z.expand(stop - start, *self.logits.shape)
        return z, self.log_prob(z).exp()

    def num_coordinate_points(self, nodes: int) -> int:
        return 2

    def coordinate_points(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Coordinates are not independent, but the expectation of a sum over them only asks for their marginals."""
        z = torch.stack((torch.zeros_like(self.logits), torch.ones_like(self.logits)))
        return z, torch.stack(self._marginals())

    def _marginals(self) -> tuple[Tensor, Tensor]:
        """P(z_d = 0) and P(z_d = 1), ``[*batch, D]``: w_d e_{k-1} and e_k of the other weights, over e_k of all."""
        table = log_polynomials(self.logits, self.k)
        before, after = table[:-1], log_polynomials(self.logits.flip(-1), self.k).flip(0)[1:]

        def log_of_others(order: int) -> Tensor:
            split = before[..., : order + 1] + after[..., : order + 1].flip(-1)
            return torch.logsumexp(split, -1).movedim(0, -1)

        log_total = table[-1, ..., -1:]
        return (log_of_others(self.k) - log_total).exp(), (self.logits + log_of_others(self.k - 1) - log_total).exp()


def log_polynomials(logits: Tensor, k: int) -> Tensor:
    """log e_j(exp(logits_1), ..., exp(logits_d)), the elementary symmetric polynomials, at ``[d, *batch, j]``, d to D and j to k.

    By e_j of d weights = e_j of d - 1 + w_d e_{j-1} of d - 1.
    """
    none = torch.full((k + 1,), IMPOSSIBLE, dtype=logits.dtype, device=logits.device)
    none[0] = 0.0
    rows = [none.expand(*logits.shape[:-1], k + 1)]
    for d in range(logits.shape[-1]):
        rows.append(torch.logaddexp(rows[-1], _next_order(rows[-1], logits[..., d])))
    return torch.stack(rows)


def _next_order(row: Tensor, logit: Tensor) -> Tensor:
    """log(w e_{j-1}) at j, from log e_j at j ``[*batch, k + 1]``."""
    taken = row[..., :-1] + logit.unsqueeze(-1)
    return torch.cat((torch.full_like(row[..., :1], IMPOSSIBLE), taken), -1)
