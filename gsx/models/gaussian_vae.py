"""A variational autoencoder with Gaussian latents."""

from __future__ import annotations

import math

from torch import Tensor

from gsx.data import Dataset
from gsx.distributions import Normal
from gsx.models.autoencoder import VariationalAutoencoder
from gsx.models.base import Params
from gsx.records import ConfigurationError


class GaussianVAE(VariationalAutoencoder):
    """`latents` Gaussian latents with a standard normal prior.

    References: Kingma & Welling (2014), arXiv 1312.6114, appendix C, with the KL term sampled like the rest of the cost.
    """

    def __init__(self, *, data: Dataset, latents: int = 2, hidden: list[int] = [], batch: int = 20, seed: int = 0) -> None:  # noqa: B006
        if latents < 1:
            raise ConfigurationError(f"latents={latents}: must be at least 1")
        super().__init__(data=data, hidden=hidden, batch=batch, encoder_outputs=2 * latents, code_width=latents, seed=seed)

    def posterior(self, outputs: Tensor) -> Normal:
        loc, log_scale = outputs.chunk(2, -1)
        return Normal(loc, log_scale.exp(), context=self.x)

    def log_prior(self, params: Params, z: Tensor) -> Tensor:
        return (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(-1)

    def code(self, z: Tensor) -> Tensor:
        return z
