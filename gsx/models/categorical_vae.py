"""A variational autoencoder with categorical latents."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from gsx.data import Dataset
from gsx.distributions import Categorical
from gsx.models.autoencoder import Inputs, VariationalAutoencoder
from gsx.models.base import Params
from gsx.models.networks import Activation
from gsx.noise import Noise
from gsx.records import ConfigurationError


class CategoricalVAE(VariationalAutoencoder):
    """`latents` one-hot latents of `categories` outcomes each; the decoder reads them concatenated.

    The prior is uniform, or learned: independent categoricals of logits `prior.logits` [latents, categories], from 0.

    References: Jang, Gu & Poole (2017), arXiv 1611.01144, section 4.2; the presets are those of Liu et al. (2023), arXiv 2304.08612, where
    the KL divergence is analytic, while here it is sampled like the rest of the cost.
    """

    def __init__(
        self,
        *,
        data: Dataset,
        latents: int = 3,
        categories: int = 8,
        hidden: list[int] = [],  # noqa: B006 - read, never written
        activation: Activation = "tanh",
        inputs: Inputs = "signed",
        prior: Literal["uniform", "learned"] = "uniform",
        batch: int = 20,
        seed: int = 0,
    ) -> None:
        if latents < 1:
            raise ConfigurationError(f"latents={latents}: must be at least 1")
        if categories < 2:
            raise ConfigurationError(f"categories={categories}: must be at least 2")
        width = latents * categories
        super().__init__(
            data=data,
            hidden=hidden,
            batch=batch,
            encoder_outputs=width,
            code_width=width,
            seed=seed,
            activation=activation,
            inputs=inputs,
        )
        self.latents, self.categories, self.prior = latents, categories, prior

    def init(self, noise: Noise) -> Params:
        shape = self.latents, self.categories
        learned = {"prior.logits": torch.zeros(shape, dtype=torch.float64)} if self.prior == "learned" else {}
        return super().init(noise) | learned

    def posterior(self, outputs: Tensor) -> Categorical:
        return Categorical(outputs.reshape(*outputs.shape[:-1], self.latents, self.categories), context=self.x)

    def log_prior(self, params: Params, z: Tensor) -> Tensor:
        if self.prior == "learned":
            return Categorical(params["prior.logits"]).log_prob(z)
        return z.new_full(z.shape[:-2], -self.latents * math.log(self.categories))

    def code(self, z: Tensor) -> Tensor:
        return z.flatten(-2)
