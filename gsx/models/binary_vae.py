"""A variational autoencoder with Bernoulli latents."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from gsx.data import Dataset
from gsx.distributions import Bernoulli
from gsx.models.autoencoder import Inputs, VariationalAutoencoder
from gsx.models.base import Params
from gsx.models.networks import Activation
from gsx.noise import Noise
from gsx.records import ConfigurationError


class BinaryVAE(VariationalAutoencoder):
    """`latents` Bernoulli latents. Linear networks where `hidden` is empty.

    The prior is uniform, or learned: independent Bernoullis of logits `prior.logits` [latents], from 0.

    References: the sigmoid belief networks of Mnih & Gregor (2014), arXiv 1402.0030, as used by Tucker et al. (2017), arXiv 1703.07370;
    the networks of the presets are those of Dong, Mnih & Tucker (2020), arXiv 2006.10680, and of Titsias & Shi (2022), arXiv 2111.05300.
    """

    def __init__(
        self,
        *,
        data: Dataset,
        latents: int = 12,
        hidden: list[int] = [],  # noqa: B006 - read, never written
        activation: Activation = "tanh",
        inputs: Inputs = "signed",
        prior: Literal["uniform", "learned"] = "uniform",
        batch: int = 20,
        seed: int = 0,
    ) -> None:
        if latents < 1:
            raise ConfigurationError(f"latents={latents}: must be at least 1")
        super().__init__(
            data=data,
            hidden=hidden,
            batch=batch,
            encoder_outputs=latents,
            code_width=latents,
            seed=seed,
            activation=activation,
            inputs=inputs,
        )
        self.latents, self.prior = latents, prior

    def init(self, noise: Noise) -> Params:
        learned = {"prior.logits": torch.zeros(self.latents, dtype=torch.float64)} if self.prior == "learned" else {}
        return super().init(noise) | learned

    def posterior(self, outputs: Tensor) -> Bernoulli:
        return Bernoulli(outputs, context=self.x)

    def log_prior(self, params: Params, z: Tensor) -> Tensor:
        if self.prior == "learned":
            return Bernoulli(params["prior.logits"]).log_prob(z)
        return z.new_full(z.shape[:-1], -z.shape[-1] * math.log(2))

    def code(self, z: Tensor) -> Tensor:
        return z if self.inputs == "raw" else 2 * z - 1
