"""Structured output prediction: half of an image from the other half, through stochastic layers."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gsx.costs import Expect
from gsx.data import Dataset
from gsx.distributions import Bernoulli, Categorical, Discrete
from gsx.models.base import Model, Params
from gsx.models.minibatch import draw_rows
from gsx.models.networks import init_perceptron, perceptron
from gsx.noise import Noise
from gsx.records import ConfigurationError


class StructuredOutput(Model):
    """-E_{h ~ p(h|x)} log p(y|h) of each row: y the lower half of an image, x its upper half, in nats. An upper bound on -log p(y|x).

    h are layers of Bernoullis, or, where `categories` is given, of one-hot categoricals of so many outcomes; `latents` says how many in
    each: p(h|x) = p(h_1|x) p(h_2|h_1) ..., and p(y|h) are Bernoulli pixels given the last layer. The networks `encoder` for p(h_1|x),
    `encoder_2` for p(h_2|h_1), ..., and `decoder` for p(y|h) are linear, each on its input mapped to {-1, 1}, or on the one-hots
    concatenated. The layers are drawn at the sites `z`, `z2`, ...
    References: Raiko, Berglund, Alain & Dinh (2015), arXiv 1406.2989; Gu, Levine, Sutskever & Mnih (2016), arXiv 1511.05176, section 5.1;
    Jang, Gu & Poole (2017), arXiv 1611.01144, section 4.1, all with m = 1 sample in training.
    """

    #: The costs are -log p(y|h), h drawn given x: minus the log of a mean of exp(-cost) bounds -log p(y|x), the tighter the more samples.
    conditional_likelihood: ClassVar[bool] = True

    independent_rows = True
    default_data = "digits"
    x: Tensor
    mean_image: Tensor

    def __init__(
        self,
        *,
        data: Dataset,
        latents: list[int] = [4, 3],  # noqa: B006 - read, never written
        categories: int | None = None,
        batch: int = 20,
        seed: int = 0,
    ) -> None:
        if not latents or any(width < 1 for width in latents):
            raise ConfigurationError(f"latents={latents}: must be one number for each layer, each at least 1")
        if categories is not None and categories < 2:
            raise ConfigurationError(f"categories={categories}: must be at least 2")
        super().__init__(seed=seed)
        images = torch.from_numpy(data.inputs)
        self.register_buffer("x", images[draw_rows(data, batch, seed)])
        self.register_buffer("mean_image", images.mean(0))
        self.upper = images.shape[1] // 2
        self.encoders = ["encoder", *(f"encoder_{layer}" for layer in range(2, len(latents) + 1))]
        self.categories = categories
        self.widths = [self.upper, *(width * (categories or 1) for width in latents), images.shape[1] - self.upper]

    def observe(self, inputs: Tensor, labels: Tensor, of: int) -> None:
        self.x = inputs

    def init(self, noise: Noise) -> Params:
        params: Params = {}
        for layer, name in enumerate((*self.encoders, "decoder")):
            params |= init_perceptron(name, self.widths[layer : layer + 2], noise)
        # Predictions start from the mean image, as an autoencoder's do.
        params["decoder.0.bias"] = torch.logit(self.mean_image[self.upper :].clamp(0.01, 0.99))
        return params

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return self._through(0, 2 * self.x[..., : self.upper] - 1, params, expect)

    def _through(self, layer: int, below: Tensor, params: Params, expect: Expect) -> Tensor:
        """The misfit of y, averaged over this layer and those after it, given what the network reads of the one before."""
        logits = perceptron(params, (*self.encoders, "decoder")[layer], below)
        if layer == len(self.encoders):
            return (softplus(logits) - self.x[..., self.upper :] * logits).sum(-1)
        # A baseline may look at y as well, which h is not drawn from.
        q = self._layer(logits, context=below if layer else self.x)
        return expect(q, lambda z, q: self._through(layer + 1, self._code(z), params, expect), site=f"z{layer + 1}" if layer else "z")

    def _layer(self, logits: Tensor, context: Tensor) -> Discrete:
        if self.categories is None:
            return Bernoulli(logits, context=context)
        return Categorical(logits.reshape(*logits.shape[:-1], -1, self.categories), context=context)

    def _code(self, z: Tensor) -> Tensor:
        """What the next network reads of a layer."""
        return 2 * z - 1 if self.categories is None else z.flatten(-2)
