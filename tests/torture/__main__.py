"""`scripts/torture`: gsx is hurt in every way that we know, and a table says what it cost. Exit code 1 if anything was lost."""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gsx.cli.columns import aligned
from tests.torture import company, damage, kills, limits
from tests.torture.command import stop
from tests.torture.outcome import Outcome

FAULTS: dict[str, Callable[[Path, float], list[Outcome]]] = {
    "kills": kills.kills,
    "interrupts": kills.interrupts,
    "full_disk": limits.full_disk,
    "read_only": limits.read_only,
    "file_size": limits.file_size,
    "memory": limits.memory,
    "damage": damage.damage,
    "crowds": company.crowds,
    "jobs": company.jobs,
    "clocks": company.clocks,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third as often")
    parser.add_argument("--only", nargs="+", choices=FAULTS, metavar="FAULT", help=f"only these: {', '.join(FAULTS)}")
    chosen = parser.parse_args()
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="gsx-torture-") as folder:

        def tried(name: str) -> list[Outcome]:
            begun = time.monotonic()
            try:
                return FAULTS[name](Path(folder) / name, 1 / 3 if chosen.quick else 1.0)
            except Exception as error:  # the other faults are tried all the same
                return [Outcome(name, losses=[f"{name}: {type(error).__name__}: {error}"])]
            finally:
                print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)

        with ThreadPoolExecutor(2) as pool:  # two at a time, on two cores
            try:
                outcomes = [outcome for found in pool.map(tried, chosen.only or FAULTS) for outcome in found]
            except KeyboardInterrupt:  # its folder goes, and the disks in it
                pool.shutdown(wait=False, cancel_futures=True)
                stop()
                print("interrupted", flush=True)
                return 130
    print(aligned([("fault", "what happened", "lost"), *(outcome.row() for outcome in outcomes)]))
    losses = [loss for outcome in outcomes for loss in outcome.losses]
    for loss in losses:
        print(f"LOST: {loss}")
    killed = sum(outcome.counts["killed"] for outcome in outcomes if outcome.fault.startswith("kill"))
    print(f"{killed} kills, {len(losses)} losses, {time.monotonic() - started:.0f} s")
    return 1 if losses else 0


if __name__ == "__main__":
    raise SystemExit(main())
