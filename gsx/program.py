"""A model at fixed parameters, as a function of the tensors its gradient is measured with respect to."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from gsx.costs import Combine, Cost, Expect, MultiSample
from gsx.distributions import Distribution
from gsx.models.base import Model, Params
from gsx.noise import Block
from gsx.records import BrokenContract, ConfigurationError, Layout, Parameters

WRT = ("all", "encoder", "distribution")

#: ``implementation(q, cost, site) -> [*batch]``.
Implementation = Callable[[Distribution, Cost, str], Tensor]


class Program:
    """``mean_loss(leaves, implementation)``: the mean over rows of a model's loss.

    `leaves` are the tensors that `wrt` names: every parameter (`all`), those whose names begin with "encoder" (`encoder`), or the
    parameters of the outermost distribution under the names ``distribution.<name>`` (`distribution`).
    """

    def __init__(
        self,
        model: Model,
        *,
        wrt: str = "all",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        parameters: Parameters | None = None,
    ) -> None:
        """At the model's own parameters, or at those of a checkpoint: ConfigurationError where they are not this model's."""
        self.wrt, self.dtype, self.device = wrt, dtype, torch.device(device)
        start = model.init(Block(model.seed, "init", 0, torch.float64, torch.device("cpu")).one())
        if not isinstance(start, dict) or not start or not all(isinstance(value, Tensor) for value in start.values()):
            raise BrokenContract(f"model={model.name}: its init returns parameters, {{name: tensor, ...}}, and this one returned none")
        if parameters is not None:
            start = _checked(parameters, start, model.name)
        self._place(model, start)
        self._measure_all()

    def _measure_all(self) -> None:
        self.leaves = self._leaves()
        self.layout = Layout(tuple(self.leaves), tuple(tuple(leaf.shape) for leaf in self.leaves.values()))

    def _place(self, model: Model, params: Params) -> None:
        self.model = copy.deepcopy(model).to(device=self.device, dtype=self.dtype)
        self.params = {name: value.to(device=self.device, dtype=self.dtype) for name, value in params.items()}

    def at(self, params: Params, wrt: str | None = None) -> Program:
        """The same program, of the same model and data, at other parameters, which are not copied; and perhaps with another `wrt`."""
        twin = copy.copy(self)
        twin.params, twin.wrt = {name: value.detach() for name, value in params.items()}, wrt or self.wrt
        twin._measure_all()
        return twin

    def in_float64(self) -> Program:
        """The same program, numbers as they are rounded now, computed in float64: what an exact reference is the gradient of."""
        twin = copy.copy(self)
        twin.dtype = torch.float64
        twin._place(self.model, self.params)
        twin.leaves = {name: leaf.to(torch.float64) for name, leaf in self.leaves.items()}
        return twin

    def _leaves(self) -> Params:
        if self.wrt == "all":
            return self.params
        if self.wrt == "encoder":
            encoder = {name: value for name, value in self.params.items() if name.startswith("encoder")}
            if not encoder:
                raise ConfigurationError(f"wrt=encoder: {self.model.name} has no parameter whose name begins with 'encoder'")
            return encoder
        if self.wrt == "distribution":
            q = self._first(lambda stub: self.model.loss(self.params, stub))
            return {f"distribution.{name}": value.detach() for name, value in q.parameters.items()}
        raise ConfigurationError(f"wrt={self.wrt}: must be one of {', '.join(WRT)}")

    def free_leaves(self) -> Params:
        """Copies of the leaves that a gradient can be taken in."""
        return {name: leaf.detach().requires_grad_() for name, leaf in self.leaves.items()}

    def outermost(self, leaves: Params) -> Distribution:
        """The distribution of the first expectation that the loss takes, at these leaves."""
        return self._first(lambda stub: self.loss(leaves, stub))

    def _first(self, loss: Callable[[Expect], Tensor]) -> Distribution:
        seen: list[Distribution] = []

        def stub(q: Distribution, cost: Cost, site: str = "z", combine: Combine | None = None) -> Tensor:
            seen.append(q)
            return torch.zeros(q.batch_shape, dtype=self.dtype, device=self.device)

        loss(stub)
        if not seen:
            raise BrokenContract(f"model.name={self.model.name}: its loss takes no expectation")
        return seen[0]

    def loss(self, leaves: Params, implementation: Implementation) -> Tensor:
        """The loss of each row ``[*batch]`` at these leaves, every expectation taken by ``implementation``."""
        expect = _lowered(implementation)
        if self.wrt == "distribution":
            return self.model.loss(self.params, _with_outermost(leaves, expect))
        return self.model.loss(self.params | leaves, expect)

    def mean_loss(self, leaves: Params, implementation: Implementation) -> Tensor:
        return self.loss(leaves, implementation).mean()


def _checked(parameters: Parameters, start: Params, name: str) -> Params:
    """The parameters of a checkpoint, in the order of the model's own. ``name`` is that of the model's class: a preset has it too."""
    given, of = parameters.arrays, f"model.checkpoint={parameters.path}: parameters of another model"
    if strange := sorted(given.keys() ^ start.keys()):
        there, here = ("it has", "has not") if strange[0] in given else ("it has no", "has")
        raise ConfigurationError(f"{of}: {there} {strange[0]}, {name} {here}")
    for key, value in start.items():
        if given[key].shape != tuple(value.shape):
            raise ConfigurationError(f"{of}: {key} is {list(given[key].shape)} there, {list(value.shape)} in {name} with these settings")
    return {key: torch.tensor(given[key]) for key in start}


def _lowered(implementation: Implementation) -> Expect:
    """`expect` to which K samples that are combined are one draw of q^K."""

    def expect(q: Distribution, cost: Cost, site: str = "z", combine: Combine | None = None) -> Tensor:
        if combine is not None:
            q, cost = q.power(combine.k), MultiSample(cost, combine)
        return implementation(q, cost, site)

    return expect


def _with_outermost(leaves: Params, inner: Expect) -> Expect:
    """`expect` whose first call replaces the parameters of its distribution by the leaves."""
    parameters: Params | None = {name.removeprefix("distribution."): leaf for name, leaf in leaves.items()}

    def expect(q: Distribution, cost: Cost, site: str = "z", combine: Combine | None = None) -> Tensor:
        nonlocal parameters
        if parameters is not None:
            q, parameters = q.replace(parameters), None
        return inner(q, cost, site, combine)

    return expect


def flatten(gradients: Params, leading: int = 0) -> Tensor:
    """Per-leaf tensors ``[*lead, *shape]`` as one ``[*lead, P]``, in the order of the layout."""
    flat = [g.flatten(leading) if g.ndim > leading else g.unsqueeze(-1) for g in gradients.values()]
    return flat[0] if len(flat) == 1 else torch.cat(flat, -1)


def gradient(program: Program, implementation: Implementation, *, again: bool = False) -> Tensor:
    """One gradient ``[P]`` of the mean loss, by one backward pass; with ``again`` it can be differentiated in turn."""
    leaves = program.free_leaves()
    loss = program.mean_loss(leaves, implementation)
    return gradient_of(loss, leaves, again=again)


def gradient_of(loss: Tensor, leaves: Params, *, again: bool = False) -> Tensor:
    """The gradient ``[P]`` of a scalar in the leaves; zero where it does not depend on one."""
    if not loss.requires_grad:
        return flatten({name: torch.zeros_like(leaf) for name, leaf in leaves.items()})
    found = torch.autograd.grad(loss, tuple(leaves.values()), allow_unused=True, create_graph=again)
    return flatten({name: torch.zeros_like(leaf) if g is None else g for (name, leaf), g in zip(leaves.items(), found, strict=True)})
