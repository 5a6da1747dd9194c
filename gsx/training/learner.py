"""An estimator in a training, and what it learns for itself beside it: on noise of its own, so that no sample meets what it has taught."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.learnt import learnt, put_back
from gsx.models.base import Params
from gsx.noise import Block, Noise
from gsx.probe import has_one_site, probe
from gsx.program import Program
from gsx.reference import check_exact
from gsx.training.configuration import TuneSettings
from gsx.training.optimizer import build, memory, remember
from gsx.tune import regression, second_moment, warm_up

#: Nodes of a quadrature in each dimension, where `exact` trains a model of continuous variables.
NODES = 64


class Learner:
    """An estimator whose own parameters take one step of an optimizer for each `learn`, and whose moving average moves once.

    The loss is that of `gsx.tune`: E|g|^2, the squared length of `replicates` gradients, or the estimator's `regression`, at the present
    parameters and minibatch. The numbers are those of stream `tune`, block t. A moving average follows the training where it is `along`;
    that of an estimator that is only measured now and then is warmed up there.
    """

    def __init__(self, estimator: Estimator, program: Program, settings: TuneSettings, seed: int, *, along: bool) -> None:
        """ConfigurationError where the estimator is not for this model."""
        self.estimator, self.settings, self.seed, self.along = estimator, settings, seed, along
        self.exact = isinstance(estimator, Exact)
        self.optimizer: torch.optim.Optimizer | None = None
        if isinstance(estimator, Exact):
            check_exact(program)
            estimator.nodes = NODES
            return
        self.seen = probe(program, estimator)
        if settings.wrt == "auto":
            self.wrt = "distribution" if program.model.independent_rows and has_one_site(self.seen) else "all"
        else:
            self.wrt = settings.wrt
        learns = settings.kind == "auto" and estimator.tuned_by != "none"
        if learns:
            self._seen_tuning = probe(program.at(program.params, self.wrt), estimator)
        noise = Block(seed, "tune.init", 0, program.dtype, program.device).one()
        for site, found in self.seen.sites.items():
            estimator.prepare(site, found.q, noise.at(site))
        if learns:
            chosen = {**settings.optimizer, "lr": settings.learning_rate}
            self.optimizer = build(chosen, list(estimator.parameters()), fused=None)  # another form would be other bits than those stored

    @property
    def learns(self) -> bool:
        return self.optimizer is not None or (self.along and self.estimator.warmup > 0)

    def learn(self, program: Program, params: Params, step: int) -> None:
        """One step at the program's present minibatch and these parameters."""
        if not self.learns:
            return
        program = program.at(params, self.wrt)
        block = Block(self.seed, "tune", step, program.dtype, program.device)
        if self.along and self.estimator.warmup:
            self._update(program, block.one())
        if self.optimizer is None:
            return
        own = self.optimizer.param_groups[0]["params"]
        self.estimator.requires_grad_(True)
        if self.estimator.tuned_by == "variance":
            loss = second_moment(self.estimator, program, self._seen_tuning)(block, self.settings.replicates)
        else:
            loss = regression(self.estimator, program)(block, self.settings.replicates)
        for parameter, slope in zip(own, torch.autograd.grad(loss, own, allow_unused=True), strict=True):
            parameter.grad = slope
        self.optimizer.step()
        for parameter in own:
            parameter.grad = None
        self.estimator.requires_grad_(False)

    def ready(self, program: Program, step: int) -> Estimator:
        """The estimator as it is to be measured at a program."""
        if self.along or not self.estimator.warmup:
            return self.estimator
        warm = copy.deepcopy(self.estimator)
        warm_up(warm, program, seed=self.seed, stream=f"tune.{step}")
        return warm

    @torch.no_grad()
    def _update(self, program: Program, noise: Noise) -> None:
        def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
            self.estimator.update(q, cost, noise.at(site))
            return self.estimator.expect(q, cost, noise.at(site))

        program.mean_loss(program.leaves, implementation)

    # ---------------------------------------------------------------------------------------------------------------- its memory

    @property
    def _of_optimizer(self) -> str:
        """What begins the names of what the optimizer remembers."""
        return f"{self.settings.optimizer['name']}."

    def memory(self) -> dict[str, Tensor]:
        """Everything that was learnt, and what the optimizer remembers of it."""
        kept = learnt(self.estimator)
        if self.optimizer is not None:
            kept |= {f"{self._of_optimizer}{key}": value for key, value in memory(self.optimizer).items()}
        return kept

    def remember(self, kept: dict[str, Tensor]) -> None:
        put_back(self.estimator, kept)
        if self.optimizer is not None:
            remembered = {key: value for key, value in kept.items() if key.startswith(self._of_optimizer)}
            remember(self.optimizer, {key.removeprefix(self._of_optimizer): value for key, value in remembered.items()})
