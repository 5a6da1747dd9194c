"""A sigmoid belief network with two stochastic layers: one expectation inside another."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus

from gsx.costs import Expect
from gsx.data import Dataset
from gsx.distributions import Bernoulli
from gsx.models.autoencoder import VariationalAutoencoder
from gsx.models.base import Params
from gsx.models.networks import init_perceptron, perceptron
from gsx.noise import Noise
from gsx.records import ConfigurationError


class TwoLayerVAE(VariationalAutoencoder):
    """E_{z1 ~ q(z1|x)} [log q(z1|x) - log p(x|z1) + E_{z2 ~ q(z2|z1)} [log q(z2|z1) - log p(z1|z2) - log p(z2)]], all of it Bernoulli.

    The networks: `encoder` for q(z1|x), `encoder_2` for q(z2|z1), `decoder_2` for p(z1|z2), `decoder` for p(x|z1), each on its input mapped
    to {-1, 1}, linear where `hidden` is empty; p(z2) is uniform. The upper layer is drawn at the site `z2`.
    References: the sigmoid belief networks of Mnih & Gregor (2014), arXiv 1402.0030; Tucker et al. (2017), arXiv 1703.07370.
    """

    def __init__(
        self,
        *,
        data: Dataset,
        latents: list[int] = [4, 3],  # noqa: B006 - read, never written
        hidden: list[int] = [],  # noqa: B006
        batch: int = 20,
        seed: int = 0,
    ) -> None:
        if len(latents) != 2 or any(width < 1 for width in latents):
            raise ConfigurationError(f"latents={latents}: must be two numbers, each at least 1")
        lower, upper = latents
        super().__init__(data=data, hidden=hidden, batch=batch, encoder_outputs=lower, code_width=lower, seed=seed)
        self.encoder_2_widths = [lower, *hidden, upper]
        self.decoder_2_widths = [upper, *reversed(hidden), lower]

    def init(self, noise: Noise) -> Params:
        upper = init_perceptron("encoder_2", self.encoder_2_widths, noise) | init_perceptron("decoder_2", self.decoder_2_widths, noise)
        return super().init(noise) | upper

    def loss(self, params: Params, expect: Expect) -> Tensor:
        def lower(z1: Tensor, q: Bernoulli) -> Tensor:
            def upper(z2: Tensor, q: Bernoulli) -> Tensor:
                logits = perceptron(params, "decoder_2", self.code(z2))
                return self.divergence(params, z2, q) - self.kl_weight * (z1 * logits - softplus(logits)).sum(-1)

            q2 = Bernoulli(perceptron(params, "encoder_2", self.code(z1)), context=z1)
            return self.kl_weight * q.log_prob(z1) - self.log_likelihood(params, z1) + expect(q2, upper, site="z2")

        return expect(self.posterior(perceptron(params, "encoder", 2 * self.x - 1)), lower)

    def posterior(self, outputs: Tensor) -> Bernoulli:
        return Bernoulli(outputs, context=self.x)

    def log_prior(self, params: Params, z: Tensor) -> Tensor:
        return z.new_full(z.shape[:-1], -z.shape[-1] * math.log(2))

    def code(self, z: Tensor) -> Tensor:
        return 2 * z - 1
