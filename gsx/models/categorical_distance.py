"""The distance of independent categories from a target: the synthetic experiment of IndeCateR."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect, Separable
from gsx.distributions import Categorical
from gsx.models.base import Model, Params
from gsx.noise import Block, Noise
from gsx.records import ConfigurationError


class CategoricalDistance(Model):
    """L(logits) = E sum_d |X_d - b_d|, X_d = sum_c c z_dc the number 0 ... categories - 1 of the category that z_d is in.

    The target b is one draw of q at the start. Parameter: `logits` ~ N(0, 1), [dimensions, categories]. With f_dc = |c - b_d| the gradient
    is p_dc (f_dc - sum_k p_dk f_dk).
    References: De Smet, Sansone & Zuidberg Dos Martires (2023), arXiv 2311.12569, section 6.1, with (dimensions, categories) = (12, 3),
    (6, 10) and (3, 100).
    """

    start: Tensor
    target: Tensor
    place: Tensor

    def __init__(self, *, dimensions: int = 4, categories: int = 5, seed: int = 0) -> None:
        super().__init__(seed=seed)
        if dimensions < 1:
            raise ConfigurationError(f"dimensions={dimensions}: must be at least 1")
        if categories < 2:
            raise ConfigurationError(f"categories={categories}: must be at least 2")
        noise = Block(seed, "problem", 0, torch.float64, torch.device("cpu")).one()
        q = Categorical(noise.standard_normal((dimensions, categories)))
        self.register_buffer("start", q.logits)
        self.register_buffer("place", torch.arange(categories, dtype=torch.float64))
        self.register_buffer("target", q.sample(noise.uniform((), q)) @ self.place)

    def init(self, noise: Noise) -> Params:
        return {"logits": self.start.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Categorical(params["logits"]), Separable(lambda z: (z @ self.place - self.target).abs()))

    def closed_form(self, params: Params) -> Params:
        p = torch.softmax(params["logits"], -1)
        f = (self.place - self.target.unsqueeze(-1)).abs()
        return {"logits": p * (f - (p * f).sum(-1, keepdim=True))}
