"""BackPACK's sums of squared gradients, one gradient for each row: the linear decoder of the VAE as a supervised problem."""

from __future__ import annotations

from collections.abc import Callable

from gsx.benchmark.child import serve

LATENTS, PIXELS = 200, 784
#: Rows of one minibatch.
CHUNK = 1024


def prepare() -> Callable[[int], None]:
    import torch
    from backpack import backpack, extend
    from backpack.extensions import SumGradSquared

    decoder = extend(torch.nn.Linear(LATENTS, PIXELS))
    loss = extend(torch.nn.BCEWithLogitsLoss(reduction="sum"))
    pixels = (torch.rand(CHUNK, PIXELS) < 0.2).float()

    def rows(count: int) -> None:
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            decoder.zero_grad()
            codes = 2 * torch.bernoulli(torch.full((stop - start, LATENTS), 0.5)) - 1
            with backpack(SumGradSquared()):
                loss(decoder(codes), pixels[: stop - start]).backward()

    return rows


if __name__ == "__main__":
    serve(prepare)
