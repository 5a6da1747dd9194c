"""Distributions: what a model takes expectations under."""

from gsx.distributions.base import Discrete, Distribution
from gsx.distributions.bernoulli import Bernoulli
from gsx.distributions.beta import Beta
from gsx.distributions.categorical import Categorical
from gsx.distributions.continuous import Continuous, LogConcave
from gsx.distributions.dirichlet import Dirichlet
from gsx.distributions.exponential import Exponential
from gsx.distributions.gamma import Gamma
from gsx.distributions.k_subset import KSubset
from gsx.distributions.normal import Normal
from gsx.distributions.poisson import Poisson
from gsx.distributions.von_mises import VonMises

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "Continuous",
    "Dirichlet",
    "Discrete",
    "Distribution",
    "Exponential",
    "Gamma",
    "KSubset",
    "LogConcave",
    "Normal",
    "Poisson",
    "VonMises",
]
