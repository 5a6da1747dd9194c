"""Several at once, jobs that fail, and clocks that jump."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.torture.cases import RUNS, SWEEP, undisturbed
from tests.torture.command import answers, begun, completes, ended, verified
from tests.torture.outcome import Outcome


def crowds(root: Path, amount: float) -> list[Outcome]:
    """The same sweep, several times at once in one folder: each cell is computed by one of them, and the others say that it is held."""
    words = tuple("num_replicates=2e6" if word.startswith("num_replicates") else word for word in SWEEP)  # long enough to meet
    root.mkdir()
    right, _ = undisturbed(words, root / "undisturbed")
    outcomes = []
    for number in (2, 8) if amount >= 1 else (2, 4):
        outcome, cwd = Outcome(f"{number} identical sweeps at once"), root / str(number)
        outcomes.append(outcome)
        cwd.mkdir()
        with contextlib.ExitStack() as stack:
            processes = [stack.enter_context(begun(words, cwd)) for _ in range(number)]
            ends = [process.communicate() for process in processes]
        for process, (_, err) in zip(processes, ends, strict=True):
            outcome.saw(
                {0: "complete", 1: "with cells left to others", 7: "busy"}.get(process.returncode, f"exit code {process.returncode}")
            )
            outcome.expect(process.returncode in (0, 1, 7) and "Traceback" not in err, f"exit code {process.returncode}: {err[-400:]}")
            outcome.expect(process.returncode != 1 or "held by" in err, f"exit code 1, and nobody held anything: {err[-400:]}")
        code, said = verified(cwd / "outputs")
        outcome.expect(code == 0, said)
        completes(outcome, "afterwards", words, cwd, right)
    return outcomes


#: A model that does what `mode` says once it is measured, as long as a file named `ill` lies in the current folder.
FRAGILE = """
import os
import signal
from pathlib import Path

import torch

from gsx.distributions import Bernoulli
from gsx.models.base import Model


class Fragile(Model):
    def __init__(self, *, mode: str = "fine", seed: int = 0):
        super().__init__(seed=seed)
        self.mode = mode

    def init(self, noise):
        return {"logits": torch.tensor([-1.0, 0.5], dtype=torch.float64)}

    def closed_form(self, params):
        p = params["logits"].sigmoid()
        second = 0.09 + 0.4 * p[1]
        return {"logits": torch.stack([0.89 + second, 0.4 * (1 + p[0])]) * p * (1 - p)}

    def loss(self, params, expect):
        ill = self.mode if Path("ill").exists() and [*Path("outputs").glob("*/fragile-mode*/.holder")] else "fine"
        if ill == "raise":
            raise RuntimeError("the model fails")
        if ill == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

        def cost(z, q):
            value = (z - 0.3).square().sum(-1) * (1 + z[..., 0])
            return torch.where(z.sum(-1) > 1, torch.nan, value) if ill == "nans" else value

        return expect(Bernoulli(params["logits"]), cost)
