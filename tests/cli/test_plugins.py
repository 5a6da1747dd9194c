"""An estimator and a model of a user's own, two files each; and a cell that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.process import finished, gsx

HALVED = """
from gsx.distributions import Bernoulli
from gsx.estimators.base import Estimator


class Halved(Estimator):
    unbiased = False
    needs_cost_gradient = False
    distributions = (Bernoulli,)
    evaluations = "N"
    citation = "nobody"

    def __init__(self, *, factor: float = 0.5, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.factor = factor

    def expect(self, q, cost, noise):
        z = q.sample(noise.uniform((self.num_samples,), q))
        return (self.factor * cost(z, q).detach() * q.log_prob(z)).mean(0)
"""

FRAGILE = """
import torch

from gsx.distributions import Bernoulli
from gsx.models.base import Model


class Fragile(Model):
    def init(self, noise):
        return {"logits": torch.zeros(2, dtype=torch.float64)}

    def loss(self, params, expect):
        def cost(z, q):
            if z.numel() > 16:  # neither the dry run nor an enumeration asks for so much at once
                raise RuntimeError("the cost broke")
            return z.sum(-1)

        return expect(Bernoulli(params["logits"]), cost)
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    for room, name, code, keys in (("estimator", "halved", HALVED, "factor: 0.5\n"), ("model", "fragile", FRAGILE, "seed: 0\n")):
        (tmp_path / f"{name}.py").write_text(code)
        (tmp_path / "conf" / room).mkdir(parents=True)
        (tmp_path / "conf" / room / f"{name}.yaml").write_text(f"name: {name}\n{keys}")
    return tmp_path


PLUGINS = ("--config-dir=conf", "plugins=[halved,fragile]", "num_replicates=1024")


def test_an_estimator_of_ones_own(mine: Path) -> None:
    done = gsx("run", *PLUGINS, "estimator=halved", "estimator.factor=0.25", cwd=mine)
    assert "halved(factor=0.25)" in done.stdout
    (run,) = finished(mine)
    assert json.loads((run / "result.json").read_text())["config"]["estimator"] == {"name": "halved", "factor": 0.25}
    listed = gsx("list", "estimators", "--plugins", "halved", cwd=mine).stdout
    assert "halved" in listed and "nobody" in listed


def test_one_cell_fails_and_the_others_run(mine: Path) -> None:
    sweep = ("run", "-m", *PLUGINS, "model=fragile,bernoulli_toy", "estimator=halved,reinforce")
    done = gsx(*sweep, cwd=mine, code=1)
    _, *rows, counts = done.stdout.splitlines()
    said = [rows.pop() for row in rows[::-1] if row.startswith("failed:")]
    assert len(said) == 2 and all(line.endswith("error.txt: RuntimeError: the cost broke (fragile.py, line 15)") for line in said)
    assert sorted(row.split()[:3] for row in rows) == [
        ["failed", "fragile", "halved"],
        ["failed", "fragile", "reinforce"],
        ["ran", "bernoulli_toy", "halved(factor=0.5)"],
        ["ran", "bernoulli_toy", "reinforce"],
    ]
    assert counts == "4 cells: 2 ran, 2 failed"
    assert len(finished(mine)) == 2 and done.stderr.count("the cost broke") == 2
    errors = sorted(mine.rglob("error.txt"))
    assert len(errors) == 2 and all("RuntimeError: the cost broke" in path.read_text() for path in errors)

    assert "2 complete" in gsx("report", cwd=mine).stdout

    # Once the fault is mended, the same command completes the sweep and the failures are gone.
    (mine / "fragile.py").write_text(FRAGILE.replace("> 16", "> 10**9"))
    mended = gsx(*sweep, cwd=mine)
    assert mended.stdout.splitlines()[-1] == "4 cells: 2 ran, 2 skipped"


def test_code_that_is_edited_while_it_runs(tmp_path: Path) -> None:
    """A sweep takes hours, and meanwhile somebody edits: its cells are of the code that runs, and are found as they were planned."""
    edit = "        import pathlib\n\n        with pathlib.Path(__file__).open('a') as file:\n            file.write('# edited\\n')\n"
    (tmp_path / "edited.py").write_text(HALVED.replace("Halved", "Edited").replace("        z =", f"{edit}        z ="))
    own = ("plugins=[edited]", "estimator=concrete", "estimator.name=edited", "~estimator.temperature", "num_replicates=64")
    done = gsx("run", "-m", *own, "seed=0,1,2,3,4", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "5 cells: 5 ran"
