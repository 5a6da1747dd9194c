"""The configuration that a result, a training or a plan was made with, as data that anyone may have written."""

from __future__ import annotations

from gsx.store.schema import Each, Rule, Some, amount, count, number, positive

_NAMED: Rule = Some({"name": str})

#: gsx writes some dozens, and whoever compares configurations key by key takes the square of their number.
MOST_KEYS = 500

#: Which keys there are is for those who wrote it, and so is what is in a group beside its name.
CONFIG: Rule = Some(
    {
        **dict.fromkeys(("estimator", "model", "device", "data"), _NAMED),
        **dict.fromkeys(("reference", "tune"), dict),
        "optimizer": Some({"name": str, "lr": number}),
        "schedule": Each(dict),
        "probe": [Some({"name": str, "num_samples": (positive, None)})],
        "plugins": [str],
        **dict.fromkeys(("name", "dtype", "wrt", "engine"), str),
        **dict.fromkeys(("num_samples", "block_size"), (positive, None)),
        **dict.fromkeys(("num_replicates", "probe_replicates", "steps", "seeds", "checkpoint_every"), positive),
        **dict.fromkeys(("evaluate_samples", "evaluate_rows", "bound_samples"), positive),
        **dict.fromkeys(("evaluate_every", "probe_every"), (count, None)),
        "seed": count,
        "target_se": (amount, None),
        "maximize": bool,
    },
    most=MOST_KEYS,
)
