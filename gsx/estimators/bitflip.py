"""The bitflip-1 estimator."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class Bitflip(Estimator):
    """Bitflip-1: what flipping one coordinate, picked at random, does to the cost.

    Approximates: grad E f with respect to the logits eta.
    With: p = sigmoid(eta); b_n ~ q, i_n uniform over the D coordinates, b'_n = b_n with coordinate i_n flipped; value (1/N) sum_n f(b_n),
    gradient (1/N) sum_n D e_i p_i (1 - p_i) (1 - 2 b_i) (f(b'_n) - f(b_n)) + grad f(b_n), where (1 - 2 b_i) (f(b') - f(b)) is the cost at
    b_i = 1 less that at b_i = 0.
    Requires: Bernoulli variables; nothing of the cost.
    Costs: 2 N evaluations, no gradient of the cost.
    Bias: none: its mean over i is `local_expectation` at the same b.
    Not to be confused with: `stochastic_ad`, which picks the coordinate in proportion to a weight.
    References: Kunes, Yin, Land, Haviv, Pe'er & Tavare (2023), arXiv 2208.06124.
    """

    family = "conditional expectation"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli,)
    evaluations = "2 N"
    citation = "Kunes et al. (2023), Gradient Estimation for Binary Latent Variables via Gradient Variance Clipping, arXiv 2208.06124"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        n, size = self.num_samples, q.event_shape[0]
        b = q.sample(noise.uniform((n,), q))
        winner = noise.uniform((n,), q).argmax(-1, keepdim=True)
        picked = (torch.arange(size, device=b.device) == winner).to(b.dtype)
        f = cost(torch.cat((b, (b - picked).abs())), q)
        change = (f[n:] - f[:n]).detach().unsqueeze(-1)
        logits = q.logits.detach()
        slope = torch.sigmoid(logits) * torch.sigmoid(-logits)  # p (1 - p)
        gradient = size * slope * picked * (1 - 2 * b) * change
        return inject(average(f[:n]), average(gradient), q.logits)
