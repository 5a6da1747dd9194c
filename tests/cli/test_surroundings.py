"""What a plug-in changes of its process is put back after each cell, and what it is wrong about costs its own cells."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gsx.cli.failures import contained
from tests.cli.conftest import Inside
from tests.cli.process import one_line


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def in_a_thread(act: Callable[[], object]) -> None:
    """Where workers are: far from the bottom of the main thread's stack, whose depth is no hindrance there."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


#: What is changed, and what it is.
CHANGES: dict[str, tuple[Callable[[], object], Callable[[], Any]]] = {
    "type": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "numpy": (lambda: np.seterr(all="raise"), np.geterr),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: list(warnings.filters)),
    "environment": (os.environ.clear, lambda: dict(os.environ)),
    "mask": (lambda: os.umask(0o777), umask),
    "folder": (lambda: os.chdir("/"), os.getcwd),
    "stdout": (lambda: setattr(sys, "stdout", None), lambda: sys.stdout),
    "stderr": (lambda: setattr(sys, "stderr", None), lambda: sys.stderr),
    "recursion": (lambda: in_a_thread(lambda: sys.setrecursionlimit(30)), sys.getrecursionlimit),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_is_put_back(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSX_HERE", "1")
    change, state = CHANGES[what]
    before = state()
    with contained():
        change()
    assert state() == before


#: A model that does something else whenever its loss is asked for, and one that sets things as it is imported.
SHAMELESS = """
import sys

import torch

from gsx.distributions import Bernoulli
from gsx.models.base import Model

torch.set_default_dtype(torch.float64)


class Shameless(Model):
    def __init__(self, *, act: str, seed: int = 0):
        super().__init__(seed=seed)
        self.act = act

    def init(self, noise):
        return {"logits": torch.zeros(2, dtype=torch.float64)}

    def loss(self, params, expect):
        assert torch.get_default_dtype() == torch.float64
        if self.act == "silence":
            sys.stdout = sys.stderr = None
            raise RuntimeError("silence")
        if self.act == "fill":
            bytearray(1 << 44)
        if self.act == "text":
            return "text"
        return expect(Bernoulli(params["logits"]), lambda z, q: z.sum(-1))
"""

ASKED = (
    "plugins=[shameless]",
    "model.name=shameless",
    "~model.logits",
    "~model.target",
    "~model.power",
    "estimator=rloo",
    "workers=1",
    "-q",
)


@pytest.fixture
def shameless(empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    monkeypatch.syspath_prepend(empty)
    (empty / "shameless.py").write_text(SHAMELESS)
    yield ASKED
    sys.modules.pop("shameless", None)
    torch.set_default_dtype(torch.float32)


def test_each_answers_for_itself(shameless: tuple[str, ...], inside: Inside) -> None:
    """By a line in the end: also one that has taken standard output away, or returns what is no loss."""
    code, out, err = inside("run", "-m", *shameless, "num_replicates=64", "block_size=1", "+model.act=silence,fill,text,stay")
    *_, silence, fill, text, counts = out.splitlines()
    assert (code, counts) == (1, "4 cells: 1 ran, 3 failed"), out
    assert silence.endswith("error.txt: RuntimeError: silence (shameless.py, line 24)")
    assert fill.endswith("error.txt: out of memory (shameless.py, line 26)")
    assert "error.txt: model=shameless: its loss takes no expectation" in text
    code, out, err = inside("run", *shameless, "+model.act=text")
    assert (code, out) == (2, "") and one_line(err).startswith("model=shameless: its loss takes no expectation")
