"""The replicates as one more axis of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.models.base import Params
from gsx.noise import Block
from gsx.probe import Probe, direct, has_one_site, weighs_by_constants
from gsx.program import Program, flatten
from gsx.routes.base import Materialising, replicate


class Batched(Materialising):
    """The replicates as a leading axis of the distribution's batch: one backward pass gives the gradient of each in its parameters.

    What lies between the measured parameters and the distribution's is the same for every replicate: one vector-Jacobian product each.
    """

    name = "batched"
    budget = 2**19

    def __init__(self, program: Program, estimator: Estimator, seen: Probe) -> None:
        super().__init__(program, estimator, seen)
        self._direct = None if program.wrt == "distribution" else direct(program, 0.0)
        if self._direct is not None and not self._direct.any():
            self._direct = None
        parameters = program.outermost(program.leaves).parameters
        self._leaves_are_parameters = list(map(id, parameters.values())) == list(map(id, program.leaves.values()))

    def gradients(self, block: Block, start: int, stop: int) -> Tensor:
        replicas: Params = {}

        def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
            replicated = q.map(lambda value: replicate(value, stop - start))
            replicas.update(replicated.parameters)
            return self.estimator.expect(replicated, cost, block.tile(start, stop).at(site))

        loss = self.program.loss(self.program.leaves, implementation)
        total = loss.flatten(1).mean(1).sum() if loss.ndim > 1 else loss.sum()
        found = torch.autograd.grad(total, tuple(replicas.values()), allow_unused=True, materialize_grads=True, create_graph=self.tuning)
        at_leaves = self._pull_back(dict(zip(replicas, found, strict=True)))
        return at_leaves if self._direct is None else at_leaves + self._direct

    def _pull_back(self, gradients: Params) -> Tensor:
        """From gradients in the distribution's parameters ``[n, *batch, *event]`` to gradients in the leaves ``[n, P]``."""
        if self._leaves_are_parameters:
            return flatten(gradients, 1)
        pull_back = torch.func.vjp(lambda at: self.program.outermost(at).parameters, self.program.leaves)[1]
        (pulled,) = torch.func.vmap(pull_back)(gradients)
        return flatten(pulled, 1)


def can_batch(program: Program, seen: Probe) -> bool:
    """Whether every measured gradient passes through the parameters of the one distribution, apart from a term without noise.

    Then a gradient with respect to these, with the replicates as a leading axis of the batch, is all that each replicate needs.
    """
    if not has_one_site(seen):
        return False
    if program.wrt == "distribution":
        return True
    closed = any(site.closes_over_leaves for site in seen.sites.values())
    return not closed and weighs_by_constants(program)
