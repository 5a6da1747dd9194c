"""A report as it is printed, letter by letter."""

from __future__ import annotations

from typing import Any

import pytest

from gsx.benchmark.row import Row
from gsx.benchmark.table import digits, markdown, quantity, text

ROWS = [
    Row("toy", "a toy", "faster", "estimate", "a library", target=500, note="warm", ours=(1e-6, 1e-6, 2e-6), theirs=(1e-3, 2e-3, 8e-3)),
    Row("toy", "a toy", "cost", "estimate", "a|formula", target=2.5, ours=(3e-8, 3e-8), theirs=(1e-8, 1e-8)),
    Row("memory", "many", "cost", "process", "few", unit="B", ours=(2.1e8,), theirs=(2e8,)),
    Row("start", "gsx", "alone", "command", target=0.15, ours=(0.12, 0.125, 0.13)),
    Row("growth", "toy, latents", "alone", "replicate", size="8", note="batched", ours=(1e-7,)),
    Row("growth", "toy, latents", "alone", "replicate", size="64", note="batched", ours=(9e-7,)),
    Row("gpu", "a VAE", "cost", "replicate", "a step", target=1.3, not_measured="no GPU"),
]

TEXT = """\
work    what             against    median [quartiles]          target             ours    theirs  per        pairs
toy     a toy            a library  2000 x faster [1500, 3000]  >= 500 x   pass    1 µs    2 ms    estimate   3
        (warm)
toy     a toy            a|formula  3 x [3, 3]                  <= 2.5 x   MISSED  30 ns   10 ns   estimate   2
memory  many             few        1.05 x [1.05, 1.05]                            210 MB  200 MB  process    1
start   gsx                         125 ms [122 ms, 128 ms]     <= 150 ms  pass                    command    3
growth  toy, latents 8              100 ns [100 ns, 100 ns]                                        replicate  1
        (batched)
growth  toy, latents 64             900 ns [900 ns, 900 ns]                                        replicate  1
        (batched)
gpu     a VAE            a step     not measured                <= 1.3 x                           replicate  0
        (no GPU)"""

MACHINE = {"cpu": "a CPU", "cores": 2, "system": "Linux x86_64", "torch": "2.13.0", "date": "2026-01-02", "images": "digits"}

MARKDOWN = """\
## Performance

Measured by `./scripts/benchmark` on a CPU (2 cores, Linux x86_64), torch 2.13.0, 2026-01-02. Ours and theirs take turns in one run, and
what is given is the median of the paired ratios with its quartiles. The images are digits.

| what | against | median [quartiles] | target |  | ours | theirs | per |
| --- | --- | --- | --- | --- | --- | --- | --- |
| a toy | a library | 2000 x faster [1500, 3000] | >= 500 x | pass | 1 µs | 2 ms | estimate |
| a toy | a\\|formula | 3 x [3, 3] | <= 2.5 x | **MISSED** | 30 ns | 10 ns | estimate |
| many | few | 1.05 x [1.05, 1.05] |  |  | 210 MB | 200 MB | process |
| gsx |  | 125 ms [122 ms, 128 ms] | <= 150 ms | pass |  |  | command |

| what grows | time of an estimate |
| --- | --- |
| toy, latents | 8: 100 ns (batched), 64: 900 ns (batched) |

- Not measured: a VAE, against a step: no GPU
"""


def report(quick: bool, rows: list[Row] = ROWS) -> dict[str, Any]:
    return {"machine": MACHINE, "quick": quick, "rows": [row.as_json() for row in rows]}


def test_text() -> None:
    assert text(ROWS) == TEXT


def test_markdown() -> None:
    assert markdown(report(quick=False)) == MARKDOWN


def test_a_smoke_says_that_it_is_one() -> None:
    assert markdown(report(quick=True)) == MARKDOWN.replace("mance\n", "mance\n\n*A smoke of small sizes: these numbers say nothing.*\n")


def test_what_is_not_there_leaves_no_empty_table() -> None:
    assert markdown(report(quick=False, rows=ROWS[:1])).count("\n| --- ") == 1


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [(1.234, "s", "1.23 s"), (0.9999, "s", "1000 ms"), (5e-11, "s", "0.05 ns"), (2.5e9, "B", "2.5 GB"), (None, "s", "")],
)
def test_quantities(value: float | None, unit: str, said: str) -> None:
    assert quantity(value, unit) == said


@pytest.mark.parametrize(("value", "said"), [(0.01234, "0.0123"), (1.0, "1"), (999.4, "999"), (999.6, "1000"), (123456.0, "123456")])
def test_digits(value: float, said: str) -> None:
    assert digits(value) == said
