"""One fixed look per estimator, in every figure: colour (Okabe and Ito's, safe for the colour-blind), marker and line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from matplotlib import colors

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


@dataclass(frozen=True)
class Look:
    colour: Any
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


def look(estimator: str, rank: int = 0) -> Look:
    """The look of an estimator; `rank` > 0 tells apart its further series in one figure: paler, and another dash."""
    base = KNOWN.get(estimator) or _drawn(estimator)
    if rank == 0:
        return base
    pale = 1 - 0.7 ** min(rank, 4)
    mixed = colors.to_hex([c + (1 - c) * pale for c in colors.to_rgb(base.colour)])
    return replace(base, colour=mixed, line=_DASHES[(_DASHES.index(base.line) + rank) % len(_DASHES)])


def _drawn(name: str) -> Look:
    """A look for any other name, drawn from the name itself, so that it does not depend on what else is in the figure."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=3).digest()
    # Markers that no known estimator uses: a colour may be met twice, a marker of the table may not.
    return Look((SKY, BLUE, RED, GREEN, PURPLE, ORANGE)[digest[0] % 6], "P*<>phd8H"[digest[1] % 9], _DASHES[digest[2] % 6])
