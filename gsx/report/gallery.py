"""`python -m gsx.report.gallery OUTPUTS REPORTS DOCS`: docs/gallery.md and docs/scoreboard.md, from what `scripts/gallery` has measured."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gsx.records import MissingData
from gsx.report.findings import VERDICTS, judge
from gsx.report.scoreboard import scoreboard
from gsx.report.study import studies
from gsx.report.tables import aligned
from gsx.store import atomic_write, find_runs, find_trainings


@dataclass(frozen=True)
class Picture:
    """A figure of an experiment's report, and what there is to see in it."""

    heading: str
    experiment: str
    figure: str
    text: str


INTRODUCTION = (
    "Every figure below is drawn by `scripts/gallery` from the published experiments, as `gsx reproduce all` measures them; none by hand.",
    "`gsx report --style page|column|neurips|icml|slides` draws the same for where it will stand, as PNG, PDF and SVG, its data beside "
    "it. An estimator looks the same in every figure: colour, marker and line.",
)

PICTURES = (
    Picture(
        "Why the reparameterization trick varies less, and when not",
        "why_reparameterization",
        "draws-k-gaussian_toy-cost-cos",
        "A smooth cost has a small derivative, which is what the pathwise estimate averages; a wiggly one has a large derivative, and the "
        "score function, which averages the cost itself, wins. They cross at k*.",
    ),
    Picture(
        "No estimator dominates",
        "cost_functions",
        "parameters-k-gaussian_toy",
        "Variance of the gradient in both parameters of a Gaussian, for three costs (Mohamed, Rosca, Figurnov & Mnih 2020).",
    ),
    Picture("Temperature", "temperature", "frontier-binary_vae", "What a relaxation trades: bias for variance, on a VAE of real digits."),
    Picture(
        "The best temperature depends on N", "temperature", "temperature-bernoulli_ising", "Samples divide the variance and leave the bias."
    ),
    Picture(
        "Samples", "sample_size", "samples-bernoulli_toy", "Coupled estimators leave the line 1/N of an average of independent samples."
    ),
    Picture(
        "ARMS, DisARM, ARM and RLOO against p",
        "arms_toy",
        "sweep-logits-bernoulli_toy",
        "One Bernoulli (Dimitriev & Zhou 2021): DisARM of any number of pairs is exact at p = 1/2; ARMS, whose samples are all coupled, is "
        "ahead elsewhere from four samples on.",
    ),
    Picture(
        "RELAX on the toy of REBAR",
        "rebar_toy",
        "training-bernoulli_toy-model-target-0p499-e17eb4",
        "One sample a step (Grathwohl et al. 2018): the learnt control variate of RELAX takes the variance to a ten-thousandth and below. "
        "With two samples RLOO and DisARM, which learn nothing, solve the same toy at once.",
    ),
    Picture(
        "Straight-through stops short",
        "polynomial",
        "training-polynomial-model-power-3-22c8d7",
        "The plateaus of straight-through estimators on a polynomial, and ReinMax, which is second-order and reaches the optimum "
        "(Liu et al. 2023).",
    ),
    Picture(
        "Double control variates",
        "double_cv_toy",
        "training-bernoulli_toy",
        "Two hundred Bernoullis that hardly differ (Titsias & Shi 2022): the variance of the learnt control variate falls out of sight.",
    ),
    Picture(
        "Training a VAE on MNIST",
        "binary_vae_training",
        "training-binary_vae",
        "200 latents, 20 000 steps, 3 seeds. The two biased estimators, whose variance is a hundredth, are ahead at this length.",
    ),
    Picture(
        "One trajectory",
        "binary_vae_training",
        "trajectory-rloo-binary_vae",
        "All estimators at the same parameters, on the way of RLOO: what the biased ones gain in variance they lose in direction.",
    ),
)

#: Between these the README repeats the summary of docs/scoreboard.md; a test compares.
BEGIN, END = "<!-- scoreboard -->", "<!-- end of scoreboard -->"


def main(outputs: Path, reports: Path, docs: Path) -> int:
    """Copies the pictures with their captions, and writes the scoreboard; MissingData where a report lacks a picture."""
    lines = ["# Gallery", *INTRODUCTION]
    for picture in PICTURES:
        source = reports / picture.experiment / "figures"
        if not (source / f"{picture.figure}.png").is_file():
            raise MissingData(f"{source / picture.figure}.png: not there; scripts/gallery makes it")
        (docs / "gallery").mkdir(parents=True, exist_ok=True)
        name = f"{picture.experiment}-{picture.figure}"
        atomic_write(docs / "gallery" / f"{name}.png", (source / f"{picture.figure}.png").read_bytes())
        caption = (source / f"{picture.figure}.txt").read_text(encoding="utf-8").strip()
        lines += [f"## {picture.heading}", picture.text, f"![{picture.heading}](gallery/{name}.png)"]
        lines += [f"<sub>`gsx reproduce {picture.experiment}`. {caption}</sub>"]
    atomic_write(docs / "gallery.md", ("\n\n".join(lines) + "\n").encode())
    folders = _folders(outputs)
    counted = f"{BEGIN}\n{summary(folders)}\n{END}"
    atomic_write(docs / "scoreboard.md", _scoreboard(folders, counted).encode())
    readme = docs.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    again = re.sub(f"{BEGIN}\n.*?{END}", lambda _: counted, text, flags=re.DOTALL)
    if again != text:
        atomic_write(readme, again.encode())
    return 0


def _folders(outputs: Path) -> list[Path]:
    """Of each experiment the full size where it is whole, else the quick one."""
    chosen: dict[str, Path] = {}
    for study in sorted(studies([outputs])[0], key=lambda study: study.experiment.size != "quick"):
        name = study.experiment.name
        whole = all(judge(study, finding).verdict != "missing" for finding in study.experiment.findings)
        if name not in chosen or whole:
            chosen[name] = study.folder
    return sorted(chosen.values())


def _scoreboard(folders: Sequence[Path], counted: str) -> str:
    """The page: when and with what, the verdicts counted, every finding, and the rules."""
    board = scoreboard(folders)
    if board is None:
        raise MissingData("scoreboard: no experiment; scripts/gallery makes them")
    return "\n\n".join(["# Scoreboard of published findings", _circumstances(folders), counted, board.markdown().strip()]) + "\n"


def summary(folders: Sequence[Path]) -> str:
    """A row for each experiment: how many of its findings came out how."""
    body = []
    for study in studies(folders)[0]:
        verdicts = [judge(study, finding).verdict for finding in study.experiment.findings]
        if verdicts:
            name = study.experiment.name
            said = [f"`{name}`", study.experiment.size, study.experiment.source]
            body.append(said + [str(verdicts.count(verdict)) for verdict in VERDICTS])
    return aligned(["experiment", "size", "source", *VERDICTS], body, 3).strip()


def _circumstances(folders: Sequence[Path]) -> str:
    """Dates and versions of the results themselves, as they say."""
    said = []
    for directory in find_runs(folders):
        result = directory.read_result()
        said += [result.provenance] if result else []
    for trained in find_trainings(folders):
        training = trained.read()
        said += [training.provenance] if training else []
    days = sorted({str(entry.get("time", ""))[:10] for entry in said})
    versions = [f"{key} {', '.join(sorted({str(entry.get(key)) for entry in said}))}" for key in ("gsx", "python", "torch", "numpy")]
    return (
        f"Measured by `scripts/gallery` from {days[0]} to {days[-1]} with {', '.join(versions)}, on a CPU. The notes below the "
        "table say what is known about what does not reproduce."
    )


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
