"""What must be said beside the words for a verdict on bias (`Result.verdict_word`)."""

from __future__ import annotations

from collections.abc import Iterable

from gsx.records import NO_BIAS_FOUND, Result

#: What is meant where a bias is declared, and none was found.
MEANING = "declared biased, by less here than so many replicates can show"


def explained(results: Iterable[Result]) -> list[str]:
    """What must be said of the words; nothing where they speak for themselves."""
    return [f"{NO_BIAS_FOUND}: {MEANING}."] if any(result.verdict_word == NO_BIAS_FOUND for result in results) else []


def told(results: Iterable[Result]) -> str:
    """The same, for a caption."""
    return "".join(f"{text[0].upper()}{text[1:]} " for text in explained(results))
