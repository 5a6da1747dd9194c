"""The estimators as text, from the classes alone: the table of the README and of `gsx list`, a page each, and BibTeX."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import cast

from gsx import registry
from gsx.estimators.base import Estimator

#: The order of the table: what a reader looks for first.
FAMILIES = (
    "exact",
    "pathwise",
    "score function",
    "coupled Bernoulli",
    "coupled categorical",
    "conditional expectation",
    "measure-valued",
    "control variate",
    "multi-sample",
    "relaxation",
    "straight-through",
    "perturbation",
)
COLUMNS = ("name", "family", "unbiased", "cost gradient", "evaluations", "distributions", "settings", "source")


def estimators(plugins: Iterable[str] = ()) -> dict[str, type[Estimator]]:
    """Every estimator by its name, family by family."""
    found = {name: cast(type[Estimator], registry.find("estimators", name, plugins)) for name in registry.names("estimators", plugins)}
    order = {family: place for place, family in enumerate(FAMILIES)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[1].family, len(order)), item[0])))


def row(name: str, kind: type[Estimator]) -> Sequence[str]:
    """One estimator under `COLUMNS`."""
    unbiased = "no" if not kind.unbiased else f"if {kind.unbiased_if}" if kind.unbiased_if else "yes"
    if kind.least_samples > 1:
        unbiased += f"; N >= {kind.least_samples}" + (", even" if kind.in_pairs else "")
    return (
        name,
        kind.family,
        unbiased,
        "yes" if kind.needs_cost_gradient else "no",
        kind.evaluations,
        ", ".join(q.__name__ for q in kind.distributions),
        ", ".join(registry.schema(kind)),
        kind.citation,
    )


def table() -> str:
    """The table of the README, in Markdown."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = [row(name, kind) for name, kind in estimators().items()]
    linked = [(f"[`{name}`](docs/estimators/{name}.md)", *(cell.replace("|", "\\|") for cell in rest)) for name, *rest in rows]
    return "\n".join([line(COLUMNS), line(["---"] * len(COLUMNS)), *map(line, linked)])


def page(name: str, kind: type[Estimator]) -> str:
    """One estimator, in Markdown: its docstring, its facts, its settings."""
    first, *sections = re.split(r"\n(?=[A-Z][\w ]*: )", inspect.getdoc(kind) or "")
    text = [f"# {name}", " ".join(first.split())]
    for section in sections:
        heading, _, rest = section.partition(":")
        text.append(f"**{heading}.** {' '.join(rest.split())}")
    facts = dict(zip(COLUMNS[1:], row(name, kind)[1:], strict=True)) | {
        "cost gradients": kind.gradient_evaluations,
        "tuned by": kind.tuned_by,
    }
    text.append("\n".join(["| fact | |", "|---|---|", *(f"| {fact} | {value or 'none'} |" for fact, value in facts.items())]))
    settings = [f"estimator.{key}={parameter.default}" for key, parameter in registry.schema(kind).items()]
    text.append("```sh\n" + " ".join([f"gsx run estimator={name}", *settings]) + "\n```")
    text.append(f"Generated from `gsx/estimators/{name}.py` by `scripts/document`.")
    return "\n\n".join(text) + "\n"


def bibtex(name: str, kind: type[Estimator]) -> str:
    """The citation of an estimator as an entry, keyed by its name."""
    cited = re.match(
        r"(?P<author>[^(]+) \((?P<year>\d{4})\), (?P<title>.+?)(?:, (?P<where>[^,]*(?:arXiv|ICLR|NeurIPS|ICML|Math|Machine).*))?$",
        kind.citation,
    )
    if cited is None:
        return f"@misc{{{name},\n  note = {{{kind.citation}}},\n}}"
    authors = " and ".join(re.split(r", (?:& )?| & ", cited["author"].replace(" et al.", ", others")))
    fields = {"author": authors, "year": cited["year"], "title": cited["title"]}
    number = re.search(r"arXiv (\d{4}\.\d{4,5})", cited["where"] or "")
    if number:
        fields |= {"eprint": number[1], "archiveprefix": "arXiv"}
    elif cited["where"]:
        fields["howpublished"] = cited["where"]
    return "\n".join([f"@misc{{{name},", *(f"  {key} = {{{value}}}," for key, value in fields.items()), "}"])
