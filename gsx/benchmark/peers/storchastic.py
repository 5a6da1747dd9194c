"""REINFORCE on the toy with Storchastic's own interface, one estimate after another."""

from __future__ import annotations

from collections.abc import Callable

from gsx.benchmark.child import serve
from gsx.benchmark.peers.toy import LOGITS, TARGET


def prepare() -> Callable[[int], None]:
    import storch
    import torch
    from torch.distributions import Bernoulli

    logits = torch.tensor(LOGITS, requires_grad=True)
    method = storch.method.ScoreFunction("z", n_samples=1)

    def estimates(count: int) -> None:
        for _ in range(count):
            logits.grad = None
            z = method(Bernoulli(logits=logits))
            storch.add_cost(((z - TARGET) ** 2).mean(-1), "f")
            storch.backward()

    return estimates


if __name__ == "__main__":
    serve(prepare)
