"""What is said under a figure of trainings: on what, with which N, what lines and bands are; nothing of what is not drawn."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from gsx.report import curve_caption, notes
from gsx.report.seeds import LOGARITHMIC
from gsx.report.trainings import Trajectory
from gsx.report.view import CLOSE, alike, view

NAMES = {"elbo": "ELBO", "log_likelihood_bound": "log-likelihood bound", "bound": "multi-sample bound", "loss": "loss",
         "exact_loss": "exact loss", "variance": "gradient variance", "snr": "signal-to-noise ratio",
         "cosine": "cosine to the reference"}  # fmt: skip
#: The metrics of a split.
BOUNDS = ("elbo", "log_likelihood_bound", "bound")


def caption(lead: str, data: pd.DataFrame, of: Sequence[Trajectory], samples: Mapping[str, int], absent: Sequence[str]) -> str:
    """`of` are the trainings in the figure, `samples` the N of each name that has one, `absent` what is planned for it and missing."""
    said = [
        lead,
        f"Data: {of[0].data}." if of[0].data else "",
        _settings(data, of),
        _samples(samples),
        *_measured(data, of),
        *_not_there(data),
        *_lines(data),
        *_out_of_view(data),
        *_alike(data),
    ]
    if (data["kind"] == "zero").any():
        said.append(curve_caption.ZERO_NOTE)
    unfinished = [f"{t.label} ({t.status})" for t in of if t.status != "complete"]
    if unfinished:
        said.append(f"Not finished: {', '.join(unfinished)}.")
    if absent:
        said.append(f"Missing: {notes.some(absent, where='report.md')}.")
    return " ".join(filter(None, said))


def interval(data: pd.DataFrame) -> str:
    """What is shaded, for the legend."""
    shaded = data[data["ci_low"].notna()]
    several = sorted({int(n) for n in shaded["seeds"] if n > 1})
    told = [f"95 % interval over {_either(several)} seeds"] if several else []
    told += ["95 % interval of the measurement"] if (shaded["seeds"] == 1).any() else []
    return " or ".join(told)


def _settings(data: pd.DataFrame, of: Sequence[Trajectory]) -> str:
    optimizer, schedule = of[0].config.get("optimizer") or {}, of[0].config.get("schedule") or {}
    rate = f", learning rate {optimizer['lr']:g}" if "lr" in optimizer and "learning_rate" not in schedule else ""
    by = f" of {optimizer['name']}{rate}" if "name" in optimizer else ""
    seeds = sorted({seed for trajectory in of for seed in trajectory.seeds})
    return f"{int(data['step'].max())} steps{by}; {'seed' if len(seeds) == 1 else 'seeds'} {_span(seeds)}."


def _samples(samples: Mapping[str, int]) -> str:
    """The commonest N first, then by name who has another; a name may have it in itself."""
    of: dict[int, list[str]] = {}
    for name, n in samples.items():
        if "N=" not in name:
            of.setdefault(n, []).append(name)
    compared = ", whatever evaluations of the cost they take." if len(samples) > 1 else "."
    if not of:
        return f"N, the samples per estimate, is in the names{compared}" if samples else ""
    usual, *others = sorted(of, key=lambda n: (-len(of[n]), n))
    told = [f"N = {usual} {'sample' if usual == 1 else 'samples'} per estimate", *(f"of {notes.listed(of[n])} {n}" for n in others)]
    told += ["else as in the names"] if any("N=" in name for name in samples) else []
    return ", ".join(told) + compared


def _measured(data: pd.DataFrame, of: Sequence[Trajectory]) -> Iterator[str]:
    config, metrics = of[0].config, set(data["metric"])
    bounds = [metric for metric in BOUNDS if metric in metrics and "evaluate_rows" in config]
    samples = {metric: config.get("bound_samples" if metric == "bound" else "evaluate_samples") for metric in bounds}
    if told := [f"{n} ({NAMES[metric]})" for metric, n in samples.items() if n]:
        yield f"Samples a row: {', '.join(told)}; rows: at most the first {config['evaluate_rows']} of a split."
    probed = set(data.loc[data["metric"].isin(["variance", "snr", "cosine"]), "run"])
    replicates = sorted({r for t in of if t.name in probed and isinstance(r := t.config.get("probe_replicates"), int)})
    if replicates:
        rounded = " rounded up to 16 blocks" if any(r % 16 for r in replicates) else ""
        shared = ", all on one minibatch, the same for every seed" if of[0].data and of[0].batch else ""
        yield f"Gradients (wrt={config.get('wrt', 'all')}): R = {_span(replicates)} replicates{rounded} at each point{shared}."
    if "variance" in metrics:
        yield "Gradient variance is the trace of the covariance: the sum over all coordinates, where some publications show one of them."
    if "cosine" in metrics:
        yield from _cosine(of)


def _not_there(data: pd.DataFrame) -> Iterator[str]:
    """A legend is that of all panels."""
    everyone = list(dict.fromkeys(data["series"]))
    for letter, (_, part) in zip(string.ascii_lowercase, data.groupby("panel", sort=True), strict=False):
        if lacking := [name for name in everyone if name not in set(part["series"])]:
            yield f"Not in ({letter}), because it was not measured: {notes.listed(lacking)}."


def _cosine(of: Sequence[Trajectory]) -> Iterator[str]:
    """Why the cosine of an unbiased estimator is not 1."""
    cosines = pd.concat([t.curve[t.curve["metric"] == "cosine"] for t in of])
    kind, name, replicates = (of[0].reference.get(key) for key in ("kind", "estimator", "num_replicates"))
    if kind == "long_run":
        yield (
            f"The cosine is that of the mean gradient to a long run of {name} of {replicates} replicates, anew at each point; what noise "
            "adds to the length of both is taken out."
        )
    elif kind:
        exact = kind.replace("_", " ")
        yield f"The cosine is that of the mean gradient to the exact one ({exact}); what noise adds to its length is taken out."
    errors = cosines["se"].dropna()
    if (cosines["value"] == 1).any() and len(errors):
        yield (
            "What comes out above 1 is set to 1, in each seed before their mean, so unbiased estimators lie below 1 by about their error: "
            f"single values have standard errors of {errors.min():.2g} to {errors.max():.2g}."
        )


def _lines(data: pd.DataFrame) -> Iterator[str]:
    shaded = data[data["ci_low"].notna()]
    several = shaded[shaded["seeds"] > 1]
    if (data["seeds"] > 1).any():
        logarithms = [NAMES[metric] for metric in LOGARITHMIC if (data["metric"] == metric).any()]
        yield f"Lines are means over seeds{f' (of the logarithm for {notes.listed(logarithms)})' if logarithms else ''}."
    if len(several):
        cosine = ", and for a cosine at least the error of measurement" if (several["metric"] == "cosine").any() else ""
        over = _either(sorted({int(n) for n in several["seeds"]}))
        noise = ", each measured with noise of its own" if set(several["metric"]) - {"exact_loss"} else ""
        yield f"Shaded are 95 % intervals of these means, Student t over {over} seeds{noise}{cosine}."
    if (data["kind"] == "seed").any():
        yield "Thin lines are the single seeds."
    if (shaded["seeds"] == 1).any():
        yield "Of one seed, shaded is the 95 % interval of the measurement (1.96 standard errors), which is silent on other seeds."
    some_zero = data[data["kind"] == "some zero"]
    if len(some_zero):
        told = []
        for name, part in some_zero.groupby("series", sort=True):
            told.append(f"{name}: {_either(sorted(set(part['zeros'])))} of {_either(sorted(set(part['seeds'])))}")
        yield (
            f"Hollow markers on a line: some seeds are zero there ({'; '.join(told)}), which has no logarithm; drawn is the mean of the "
            "values themselves, and its interval down to the axis where it reaches zero."
        )
    if (data["kind"] == "absent").any():
        yield "Where a seed's value is not positive, the mean of the logarithm has a gap."
    lacking = data[data["seeds"] < data.groupby("run")["seeds"].transform("max")]
    if len(lacking):
        which = notes.listed([NAMES[metric] for metric in dict.fromkeys(lacking["metric"])])
        yield f"At some points not every seed has a {which}, and means are over those that have."


def _out_of_view(data: pd.DataFrame) -> Iterator[str]:
    views = {place: seen for place, part in data.groupby("panel", sort=True) if (seen := view(part))}
    titles = data.groupby("panel")["title"].first()
    if early := [titles[place] for place, seen in views.items() if seen.early]:
        yield f"Out of view: some of the first quarter of the steps ({notes.listed(early)})."
    if cut := [titles[place] for place, seen in views.items() if seen.cut]:
        yield f"Bands of few seeds that reach far beyond all lines are cut by the axis ({notes.listed(cut)})."


def _alike(data: pd.DataFrame) -> Iterator[str]:
    where: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for _, part in data.groupby("panel", sort=True):
        for group in alike(part, seen) if (seen := view(part)) else ():
            where.setdefault(group, []).append(part["title"].iloc[0])
    for equal, what in (
        (True, "Equal at every step"),
        (False, f"Hardly told apart, at every step closer than {100 * CLOSE:g} % of the axis"),
    ):
        told = [f"{notes.listed(names)} ({notes.listed(panels)})" for (names, same), panels in where.items() if same == equal]
        if told:
            yield f"{what}: {'; '.join(told)}."


def _span(values: Sequence[int]) -> str:
    return ", ".join(map(str, values)) if len(values) <= 8 else f"{values[0]} … {values[-1]}"


def _either(counts: Sequence[int]) -> str:
    """`3`, `2 or 5`, `2 to 8`."""
    return (" or " if len(counts) == 2 else " to ").join(map(str, dict.fromkeys((counts[0], counts[-1]))))
