"""A variational autoencoder with categorical latents."""

from __future__ import annotations

import math

from torch import Tensor

from gsx.data import Dataset
from gsx.distributions import Categorical
from gsx.models.autoencoder import VariationalAutoencoder
from gsx.records import ConfigurationError


class CategoricalVAE(VariationalAutoencoder):
    """`latents` one-hot latents of `categories` outcomes each, with a uniform prior; the decoder reads them concatenated.

    References: Jang, Gu & Poole (2017), arXiv 1611.01144, section 4.2.
    """

    def __init__(
        self,
        *,
        data: Dataset,
        latents: int = 3,
        categories: int = 8,
        hidden: list[int] = [],  # noqa: B006 - read, never written
        batch: int = 20,
        seed: int = 0,
    ) -> None:
        if latents < 1:
            raise ConfigurationError(f"latents={latents}: must be at least 1")
        if categories < 2:
            raise ConfigurationError(f"categories={categories}: must be at least 2")
        width = latents * categories
        super().__init__(data=data, hidden=hidden, batch=batch, encoder_outputs=width, code_width=width, seed=seed)
        self.latents, self.categories = latents, categories

    def posterior(self, outputs: Tensor) -> Categorical:
        return Categorical(outputs.reshape(*outputs.shape[:-1], self.latents, self.categories), context=self.x)

    def log_prior(self, z: Tensor) -> Tensor:
        return z.new_full(z.shape[:-2], -self.latents * math.log(self.categories))

    def code(self, z: Tensor) -> Tensor:
        return z.flatten(-2)
