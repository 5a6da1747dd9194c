"""A variational autoencoder with Bernoulli latents."""

from __future__ import annotations

import math

from torch import Tensor

from gsx.data import Dataset
from gsx.distributions import Bernoulli
from gsx.models.autoencoder import VariationalAutoencoder
from gsx.records import ConfigurationError


class BinaryVAE(VariationalAutoencoder):
    """`latents` Bernoulli latents with a uniform prior; the decoder reads 2z - 1. Linear networks where `hidden` is empty.

    References: the sigmoid belief networks of Mnih & Gregor (2014), arXiv 1402.0030, as used by Tucker et al. (2017), arXiv 1703.07370.
    """

    def __init__(self, *, data: Dataset, latents: int = 12, hidden: list[int] = [], batch: int = 20, seed: int = 0) -> None:  # noqa: B006
        if latents < 1:
            raise ConfigurationError(f"latents={latents}: must be at least 1")
        super().__init__(data=data, hidden=hidden, batch=batch, encoder_outputs=latents, code_width=latents, seed=seed)

    def posterior(self, outputs: Tensor) -> Bernoulli:
        return Bernoulli(outputs, context=self.x)

    def log_prior(self, z: Tensor) -> Tensor:
        return z.new_full(z.shape[:-1], -z.shape[-1] * math.log(2))

    def code(self, z: Tensor) -> Tensor:
        return 2 * z - 1
