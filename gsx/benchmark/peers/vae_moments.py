"""Mean and variance of every weight's gradient by keeping the gradient of each replicate: with vmap, and in a Python loop."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.benchmark.peers.vae_step import Loss, latents, networks

#: Mean and sum of squared deviations, float64, by parameter.
Moments = tuple[dict[str, Tensor], dict[str, Tensor]]


class PerReplicate:
    """Gradients of each replicate ``{name: [n, *shape]}`` from the uniforms ``u [n, rows, latents]``."""

    def __init__(self, loss: Loss, params: dict[str, Tensor], x: Tensor) -> None:
        self.loss, self.params, self.x = loss, params, x

    def uniforms(self, replicates: int) -> Tensor:
        return torch.rand(replicates, len(self.x), latents(self.params))

    def one(self, params: dict[str, Tensor], u: Tensor) -> Tensor:
        encoder, decoder = networks(params)
        return self.loss(encoder, decoder, self.x, u)

    def vmap(self, u: Tensor, chunk: int) -> Moments:
        """`vmap(grad)`, ``chunk`` replicates at a time."""
        gradients = torch.func.vmap(torch.func.grad(self.one), in_dims=(None, 0))
        mean, second = self._zeros(), self._zeros()
        for start in range(0, len(u), chunk):
            stop = min(start + chunk, len(u))
            for name, of_chunk in gradients(self.params, u[start:stop]).items():
                g = of_chunk.double()
                of_mean = g.mean(0)
                difference = of_mean - mean[name]
                second[name].add_(g.sub_(of_mean).square_().sum(0)).addcmul_(difference, difference, value=start * (stop - start) / stop)
                mean[name].add_(difference, alpha=(stop - start) / stop)
        return mean, second

    def loop(self, u: Tensor) -> Moments:
        """One backward pass for each replicate, and Welford's update."""
        leaves = {name: value.detach().requires_grad_() for name, value in self.params.items()}
        mean, second = self._zeros(), self._zeros()
        for n, numbers in enumerate(u, 1):
            for name, g in zip(leaves, torch.autograd.grad(self.one(leaves, numbers), tuple(leaves.values())), strict=True):
                difference = g - mean[name]
                mean[name].add_(difference, alpha=1 / n)
                second[name].addcmul_(difference, difference, value=(n - 1) / n)
        return mean, second

    def _zeros(self) -> dict[str, Tensor]:
        return {name: torch.zeros(value.shape, dtype=torch.float64) for name, value in self.params.items()}
