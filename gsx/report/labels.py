"""What a run is called: a property of the run among its siblings, made here and nowhere else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gsx.records import Result, canonical_json

#: Keys of a configuration that are scheduling, bookkeeping or have a column of their own: they name no run.
_SILENT = ("estimator", "model", "data", "wrt", "name", "num_samples", "workers", "shard", "plugins", "force", "target_se", "engine")
_SYMBOLS = {"temperature": "τ", "scale": "ρ", "num_replicates": "R"}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key in sorted(value, key=str):
        flat |= flatten(value[key], f"{prefix}.{key}" if prefix else str(key))
    return flat


def tunables(result: Result) -> dict[str, Any]:
    """The estimator's own settings."""
    settings = result.config.get("estimator")
    return {key: value for key, value in flatten(settings).items() if key != "name"} if isinstance(settings, Mapping) else {}


def circumstances(result: Result) -> dict[str, Any]:
    """How it was measured: seed, R, dtype, device, reference, tuning. Only told where runs differ in nothing else."""
    flat = flatten({key: value for key, value in result.config.items() if key not in _SILENT})
    return {key.removesuffix(".name"): value for key, value in flat.items()}


def _blocks(result: Result) -> dict[str, Any]:
    """Follows from R where it was not asked for, and is told after it."""
    return {"block_size": result.config.get("block_size")}


def _around(result: Result) -> dict[str, Any]:
    return {key: value for key, value in circumstances(result).items() if key != "block_size"}


def label(result: Result, siblings: Sequence[Result]) -> str:
    """The estimator's name and the settings in which its runs among `siblings` (the runs on one model) differ: ``concrete τ=0.5, N=4``."""
    return labels(siblings)[next(i for i, sibling in enumerate(siblings) if sibling is result)]


def labels(siblings: Sequence[Result], without: Collection[str] = ()) -> list[str]:
    """`label` of each: at once, because what differs is a property of all of them. Settings in `without` (`N` is one) are not told."""
    runs_of: dict[str, list[int]] = defaultdict(list)
    for i, result in enumerate(siblings):
        runs_of[result.estimator].append(i)
    many_n = "N" not in without and len({result.num_samples for result in siblings}) > 1
    parts: list[list[str]] = [[] for _ in siblings]

    def tell(indices: list[int], settings: Callable[[Result], dict[str, Any]]) -> None:
        told = [{key: value for key, value in settings(siblings[i]).items() if key not in without} for i in indices]
        for i, text in zip(indices, differences(told), strict=True):
            parts[i] += text

    def names() -> list[str]:
        return [" ".join(filter(None, [r.estimator, ", ".join(p)])) for r, p in zip(siblings, parts, strict=True)]

    for indices in runs_of.values():
        tell(indices, tunables)
        for i in indices:
            parts[i] += [f"N={siblings[i].num_samples}"] if many_n else []
    for tie_break in (_around, _blocks, lambda result: {"engine": result.engine}, lambda result: {"run": result.result_id[:8]}):
        # A tie is broken among all runs of the estimator, so that every one of a seed sweep names its seed.
        count = Counter(tied := names())
        for indices in runs_of.values():
            if any(count[tied[i]] > 1 for i in indices):
                tell(indices, tie_break)
    return names()


def series(results: Sequence[Result], without: str) -> list[str]:
    """The label of the curve that each run belongs to when `without` (a tunable, `N`, or a setting of the model) is on the axis.

    Runs that differ beside it in R or block size only are on one curve.
    """

    def key(result: Result) -> str:
        own = {name: value for name, value in tunables(result).items() if name != without}
        around = {name: value for name, value in circumstances(result).items() if name not in ("num_replicates", "block_size")}
        return canonical_json([result.estimator, own, None if without == "N" else result.num_samples, around])

    first: dict[str, Result] = {}
    for result in results:
        first.setdefault(key(result), result)
    names = dict(zip(first, labels(list(first.values()), {without}), strict=True))
    return [names[key(result)] for result in results]


def differences(settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """For each of several settings, ``key=value`` for the keys in which they are not all alike."""
    keys = sorted({key for entry in settings for key in entry})
    varying = [key for key in keys if len({canonical_json(entry.get(key)) for entry in settings}) > 1]
    return [[f"{_symbol(key)}={said(key, entry[key])}" for key in varying if key in entry] for entry in settings]


def _symbol(key: str) -> str:
    return _SYMBOLS.get(key, key)


def said(key: str, value: Any) -> str:
    """A setting, in few letters."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = value if isinstance(value, str) else _repeated(value) or canonical_json(value)
        if key == "checkpoint":
            return text[:8]  # of a digest, as the folder of the run has it
        return text if len(text) <= 32 else text[:31] + "…"
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _repeated(value: Any) -> str | None:
    """A list of many equal numbers by how many they are."""
    many = isinstance(value, list) and len(value) > 3 and all(one == value[0] for one in value)
    return f"{len(value)} times {canonical_json(value[0])}" if many else None
