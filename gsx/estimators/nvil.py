"""The NVIL estimator."""

from __future__ import annotations

from torch import Tensor, nn

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Distribution, Normal
from gsx.estimators.base import Estimator, at_least_one
from gsx.estimators.own_network import OwnNetwork
from gsx.noise import Noise
from gsx.surrogate import average, follow_score


class NVIL(Estimator):
    """Neural variational inference and learning: REINFORCE whose baseline is a network on what the distribution was computed from.

    Approximates: grad E f = E[(f(z) - c(x)) grad log q(z | x)] + E[grad f(z, q)].
    With: z_n ~ q; c a network with one hidden layer of tanh on the context x of q (a data row, a parent sample), or one number where q has
    none; value (1/N) sum_n f_n, gradient (1/N) sum_n (f_n - c(x)) grad log q(z_n) + grad f_n.
    Tuned: the network, one for each site, by regression: the least E (f - c(x))^2, on draws of its own.
    Requires: a score; nothing of the cost.
    Costs: N evaluations, no gradient of the cost, and one pass through the network.
    Bias: none: the baseline is frozen and has seen no sample that it meets. (The paper also divides by a running standard deviation; that
    rescales the gradient, and is left out.)
    References: Mnih & Gregor (2014), arXiv 1402.0030, sections 2.3.1 and 2.3.2.
    """

    family = "score function"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Normal)
    evaluations = "N"
    citation = "Mnih & Gregor (2014), Neural Variational Inference and Learning in Belief Networks, arXiv 1402.0030"
    tuned_by = "regression"

    def __init__(self, *, hidden: int = 100, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.hidden = at_least_one("hidden", hidden)
        self.networks = nn.ModuleDict()

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        inputs = 0 if q.context is None else q.context.shape[-1]
        self.networks[site] = OwnNetwork(inputs, self.hidden, noise, next(iter(q.parameters.values())))

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return follow_score(average(f), f.detach() - self._baseline(q, noise.site), q, z)

    def regression(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        f = cost(q.sample(noise.uniform((self.num_samples,), q)), q).detach()
        return average((f - self._baseline(q, noise.site)).square())

    def _baseline(self, q: Distribution, site: str) -> Tensor:
        """c(x), which broadcasts to the batch."""
        network: Tensor = self.networks[site](next(iter(q.parameters.values())).new_zeros(0) if q.context is None else q.context)
        return network
