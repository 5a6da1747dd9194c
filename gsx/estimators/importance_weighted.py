"""The score-function estimator on samples of an overdispersed proposal."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, follow_score


class ImportanceWeighted(Estimator):
    """REINFORCE on samples of a proposal that visits rare states more often, weighted back to q.

    Approximates: grad E f = E_r[w(z) f(z) grad log q(z)] + E_r[w(z) grad f(z, q)], w = q / r.
    With: the proposal r of the logits theta / T, T = `proposal_temperature` (flatter than q where T > 1); z_n ~ r; value (1/N) sum_n
    w_n f_n, gradient (1/N) sum_n w_n (f_n grad log q(z_n) + grad f(z_n, q)).
    Requires: a score; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none, because the weights are not normalised among themselves. They multiply over D coordinates: a proposal far from q varies
    more than q itself.
    Not to be confused with: importance-weighted bounds (IWAE), which are another objective; self-normalised weights, which are biased.
    References: Ruiz, Titsias & Blei (2016), arXiv 1603.01140.
    """

    family = "score function"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    citation = "Ruiz, Titsias & Blei (2016), Overdispersed Black-Box Variational Inference, arXiv 1603.01140"

    def __init__(self, *, proposal_temperature: float = 1.5, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.proposal_temperature = positive("proposal_temperature", proposal_temperature)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        proposal = q.map(lambda logits: logits.detach() / self.proposal_temperature)
        z = proposal.sample(noise.uniform((self.num_samples,), q))
        weight = (q.log_prob(z) - proposal.log_prob(z)).exp().detach()
        f = weight * cost(z, q)
        return follow_score(average(f), f.detach(), q, z)
