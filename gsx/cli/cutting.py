"""A run cut into all its parts: `shard=all/n` is the sweep over the n shards, whatever launcher runs them."""

from __future__ import annotations

import re

_ALL = re.compile(r"shard=all/([1-9]\d{0,3})")

#: The launcher that cuts a run, be it told so or not, and into how many parts.
LAUNCHER, PARTS = "submitit_shards", "shard=all/8"


def cut(overrides: list[str]) -> list[str]:
    """The overrides with `shard=all/n` written out: `shard=0/n,1/n,...`."""
    return [
        "shard=" + ",".join(f"{number}/{found[1]}" for number in range(int(found[1]))) if (found := _ALL.fullmatch(word)) else word
        for word in overrides
    ]
