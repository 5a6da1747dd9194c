"""Random numbers as an argument: a counter-based generator, named streams, and the explicit transforms of a uniform.

Every number is addressed by (seed, stream, block, site, draw, position) and by nothing else: not by who asks, in which order, in how many
pieces, or on which device. The generator is Philox4x64-10 (Salmon et al. 2011), keyed by a 128-bit hash of the address; NumPy computes it
on the CPU, and the same integer arithmetic written in torch computes it, bit for bit, on any other device.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

#: Part of every result's identity: a change to how numbers are made must change it.
SCHEME = "philox4x64-10/blake2b-128/1"

Shape = tuple[int, ...]

#: Where a replicate has no more numbers than this, the replicates are laid innermost in memory: kernels then run along them, instead of
#: taking a row of eight at a time.
FEW = 64


class HasShapes(Protocol):
    """What noise needs to know of a distribution."""

    @property
    def batch_shape(self) -> Shape: ...
    @property
    def event_shape(self) -> Shape: ...


# ---------------------------------------------------------------------------------------------------------------- generator


def key(*address: int | str) -> np.ndarray:
    """The 128-bit Philox key ``[2] uint64`` of an address."""
    text = "\x1f".join(str(part) for part in address)
    return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype="<u8")


def uniforms(address: tuple[int | str, ...], start: int, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers ``start .. start + count`` of the sequence at an address, strictly inside (0, 1), shape ``[count]``.

    float64 uses 52 bits of a word x, ((x >> 12) + 1/2) 2^-52; float32 uses 23 bits of each half h, low half first, ((h >> 9) + 1/2) 2^-23.
    Neither can round to 0 or 1, and both are symmetric about 1/2.
    """
    per_word = {torch.float64: 1, torch.float32: 2}[dtype]
    first_word, last_word = start // per_word, -(-(start + count) // per_word)
    if device.type == "cpu":
        numbers = _uniforms_numpy(_words_numpy(key(*address), first_word, last_word - first_word), dtype)
    else:
        numbers = _uniforms_torch(_words_torch(key(*address), first_word, last_word - first_word, device), dtype)
    return numbers[start - first_word * per_word :][:count]


