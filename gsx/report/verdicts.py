"""The word for a verdict on bias: what was found, and never more than that."""

from __future__ import annotations

from collections.abc import Iterable

from gsx.records import Result

#: Where a bias is declared, an estimator is not called unbiased for having too small a one.
NOT_FOUND = "no bias found"
MEANING = "declared biased, by less here than so many replicates can show"


def word(result: Result) -> str:
    status = result.verdict.status
    return NOT_FOUND if status == "unbiased" and result.facts.get("unbiased") is False else status.replace("_", "-")


def explained(results: Iterable[Result]) -> list[str]:
    """What must be said of the words; nothing where they speak for themselves."""
    return [f"{NOT_FOUND}: {MEANING}."] if NOT_FOUND in map(word, results) else []


def told(results: Iterable[Result]) -> str:
    """The same, for a caption."""
    return "".join(f"{text[0].upper()}{text[1:]} " for text in explained(results))
