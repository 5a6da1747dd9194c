"""`scripts/scaling`: what a run, a sweep and a report take as they grow, predicted and measured; the numbers of docs/scaling.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gsx.benchmark.fabricate import fabricate
from gsx.benchmark.machine import machine
from gsx.benchmark.process import peak, wall
from gsx.benchmark.table import digits, quantity
from gsx.configuration import Configuration
from gsx.forecast import Forecast, forecast, reference_seconds
from gsx.measurement import Measurement
from gsx.store import atomic_write

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: model: its settings, the estimator, and the powers of ten of replicates that are measured; all up to 10^9 are predicted.
RUNS: dict[str, tuple[dict[str, Any], range]] = {
    "bernoulli_toy": ({"name": "bernoulli_toy"}, range(4, 10)),
    "binary_vae": ({"name": "binary_vae"}, range(4, 8)),
}
ESTIMATOR = {"name": "concrete"}
LARGEST = 9
#: Cells of a sweep that are measured and predicted, and cells of a report.
SWEEPS, PREDICTED_SWEEPS, REPORTS = (1, 10, 100, 1000), (10_000,), (100, 1000, 10_000)
#: Replicates of the cells of a sweep.
REPLICATES = 1024


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scaling", description="What grows how, predicted and measured.")
    parser.add_argument("--quick", action="store_true", help="small sizes: a smoke, whose numbers say nothing")
    parser.add_argument("--json", type=Path, default=DOCS / "scaling.json", metavar="PATH", help="where the numbers go (docs/scaling.json)")
    options = parser.parse_args(arguments)
    quick = options.quick
    # The shortest first: a prediction is made right before what it predicts.
    found = {
        "schema_version": 1,
        "quick": quick,
        "machine": machine(),
        "report": reports(quick),
        "sweep": sweeps(quick),
        "run": runs(quick),
    }
    atomic_write(options.json, (json.dumps(found, indent=1) + "\n").encode())
    if options.json == DOCS / "scaling.json":
        text = filled((DOCS / "scaling.md").read_text(encoding="utf-8"), found)
        atomic_write(DOCS / "scaling.md", text.encode())
    print(tables(found)["run"], tables(found)["sweep"], tables(found)["report"], sep="\n\n")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------------------------ measuring


def runs(quick: bool) -> list[dict[str, Any]]:
    """One run, by its number of replicates, in this process and so without its start."""
    rows = []
    for name, (model, measured) in RUNS.items():
        for power in range(measured.start, LARGEST + 1):
            wanted = Configuration.of({"model": model, "estimator": ESTIMATOR, "num_replicates": 10**power})
            measurement = Measurement(wanted)
            row = _counted(measurement, forecast(measurement)) | {"model": name, "power": power}
            if power in (measured[:1] if quick else measured):
                with tempfile.TemporaryDirectory() as folder:
                    started = time.perf_counter()
                    measurement.run(Path(folder) / "run")
                    row["measured"] = time.perf_counter() - started
                    row["bytes"] = (Path(folder) / "run" / "segments.npz").stat().st_size
            _say(f"run {name} 10^{power}: {row}")
            rows.append(row)
    return rows


def _counted(measurement: Measurement, one: Forecast) -> dict[str, Any]:
    plan = measurement.plan
    assert one.times is not None
    reference = reference_seconds(measurement, one.times.replicate / one.evaluations) or 0.0
    return {
        "replicates": plan.num_replicates,
        "block_size": plan.block_size,
        "workers": one.workers,
        "evaluations": plan.num_replicates * one.evaluations,
        "random_numbers": plan.num_replicates * one.random_numbers,
        "predicted": (one.seconds(plan.blocks, plan.block_size) or 0.0) + reference,
        "predicted_bytes": one.checkpoint_bytes,
        "predicted_memory": one.memory_bytes,
        "measured": None,
        "bytes": None,
    }


def sweeps(quick: bool) -> dict[str, Any]:
    """Commands of one, ten and a hundred short cells; those that follow are predicted from the first and what each further one took."""
    measured = {}
    files = stored = 0
    for cells in SWEEPS[:2] if quick else SWEEPS:
        with tempfile.TemporaryDirectory() as folder:
            seeds = ",".join(map(str, range(cells)))
            words = ("run", "-m", "estimator=concrete", f"num_replicates={REPLICATES}", f"seed={seeds}", "-q")
            measured[cells] = wall(*words, folder=Path(folder))
            found = [path for path in Path(folder).rglob("*") if path.is_file()]
            files, stored = len(found), sum(path.stat().st_size for path in found)
        _say(f"sweep of {cells}: {measured[cells]:.1f} s")
    few, many = min(measured), max(measured)
    each = (measured[many] - measured[few]) / (many - few)
    predicted = {cells: measured[few] + each * (cells - few) for cells in (*measured, *PREDICTED_SWEEPS)}
    return {
        "start": measured[few] - each * few,
        "cell": each,
        "files": files / many,
        "bytes": stored / many,
        "rows": [{"cells": cells, "predicted": value, "measured": measured.get(cells)} for cells, value in predicted.items()],
    }


def reports(quick: bool) -> list[dict[str, Any]]:
    """`gsx report` over cells that were stored and not measured, and over as many with a thousand times the replicates behind them."""
    rows = []
    sizes = [(cells, REPLICATES) for cells in (REPORTS[:1] if quick else REPORTS)]
    if not quick:
        sizes.append((1000, 1000 * REPLICATES))
    for cells, replicates in sizes:
        with tempfile.TemporaryDirectory() as folder:
            fabricate(Path(folder) / "outputs", cells, replicates=replicates)
            words = ("report", "outputs", "--out", "report")
            started = time.perf_counter()
            held = peak(*words, folder=Path(folder))
            rows.append({"cells": cells, "replicates": replicates, "seconds": time.perf_counter() - started, "bytes": held})
        _say(f"report {rows[-1]}")
    return rows


# ------------------------------------------------------------------------------------------------------------------------- the page


def tables(found: dict[str, Any]) -> dict[str, str]:
    """The tables of docs/scaling.md by the names of their places."""
    by = found["machine"]
    where = f"{by['cpu']}, {by['cores']} cores, {by['system']}, torch {by['torch']}, gsx {by['gsx']}, {by['date']}"
    said = f"Measured by `scripts/scaling` on {where}."
    if found["quick"]:
        said += " *A smoke of small sizes on a busy machine: these numbers say little.*"
    sweep = found["sweep"]
    run_head = ("model", "replicates", "random numbers", "checkpoint", "memory", "predicted", "measured", "measured / predicted")
    return {
        "machine": said,
        "run": _table(run_head, [_run_row(row) for row in found["run"]]),
        "constants": _table(
            ("what", "measured"),
            [
                ("starting a command", f"{sweep['start']:.2g} s"),
                (f"a cell of {REPLICATES} replicates, with all around it", f"{sweep['cell']:.2g} s"),
                ("files of a cell", f"{sweep['files']:.0f}"),
                ("bytes of a cell", quantity(sweep["bytes"], "B")),
            ],
        ),
        "sweep": _table(("cells", "predicted", "measured"), _sweep_rows(sweep["rows"])),
        "report": _table(
            ("cells", "replicates of each", "time", "peak memory"),
            [(f"{r['cells']}", f"{r['replicates']}", _duration(r["seconds"]), quantity(r["bytes"], "B")) for r in found["report"]],
        ),
    }


def _run_row(row: dict[str, Any]) -> tuple[str, ...]:
    measured = row["measured"]
    ratio = "" if measured is None else digits(measured / row["predicted"])
    sizes = (quantity(row["predicted_bytes"], "B"), quantity(row["predicted_memory"], "B"))
    return (
        row["model"],
        f"10^{row['power']}",
        f"{row['random_numbers']:.1e}",
        *sizes,
        _duration(row["predicted"]),
        _duration(measured),
        ratio,
    )


def _sweep_rows(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A line through two measurements predicts nothing of these."""
    measured = [row["cells"] for row in rows if row["measured"] is not None]
    return [
        (
            f"{row['cells']}",
            "the line goes through it" if row["cells"] in (measured[0], measured[-1]) else _duration(row["predicted"]),
            _duration(row["measured"]),
        )
        for row in rows
    ]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{digits(seconds / unit)} {name}"
    return f"{digits(seconds)} s"


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines))


def filled(page: str, found: dict[str, Any]) -> str:
    """The page with its tables as they were measured."""
    for name, table in tables(found).items():
        begin, end = f"<!-- {name}: made by scripts/scaling -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        page = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
