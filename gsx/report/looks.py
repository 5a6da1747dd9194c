"""One fixed look per estimator, in every figure: colour (Okabe and Ito's, safe for the colour-blind), marker and line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

#: Okabe and Ito's colours, and darker ones between them; their yellow is too light for a line.
COLOURS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "brown": "#7A4A00",
    "teal": "#00594A",
    "navy": "#1B2F6B",
    "plum": "#7B2D59",
    "olive": "#9A9400",
}
DASHES: dict[str, Any] = {
    "solid": "-",
    "dashed": "--",
    "dotted": ":",
    "dash-dot": "-.",
    "long": (0, (6, 1)),
    "dash-dot-dot": (0, (3, 1, 1, 1, 1, 1)),
}
#: Of the markers of an estimator's further series.
HALVES = ("bottom", "left", "top")


@dataclass(frozen=True)
class Look:
    colour: str
    marker: Any
    line: Any
    fill: str = "full"

    @property
    def drawn(self) -> dict[str, Any]:
        """As matplotlib draws a line with it."""
        filled: dict[str, Any] = {"fillstyle": self.fill, "markerfacecoloralt": "white"}
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line, **filled}


# Black is that of the exact gradient alone. Within a family no two share a colour; of the whole table no two share colour and marker.
# A look never changes: append only.
# fmt: off
_TABLE: dict[str, dict[str, str]] = {
    "exact": {"exact": "black X dotted"},
    "score function": {
        "reinforce": "red s dashed", "rloo": "sky o solid", "nvil": "plum v dash-dot", "importance_weighted": "olive < dotted",
        "dice": "navy > long", "exact_baseline": "brown X dash-dot",
    },
    "coupled Bernoulli": {"arm": "orange P dash-dot", "disarm": "blue D dashed", "arms": "olive * solid", "ar": "plum h dotted"},
    "coupled categorical": {
        "unordered_set": "plum p solid", "disarm_categorical": "blue d dashed", "carms": "olive X solid", "arsm": "brown P dash-dot",
        "ars": "orange h dotted",
    },
    "control variate": {
        "rebar": "brown v dash-dot", "relax": "teal p solid", "double_cv": "navy ^ long", "muprop": "plum < dotted",
        "rodeo": "purple s solid", "delta_method": "orange > dash-dot-dot", "lax": "olive h dashed",
    },
    "conditional expectation": {
        "local_expectation": "teal d solid", "sum_and_sample": "navy s dashed", "bitflip": "orange X dotted",
        "stochastic_ad": "plum > long",
    },
    "pathwise": {
        "reparameterization": "blue o solid", "antithetic": "orange ^ dash-dot", "implicit_reparameterization": "teal s dashed",
        "generalized_reparameterization": "plum X dotted", "stl": "brown < long",
    },
    "measure-valued": {"measure_valued": "olive d dash-dot"},
    "multi-sample": {"vimco": "brown D dashed", "dreg": "navy o solid"},
    "relaxation": {
        "concrete": "green ^ solid", "logit_normal": "brown h dashed", "hard_concrete": "navy v dotted", "igr": "plum s long",
        "entmax": "olive > dash-dot",
    },
    "straight-through": {
        "straight_through": "purple D dash-dot", "st_gumbel": "orange v long", "reinmax": "green o dashed", "gumbel_rao": "teal * dashed",
        "gapped_st": "navy < dotted", "zgr": "sky s dash-dot-dot", "darn": "olive P dashed", "decoupled_st": "brown > solid",
        "slope_annealed_st": "plum ^ dotted", "simple": "red p dash-dot", "redge": "blue h long",
    },
    "perturbation": {"imle": "navy P solid", "aimle": "orange d dashed"},
}
# fmt: on


def _look(text: str) -> Look:
    colour, marker, line = text.split()
    return Look(COLOURS[colour], marker, DASHES[line])


#: Family and look of every estimator of gsx.
FAMILY = {name: family for family, members in _TABLE.items() for name in members}
LOOKS = {name: _look(text) for members in _TABLE.values() for name, text in members.items()}
#: What figures of many estimators are ordered by: relatives stand together, strangers at the end.
ORDER = {name: place for place, name in enumerate(LOOKS)}


def look(estimator: str, rank: int = 0) -> Look:
    """The look of an estimator; `rank` > 0 tells apart its further series in one figure: another dash, and markers filled in half."""
    base = LOOKS.get(estimator) or _drawn(estimator)
    if rank == 0:
        return base
    lines = list(DASHES.values())
    return replace(base, fill=HALVES[(rank - 1) % len(HALVES)], line=lines[(lines.index(base.line) + rank) % len(lines)])


def _drawn(name: str) -> Look:
    """The look of somebody's own estimator, by its name alone, with a marker that no estimator of gsx has."""
    colour, marker, line = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=3).digest()
    shapes = ("H", "8", (5, 2, 0))
    return Look(list(COLOURS.values())[colour % len(COLOURS)], shapes[marker % 3], list(DASHES.values())[line % len(DASHES)])
