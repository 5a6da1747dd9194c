"""What holds of an estimator on a model, whatever is drawn."""

from __future__ import annotations

from typing import Any

from gsx.distributions import Discrete, KSubset
from gsx.estimators.base import Estimator
from gsx.models.base import Model
from gsx.probe import Site


def facts(estimator: Estimator, model: Model, sites: dict[str, Site]) -> dict[str, Any]:
    """`Result.facts`."""
    return {
        "distributions": sorted({type(site.q).__name__ for site in sites.values()}),
        "needs_cost_gradient": estimator.needs_cost_gradient,
        "unbiased": estimator.biased_because(model) is None,
    }


def rarest(sites: dict[str, Site]) -> float | None:
    """The probability of the least probable state of any discrete coordinate; None without one."""
    discrete = [site.q for site in sites.values() if isinstance(site.q, Discrete | KSubset)]
    return min((float(q.coordinate_points(1)[1].min()) for q in discrete), default=None)
