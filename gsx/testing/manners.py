"""How an estimator behaves as a function of q, cost and noise: shapes, dtypes, batches, side effects, determinism, extremes."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsx.distributions import Discrete, Distribution, KSubset
from gsx.noise import Block, Noise
from gsx.testing.examples import cost_for, examples, extremes
from gsx.testing.subject import CPU, NotApplicable, Subject, require


def noise_for(dtype: torch.dtype, block: int = 0) -> Noise:
    return Block(11, "manners", block, dtype, CPU).one()


def gradients(value: Tensor, q: Distribution) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value.sum(), tuple(q.parameters.values()))


def shapes_and_dtypes(subject: Subject) -> None:
    """An estimate of E[cost] has the shape of the batch, its gradient that of the parameters, in their dtype, finite and not zero."""
    for dtype in (torch.float32, torch.float64):
        for batch in ((), (5,), (2, 5)):
            for more in (0, 2):
                for q in examples(subject, batch, dtype):
                    estimator = subject.prepared(q, subject.samples(more))
                    value = estimator.expect(q, cost_for(subject), noise_for(dtype))
                    where = f"{type(q).__name__}, batch {batch}, {dtype}, N = {estimator.num_samples}"
                    require(value.shape == batch, f"{where}: the value has shape {tuple(value.shape)}")
                    require(value.dtype == dtype, f"{where}: the value is {value.dtype}")
                    for name, slope in zip(q.parameters, gradients(value, q), strict=True):
                        require(slope.dtype == dtype, f"{where}: the gradient in {name} is {slope.dtype}")
                        require(bool(torch.isfinite(slope).all()), f"{where}: the gradient in {name} is not finite")
                        require(bool(slope.abs().max() > 0), f"{where}: the gradient in {name} is zero")


def rows_are_independent(subject: Subject) -> None:
    """What is estimated for one row of a batch has no gradient in the parameters of another."""
    for q in examples(subject, (4,), torch.float64):
        value = subject.prepared(q).expect(q, cost_for(subject), noise_for(torch.float64))
        found = torch.autograd.grad(value[1], tuple(q.parameters.values()))
        for name, slope in zip(q.parameters, found, strict=True):
            require(bool((slope[[0, 2, 3]] == 0).all()), f"{type(q).__name__}: row 1 has a gradient in the {name} of other rows")


def nothing_is_changed(subject: Subject) -> None:
    """Neither `.grad`, nor a global generator, nor the parameters, nor the estimator itself."""
    for q in examples(subject, (2,), torch.float32):
        estimator = subject.prepared(q)
        parameters = {name: value.detach().clone() for name, value in q.parameters.items()}
        state, own = repr(estimator.state_dict()), repr(copy.deepcopy(vars(estimator)))
        torch_before, numpy_before = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002 - the global one is guarded
        gradients(estimator.expect(q, cost_for(subject), noise_for(torch.float32)), q)
        require(torch.equal(torch.get_rng_state(), torch_before), "torch's global generator has moved")
        require(repr(np.random.get_state()) == numpy_before, "NumPy's global generator has moved")  # noqa: NPY002
        left = [value for value in (*q.parameters.values(), *estimator.parameters()) if value.grad is not None]
        require(not left, "something was left in .grad: an estimator never calls backward")
        require(all(torch.equal(q.parameters[name], value) for name, value in parameters.items()), "the parameters of q were changed")
        require((repr(estimator.state_dict()), repr(vars(estimator))) == (state, own), "`expect` has changed the estimator")


def same_noise_same_bits(subject: Subject) -> None:
    """Everything random is a function of the noise that is handed in; other noise gives another answer."""
    for q in examples(subject, (3,), torch.float64):
        estimator = subject.prepared(q)
        first, second, other = (estimator.expect(q, cost_for(subject), noise_for(torch.float64, block)) for block in (0, 0, 1))
        require(torch.equal(first, second), f"{type(q).__name__}: the same noise gives another value")
        of_first, of_second, of_other = (gradients(value, q) for value in (first, second, other))
        require(all(map(torch.equal, of_first, of_second)), f"{type(q).__name__}: the same noise gives another gradient")
        if not subject.is_exact:
            same = torch.equal(first, other) and all(map(torch.equal, of_first, of_other))
            require(not same, f"{type(q).__name__}: the noise makes no difference")


def extremes_are_finite(subject: Subject) -> None:
    """At saturated logits, a category of probability 1e-12 and a temperature of 1e-3 every gradient of every replicate is finite, in both
    precisions."""
    tried = 0
    cold = [replace(subject, settings={**subject.settings, key: 1e-3}) for key in subject.settings if "temperature" in key]
    for one, dtype in product((subject, *cold), (torch.float32, torch.float64)):
        for q in extremes(one, dtype):
            many = q.map(lambda value: value.detach().expand(64, *value.shape).clone().requires_grad_())
            estimator = one.prepared(q, one.samples(1))
            value = estimator.expect(many, cost_for(one), Block(11, "extremes", 0, dtype, CPU).tile(0, 64))
            for name, slope in zip(many.parameters, gradients(value, many), strict=True):
                bad = int((~torch.isfinite(slope)).flatten(1).any(1).sum())
                at = "a temperature of 1e-3" if one is not subject else "extreme parameters"
                require(bad == 0, f"{type(q).__name__} in {dtype}: {bad} of 64 gradients in {name} are not finite at {at}")
            tried += 1
    if not tried:
        raise NotApplicable("no extremes are known for its distributions")


def hard_and_relaxed_agree(subject: Subject) -> None:
    """Where the cost meets a draw both hard and relaxed, on frozen noise, both come from one latent: the relaxed one hardens to the hard.

    A pair of different latents may stay unbiased, so that no test of bias sees it.
    """
    compared = 0
    for q in examples(subject, (6,), torch.float64):
        if not isinstance(q, Discrete) or subject.kind.multi_sample:
            continue
        seen: list[Tensor] = []

        def watching(z: Tensor, q: Any, seen: list[Tensor] = seen) -> Tensor:
            seen.extend(z.detach().unbind(0))
            return cost_for(subject)(z, q)

        first: list[Tensor] = []
        other: list[Tensor] = []
        for found, block in ((first, 0), (other, 1)):
            seen.clear()
            subject.prepared(q).expect(q, watching, noise_for(torch.float64, block))
            found.extend(seen)
        drawn = [z for z, again in zip(first, other, strict=True) if not torch.equal(z, again)]  # a mean-field point is no draw
        hard = [z for z in drawn if bool(((z == 0) | (z == 1)).all())]
        relaxed = [z for z in drawn if bool(((z > 0) & (z < 1)).all())]
        for z in relaxed if hard else []:
            hardened = (z > 0.5).to(z.dtype) if q.event_ndim == 1 else q.harden(z)
            require(any(torch.equal(hardened, one) for one in hard), f"{type(q).__name__}: a relaxed draw is not that of any hard one")
            compared += 1
    if not compared:
        raise NotApplicable("its cost never meets a draw both hard and relaxed")


def a_constant_has_no_gradient(subject: Subject) -> None:
    """Exactly none where the gradient is the cost's; none on average (z-tests at 1e-7) where it is a score's."""
    if not (subject.kind.unbiased or subject.kind.needs_cost_gradient):
        raise NotApplicable("biased, and without a gradient of the cost")

    def constant(z: Tensor, q: Any) -> Tensor:
        return 2.7 + 0 * z.flatten(-q.event_ndim).sum(-1)

    replicates = 4 if subject.is_exact else 4096
    for q in examples(subject, (), torch.float64):
        if subject.is_exact and not isinstance(q, Discrete | KSubset):
            continue  # a quadrature finds its order where it is a reference
        many = q.map(lambda value: value.detach().expand(replicates, *value.shape).clone().requires_grad_())
        value = subject.prepared(q).expect(
            many, cost_for(subject, constant), Block(3, "constant", 0, torch.float64, CPU).tile(0, replicates)
        )
        for name, g in zip(many.parameters, gradients(value, many), strict=True):
            error = g.std(0) / replicates**0.5
            z = float(((g.mean(0).abs() - 1e-12) / error.clamp_min(1e-300)).max())
            require(z <= 5.33, f"{type(q).__name__}: a constant cost has a gradient in {name}, {z:.1f} standard errors from 0")
