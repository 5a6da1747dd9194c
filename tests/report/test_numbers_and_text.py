"""Rounding, escaping and labels: the text of a report."""

import dataclasses
import itertools
import math
import re
from decimal import Decimal

import pytest

from gsx.records import Result
from gsx.report import escape, labels, rounding
from gsx.store import RunDirectory
from tests.report import factory


@pytest.mark.parametrize(
    ("value", "se", "text"),
    [
        (0.001234, 0.000005, "1.234(5)e-3"),
        (-0.001234, 0.000005, "-1.234(5)e-3"),
        (0.00123449, 0.0000149, "1.234(15)e-3"),  # an error that begins with 1 keeps two digits
        (0.25, 0.01, "0.250(10)"),
        (0.2, 0.002, "0.200(2)"),
        (-1.2e-6, 3e-6, "-1(3)e-6"),  # negative bias², not distinguished from zero
        (1e-9, 3e-6, "0(3)e-6"),
        (-1e-9, 3e-6, "0(3)e-6"),  # no "-0"
        (3.0, 120.0, "0.0(12)e2"),
        (1.23456789012, 2e-11, "1.2345679(1)"),  # no more digits than float32 has
        (12346.0, 60.0, "1.235(6)e4"),
        (0.0999999, 0.001, "0.1000(10)"),
        (9.9996e-3, 9.6e-4, "0.0100(10)"),
        (0.25, None, "0.25"),
        (0.25, 0.0, "0.25"),
        (0.25, math.inf, "0.25"),
        (0.0, 0.0, "0"),
        (-0.0, None, "0"),
        (1.5e-5, None, "1.5e-5"),
        (1e300, 2e299, "1.0(2)e300"),
        (5e-324, 5e-324, "4.941e-324"),
        (None, None, "–"),
        (math.nan, 1.0, "–"),
        (math.inf, None, "–"),
    ],
)
def test_value_with_error(value: float | None, se: float | None, text: str) -> None:
    assert rounding.concise(value, se) == text


@pytest.mark.parametrize(
    ("value", "se", "text"),
    [(0.24904, 1e-5, "0.249040"), (-0.0012345, 2e-5, "-1.23e-3"), (0.24904, None, "0.249"), (0.0, 1e-8, "0"), (-math.inf, 1.0, "-∞")],
)
def test_ends_of_intervals(value: float, se: float | None, text: str) -> None:
    assert rounding.beside(value, se) == text


@pytest.mark.parametrize(("value", "text"), [(0.24904, "0.24904"), (1e-5, "1e-5"), (-13.3, "-13.3"), (2.5e-5, "2.5e-5"), (0.0, "0")])
def test_what_is_published_is_shown_as_written(value: float, text: str) -> None:
    assert rounding.given(value) == text


def test_rounded_text_reads_back_within_its_last_digit() -> None:
    for k in range(400):
        value, se = math.sin(k) * 10.0 ** (k % 17 - 8), abs(math.cos(3 * k)) * 10.0 ** (k % 13 - 9) + 1e-12
        found = re.fullmatch(r"(-?[\d.]+)\((\d+)\)(?:e(-?\d+))?", rounding.concise(value, se))
        if se <= 1e-15 * abs(value):
            assert found is None
            continue
        assert found is not None
        mantissa, error, exponent = found.groups()
        unit = Decimal(10) ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        assert abs(Decimal(mantissa).scaleb(int(exponent or 0)) - Decimal(value)) <= unit / 2
        assert abs(int(error) * unit - Decimal(se)) <= (unit / 2 if len(mantissa) < 8 else unit)


def test_signs_that_latex_has_no_letter_for() -> None:
    assert escape.latex("2.5e-5 ± 1e-6, 0.3 ≠, [0, ∞] τ²") == r"2.5e-5 $\pm$ 1e-6, 0.3 $\neq$, [0, $\infty$] $\tau$$^2$"


def test_the_ends_of_an_interval_have_the_digits_of_its_value() -> None:
    assert rounding.ends((5.222e-5, 5.586e-5), 9e-7) == "[5.22e-5, 5.59e-5]"
    assert rounding.ends((0.0, math.inf), None) == "[0, ∞]" and rounding.ends(None, 1.0) == rounding.ABSENT


def test_latex_numbers_are_siunitx() -> None:
    assert rounding.latex(0.001234, 0.000005) == r"\num{1.234(5)e-3}"
    assert rounding.latex(None) == "--"


