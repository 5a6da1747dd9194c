"""The ordinary training step of a VAE with Bernoulli latents: one big minibatch forward and backward, and nothing kept apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear, logsigmoid, softplus

#: Weight and bias of each layer, of the encoder and of the decoder.
Network = list[tuple[Tensor, Tensor]]
#: ``loss(encoder, decoder, x [rows, pixels], u [rows, latents])``: a scalar whose gradient is the estimate, the mean over the rows.
Loss = Callable[[Network, Network, Tensor, Tensor], Tensor]


def networks(params: dict[str, Tensor]) -> tuple[Network, Network]:
    """The parameters of `binary_vae` as the layers of its encoder and decoder."""
    weights = [name.removesuffix(".weight") for name in params if name.endswith(".weight")]
    encoder, decoder = (
        [(params[f"{layer}.weight"], params[f"{layer}.bias"]) for layer in weights if layer.startswith(network)]
        for network in ("encoder", "decoder")
    )
    return encoder, decoder


def latents(params: dict[str, Tensor]) -> int:
    return len(networks(params)[0][-1][1])


def reinforce(encoder: Network, decoder: Network, x: Tensor, u: Tensor) -> Tensor:
    logits = _perceptron(encoder, 2 * x - 1)
    z = (u > torch.sigmoid(-logits.detach())).to(u.dtype)
    log_q = (z * logits + logsigmoid(-logits)).sum(-1)
    f = log_q + _minus_log_likelihood(decoder, x, z)  # the uniform prior adds a constant, which the score must see
    return (f + (f.detach() + z.shape[-1] * math.log(2)) * log_q).mean()


def concrete(encoder: Network, decoder: Network, x: Tensor, u: Tensor, temperature: float = 0.5) -> Tensor:
    logits = _perceptron(encoder, 2 * x - 1)
    y = torch.sigmoid((logits + torch.log(u) - torch.log1p(-u)) / temperature)
    log_q = (y * logits + logsigmoid(-logits)).sum(-1)
    return (log_q + _minus_log_likelihood(decoder, x, y)).mean()


LOSSES: dict[str, Loss] = {"reinforce": reinforce, "concrete": concrete}


class PlainStep:
    """``step(replicates, chunk)``: gradients of all weights on the rows repeated once per replicate, ``chunk`` copies at a time."""

    def __init__(self, loss: Loss, params: dict[str, Tensor], x: Tensor) -> None:
        self.loss, self.x = loss, x
        self.leaves = {name: value.detach().requires_grad_() for name, value in params.items()}

    def __call__(self, replicates: int, chunk: int) -> None:
        for _ in range(replicates // chunk):
            self.gradients(torch.rand(chunk * len(self.x), latents(self.leaves), device=self.x.device))

    def gradients(self, u: Tensor) -> dict[str, Tensor]:
        """The mean gradient over the rows repeated as often as the uniforms ``[copies x rows, latents]`` say."""
        encoder, decoder = networks(self.leaves)
        loss = self.loss(encoder, decoder, self.x.repeat(len(u) // len(self.x), 1), u)
        return dict(zip(self.leaves, torch.autograd.grad(loss, tuple(self.leaves.values())), strict=True))


def _perceptron(layers: Network, x: Tensor) -> Tensor:
    for depth, (weight, bias) in enumerate(layers):
        x = linear(torch.tanh(x) if depth else x, weight, bias)
    return x


def _minus_log_likelihood(decoder: Network, x: Tensor, z: Tensor) -> Tensor:
    logits = _perceptron(decoder, 2 * z - 1)
    return (softplus(logits) - x * logits).sum(-1)
