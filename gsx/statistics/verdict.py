"""The verdict on bias: what one look at the end of a run proves, and what it cannot."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from gsx.records import Coordinates, Layout, Verdict
from gsx.statistics.projections import Projections
from gsx.statistics.tails import student_t_quantile, student_t_tail

FAMILY_WISE_ERROR = 1e-3  # the chance that a right estimator is rejected at all, over all its coordinates and projections
POWER = 0.999  # the chance that a bias of delta_min is seen
RARE_EVENT = 7.0  # an event of probability 7/R is missed by all R replicates with probability exp(-7) < 1e-3
ROUNDING = {"float32": 1e-5, "float64": 1e-10}  # how far a deterministic gradient may lie from the reference, relative to its norm


def verdict(
    table: Coordinates,
    *,
    replicates: int,
    skewness: np.ndarray | None,
    largest: np.ndarray | None,
    along: Projections,
    dtype: str,
    self_referenced: bool = False,
    biased_because: str | None = None,
    deterministic_by_construction: bool = False,
    rarest_draws: float | None = None,
) -> Verdict:
    """One look at the end: is the bias of any coordinate more than chance?

    The family is the D coordinates and projections together. A coordinate rejects where |z| > z* = z_{1 - alpha/2D}, alpha = 1e-3; a
    projection where |t| passes Student's quantile of the same probability. ``p_value`` is the smallest Holm-adjusted p, D min p. A bias of
    delta_min = max_j delta_j would have been seen with probability 0.999, delta_j = max((z* + z_.999) SE_j, 7 max|g_j| / R).

    Which gate guards what:

    * *Rejection* says "biased" only if one rejecting coordinate passes both gates, because each gate excludes an innocent explanation:
      |bias_j| > 7 max|g_j| / R (else an event of seen size, too rare to be drawn, explains it), and R >= (|skew_j| z*^3 / 3)^2 (else the
      normal tail at z* is wrong), and |z_j| must pass Student's quantile of R - 1 degrees too (else the variance is known too badly). A
      rejecting projection must pass the first, with max|w . g| bounded by sum_j |w_j| max|g_j|, and must still reject if the errors of
      the reference all went the same way, by sum_j |w_j| se_j; a mean over thousands of coordinates and Student's t need no more.
      Rejections that pass no gate, or that segments without maxima cannot put to them, are ``inconclusive``, with the reason.
    * *Routes without third moments* keep a bound of max|g_j| and are gated by it alone: in place of the skewness, Bernstein's inequality,
      P(mean - E > t) <= exp(-R t^2 / (2 var + (2/3) M t)) with M = 2 max|g_j| no less than any |g - E g|, must rule chance out at the same
      alpha/2D; that is z^2 / 2 >= (1 + M z / (3 R SE)) log(2D/alpha). It holds for any distribution with these bounds.
    * *States that are hardly drawn.* The first gate takes max|g_j| over what was drawn, and of a state expected fewer than
      7 + log D times in the whole run perhaps nothing was: a score function is largest just there. The gate then takes the largest
      gradient of any coordinate for each, and a deterministic coordinate off the reference is ``inconclusive``.
    * *Rounding*: a bias within 1e-5 (float32) or 1e-10 (float64) of |reference| is that of the arithmetic, however small the errors are.
    * *Acceptance* has no gate: it claims only that nothing above delta_min was seen. A rare event enters that claim through 7 max|g_j| / R;
      where the route keeps no maxima the reason says that delta_min leaves rare events out.
    * A *deterministic* coordinate has no z; it must lie within 1e-5 (float32) or 1e-10 (float64) of |reference|, plus z* reference_se, or
      it is ``biased``. One exception: where every replicate was exactly zero and the reference is not, the first gate has no max|g| to go
      by, and an event never drawn looks just the same; it is ``inconclusive``, unless ``deterministic_by_construction`` or
      ``biased_because`` rules that explanation out.

    Honest limits: the tail needs replicates that are nearly normal, or a few hundred; an event both unseen and larger than anything seen,
    which is no rare state of one coordinate, deceives any test.

    Args:
        table: the coordinates; variance 0 marks a deterministic one, NaN in the mean a non-finite one.
        skewness, largest: [P], or None where the route does not keep them.
        rarest_draws: how often the least probable state of any discrete coordinate is expected in all draws of the run; None without one.
    """
    if not np.isfinite(table.mean).all():
        return Verdict("nonfinite", None, None, None, None, _join(biased_because, "some replicates are not finite"))

    size, normal = table.layout.size, NormalDist()
    each = FAMILY_WISE_ERROR / (2 * (size + len(along.t)))  # error of one side of one member of the family
    z_threshold = -normal.inv_cdf(each)
    t_threshold = student_t_quantile(1 - each, along.degrees)
    moving, deterministic = np.isfinite(table.z), table.variance == 0
    abs_z, abs_bias, abs_t = np.where(moving, np.abs(table.z), 0.0), np.abs(table.bias), np.abs(along.t)

    max_abs_z = p_value = None
    if moving.any():
        max_abs_z, max_abs_t = float(abs_z.max()), float(abs_t.max(initial=0.0))
        smallest = min(math.erfc(max_abs_z / math.sqrt(2)) / 2, student_t_tail(max_abs_t, along.degrees))
        p_value = min(1.0, smallest * FAMILY_WISE_ERROR / each)
    if self_referenced:
        return Verdict("self_referenced", max_abs_z, p_value, None, None, _join(biased_because, "the reference is a run of this estimator"))

    length = float(np.linalg.norm(table.reference))
    rounding = ROUNDING[dtype] * length
    tolerance = rounding + z_threshold * table.reference_se
    off = deterministic & (abs_bias > tolerance)
    hidden = rarest_draws is not None and rarest_draws < RARE_EVENT + math.log(size) and not deterministic_by_construction
    unseen = off & (hidden | (table.mean == 0) & (not deterministic_by_construction and biased_because is None))

    if hidden and largest is not None:
        largest = np.full_like(largest, largest.max())
    rare = np.zeros(size) if largest is None else RARE_EVENT * largest / replicates
    visible = np.where(
        deterministic, tolerance, np.maximum((z_threshold + normal.inv_cdf(POWER)) * table.bias_se, np.maximum(rare, rounding))
    )
    visible[unseen] = abs_bias[unseen]
    delta_min = float(visible.max()) if np.isfinite(visible).all() else None
    relative = delta_min / float(np.abs(table.reference).max()) if delta_min is not None and length > 0 else None

    def say(status: str, reason: str | None = None) -> Verdict:
        declared = biased_because or ("declared unbiased" if status == "biased" else None)
        return Verdict(status, max_abs_z, p_value, delta_min, relative, _join(declared, reason))

    scarcely = f"; the rarest state is expected {rarest_draws:.2g} times in all draws" if hidden else ""
    gates = largest is not None
    needed = np.zeros(size) if skewness is None else (np.abs(skewness) * z_threshold**3 / 3) ** 2
    rejects, rejects_along = (abs_z > z_threshold) & (abs_bias > rounding), abs_t > t_threshold
    student = abs_z > student_t_quantile(1 - each, max(replicates - 1, 1))
    believable = replicates >= needed
    if skewness is None and largest is not None:
        reach = np.divide(2 * largest, replicates * table.bias_se, out=np.zeros(size), where=moving)
        believable = abs_z**2 / 2 >= (1 + reach * abs_z / 3) * -math.log(each)
    proves = rejects & (abs_bias > rare) & believable & student
    surely_along = rejects_along & (np.abs(along.t_least) > t_threshold)
    # A projection's bound is a sum over the coordinates of their largest; where those are not to be believed, nor is it.
    proves_along = surely_along & (np.abs(along.bias) > RARE_EVENT * along.largest / replicates) & (not hidden)

    if (off & ~unseen).any() or (gates and proves.any()):
        return say("biased")
    if gates and proves_along.any():
        return say("biased", "along a projection, by more than any coordinate shows")
    if not gates and (rejects.any() or rejects_along.any()):
        return say("inconclusive", "no maxima: a rare event is not ruled out")
    if rejects.any():
        j = int(np.argmax(np.where(rejects, abs_z, 0.0)))
        if replicates < needed[j]:
            return say("inconclusive", f"skewness gate: needs R >= {needed[j]:.0f} at {_name(table.layout, j)}")
        if not student[j]:
            return say("inconclusive", f"too few replicates: Student's t does not reject at {_name(table.layout, j)}")
        if not believable[j]:
            reached = rare[j] * replicates / RARE_EVENT
            return say("inconclusive", f"chance is not ruled out at {_name(table.layout, j)}, where gradients may reach {reached:.2g}")
        return say("inconclusive", f"rare events: the bias at {_name(table.layout, j)} is below 7 max|g| / R" + scarcely)
    if rejects_along.any() and not surely_along.any():
        return say("inconclusive", "the reference's own error may explain the bias along a projection: give it more replicates")
    if rejects_along.any():
        return say("inconclusive", "rare events: the bias along a projection is below 7 max|w.g| / R" + scarcely)
    if unseen.any():
        alike = "alike" if hidden else "zero"
        return say(
            "inconclusive", f"every replicate is {alike} at {unseen.sum()} coordinates: a bias, or an event rarer than 1/R{scarcely}"
        )
    if not (moving | deterministic).all():
        return say("inconclusive", "one replicate has no variance")
    if deterministic.all():
        return say("deterministic")
    return say("unbiased", None if gates else "no maxima: delta_min leaves rare events out")


def _name(layout: Layout, coordinate: int) -> str:
    """``parameter[index]``, with the index that `coordinates.csv` uses."""
    name, _, columns = next(entry for entry in layout.slices() if coordinate < entry[2].stop)
    return f"{name}[{coordinate - columns.start}]"


def _join(*reasons: str | None) -> str | None:
    return "; ".join(reason for reason in reasons if reason) or None
