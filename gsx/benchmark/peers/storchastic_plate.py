"""REINFORCE on the toy with Storchastic, the estimates as one of its independent plates: the most it can be made to do at once."""

from __future__ import annotations

from collections.abc import Callable

from gsx.benchmark.child import serve
from gsx.benchmark.peers.toy import LOGITS, TARGET


def prepare() -> Callable[[int], None]:
    import storch
    import torch
    from torch.distributions import Bernoulli

    logits = torch.tensor(LOGITS)
    method = storch.method.ScoreFunction("z", n_samples=1)

    def estimates(count: int) -> None:
        copies = logits.repeat(count, 1).requires_grad_()  # the gradient of each is one estimate
        z = method(Bernoulli(logits=storch.denote_independent(copies, 0, "estimates")))
        storch.add_cost(((z - TARGET) ** 2).mean(-1), "f")
        storch.backward()

    return estimates


if __name__ == "__main__":
    serve(prepare)
