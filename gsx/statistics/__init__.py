"""From segment moments to numbers a reader can trust: pooled statistics, their error bars, and the verdict on bias.

The one idea: a `Pool` holds the moments of all replicates in row 0 and, in each further row, the moments without one segment. A statistic
is then one formula applied to all rows at once: row 0 is its value, the others are its delete-one-segment jackknife.

Everything is float64 and centred; a variance is never E[g^2] - E[g]^2. Here P is the number of coordinates, G the number of segments that
hold replicates, R the number of replicates. Gradients, and so means and biases, are in nats per unit of their parameter.
"""

from gsx.statistics.analysis import analyse
from gsx.statistics.jackknife import jackknife_se
from gsx.statistics.moments import Moments, leave_one_out, merge, parts, pooled
from gsx.statistics.pool import Pool
from gsx.statistics.projections import sign_vectors
from gsx.statistics.relative import Traces, relative_variance
from gsx.statistics.summary import bias_sq, cosine, length, mean_squared_error, signal_to_noise, variance
from gsx.statistics.tails import f_quantile, student_t_quantile, student_t_tail

__all__ = [
    "Moments",
    "Pool",
    "Traces",
    "analyse",
    "bias_sq",
    "cosine",
    "f_quantile",
    "jackknife_se",
    "leave_one_out",
    "length",
    "mean_squared_error",
    "merge",
    "parts",
    "pooled",
    "relative_variance",
    "sign_vectors",
    "signal_to_noise",
    "student_t_quantile",
    "student_t_tail",
    "variance",
]
