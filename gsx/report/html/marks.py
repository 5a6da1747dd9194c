"""What a verdict, a state or a finding looks like and means: a sign and a word, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from gsx.records import NO_BIAS_FOUND
from gsx.report.verdicts import MEANING


@dataclass(frozen=True)
class Mark:
    sign: str
    tone: str  # good | bad | warn | calm: a class of the style sheet
    meaning: str


VERDICTS = {
    "unbiased": Mark("✓", "good", "no bias found; the largest bias that could have hidden is told with it"),
    NO_BIAS_FOUND: Mark("≈", "calm", MEANING),
    "biased": Mark("✗", "bad", "bias found, and not explained by an event too rare to have been drawn"),
    "inconclusive": Mark("?", "warn", "something stands out, but the replicates or the data are too few or too skewed to decide"),
    "self-referenced": Mark("↻", "calm", "the reference is a long run of this same estimator: no statement on its bias"),
    "deterministic": Mark("=", "calm", "no variance at all, and right"),
    "nonfinite": Mark("!", "bad", "some replicate was NaN or infinite; nothing is dropped, nothing finite-only is reported"),
}

STATES = {
    "complete": Mark("●", "calm", "carried out to the end"),
    "partial": Mark("◐", "warn", "not finished: the numbers are those so far"),
    "failed": Mark("✗", "bad", "stopped with an error"),
    "unreadable": Mark("⊘", "bad", "what is stored is torn, foreign, behind a link or not valid"),
    "missing": Mark("○", "bad", "planned, and not there"),
}

FINDINGS = {
    "reproduced": Mark("✓", "good", "measured and published agree within error and tolerance"),
    "not reproduced": Mark("✗", "bad", "measured and published differ by more than error and tolerance"),
    "as expected": Mark("✓", "good", "as we expect it, within error and tolerance; nobody published it"),
    "not as expected": Mark("✗", "bad", "otherwise than we expect it, by more than error and tolerance; nobody published it"),
    "inconclusive": Mark("?", "warn", "measured too coarsely to decide, or without an interval"),
    "measured": Mark("●", "calm", "a number that is held against nothing"),
    "missing": Mark("○", "bad", "not measured, or its result is gone"),
}

#: Of a run and of a training; a finding has words of its own, and `inconclusive` means another thing there.
MARKS = VERDICTS | STATES
