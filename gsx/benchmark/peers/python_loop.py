"""REINFORCE on the toy as anyone would write it: torch.distributions, and one backward pass for each estimate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.distributions import Bernoulli

from gsx.benchmark.child import serve
from gsx.benchmark.peers.toy import LOGITS, TARGET


def prepare() -> Callable[[int], None]:
    logits = torch.tensor(LOGITS, requires_grad=True)

    def estimates(count: int) -> None:
        for _ in range(count):
            logits.grad = None
            q = Bernoulli(logits=logits, validate_args=False)  # the checks would cost it a quarter more
            b = q.sample()  # type: ignore[no-untyped-call]
            f = ((b - TARGET) ** 2).mean()
            (f * q.log_prob(b).sum()).backward()  # type: ignore[no-untyped-call]

    return estimates


if __name__ == "__main__":
    serve(prepare)
