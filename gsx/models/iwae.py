"""An importance-weighted autoencoder: several samples, one bound."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor

from gsx.costs import Expect, LogMeanExp
from gsx.data import Dataset
from gsx.distributions import Bernoulli, Distribution, Normal
from gsx.models.autoencoder import VariationalAutoencoder
from gsx.models.base import Params
from gsx.records import ConfigurationError


class IWAE(VariationalAutoencoder):
    """-E log (1/k) sum_i p(x, z_i) / q(z_i|x) of each row x, k independent z_i ~ q(z|x): minus the ELBO for k = 1, and tighter for more.

    `latents` Bernoullis with a uniform prior, of which the decoder reads 2z - 1; or Gaussians with a standard normal prior, the posterior
    no wider than that (its scale is a sigmoid). Linear networks where `hidden` is empty.
    References: Burda, Grosse & Salakhutdinov (2016), arXiv 1509.00519, section 3; with discrete latents Mnih & Rezende (2016), arXiv
    1602.06725.
    """

    def __init__(
        self,
        *,
        data: Dataset,
        latent: Literal["bernoulli", "gaussian"] = "bernoulli",
        latents: int = 4,
        k: int = 2,
        hidden: list[int] = [],  # noqa: B006 - read, never written
        batch: int = 20,
        seed: int = 0,
    ) -> None:
        if latents < 1:
            raise ConfigurationError(f"latents={latents}: must be at least 1")
        outputs = 2 * latents if latent == "gaussian" else latents
        super().__init__(data=data, hidden=hidden, batch=batch, encoder_outputs=outputs, code_width=latents, seed=seed)
        self.latent, self.combine = latent, LogMeanExp(k)
        self.direct_term = "log_q" if k == 1 else "log_weights"

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return super().loss(params, functools.partial(expect, combine=self.combine))

    def posterior(self, outputs: Tensor) -> Distribution:
        if self.latent == "bernoulli":
            return Bernoulli(outputs, context=self.x)
        loc, scale = outputs.chunk(2, -1)
        return Normal(loc, torch.sigmoid(scale), context=self.x)

    def log_prior(self, params: Params, z: Tensor) -> Tensor:
        if self.latent == "bernoulli":
            return z.new_full(z.shape[:-1], -z.shape[-1] * math.log(2))
        return (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(-1)

    def code(self, z: Tensor) -> Tensor:
        return 2 * z - 1 if self.latent == "bernoulli" else z
