"""What a GPU makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from gsx.benchmark.pairs import repeat, timed
from gsx.benchmark.peers.vae_step import LOSSES
from gsx.benchmark.row import Effort, Job, NotMeasured, Row, Samples
from gsx.benchmark.vae import Cell, against_step


def gpu(effort: Effort) -> list[Job]:
    """On a CUDA device: the engine against the plain step, and how fast the device copies memory."""
    copy = Row("gpu", "copying memory on the device, read and written", "alone", "GB")
    jobs = [against_step("gpu", Cell(estimator, device="cuda"), 1.3, effort) for estimator in LOSSES]
    return [dataclasses.replace(job, measure=_where_there_is_one(job.measure)) for job in (*jobs, Job(copy, _copy))]


def _copy() -> Samples:
    count = 2**28
    source = torch.zeros(count, device="cuda")
    target = torch.empty_like(source)
    return repeat(timed(lambda: target.copy_(source), 2 * count * source.element_size() / 1e9, "cuda"), 21)


def _where_there_is_one(measure: Callable[[], Samples]) -> Callable[[], Samples]:
    def guarded() -> Samples:
        if not torch.cuda.is_available():
            raise NotMeasured("torch sees no CUDA device on this machine")
        return measure()

    return guarded
