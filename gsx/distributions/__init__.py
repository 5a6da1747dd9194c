"""Distributions: what a model takes expectations under."""

from gsx.distributions.base import Discrete, Distribution
from gsx.distributions.bernoulli import Bernoulli
from gsx.distributions.categorical import Categorical
from gsx.distributions.k_subset import KSubset
from gsx.distributions.normal import Normal

__all__ = ["Bernoulli", "Categorical", "Discrete", "Distribution", "KSubset", "Normal"]
