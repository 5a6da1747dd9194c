"""`python -m gsx.report.gallery OUTPUTS REPORTS DOCS`: docs/gallery.md and docs/scoreboard.md, from what `scripts/gallery` has measured."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gsx.records import MissingData
from gsx.report import advice, quick, relative
from gsx.report.circumstances import Circumstances
from gsx.report.collect import collect
from gsx.report.findings import judge
from gsx.report.passage import Passage
from gsx.report.scoreboard import TITLE, counts, scoreboard, told
from gsx.report.study import Study, studies
from gsx.report.tables import aligned
from gsx.store import atomic_write


@dataclass(frozen=True)
class Picture:
    """A figure of an experiment's report, and what there is to see in it."""

    heading: str
    experiment: str
    figure: str
    text: str


INTRODUCTION = (
    "Every figure below is drawn by `scripts/gallery` from the experiments, as `gsx reproduce all` measures them; none by hand.",
    "`gsx report --style page|column|neurips|icml|slides` draws the same for where it will stand, as PNG, PDF and SVG, its data beside "
    "it. An estimator looks the same in every figure: colour, marker and line; with settings of its own it has another line, and markers "
    "filled in half.",
)

PICTURES = (
    Picture(
        "Why the reparameterization trick varies less, and when not",
        "why_reparameterization",
        "draws-k-gaussian_toy-cost-cos",
        "A smooth cost has a small derivative, which is what the pathwise estimate (`reparameterization`) averages; a wiggly one has a "
        "large derivative, and the score function (`reinforce`), which averages the cost itself, wins. They cross at k*. Across a jump the "
        "pathwise estimate varies least and is wrong.",
    ),
    Picture(
        "A relaxation is wrong as silently",
        "why_reparameterization",
        "variance-bernoulli_ising",
        "Discrete variables have no pathwise gradient; `concrete` takes that of another, relaxed cost. Its variance is a fourteenth of "
        "that of `rloo`, and a table of variances alone would prefer it.",
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
        "Samples",
        "sample_size",
        "samples-bernoulli_toy",
        "RLOO and ARMS, which couple all their samples, fall faster than the line 1/N of an average of independent samples; DisARM and "
        "ARM, averages of antithetic pairs, stay on it from N = 2 on. The first of four figures; the others hold the other 26 estimators.",
    ),
    Picture(
        "Samples without replacement",
        "tied_bernoulli",
        "samples-tied_bernoulli-eta-0-targets-0p6-0p51-0p48-3169df",
        "Three Bernoullis that share one logit have 8 states (Liu et al. 2019). The unordered set, which draws none of them twice, has a "
        "seventh of the variance of RLOO at N = 7; summing the likeliest states and sampling one of the rest gains less.",
    ),
    Picture(
        "Local expectations",
        "local_expectation",
        "alignment-categorical_distance",
        "Independent categoricals (De Smet et al. 2023): where the cost is a sum over the variables, one sample of the local expectation "
        "points the right way, and a thousand samples of any other do not quite.",
    ),
    Picture(
        "ARMS, DisARM, ARM and RLOO against p",
        "arms_toy",
        "sweep-logits-bernoulli_toy",
        "One Bernoulli (Dimitriev & Zhou 2021), all panels on one scale: DisARM of any number of pairs is exact at p = 1/2; ARMS, whose "
        "samples are all coupled, is ahead elsewhere from four samples on.",
    ),
    Picture(
        "RELAX on the toy of REBAR",
        "rebar_toy",
        "training-bernoulli_toy-model-target-0p499-e17eb4",
        "One sample a step (Grathwohl et al. 2018): the learnt control variate of RELAX takes the variance to a ten-thousandth and below, "
        "that of REBAR does not. With two samples RLOO and DisARM, which learn nothing, solve the same toy trivially.",
    ),
    Picture(
        "Straight-through stops short",
        "polynomial",
        "training-polynomial-model-power-3-22c8d7",
        "On a polynomial straight-through estimators stall at a plateau (Liu et al. 2023). ReinMax, which is second-order, ends within 1 % "
        "of the loss of the exact gradient for the power 3, shown here, and for 2; for 1.5 it is still 1.07 % above it, which does not "
        "reproduce.",
    ),
    Picture(
        "Double control variates",
        "double_cv_toy",
        "training-bernoulli_toy-steps-2000",
        "Two hundred Bernoullis that hardly differ (Titsias & Shi 2022): the variance of the learnt control variate falls out of sight. "
        "Shown is the sum over the 200 coordinates; the publication shows the variance per coordinate, a two-hundredth of it. "
        "`exact_baseline` is their R*; `reinforce` and `muprop` do not move, and their variance, far above, was not measured.",
    ),
    Picture(
        "Where double control variates overtake an oracle",
        "double_cv_toy",
        "training-bernoulli_toy-steps-500",
        "The first 500 of these steps: `double_cv` is below `rloo` at once, and below `exact_baseline`, which knows the mean cost, from "
        "about step 250 on.",
    ),
    Picture(
        "Training a VAE on MNIST",
        "binary_vae_training",
        "training-binary_vae",
        "200 latents, 20 000 steps, 3 seeds: much shorter than published. ARMS is ahead of DisARM and DisARM of RLOO, as published; the "
        "two biased estimators, whose variance is a fortieth of that of RLOO and less, are ahead of all three at this length.",
    ),
    Picture(
        "Deeper networks",
        "nonlinear_vae_training",
        "training-binary_vae-model-batch-50-2de5b0",
        "Two hidden layers of 200, four samples, 6000 steps, 3 seeds: of a million published, but the order is theirs, ARMS before DisARM "
        "before RLOO. Variance was measured along one trajectory, and is in the next figure.",
    ),
    Picture(
        "Deeper networks, one trajectory",
        "nonlinear_vae_training",
        "trajectory-rloo-binary_vae-model-batch-50-2de5b0",
        "The same networks on the way of RLOO: DisARM and ARMS vary less by a sixth, but for DisARM before the first step.",
    ),
    Picture(
        "RODEO in training",
        "nonlinear_vae_training",
        "training-binary_vae-model-batch-100-58b976",
        "Two samples, 3000 steps of a million: RODEO is ahead of DisARM, as published. Double CV, which the publication has between the "
        "two, is behind both this early.",
    ),
    Picture(
        "RODEO on its way",
        "nonlinear_vae_training",
        "trajectory-rodeo-binary_vae-model-batch-100-58b976",
        "All at the same parameters: RODEO varies least, as published, once it has learnt; Double CV, whose one coefficient is learnt here "
        "too, less than RLOO, but more than DisARM, which does not reproduce.",
    ),
    Picture(
        "Categorical latents",
        "categorical_vae_training",
        "training-categorical_vae-model-latents-30-0d1c02",
        "Ten categoricals of 30 outcomes on MNIST, 5000 steps (Liu et al. 2023, much shorter): ReinMax is ahead of straight-through and "
        "ST-Gumbel, as published. With eight of 4 outcomes it is ahead of straight-through alone; ST-Gumbel is within the error.",
    ),
    Picture(
        "The lower half of a digit from the upper",
        "structured_output_training",
        "training-structured_output-model-latents-20-20-ad5f33",
        "Structured output prediction through categoricals (Jang, Gu & Poole 2017), 1000 steps: by the bound of 20 samples Gumbel-Softmax "
        "is ahead of all, as published, and ST-Gumbel behind straight-through, which is not.",
    ),
    Picture(
        "Before and after training",
        "initial_and_trained",
        "stages-binary_vae",
        "The same estimators on the same rows, at the parameters a small VAE begins with and at those it ends with: rankings change. REBAR "
        "is five times below DisARM at the start and above it at the end, and the least variance passes from Concrete, which is biased, to "
        "DisARM and ARMS.",
    ),
    Picture(
        "One trajectory",
        "binary_vae_training",
        "trajectory-rloo-binary_vae",
        "All estimators at the same parameters, on the way of RLOO: the biased ones vary less, and point elsewhere: their cosine to "
        "the reference is .77 (Concrete) and .88 (straight-through) in the mean, where the unbiased ones have .99. In the first steps "
        "DisARM varies more than RLOO, from step 2000 on less.",
    ),
)