HOSTILE = ["<script>alert(1)</script>", "_%&$#{}~^\\", "=cmd|' /C calc'!A0", "a|b`c`[x](y)", "\x1b[31mred\nline", "-1", "@x"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name: str) -> None:
    markdown, latex, csv, slug = escape.markdown(name), escape.latex(name), escape.csv(name), escape.slug(name)
    assert "<" not in markdown and not re.search(r"(?<!\\)[|`\[]", markdown)
    assert "\x1b" not in markdown + latex + csv and "\n" not in markdown + latex + csv
    assert not re.search(r"(?<!\\)[%&#_]", latex)
    assert csv[0] not in "=+-@"
    assert re.fullmatch(r"[a-z0-9_-]+", slug)


def test_slugs_tell_settings_apart() -> None:
    names = ["toy k=3", "toy k=-3", "toy k=0.3", "toy k=03", "TOY k=3", "toy<k=3", "toy τ=3", "a" * 99 + "b", "a" * 99 + "c", "τ", "ß"]
    assert len({escape.slug(name) for name in names}) == len(names)


def results(tmp_path, *runs: dict) -> list[Result]:
    read = [RunDirectory(factory.make(tmp_path, with_segments=False, with_coordinates=False, **run)).read_result() for run in runs]
    assert all(read)
    return [result for result in read if result is not None]


def test_a_label_names_what_differs_and_nothing_else(tmp_path) -> None:
    def concrete(tau: float, **more) -> dict:
        return {"estimator": "concrete", "settings": {"temperature": tau, "straight": False}, **more}

    alone = results(tmp_path, concrete(0.5))
    assert labels.labels(alone) == ["concrete"]
    swept = results(tmp_path, concrete(0.5), concrete(1.0), {"estimator": "reinforce"})
    assert labels.labels(swept) == ["concrete τ=0.5", "concrete τ=1", "reinforce"]
    assert labels.label(swept[1], swept) == "concrete τ=1"
    mixed = results(tmp_path, concrete(0.5), {"estimator": "rloo", "samples": 2})
    assert labels.labels(mixed) == ["concrete N=1", "rloo N=2"]
    seeds = results(tmp_path, concrete(0.5), concrete(0.5, seed=1), {"estimator": "reinforce"})
    assert labels.labels(seeds) == ["concrete seed=0", "concrete seed=1", "reinforce"]
    # A block follows from the number of replicates, and is told where that does not tell them apart.
    sizes = [dataclasses.replace(alone[0], config=alone[0].config | {"num_replicates": r, "block_size": r // 64}) for r in (4096, 8192)]
    assert labels.labels(sizes) == ["concrete R=4096", "concrete R=8192"]
    blocks = [dataclasses.replace(alone[0], config=alone[0].config | {"block_size": size}) for size in (16, 32)]
    assert labels.labels(blocks) == ["concrete block_size=16", "concrete block_size=32"]
    engines = [dataclasses.replace(alone[0], engine=engine) for engine in ("structured", "vmap")]
    assert labels.labels(engines) == ["concrete engine=structured", "concrete engine=vmap"]


def test_labels_are_unique_and_do_not_depend_on_the_order(tmp_path) -> None:
    cells = itertools.product((0.1, 1.0), (1, 4), (0, 1))
    found = results(tmp_path, *({"estimator": "concrete", "settings": {"temperature": t}, "samples": n, "seed": s} for t, n, s in cells))
    names = labels.labels(found)
    assert len(set(names)) == len(found)
    assert labels.labels(found[::-1]) == names[::-1]


def test_series_leave_the_axis_out(tmp_path) -> None:
    cells = itertools.product((0.1, 1.0), (1, 4))
    found = results(tmp_path, *({"estimator": "concrete", "settings": {"temperature": t}, "samples": n} for t, n in cells))
    assert labels.series(found, "temperature") == ["concrete N=1", "concrete N=4"] * 2
    assert labels.series(found, "N") == ["concrete τ=0.1"] * 2 + ["concrete τ=1"] * 2


def test_a_list_of_equal_numbers_is_said_by_how_many_they_are() -> None:
    assert [labels.said("loc", value) for value in ([1.0] * 8, [1.0] * 3, [1.0, 2.0, 1.0, 1.0])] == [
        "8 times 1.0", "[1.0,1.0,1.0]", "[1.0,2.0,1.0,1.0]"]  # fmt: skip
