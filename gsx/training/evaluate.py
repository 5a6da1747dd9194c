"""How good a model is at some parameters: bounds of the log-likelihood of rows, and the exact loss of a model without data."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gsx.costs import Combine, Cost, Expect
from gsx.distributions import Discrete, Distribution, KSubset, Poisson
from gsx.estimators.exact import Exact
from gsx.models.base import Model, Params
from gsx.noise import Block, Noise
from gsx.probe import sites
from gsx.program import Program
from gsx.records import ConfigurationError
from gsx.reference import AGREEMENT, ORDERS, check_exact
from gsx.routes import implement
from gsx.training.rows import Rows

#: How many numbers (samples x rows x features) are held at once.
PIECE = 2**22


def objective(model: Model) -> str:
    """The metric that minus the loss of rows is: a bound of log p(y | x) where a model says so, else the ELBO."""
    return "log_likelihood_bound" if getattr(model, "conditional_likelihood", False) else "elbo"


def has_bound(model: Model) -> bool:
    """Whether the costs are minus the logarithms of weights p(x, z) / q(z | x), or p(y | z), of which a multi-sample bound is made."""
    return model.direct_term in ("log_q", "log_weights") or objective(model) == "log_likelihood_bound"


@torch.no_grad()
def elbo(model: Model, params: Params, rows: Rows, samples: int, noise: Callable[[int], Noise]) -> Tensor:
    """Minus the loss of each row, by the mean of so many samples: for an autoencoder E log p(x, z) / q(z | x), in nats, ``[n]``; where
    y is predicted E log p(y | z).

    Where rows are not independent there is one number for all of them, ``[1]``.
    """
    return _by_pieces(model, params, rows, samples, noise, lambda f: -f.mean(0))


@torch.no_grad()
def bound(model: Model, params: Params, rows: Rows, samples: int, noise: Callable[[int], Noise]) -> Tensor:
    """log (1/K) sum_k p(x, z_k) / q(z_k | x) of each row, K samples (Burda et al. 2016, equation 8), ``[n]``.

    Where y is predicted log (1/K) sum_k p(y | z_k), z_k drawn given x (Raiko et al. 2015). With several stochastic layers z is all of
    them: each sample of the first has one of the next.
    """
    return _by_pieces(model, params, rows, samples, noise, lambda f: torch.logsumexp(-f, 0) - math.log(len(f)))


def _by_pieces(
    model: Model, params: Params, rows: Rows, samples: int, noise: Callable[[int], Noise], reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """A model's loss with its outermost expectation replaced by minus a function of the costs of so many samples, row by row."""
    step = max(1, PIECE // (samples * rows.inputs.shape[1])) if model.independent_rows else len(rows)
    found = []
    for piece, start in enumerate(range(0, len(rows), step)):
        rows.show(model, slice(start, start + step), len(rows))
        found.append(-model.loss(params, _sampling(samples, noise(piece), reduce)).reshape(-1))
    return torch.cat(found).to(torch.float64)


def _sampling(samples: int, noise: Noise, reduce: Callable[[Tensor], Tensor]) -> Expect:
    """`expect` by samples. Costs that a model combines are taken one by one: the bound is of another K than its own."""
    depth = 0

    def expect(q: Distribution, cost: Cost, site: str = "z", combine: Combine | None = None) -> Tensor:
        nonlocal depth
        z = q.sample(noise.at(site).uniform((samples if depth == 0 else 1,), q))
        depth += 1
        f = cost(z, q)
        depth -= 1
        return -reduce(f) if depth == 0 else f.squeeze(0)

    return expect


class ExactLoss:
    """The mean loss of a program, by enumeration or quadrature, in float64; `possible` says whether there is one."""

    def __init__(self, program: Program) -> None:
        self.possible = True
        try:
            check_exact(program)
        except ConfigurationError:
            self.possible = False
            return
        self._discrete = all(isinstance(site.q, Discrete | KSubset | Poisson) for site in sites(program).values())

    @torch.no_grad()
    def at(self, program: Program) -> float:
        program, previous = program.in_float64(), math.nan
        for nodes in ORDERS:
            exact = Exact()
            exact.nodes = nodes
            noise = Block(0, "exact", 0, program.dtype, program.device).one()
            current = float(program.mean_loss(program.leaves, implement(exact, noise)))
            if self._discrete or abs(current - previous) <= AGREEMENT * abs(current):
                return current
            previous = current
        return math.nan
