"""`python -m gsx.report.gallery`: docs/gallery.md and its pictures, chosen from reports that are there. `scripts/gallery` makes them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from gsx.records import MissingData
from gsx.store import atomic_write


@dataclass(frozen=True)
class Picture:
    """A figure of a report, and what there is to see in it."""

    heading: str
    figure: str  # <report>/<figure>
    text: str


INTRODUCTION = (
    "Every figure below is made by `scripts/gallery`, from results that it measures itself; nothing is drawn by hand.",
    "`gsx report --style page|column|neurips|icml|slides` draws the same for where it will stand, as PNG, PDF and SVG, its data beside "
    "it. An estimator looks the same in every figure: colour, marker and line.",
)

PICTURES = (
    Picture(
        "Why the reparameterization trick varies less, and when not",
        "why/draws-k-gaussian_toy",
        "A smooth cost has a small derivative, which is what the pathwise estimate averages; a wiggly one has a large derivative, and the "
        "score function, which averages the cost itself, wins. They cross at k*.",
    ),
    Picture(
        "No estimator dominates",
        "costs/parameters-k-gaussian_toy",
        "Variance of the gradient in both parameters of a Gaussian, for three costs (Mohamed, Rosca, Figurnov & Mnih 2020).",
    ),
    Picture(
        "One Bernoulli",
        "bernoulli/sweep-logits-bernoulli_toy",
        "Variance against the probability (Dimitriev & Zhou 2021). DisARM is exact at p = 1/2: a hollow marker on the axis.",
    ),
    Picture("Temperature", "temperature/frontier-binary_vae", "What a relaxation trades: bias for variance, on a VAE of real digits."),
    Picture("The best temperature depends on N", "temperature/temperature-binary_vae", "Samples divide the variance and leave the bias."),
    Picture("Samples", "samples/samples-bernoulli_toy", "Coupled estimators leave the line 1/N of an average of independent samples."),
    Picture("Estimators side by side", "samples/variance-bernoulli_toy", "The verdict on bias stands at the right."),
    Picture("Bias, coordinate by coordinate", "samples/bias-z-bernoulli_toy", "Each against its own standard error."),
)


def main(reports: Path, docs: Path) -> int:
    """Copies the pictures with their captions; MissingData where a report lacks one."""
    lines = ["# Gallery", *INTRODUCTION]
    for picture in PICTURES:
        report, _, figure = picture.figure.partition("/")
        source = reports / report / "figures"
        if not (source / f"{figure}.png").is_file():
            raise MissingData(f"{source / figure}.png: not there; scripts/gallery makes it")
        (docs / "gallery").mkdir(parents=True, exist_ok=True)
        atomic_write(docs / "gallery" / f"{figure}.png", (source / f"{figure}.png").read_bytes())
        caption = (source / f"{figure}.txt").read_text(encoding="utf-8").strip()
        lines += [f"## {picture.heading}", picture.text, f"![{picture.heading}](gallery/{figure}.png)", f"<sub>{caption}</sub>"]
    atomic_write(docs / "gallery.md", ("\n\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