def _words_numpy(philox_key: np.ndarray, first: int, count: int) -> np.ndarray:
    # NumPy increments the counter before it generates four words: counter c yields words 4c, 4c + 1, ...
    generator = np.random.Philox(key=philox_key, counter=first // 4)
    skip = first % 4
    words: np.ndarray = generator.random_raw(skip + count)
    return words[skip:]


def _uniforms_numpy(words: np.ndarray, dtype: torch.dtype) -> Tensor:
    if dtype == torch.float64:
        numbers = (words >> np.uint64(12)).astype(np.float64)
        numbers += 0.5
        numbers *= 2.0**-52
        return torch.from_numpy(numbers)
    # Written as exponent and mantissa bits the 23 bits are 1 + h 2^-23; both subtractions below are exact.
    halves = words.view("<u4")
    halves >>= np.uint32(9)
    halves |= np.uint32(0x3F800000)
    small = halves.view("<f4")
    small -= np.float32(1 - 2.0**-24)
    return torch.from_numpy(small)


_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOW = 0xFFFFFFFF


def _signed(x: int) -> int:
    """The 64-bit pattern of x as the int64 that torch stores."""
    x &= 0xFFFFFFFFFFFFFFFF
    return x - (1 << 64) if x >> 63 else x


def _high_and_low(a: int, b: Tensor) -> tuple[Tensor, Tensor]:
    """The 128-bit product of an unsigned constant and unsigned 64-bit words, from 32-bit limbs."""
    a_high, a_low = a >> 32, a & _LOW
    b_high, b_low = (b >> 32) & _LOW, b & _LOW
    carry = ((a_low * b_low) >> 32) & _LOW
    middle = a_high * b_low + carry
    other = a_low * b_high + (middle & _LOW)
    high = a_high * b_high + ((middle >> 32) & _LOW) + ((other >> 32) & _LOW)
    return high, _signed(a) * b


def _words_torch(philox_key: np.ndarray, first: int, count: int, device: torch.device) -> Tensor:
    """The same words as `_words_numpy`, as int64 bit patterns, by elementwise arithmetic on ``device``."""
    rounds = int(philox_key[0]), int(philox_key[1])
    counters = torch.arange(first // 4 + 1, -(-(first + count) // 4) + 1, device=device)
    c0, c1, c2, c3 = counters, torch.zeros_like(counters), torch.zeros_like(counters), torch.zeros_like(counters)
    for _ in range(10):
        high0, low0 = _high_and_low(_MULTIPLIERS[0], c0)
        high1, low1 = _high_and_low(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ _signed(rounds[0]), low1, high0 ^ c3 ^ _signed(rounds[1]), low0
        rounds = (rounds[0] + _WEYL[0]) & 0xFFFFFFFFFFFFFFFF, (rounds[1] + _WEYL[1]) & 0xFFFFFFFFFFFFFFFF
    return torch.stack((c0, c1, c2, c3), dim=1).flatten()[first % 4 :][:count]


def _uniforms_torch(words: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype == torch.float64:
        return (((words >> 12) & ((1 << 52) - 1)).to(torch.float64) + 0.5) * 2.0**-52
    halves = words.view(torch.int32)
    bits = ((halves >> 9) & 0x7FFFFF) | 0x3F800000
    return bits.view(torch.float32) - (1 - 2.0**-24)


# --------------------------------------------------------------------------------------------------------------------- noise

#: ``draw(site, draw, shape)``: uniforms for the ``draw``-th request made at a site.
Draw = Callable[[str, int, Shape], Tensor]


class Noise:
    """The random numbers of one call of `expect`, as an argument.

    ``at(site)`` gives the noise of another site; the requests of each site are numbered on their own, so that what one site draws does not
    move what another sees. With ``replicates=True`` the batch of a distribution begins with an axis of replicates, which the numbers are
    addressed by first: replicate r then sees the numbers it would see alone.
    """

    def __init__(self, draw: Draw, *, site: str = "z", replicates: bool = False, requests: Counter[str] | None = None) -> None:
        self.site = site
        self._draw = draw
        self._replicates = replicates
        self._requests: Counter[str] = Counter() if requests is None else requests

    def at(self, site: str) -> Noise:
        return Noise(self._draw, site=site, replicates=self._replicates, requests=self._requests)

    def uniform(self, sample_shape: Shape, q: HasShapes) -> Tensor:
        """Uniforms on (0, 1), ``[*sample_shape, *batch, *event]``."""
        if not self._replicates:
            return self._next((*sample_shape, *q.batch_shape, *q.event_shape))
        of_one = (*q.batch_shape[1:], *q.event_shape)
        numbers = self._next((*sample_shape, *of_one))
        if math.prod(of_one) <= FEW:
            return numbers.movedim(0, -1).contiguous().movedim(-1, len(sample_shape))
        return numbers.movedim(0, len(sample_shape)).contiguous()

    def standard_normal(self, shape: Shape) -> Tensor:
        """Normal numbers of just this shape, for initial parameters and random tables."""
        return normal(self._next(shape))

    def _next(self, shape: Shape) -> Tensor:
        index = self._requests[self.site]
        self._requests[self.site] += 1
        return self._draw(self.site, index, shape)


class Block:
    """The numbers of one block of replicates, addressed by (seed, stream, block)."""

    def __init__(self, seed: int, stream: str, block: int, dtype: torch.dtype, device: torch.device) -> None:
        self.seed, self.stream, self.block, self.dtype, self.device = seed, stream, block, dtype, device

    def draw(self, site: str, draw: int, shape: Shape, start: int = 0, stop: int = 1) -> Tensor:
        """The numbers of replicates ``start .. stop``, ``[stop - start, *shape]``."""
        size = math.prod(shape)
        address = (self.seed, self.stream, self.block, site, draw)
        return uniforms(address, start * size, (stop - start) * size, self.dtype, self.device).reshape(stop - start, *shape)

    def tile(self, start: int, stop: int) -> Noise:
        """Noise for distributions whose batch begins with the replicates ``start .. stop``."""
        return Noise(lambda site, draw, shape: self.draw(site, draw, shape, start, stop), replicates=True)

    def one(self) -> Noise:
        """Noise for a single evaluation: that of the block's replicate 0."""
        return Noise(lambda site, draw, shape: self.draw(site, draw, shape)[0])


def record(noise: Noise, log: list[tuple[str, int, Shape]]) -> Noise:
    """The same noise, which writes every request to ``log``: how a dry run learns what numbers an estimator wants."""

    def draw(site: str, index: int, shape: Shape) -> Tensor:
        log.append((site, index, shape))
        return noise._draw(site, index, shape)

    return Noise(draw)


def replay(numbers: dict[tuple[str, int], Tensor]) -> Noise:
    """Noise from numbers drawn before, as `vmap` needs it, and as a test of coupling wants it."""
    return Noise(lambda site, index, shape: numbers[site, index])


# ---------------------------------------------------------------------------------------------------------------- transforms


def logistic(u: Tensor) -> Tensor:
    """Standard logistic: log u - log(1 - u)."""
    return torch.log(u) - torch.log1p(-u)


def gumbel(u: Tensor) -> Tensor:
    """Standard Gumbel: -log(-log u)."""
    return -torch.log(-torch.log(u))


def normal(u: Tensor) -> Tensor:
    """Standard normal, by the inverse of its distribution function."""
    eps: Tensor = torch.special.ndtri(u)
    return eps
