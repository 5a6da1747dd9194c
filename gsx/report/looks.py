"""One fixed look per estimator, in every figure: colour (Okabe and Ito's, safe for the colour-blind), marker and line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from matplotlib import colors

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


def _mixed(colour: str, other: float, share: float) -> str:
    """`share` of the colour, the rest black (0) or white (1)."""
    red, green, blue = (share * c + (1 - share) * other for c in colors.to_rgb(colour))
    return colors.to_hex((red, green, blue))


@dataclass(frozen=True)
class Look:
    colour: str
    marker: str
    line: Any


KNOWN = {
    "exact": Look(BLACK, "X", ":"),
    "reparameterization": Look(BLUE, "o", "-"),
    "reinforce": Look(RED, "s", "--"),
    "concrete": Look(GREEN, "^", "-"),
    "straight_through": Look(PURPLE, "D", "-."),
    "st_gumbel": Look(ORANGE, "v", (0, (5, 1))),
}

# The others of the design, in the order in which colours and markers are dealt out: append only.
# fmt: off
_CATALOGUE = (
    "rloo", "disarm", "arm", "rebar", "relax", "nvil", "vimco", "muprop", "delta_method", "double_cv", "rodeo", "importance_weighted",
    "dice", "antithetic", "ar", "local_expectation", "bitflip", "stochastic_ad", "arms", "ars", "arsm", "disarm_categorical", "carms",
    "unordered_set", "sum_and_sample", "lax", "gumbel_rao", "gapped_st", "reinmax", "zgr", "darn", "decoupled_st", "slope_annealed_st",
    "igr", "hard_concrete", "logit_normal", "entmax", "imle", "aimle", "simple", "redge", "measure_valued",
    "implicit_reparameterization", "generalized_reparameterization", "stl", "dreg",
)
# fmt: on
_OTHERS = (SKY, *(_mixed(colour, 0.0, 0.6) for colour in (ORANGE, GREEN, BLUE, RED, PURPLE)))


def look(estimator: str, rank: int = 0) -> Look:
    """The look of an estimator; `rank` > 0 tells apart its further series in one figure: paler, and another dash."""
    base = KNOWN.get(estimator) or _drawn(estimator)
    if rank == 0:
        return base
    mixed = _mixed(base.colour, 1.0, 0.7 ** min(rank, 4))
    return replace(base, colour=mixed, line=_DASHES[(_DASHES.index(base.line) + rank) % len(_DASHES)])


def _drawn(name: str) -> Look:
    """Any other name's look: its place in the catalogue, or a digest of the name; never what else happens to be in the figure."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=2).digest()
    place = _CATALOGUE.index(name) if name in _CATALOGUE else int.from_bytes(digest)
    turn = place // len(_OTHERS)
    # Darker colours and other markers than the table's: nobody is taken for a known estimator.
    return Look(_OTHERS[place % len(_OTHERS)], "P*<>pH"[(place + turn) % 6], _DASHES[(place + turn // 6) % len(_DASHES)])
