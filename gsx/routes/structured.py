"""Mean and variance of every weight's gradient from the structure of linear layers, without a replicate's gradient ever being formed."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.estimators.base import Estimator
from gsx.moments import Moments, merge, moments
from gsx.noise import Block, Noise
from gsx.probe import Probe, direct
from gsx.program import Program
from gsx.records import Layout
from gsx.routes.base import Route
from gsx.routes.lay_open import forward, terms
from gsx.routes.layers import Call, Layers, Names
from gsx.routes.outer import OfLayer, OuterProducts

#: `auto` takes this route for more coordinates than this. Fewer fit a cache and are cheaper to keep, which gives third moments as well.
MANY_COORDINATES = 2**14

#: Rows of all replicates of a tile together: what one float32 sum is taken over before float64 takes over.
MOST_ROWS = 2**10


class Structured(Route):
    """For losses of independent rows whose measured parameters are the weights and biases of linear layers.

    A row's gradient of a weight is a sum of outer products, ``G = sum_t d_t a_t'``: d_t the gradient at the layer's output, a_t its input
    (1 for the bias). Rows share no noise, so the variance of their sum is the sum of their variances. Each of these comes,
    without bias and without a mean to subtract, from pairs (r, s) of replicates:

        Var G = E (G_r - G_s)^2 / 2,    G_r - G_s = sum_t d_rt (a_rt - a_st)' + (d_rt - d_st) a_st'

    whose square, summed over pairs and rows, is a sum of matrix products (`OuterProducts`). Differences are taken before anything is
    squared, so that a mean however large takes no digits. Layers before the draw have inputs without noise: there G = d a', and the
    moments of d are enough; one pass through these layers serves all replicates.

    The variances have less noise than sample variances of whole gradients, which take chance correlations between rows for real.
    """

    name = "structured"
    materialises = False
    budget = 2**22

    def __init__(self, program: Program, estimator: Estimator, seen: Probe) -> None:
        super().__init__(program, estimator, seen)
        with Layers(program.leaves) as layers:
            q = program.outermost(program.leaves)
        self._parameters, self._before, self._rows = tuple(q.parameters.values()), layers.calls, q.batch_shape[0]
        outside = direct(program, 0.0).to(torch.float64)
        self._direct = outside if outside.any() else None

    def tile(self, replicates: int) -> int:
        """No more than are summed in the program's own precision without losing digits that count."""
        return min(super().tile(replicates), max(2, 1 << (MOST_ROWS // self._rows).bit_length() >> 1))

    def moments(self, block: Block, replicates: int, direction: Tensor | None) -> Moments:
        before: Moments | None = None
        after: dict[Names, OuterProducts] = {}
        pairs, nonfinite = 0, torch.zeros((), dtype=torch.int64, device=self.program.device)
        for start, stop in self.tiles(replicates):
            at_draw, calls, at_calls = self._gradients(block.tile(start, stop), stop - start)
            at_layers = self._pull_back(at_draw)
            before = moments(at_layers, None) if before is None else merge(before, moments(at_layers, None))
            finite = at_layers.sum(1, dtype=torch.float64)
            for names, (d, a) in terms(calls, at_calls).items():
                products = OuterProducts(d, a)
                if names in after:
                    after[names].add(products)
                else:
                    after[names] = products
                finite += d.sum((0, 2, 3), dtype=torch.float64) + a.sum((0, 2, 3), dtype=torch.float64)
            nonfinite += (~torch.isfinite(finite)).sum()
            pairs += (stop - start) // 2
        assert before is not None
        mean, second, largest = (Flat(self.program.layout, nonfinite.device) for _ in range(3))
        widths = [call.output.numel() for call in self._before]
        columns = (torch.split(part, widths) for part in (before.mean, before.second, before.largest))
        for call, *parts in zip(self._before, *columns, strict=True):
            m, v, most = (part.view(call.output.shape) for part in parts)
            a = call.inputs
            mean.put(call.names, (m.t() @ a.to(m.dtype), m.sum(0)))
            # Nothing cancels in a sum of positive numbers: the program's own precision is enough, and twice as fast.
            second.put(call.names, (v.t().to(a.dtype) @ a**2, v.sum(0)))
            largest.put(call.names, (most.t().to(a.dtype) @ a.abs(), most.sum(0)))
        for names, products in after.items():
            mean.put(names, products.sum, 1 / replicates)
            # The mean of (G_r - G_s)^2 / 2 is the variance; times n - 1, it is what a sum of squared deviations has in the mean.
            second.put(names, products.squares, (replicates - 1) / max(2 * pairs, 1))
            largest.put(names, products.bound())
        if self._direct is not None:
            mean.numbers.add_(self._direct)
            largest.numbers.add_(self._direct.abs())
        return Moments(replicates, mean.numbers, second.numbers, None, largest.numbers, None, nonfinite)

    def _gradients(self, noise: Noise, replicates: int) -> tuple[tuple[Tensor, ...], list[Call], tuple[Tensor, ...]]:
        """Gradients of the mean loss ``[n, rows, *]`` in the distribution's parameters and at the outputs of the layers after the draw."""
        loss, parameters, calls, _ = forward(self.program, self.program.leaves, self.estimator, noise, replicates)
        wanted = (*parameters, *(call.output for call in calls))
        found = torch.autograd.grad(loss.mean(1).sum(), wanted, allow_unused=True, materialize_grads=True)
        return found[: len(parameters)], calls, found[len(parameters) :]

    def _pull_back(self, at_draw: tuple[Tensor, ...]) -> Tensor:
        """From gradients in the distribution's parameters to gradients at the outputs of the layers before it, ``[n, rows x outputs]``."""
        outputs = tuple(call.output for call in self._before)
        replicates = len(at_draw[0])
        moving = [(parameter, d) for parameter, d in zip(self._parameters, at_draw, strict=True) if parameter.requires_grad]
        if not outputs or not moving:
            return at_draw[0].new_zeros(replicates, sum(output.numel() for output in outputs))
        parameters, slopes = zip(*moving, strict=True)
        if list(map(id, outputs)) == list(map(id, parameters)):
            return torch.cat([d.flatten(1) for d in slopes], 1)
        found = torch.autograd.grad(parameters, outputs, slopes, retain_graph=True, is_grads_batched=True, allow_unused=True)
        # A layer that the distribution does not depend on is one of the terms outside the expectation, and has its gradient there.
        at_layers = [output.new_zeros(replicates, *output.shape) if d is None else d for output, d in zip(outputs, found, strict=True)]
        return torch.cat([d.flatten(1) for d in at_layers], 1)


class Flat:
    """One number for each coordinate ``[P]``, written layer by layer."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self._numbers = torch.empty(layout.size, dtype=torch.float64, device=device)
        self._unwritten = {name: self._numbers[columns].view(shape) for name, shape, columns in layout.slices()}

    def put(self, names: Names, of_layer: OfLayer, scale: float = 1.0) -> None:
        for name, part in zip(names, of_layer, strict=True):
            if name is not None:
                leaf = self._unwritten.pop(name).copy_(part)
                if scale != 1.0:
                    leaf.mul_(scale)

    @property
    def numbers(self) -> Tensor:
        assert not self._unwritten
        return self._numbers
