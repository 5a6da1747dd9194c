"""A disk that is full, or cannot be written; limits on file sizes and on memory. Each is lifted, and the same command run again."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.torture.cases import SMALL, SWEEP, undisturbed
from tests.torture.command import Ended, answers, completes, ended, verified
from tests.torture.outcome import Outcome

#: Kilobytes of address space: where torch cannot even be loaded, and where everything fits.
LEAST_MEMORY, MOST_MEMORY = 300_000, 1_100_000


def _mount(*words: str) -> str:
    """What is wrong with mounting so, or nothing."""
    if os.geteuid() != 0:
        return "mounting a disk needs root"
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"mount ended with {done.returncode}"


@contextlib.contextmanager
def _disk(folder: Path, kilobytes: int) -> Iterator[str]:
    """A disk of its own in memory, so large."""
    folder.mkdir()
    wrong = _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield wrong
    finally:
        if not wrong:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _refused(outcome: Outcome, what: str, end: Ended, cwd: Path, right: dict[str, str], codes: tuple[int, ...] = (5,)) -> None:
    """It has ended well, or has said in one line why not; and what is there is whole and right either way."""
    if end.code == 0:
        outcome.saw("had enough")
    else:
        outcome.saw("refused" if end.code in codes else f"ended with {end.code}")
        outcome.expect(end.code in codes, f"{what}: exit code {end.code}: {end.err.strip()[-300:]}")
        outcome.expect(end.plain or end.code == 1, f"{what}: no plain line: {end.err.strip()[-500:]}")
    outcome.expect("Traceback" not in end.err, f"{what}: a traceback: {end.err.strip()[-500:]}")
    code, said = verified(cwd / "outputs")
    outcome.expect(code == 0, f"{what}: {said}")
    found = answers(cwd)
    outcome.expect(all(right.get(name) == answer for name, answer in found.items()), f"{what}: a wrong answer")


def full_disk(root: Path, amount: float) -> list[Outcome]:
    outcomes = []
    root.mkdir()
    for name, words, codes in (("a run", SMALL, (5,)), ("a sweep", SWEEP, (1, 5))):
        outcome, rng = Outcome(f"full disk: {name}"), random.Random(name)
        outcomes.append(outcome)
        whole = root / f"{name}, undisturbed"
        right, _ = undisturbed(words, whole)
        needed = sum(path.stat().st_blocks // 2 + 4 for path in whole.rglob("*"))
        for attempt in range(max(2, round(6 * amount))):
            disk, size = root / f"{name} {attempt}", round(needed * rng.uniform(0.05, 0.8))
            with _disk(disk, size) as wrong:
                if wrong:
                    outcome.skipped = wrong
                    break
                _refused(outcome, f"{size} of {needed} kB", ended(words, disk), disk, right, codes)
                _mount("-o", "remount,size=64m", str(disk))
                completes(outcome, f"{size} of {needed} kB, then room", words, disk, right)
    return outcomes


def read_only(root: Path, amount: float) -> list[Outcome]:
    """What is there can be used, and nothing else can be had."""
    outcome = Outcome("read-only folder")
    root.mkdir()
    right, _ = undisturbed(SMALL, root / "undisturbed")
    with _disk(root / "disk", 65536) as wrong:
        if wrong:
            outcome.skipped = wrong
            return [outcome]
        shutil.copytree(root / "undisturbed", root / "disk", dirs_exist_ok=True)
        _mount("-o", "remount,ro", str(root / "disk"))
        for words in (SMALL, ("verify",), ("status",)):
            end = ended(words, root / "disk")
            outcome.saw("answered" if end.code == 0 else "failed")
            outcome.expect(end.code == 0, f"gsx {words[0]}: {end.code}: {end.err}")
        for words, codes in ((("run", "estimator=arm"), (5,)), (SWEEP, (1, 5)), (("train", "steps=10"), (5,))):
            _refused(outcome, words[0], ended(words, root / "disk"), root / "disk", right, codes)
    return [outcome]


def file_size(root: Path, amount: float) -> list[Outcome]:
    outcome, rng = Outcome("file-size limit"), random.Random(2)
    root.mkdir()
    right, _ = undisturbed(SMALL, root / "undisturbed")
    largest = max(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    for attempt in range(max(2, round(6 * amount))):
        cwd, size = root / str(attempt), rng.randint(1, largest)
        cwd.mkdir()
        _refused(outcome, f"{size} kB", ended(SMALL, cwd, f"ulimit -f {size};"), cwd, right)
        completes(outcome, f"{size} kB, then any", SMALL, cwd, right)
    return [outcome]


def memory(root: Path, amount: float) -> list[Outcome]:
    """Where there is too little to load torch, the system may end it; what is on disk is right all the same."""
    outcome = Outcome("memory limit")
    words = ("run", "model=binary_vae", "estimator=straight_through", "num_replicates=4096", "workers=2")
    root.mkdir()
    right, _ = undisturbed(words, root / "undisturbed")
    tries = max(3, round(9 * amount))
    for attempt in range(tries):
        cwd, size = root / str(attempt), LEAST_MEMORY + (MOST_MEMORY - LEAST_MEMORY) * attempt // (tries - 1)
        cwd.mkdir()
        end = ended(words, cwd, f"ulimit -v {size};")
        if end.code < 0 or end.code == 127:
            outcome.saw("ended by the system")
            outcome.expect(all(right.get(name) == answer for name, answer in answers(cwd).items()), f"{size} kB: a wrong answer")
        else:
            _refused(outcome, f"{size} kB", end, cwd, right)
        completes(outcome, f"{size} kB, then any", words, cwd, right)
    return [outcome]
