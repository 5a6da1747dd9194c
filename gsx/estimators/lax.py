"""The LAX estimator."""

from __future__ import annotations

from torch import Tensor, nn

from gsx.costs import Cost
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator, at_least_one
from gsx.estimators.own_network import OwnNetwork
from gsx.noise import Noise
from gsx.surrogate import average, follow_score, zero


class Lax(Estimator):
    """LAX: the score function of the cost less a network, and the pathwise gradient of the network.

    Approximates: grad E f = E[f(z) grad log q(z)] + E[grad f(z, q)].
    With: z_n = loc + scale eps_n; c a network with one hidden layer of tanh on z; gradient
    (1/N) sum_n (f(z_n) - c(z_n)) grad log q(z_n) + grad c(z_n) + grad f; value (1/N) sum_n f(z_n) (c and its double cancel).
    Tuned: the network, one for each site, by the least E|g|^2. It begins as zero, and LAX as REINFORCE.
    Requires: a distribution that can be reparameterized; nothing of the cost.
    Costs: N evaluations, no gradient of the cost, and a pass through the network for each sample.
    Bias: none, whatever the network.
    References: Grathwohl, Choi, Wu, Roeder & Duvenaud (2018), arXiv 1711.00123, equation 5.
    """

    family = "control variate"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Normal,)
    evaluations = "N"
    citation = "Grathwohl et al. (2018), Backpropagation through the Void, arXiv 1711.00123, equation 5"
    tuned_by = "variance"

    def __init__(self, *, hidden: int = 10, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.hidden = at_least_one("hidden", hidden)
        self.networks = nn.ModuleDict()

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        assert isinstance(q, Normal)
        self.networks[site] = OwnNetwork(q.event_shape[0], self.hidden, noise, q.loc)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        moving = q.reparameterize(noise.uniform((self.num_samples,), q))
        z = moving.detach()
        network = self.networks[noise.site]
        f = cost(z, q)
        return follow_score(average(f + zero(network(moving))), f.detach() - network(z), q, z)