#: The README repeats this summary of docs/scoreboard.md; a test compares.
SUMMARY = Passage("scoreboard")


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
    lines += _advice(outputs)
    atomic_write(docs / "gallery.md", ("\n\n".join(lines) + "\n").encode())
    folders = _folders(outputs)
    counted = summary(folders)
    atomic_write(docs / "scoreboard.md", _scoreboard(folders, counted, quick.text(docs)).encode())
    readme = docs.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    again = SUMMARY.replaced(text, counted)
    if again != text:
        atomic_write(readme, again.encode())
    return 0


def _advice(outputs: Path) -> list[str]:
    """The table of the estimators that everybody starts with."""
    found = advice.table(collect([outputs / "estimators"])[0], "reinforce", relative.Variances())
    if found is None:
        raise MissingData(f"{outputs / 'estimators'}: not there; scripts/gallery makes it")
    text = (
        "`gsx report` computes this from whatever results are at hand; here from the experiment `estimators`, one sample an estimate. "
        "Times are those of one machine with two cores, and differ elsewhere."
    )
    return [f"## {found.title}", text, found.markdown().strip()]


def _folders(outputs: Path) -> list[Path]:
    """Of each experiment the full size where it is whole, else the quick one."""
    chosen: dict[str, Path] = {}
    for study in sorted(studies([outputs])[0], key=lambda study: study.experiment.size != "quick"):
        name = study.experiment.name
        whole = all(judge(study, finding).verdict != "missing" for finding in study.experiment.findings)
        if name not in chosen or whole:
            chosen[name] = study.folder
    return sorted(chosen.values())


