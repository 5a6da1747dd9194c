"""The process's side of a `gsx.worker.Worker`: it makes the measurement that it is told of, and adds the blocks that it is asked for."""

from __future__ import annotations

import sys

from gsx.accumulator import Accumulator
from gsx.configuration import Configuration
from gsx.learnt import put_back
from gsx.measurement import Measurement
from gsx.parcel import unpack
from gsx.process import answering
from gsx.reference import STREAM, long_run
from gsx.worker import Work


def serve(parcel: int, memory: int, spare: int) -> None:
    """Answer until nothing more is asked. ``parcel`` and ``memory`` are descriptors, ``spare`` is a row of the accumulator there."""
    say = answering()
    words, tensors = unpack(parcel)
    measurement = Measurement(Configuration.of(words["given"]))
    if words["stream"] == STREAM:
        route, _ = long_run(measurement.program.in_float64(), measurement.configuration.reference)
    else:
        route = measurement.route
    put_back(route.estimator, tensors)
    work = Work(route, words["replicates"], words["seed"], words["stream"], tensors.get("direction"))
    program = route.program
    accumulator = Accumulator(
        program.layout,
        words["segments"],
        program.device,
        materialises=words["materialises"],
        writers=words["writers"],
        descriptor=memory,
        spare=spare,
    )
    say("ready")
    for line in sys.stdin:
        what, *blocks = line.split()
        if what == "try":
            say(work.some_bits(int(blocks[0])))
        else:
            for block in map(int, blocks):
                accumulator.add(block, work.moments(block))
            say("added")
