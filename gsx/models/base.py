"""What a model is: parameters, and a loss with one free function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn

from gsx.costs import Expect
from gsx.naming import snake_case
from gsx.noise import Noise

Params = dict[str, Tensor]
DirectTerm = Literal["none", "log_q", "log_weights", "other"]


class Model(nn.Module, ABC):
    """A program for E[f]: named parameters and a loss in nats, to be minimised, written with ``expect(q, cost, site)``.

    A subclass writes `init` and `loss` and takes its settings as typed keyword arguments of ``__init__``; those are the schema of
    ``conf/model/<name>.yaml``. Fixed tensors (targets, data, tables) are float64 buffers: the engine moves and casts a copy of the model.
    The loss is affine in each expectation, and tolerates a result of `expect` with further axes in front.
    """

    #: `differentiable`: the gradient of the cost says how it changes; `discontinuous`: it has jumps; `black_box`: there is no gradient.
    cost_is: ClassVar[Literal["differentiable", "discontinuous", "black_box"]] = "differentiable"
    #: How the cost depends on q other than through z: `none`, not at all; `log_q`, by a constant times log q(z); `log_weights`, as minus
    #: the log of the mean of weights p(z_k) / q(z_k) over several samples; `other`. Estimators that replace this direct term must know it.
    direct_term: DirectTerm = "none"
    #: Whether rows of the batch share no random number and no distribution.
    independent_rows: ClassVar[bool] = False
    #: The data set used where none is named; None for a model without data.
    default_data: ClassVar[str | None] = None

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    @property
    def name(self) -> str:
        return snake_case(type(self).__name__)

    @abstractmethod
    def init(self, noise: Noise) -> Params:
        """The parameters at which gradients are measured, float64. ``noise`` belongs to the stream `init` of the model's own seed."""

    @abstractmethod
    def loss(self, params: Params, expect: Expect) -> Tensor:
        """One number for each data row, ``[*batch]`` (``[]`` for toys); the engine averages over the rows."""

    def observe(self, inputs: Tensor, labels: Tensor, of: int) -> None:
        """Make these rows, out of ``of`` in all, the data that the loss is conditional on: what training does at every step.

        ``inputs [batch, features]``, ``labels [batch]``. A model without data has nothing to observe, and is never asked to.
        """
        raise NotImplementedError(f"{self.name} has no data")

    def closed_form(self, params: Params) -> Params | None:
        """The exact gradient of the mean loss in every parameter, where there is a formula for it."""
        return None