"""


def jobs(root: Path, amount: float) -> list[Outcome]:
    """One job of a sweep raises, is killed or returns NaN: the others are right, and the same command goes on once it is well."""
    base = ("run", "-m", "plugins=[fragile]", "model.name=fragile", "~model.logits", "~model.target", "~model.power", "workers=1")
    outcomes = []
    root.mkdir()
    for ill, options, code in (("raise", (), 1), ("raise", ("--fail-fast",), 1), ("kill", (), -signal.SIGKILL), ("nans", (), 0)):
        words = (*base, *options, "num_replicates=2e4", f"+model.mode=fine,{ill},other")
        name = " ".join([f"a job: {ill}", *options])
        outcome, cwd = Outcome(name), root / name
        outcomes.append(outcome)
        (root / f"{name} well").mkdir()
        for folder in (cwd, root / f"{name} well"):
            folder.mkdir(exist_ok=True)
            (folder / "fragile.py").write_text(FRAGILE)
        well = ended(words, root / f"{name} well")
        right = answers(root / f"{name} well")
        outcome.expect(well.code == 0 and len(right) == 3, f"well, and yet: {well.err[-400:]}")
        (cwd / "ill").touch()
        end = ended(words, cwd)
        outcome.saw(f"exit code {end.code}")
        outcome.expect(end.code == code, f"exit code {end.code}: {end.err[-400:]}")
        found = answers(cwd)
        outcome.counts["others right"] = sum(right.get(key) == answer for key, answer in found.items())
        least = {"raise": 1 if options else 2, "kill": 1, "nans": 2}[ill]
        outcome.expect(outcome.counts["others right"] == least, f"{outcome.counts['others right']} right ones, not {least}")
        if ill == "raise":
            outcome.expect("error.txt: RuntimeError: the model fails" in end.out, f"no word of error.txt: {end.out}")
            outcome.expect(ended(("status",), cwd).code == 1, "gsx status finds nothing wrong")
        if ill == "nans":  # that is a result, and stays one
            outcome.expect("nonfinite" in end.out, f"no word of it: {end.out}")
            words = (*words, "force=true")
        (cwd / "ill").unlink()
        completes(outcome, "afterwards", words, cwd, right)
    return [*outcomes, _worker_killed(root / "worker", amount)]


def _worker_killed(root: Path, amount: float) -> Outcome:
    """A process that helps is killed: the run goes on without it, or says that the same command goes on."""
    outcome, rng, words = Outcome("a worker process: killed"), random.Random(5), RUNS["batched, worker processes"]
    words = tuple(word.replace("1e7", "2e7") for word in words)
    root.mkdir()
    right, _ = undisturbed(words, root / "undisturbed")
    for attempt in range(max(1, round(3 * amount))):
        cwd = root / str(attempt)
        cwd.mkdir()
        with begun(words, cwd) as process:
            helpers: list[str] = []
            while process.poll() is None and not helpers:
                time.sleep(0.02)
                with contextlib.suppress(OSError):
                    helpers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                    helpers = [pid for pid in helpers if "gsx.worker" in Path(f"/proc/{pid}/cmdline").read_text()]
            time.sleep(rng.uniform(0, 5))
            for pid in helpers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
                    outcome.saw("killed")
            _, err = process.communicate()
        outcome.saw("went on" if process.returncode == 0 else "said so")
        outcome.expect(
            process.returncode == 0 or (process.returncode == 5 and "goes on from" in err), f"{process.returncode}: {err[-400:]}"
        )
        completes(outcome, f"try {attempt}", words, cwd, right)
    return outcome


#: A clock that jumps by up to a year, there and back, each time it is looked at; only the one that counts on is left alone.
JUMPING = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long jump(void) { return (random() % 2 ? 1 : -1) * (random() % 31536000); }
int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += jump();
    return failed;
}
time_t time(time_t *given) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (given) *given = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *given, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    given->tv_sec = now.tv_sec;
    given->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


def clocks(root: Path, amount: float) -> list[Outcome]:
    """The clock jumps while a run is killed and resumed, and its files are dated in the future or long ago."""
    outcome, rng, words = Outcome("clock jumps"), random.Random(6), RUNS["batched, 1 worker"]
    root.mkdir()
    compiler = shutil.which("cc")
    if compiler is None:
        outcome.skipped = "no C compiler to make a jumping clock with"
        return [outcome]
    (root / "jumping.c").write_text(JUMPING)
    library = root / "jumping.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(root / "jumping.c")], check=True)
    right, seconds = undisturbed(words, root / "undisturbed")
    for attempt in range(max(2, round(4 * amount))):
        cwd = root / str(attempt)
        cwd.mkdir()
        with begun(words, cwd, LD_PRELOAD=str(library)) as process, contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=rng.uniform(0.5, 0.9) * seconds)
        outcome.saw("killed" if process.returncode == -signal.SIGKILL else "had ended")
        for path in cwd.rglob("*"):
            when = (0, 4102444800)[attempt % 2]  # 1970, 2100
            os.utime(path, (when, when))
        outcome.expect("Traceback" not in ended(("status",), cwd).err or not (cwd / "outputs").exists(), "gsx status stumbles")
        end = ended(words, cwd, LD_PRELOAD=str(library))
        outcome.expect(end.code == 0 and answers(cwd) == right, f"under the jumping clock: {end.code}: {end.err[-400:]}")
        completes(outcome, f"try {attempt}", words, cwd, right)
        outcome.saw("right")
    return [outcome]
