"""Local expectation gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import zero


class LocalExpectation(Estimator):
    """Local expectation gradients, found again as IndeCateR: sum out each coordinate exactly, the others left as they were drawn.

    Approximates: grad E f with respect to the logits.
    With: z_n ~ q; f_ndc the cost at z_n with its coordinate d moved to state c, and p_d(c) the probability of that state; value the mean
    over n and d of sum_c p_d(c) f_ndc, gradient (1/N) sum_n sum_d sum_c f_ndc grad p_d(c), plus that of the value with p held fixed.
    Requires: independent coordinates of finitely many states; nothing of the cost.
    Costs: N C D evaluations, no gradient of the cost. The state drawn is evaluated again for each coordinate.
    Bias: none, because f_nd does not depend on what coordinate d was drawn to be. A separable cost has no variance.
    Not to be confused with: `bitflip`, which picks one coordinate at random.
    References: Titsias & Lazaro-Gredilla (2015), arXiv 1503.01494; De Smet, Sansone & Zuidberg Dos Martires (2023), arXiv 2311.12569
    (IndeCateR).
    """

    family = "conditional expectation"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical)
    evaluations = "N C D"
    citation = "Titsias & Lazaro-Gredilla (2015), Local Expectation Gradients for Black Box Variational Inference, arXiv 1503.01494"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        states, p = q.coordinate_points(0)  # [C, *batch, *event] with every coordinate in state c, [C, *batch, D]
        size = q.event_shape[0]
        moved = torch.eye(size, dtype=torch.bool, device=z.device)
        moved = moved.reshape(size, *(1,) * (z.ndim - q.event_ndim + 1), size, *(1,) * (q.event_ndim - 1))
        points = torch.where(moved, states.unsqueeze(1), z)  # [D, C, N, *batch, *event]
        f = cost(points.flatten(0, 2), q)
        f = f.reshape(*points.shape[:3], *f.shape[1:])
        p = p.movedim(-1, 0).unsqueeze(2)  # [D, C, 1, *batch]
        local = (p.detach() * f).sum(1, keepdim=True)
        # sum_c grad p_d(c) is zero, but for rounding: a large constant in the cost would stand out where p is near 1.
        centred = (f - local).detach()
        return local.mean((0, 1, 2)) + (zero(p) * centred).sum((0, 1)).mean(0)