def _scoreboard(folders: Sequence[Path], counted: str, in_one_go: str) -> str:
    """The page: when and with what, the verdicts counted, the quick sizes, every finding, and the rules."""
    board = scoreboard(folders)
    if board is None:
        raise MissingData("scoreboard: no experiment; scripts/gallery makes them")
    seen = Circumstances.of(folders)
    measured = (
        f"Measured by `scripts/gallery` from {seen.days[0]} to {seen.days[-1]} with {seen.software()}, on a CPU, at "
        f"{len(seen.commits)} commits ({', '.join(commit[:7] for commit in seen.commits)}; each result names its own): what is measured "
        "anew is what a change of an estimator, a model or an experiment's settings asks for. Published is what a "
        "publication says; what nobody but us says has words of its own, and counts apart. The notes below the table say what is known "
        "about what does not reproduce."
    )
    parts = [f"# {TITLE}", measured, SUMMARY.around(counted), quick.PASSAGE.around(in_one_go), board.markdown().strip()]
    return "\n\n".join(parts) + "\n"


#: What tells one publication from another.
_WORK = re.compile(r"\b\d{4}\.\d{5}\b")

#: The columns of the summary, by origin and verdict.
COLUMNS = {
    "published: reproduced": ("published", "reproduced"),
    "not reproduced": ("published", "not reproduced"),
    "inconclusive": ("published", "inconclusive"),
    "ours: as expected": ("ours", "as expected"),
    "not as expected": ("ours", "not as expected"),
    "inconclusive (ours)": ("ours", "inconclusive"),
    "measured only": ("", "measured"),
}


def summary(folders: Sequence[Path]) -> str:
    """How many findings came out how: in a sentence, and a row for each experiment."""
    body, frames = [], []
    for study in studies(folders)[0]:
        board = scoreboard([study.folder])
        if board is not None and board.body:
            found = counts(board.frame)
            numbers = [found[origin].get(verdict, 0) for origin, verdict in COLUMNS.values()]
            missing = sum(verdicts.get("missing", 0) for verdicts in found.values())
            body.append([f"`{study.experiment.name}`", study.experiment.size, _sources(study), *map(str, [*numbers, missing])])
            frames.append(board.frame)
    total = told(counts(pd.concat(frames))) if frames else ""
    return f"{total}\n\n{aligned(['experiment', 'size', 'source', *COLUMNS, 'missing'], body, 3).strip()}"


def _sources(study: Study) -> str:
    """That of the experiment, and those of single findings that name others."""
    works = [finding.source for finding in study.experiment.findings if finding.origin == "published"]
    others = [work for work in dict.fromkeys(works) if not set(_WORK.findall(work)) <= set(_WORK.findall(study.experiment.source))]
    return "; ".join([study.experiment.source, *others])


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
