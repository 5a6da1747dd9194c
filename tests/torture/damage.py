"""Files that are flipped, torn, emptied, or somebody else's: found, or without consequence, and never a wrong number."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from gsx.records import IntegrityError
from gsx.store import (
    PlannedCell,
    PlannedStep,
    RunDirectory,
    StoredExperiment,
    TrainingDirectory,
    read_experiment,
    standings,
    write_experiment,
)
from tests.torture.command import answers, ended, verified
from tests.torture.outcome import Outcome

SMALL = ("run", "model.logits=[0.5,-1]", "num_replicates=2048", "block_size=16", "draws=20")
LARGER = ("run", "model.logits=[0.5,-1]", "num_replicates=4096", "block_size=16", "draws=30")
OTHER = ("run", "estimator=concrete", "reference=long_run", "reference.num_replicates=4096", "num_replicates=1024", "draws=10")
TRAINING = ("train", "steps=30", "seeds=2", "workers=1")
OTHER_TRAINING = ("train", "steps=40", "seeds=2", "workers=1")

FILES = ("*.json", "*.npz", "*.csv")


def damage(root: Path, amount: float) -> list[Outcome]:
    """Hundreds of damaged files met by `gsx verify`, and some of them by the command that wrote them."""
    root.mkdir()
    for words in (SMALL, LARGER, OTHER, TRAINING, OTHER_TRAINING):
        end = ended(words, root)
        if end.code:
            raise RuntimeError(end.err)
    outputs = root / "outputs"
    for name in ("default", "other"):
        cells = [PlannedCell("a-0123", name, {"seed": 0})]
        write_experiment(outputs / name, StoredExperiment(name, "full", {}, {"step": PlannedStep(["gsx", "run"], cells)}))
    return [_met_by_verify(outputs, round(600 * amount)), _met_by_run(root, max(3, round(16 * amount)))]


def spoil(path: Path, others: list[Path], rng: random.Random) -> str:
    """Damage one file, in one of five ways; which. A file of the same kind from elsewhere takes its place in the last."""
    whole = path.read_bytes()
    strangers = [other for other in others if other.name == path.name and other != path and other.read_bytes() != whole]
    if path.name == "experiment.json":  # whole plans of other folders say whose they are, and hold no number of a run that is not addressed
        strangers = []
    how = rng.choice(["flipped", "flipped", "flipped", "torn", "empty", "noise", *["foreign"] * bool(strangers)])
    if how == "flipped":
        bit = rng.randrange(8 * len(whole))
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
    elif how == "torn":
        path.write_bytes(whole[: rng.randrange(len(whole) - 1)])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "noise":
        path.write_bytes(rng.randbytes(len(whole)))
    else:
        path.write_bytes(rng.choice(strangers).read_bytes())
    return how


def _met_by_verify(outputs: Path, tries: int) -> Outcome:
    outcome, rng = Outcome("damaged files, gsx verify"), random.Random(3)
    files = sorted(path for pattern in FILES for path in outputs.rglob(pattern) if ".hydra" not in path.parts)
    code, said = verified(outputs)
    outcome.expect(code == 0, f"before anything was damaged: {said}")
    for _ in range(tries):
        path = rng.choice(files)
        whole, before = path.read_bytes(), everything(path.parent)
        how = spoil(path, files, rng)
        judge(outcome, how, path, before)
        path.write_bytes(whole)
    return outcome


def judge(outcome: Outcome, how: str, path: Path, before: list[str]) -> None:
    """`gsx verify` names the folder of the damaged file, or nothing that is read from there has changed."""
    code, said = verified(path.parent)
    outcome.saw(f"{how}: {'found' if code else 'harmless'}")
    if code:
        outcome.expect(code == 6 and str(path.parent) in said, f"{how} {path}: exit code {code}: {said}")
    else:
        outcome.expect(everything(path.parent) == before, f"{how} {path}: not found, and something else is read")


def everything(folder: Path) -> list[str]:
    """All that is read from a folder of results, in order, as text."""
    run, training = RunDirectory(folder), TrainingDirectory(folder)
    readings: list[Callable[[], object]] = [
        run.read_result,
        lambda: (table := run.read_coordinates()) and (table.columns, table.of, table.selection),
        lambda: (draws := run.read_draws()) and [(name, column.tobytes()) for name, column in draws.items()],
        lambda: (
            (stored := run.read_segments())
            and (stored.segments.digest(), stored.segments.layout, stored.fingerprint, stored.result_id, stored.seconds, stored.extra)
        ),
        lambda: (
            (kept := run.read_reference())
            and (kept.layout, kept.note, kept.reference.id, kept.reference.gradient.tobytes(), kept.reference.se.tobytes())
        ),
        lambda: (found := training.read()) and (found, found.curve),
        lambda: read_experiment(folder),
    ]
    for seed in range(2):
        readings.append(lambda seed=seed: (ends := training.read_parameters(seed)) and ends.digest)  # type: ignore[misc]
        readings.append(lambda seed=seed: repr(training.read_state(seed)))  # type: ignore[misc]
    return [_text(read) for read in readings]


def _text(read: Callable[[], object]) -> str:
    try:
        return repr(read())
    except IntegrityError:
        return "refused"


def _met_by_run(root: Path, tries: int) -> Outcome:
    """The command that wrote a file finds it damaged: it says so and stops, or its answer is right; and what it advises mends it."""
    outcome, rng, right = Outcome("damaged files, the same command"), random.Random(4), answers(root)
    commands = (SMALL, LARGER, OTHER, TRAINING)
    for attempt in range(tries):
        cwd = root / f"try {attempt}"
        shutil.copytree(root / "outputs", cwd / "outputs")
        files = sorted(path for pattern in FILES for path in cwd.rglob(pattern) if ".hydra" not in path.parts)
        words = commands[attempt % len(commands)]
        if attempt % 2:  # unfinished: what a resumed run begins with
            for path in [*cwd.rglob("result.json"), *cwd.rglob("training.json")]:
                path.unlink()
            files = [path for path in files if path.name in ("segments.npz", "reference.npz", "reference.json", "state-seed0.npz")]
        path = rng.choice(files)
        how = spoil(path, files, rng)
        what = f"{how} {path.relative_to(cwd)}, gsx {' '.join(words)}"
        end = ended(words, cwd)
        if end.code == 0:
            outcome.saw(f"{how}: right answer")
        else:
            outcome.saw(f"{how}: refused")
            outcome.expect(end.code == 6 and end.plain, f"{what}: {end.code}: {end.err.strip()[-300:]}")
            states = {one.path.name: one.state for one in standings([cwd / "outputs"])}
            seen = how not in ("torn", "empty") or states.get(path.parent.name) != "done"
            outcome.expect(seen, f"{what}: done, says gsx status")
            outcome.expect(_advised(end.err), f"{what}: no advice: {end.err.strip()[-300:]}")
            end = ended(words, cwd)
            outcome.expect(end.code == 0, f"{what}, as advised: {end.code}: {end.err.strip()[-300:]}")
        (folder,) = {line.split()[-1] for line in end.out.splitlines() if line.startswith("folder")} or {""}
        name = Path(folder).name
        try:
            outcome.expect(_answer(cwd, name) == right[name], f"{what}: a wrong answer in {name}")
        except (IntegrityError, KeyError) as fault:
            outcome.expect(False, f"{what}: {type(fault).__name__} {fault}")
        shutil.rmtree(cwd)
    return outcome


def _advised(said: str) -> bool:
    """Do what the line advises: a file is removed, or a folder moved away; whether it advised anything."""
    found = re.search(r"gsx: (/.*?): .*; (remove|move) (it|the folder|\w+\.json)\b", said.rstrip().rpartition("\n")[2])
    if found is None:
        return False
    path = Path(found[1])
    if found[2] == "move":
        shutil.rmtree(path)
    else:
        (path if found[3] == "it" else path.parent / found[3]).unlink()
    return True


def _answer(cwd: Path, name: str) -> str:
    """The answer in one folder, with the others, which may be damaged, out of the way."""
    alone = cwd / "alone"
    shutil.copytree(cwd / "outputs" / "default" / name, alone / "outputs" / "default" / name)
    return answers(alone)[name]
