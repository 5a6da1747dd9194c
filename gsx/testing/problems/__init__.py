"""Problems with exact gradients, made so that a wrong estimator shows: asymmetric, none of them separable, some that depend on the
parameters, of one row, of several, nested, and of several samples."""

from __future__ import annotations

from dataclasses import dataclass

from gsx.models.base import Model
from gsx.models.bernoulli_ising import BernoulliIsing
from gsx.testing.problems.black_boxes import (
    BernoulliBlackBox,
    BernoulliBlackBoxes,
    CategoricalBlackBox,
    GaussianBlackBox,
    GaussianBlackBoxes,
)
from gsx.testing.problems.continuous import (
    BetaDirect,
    DirichletDirect,
    GammaDirect,
    GammaQuotient,
    GaussianBound,
    GaussianBoundDirect,
    GaussianBoundOfThree,
    GaussianBoundRows,
    GaussianDirect,
    GaussianElbo,
    GaussianNested,
    GaussianPolynomial,
    PoissonDirect,
    VonMisesDirect,
)
from gsx.testing.problems.discrete import (
    BernoulliBound,
    BernoulliBoundOfThree,
    BernoulliCubic,
    BernoulliDirect,
    BernoulliNested,
    BernoulliRows,
    CategoricalBound,
    CategoricalCubic,
    CategoricalDirect,
    CategoricalTable,
    KSubsetCubic,
    KSubsetDirect,
)


@dataclass(frozen=True)
class Problem:
    model: Model
    #: Made so that a biased estimator is biased here.
    cubic: bool = False
    #: A draw takes long: where there are other problems, less is asked of this one.
    slow: bool = False

    @property
    def direct(self) -> bool:
        """The cost depends on the parameters beyond the draw."""
        return self.model.direct_term != "none"


PROBLEMS: dict[str, Problem] = {
    "bernoulli_cubic": Problem(BernoulliCubic(), cubic=True),
    "bernoulli_direct": Problem(BernoulliDirect()),
    "bernoulli_ising": Problem(BernoulliIsing(logits=[-1.1, -0.3, 0.4, 0.9], seed=1)),
    "bernoulli_rows": Problem(BernoulliRows()),
    "bernoulli_nested": Problem(BernoulliNested()),
    "bernoulli_bound": Problem(BernoulliBound()),
    "bernoulli_bound_of_three": Problem(BernoulliBoundOfThree()),
    "categorical_table": Problem(CategoricalTable()),
    "categorical_cubic": Problem(CategoricalCubic(), cubic=True),
    "categorical_direct": Problem(CategoricalDirect()),
    "categorical_bound": Problem(CategoricalBound()),
    "k_subset_cubic": Problem(KSubsetCubic(), cubic=True),
    "k_subset_direct": Problem(KSubsetDirect()),
    "gaussian_polynomial": Problem(GaussianPolynomial(), cubic=True),
    "gaussian_direct": Problem(GaussianDirect()),
    "gaussian_elbo": Problem(GaussianElbo()),
    "gaussian_nested": Problem(GaussianNested()),
    "gaussian_bound": Problem(GaussianBound()),
    "gaussian_bound_of_three": Problem(GaussianBoundOfThree()),
    "gaussian_bound_rows": Problem(GaussianBoundRows()),
    "gaussian_bound_direct": Problem(GaussianBoundDirect()),
    "gamma_quotient": Problem(GammaQuotient(), slow=True),
    "gamma_direct": Problem(GammaDirect(), slow=True),
    "beta_direct": Problem(BetaDirect(), slow=True),
    "dirichlet_direct": Problem(DirichletDirect(), slow=True),
    "von_mises_direct": Problem(VonMisesDirect(), slow=True),
    "poisson_direct": Problem(PoissonDirect(), slow=True),
}
BLACK_BOXES: list[Model] = [BernoulliBlackBox(), CategoricalBlackBox(), GaussianBlackBox(), BernoulliBlackBoxes(), GaussianBlackBoxes()]
