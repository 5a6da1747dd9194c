"""One seed of a training: parameters on their way, everything that moves along with them, and what is measured on the way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gsx.models.base import Model, Params
from gsx.noise import Block
from gsx.records import GsxError, Parameters, Point
from gsx.registry import estimator as build_estimator
from gsx.routes import implement
from gsx.store import State
from gsx.training import optimizer as optimizers
from gsx.training.evaluate import bound, elbo, has_bound, objective
from gsx.training.learner import Learner
from gsx.training.rows import Minibatches
from gsx.training.variance import described, measured

if TYPE_CHECKING:
    from gsx.training.session import Session

#: Under which a checkpoint of a finished trajectory keeps what was evaluated on all rows.
FINAL = "final."

#: Told of every point of the curve as it is found.
Watcher = Callable[[Point], None]


class Trajectory:
    """Steps of an optimizer along one N-sample estimate of the gradient each.

    Step t takes the rows t of `Minibatches` and the numbers of (seed, stream `train`, block t). Whatever is measured takes numbers of
    other streams, and other rows; so it does not move the trajectory. `state` and `resume` are exact: what goes on from a checkpoint is,
    bit for bit, what would have gone on without.
    """

    def __init__(self, session: Session, seed: int, watch: Watcher = lambda point: None) -> None:
        self.session, self.seed, self._watch = session, seed, watch
        configuration = session.configuration
        self.program = session.program()
        self.params: Params = {name: value.clone().requires_grad_() for name, value in self.program.params.items()}
        self.program.params = self.params
        at_start = self.program.at(self.params)
        self.learners = [
            Learner(session.build(label), at_start, configuration.tune, seed, along=label == session.chosen) for label in session.labels
        ]
        self.schedules = configuration.schedules()
        self.optimizer = optimizers.build(configuration.optimizer, list(self.params.values()), maximize=configuration.maximize)
        rows = session.rows.get("train")
        self.minibatches = None if rows is None else Minibatches(len(rows), session.batch, seed)
        self.step, self.seconds = 0, 0.0
        self.curve: list[Point] = []
        self._losses: list[Tensor] = []
        self._values: dict[str, float] = {}
        self._final: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        return self.step >= self.session.configuration.steps

    def run(self, checkpoint: Callable[[State], None] = lambda state: None, advance: Callable[[int], None] = lambda steps: None) -> None:
        """To the end, from wherever it is. GsxError where a parameter is not finite any more."""
        configuration, began = self.session.configuration, time.monotonic()
        before = self.seconds
        if self.step == 0 and not self.curve:
            self._schedule()
            self._measure()
        while not self.finished:
            self.take_step()
            advance(1)
            self.seconds = before + time.monotonic() - began
            self._measure()
            if self.finished:
                self._evaluate_all()
            if self.step % configuration.checkpoint_every == 0 or self.finished:
                checkpoint(self.state())

    # ----------------------------------------------------------------------------------------------------------------------- a step

    def take_step(self) -> None:
        self._schedule()
        self._show()
        chosen = self.learners[0]
        noise = Block(self.seed, "train", self.step, self.program.dtype, self.program.device).one()
        with torch.enable_grad():
            loss = self.program.loss(self.params, implement(chosen.estimator, noise)).mean()
            gradients = torch.autograd.grad(loss, tuple(self.params.values()), allow_unused=True)
            for learner in self.learners:
                learner.learn(self.program, self.params, self.step)
        for parameter, gradient in zip(self.params.values(), gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self._losses.append(loss.detach())
        self.step += 1

    def _show(self) -> None:
        if self.minibatches is not None:
            rows = self.session.rows["train"]
            rows.show(self.program.model, self.minibatches.at(self.step), len(rows))

    def _schedule(self) -> None:
        """Set what is scheduled to its value at this step."""
        values = {key: schedule.at(self.step) for key, schedule in self.schedules.items()}
        if values == self._values:
            return
        self._values = values
        configuration = self.session.configuration
        settings: dict[str, float] = {}
        for key, value in values.items():
            if key == "learning_rate":
                self.optimizer.param_groups[0]["lr"] = value
            elif key == "kl_weight":
                self.program.model.kl_weight = value  # type: ignore[assignment]
            else:
                settings[key.removeprefix("estimator.")] = value
        if settings:
            chosen = build_estimator({**configuration.estimator, **settings}, configuration.num_samples, configuration.plugins)
            self.learners[0].estimator = chosen

    # -------------------------------------------------------------------------------------------------------------- what is measured

    def _measure(self) -> None:
        configuration = self.session.configuration
        evaluate, probe = configuration.due("evaluate", self.step), configuration.due("probe", self.step)
        if not (evaluate or probe):
            return
        if not all(bool(torch.isfinite(value).all()) for value in self.params.values()):
            raise GsxError(f"seed {self.seed}: the training diverges: a parameter is not finite after step {self.step}")
        if probe:
            self._probe()
        if evaluate:
            self._log_losses()
            self._evaluate()
            self._log("seconds", self.seconds)

    def _log(self, metric: str, value: float, se: float = math.nan, *, split: str = "", estimator: str = "") -> None:
        point = Point(self.seed, self.step, split, estimator, metric, value, se)
        self.curve.append(point)
        self._watch(point)

    def _log_losses(self) -> None:
        if self._losses:
            losses = torch.stack(self._losses).to(torch.float64)
            se = float(losses.std()) / math.sqrt(len(losses)) if len(losses) > 1 else math.nan
            self._log("loss", float(losses.mean()), se, split="train" if self.session.rows else "")
            self._losses.clear()

    def _evaluate(self) -> None:
        if not self.session.rows:
            if self.session.exact_loss.possible:
                self._log("exact_loss", self.session.exact_loss.at(self.program.at(self.params, "all")), 0.0)
            return
        for (split, metric), found in self.evaluated(self.session.configuration.evaluate_rows).items():
            self._log(metric, *_mean(found), split=split)

    def _evaluate_all(self) -> None:
        """On all rows of the splits that have more than are looked at on the way."""
        most = self.session.configuration.evaluate_rows
        if any(len(rows) > most for rows in self.session.rows.values()):
            self._final = {f"{FINAL}{metric}.{split}": found.mean() for (split, metric), found in self.evaluated().items()}

    def evaluated(self, most: int | None = None) -> dict[tuple[str, str], Tensor]:
        """The objective and the multi-sample bound of the (first) rows of each split, the latter not of `train`."""
        configuration, model = self.session.configuration, self.program.model
        found = {}
        with _weighing(model, 1.0):
            params = {name: value.detach() for name, value in self.params.items()}
            for split, rows in self.session.rows.items():
                some = rows if most is None or not model.independent_rows else rows.first(most)
                metrics = {objective(model): (elbo, configuration.evaluate_samples)}
                if has_bound(model) and split != "train":
                    metrics["bound"] = (bound, configuration.bound_samples)
                for metric, (evaluate, samples) in metrics.items():
                    stream = f"evaluate.{split}.{metric}"
                    found[split, metric] = evaluate(
                        model,
                        params,
                        some,
                        samples,
                        lambda piece, stream=stream: Block(self.seed, stream, piece, self.program.dtype, self.program.device).one(),  # type: ignore[misc]
                    )
        return found

    def _probe(self) -> None:
        """Each estimator at the present parameters, on the one minibatch that all are compared on, and on the same numbers."""
        session, configuration = self.session, self.session.configuration
        program = session.probe_program.at(self.params)
        with _weighing(program.model, getattr(self.program.model, "kl_weight", None)):
            truth = session.truth.at(program, self.seed, self.step)
            for label, learner in zip(session.labels, self.learners, strict=True):
                if learner.exact:
                    self._log("variance", 0.0, 0.0, split=session.probe_split, estimator=label)
                    continue
                segments = measured(
                    program,
                    learner.ready(program, self.step),
                    session.seen[label],
                    seed=self.seed,
                    stream=f"probe.{self.step}",
                    replicates=configuration.probe_replicates,
                )
                for metric, interval in described(segments, truth).items():
                    value, se = (math.nan, None) if interval is None else (interval.value, interval.se)
                    self._log(metric, value, math.nan if se is None else se, split=session.probe_split, estimator=label)

    # ------------------------------------------------------------------------------------------------------------------- checkpoints

    def parameters(self) -> Parameters:
        return Parameters({name: value.detach().cpu().numpy().copy() for name, value in self.params.items()})

    def state(self) -> State:
        arrays: dict[str, Tensor] = {f"param.{name}": value.detach() for name, value in self.params.items()}
        arrays |= {f"optimizer.{key}": value for key, value in optimizers.memory(self.optimizer).items()}
        for position, learner in enumerate(self.learners):
            arrays |= {f"learner.{position}.{key}": value for key, value in learner.memory().items()}
        arrays |= self._final
        arrays["losses"] = torch.stack(self._losses) if self._losses else torch.zeros(0, dtype=self.program.dtype)
        return State(
            self.session.training_id,
            self.session.fingerprint,
            self.seed,
            self.step,
            self.seconds,
            {name: value.cpu().numpy().copy() for name, value in arrays.items()},
            tuple(self.curve),
        )

    def resume(self, state: State) -> None:
        """Go on from a checkpoint that `state` gave. KeyError, ValueError or RuntimeError where it is anything else."""
        device = self.program.device
        arrays = {name: torch.tensor(array, device=device) for name, array in state.arrays.items()}

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

        with torch.no_grad():
            for name, value in self.params.items():
                value.copy_(arrays[f"param.{name}"])
        optimizers.remember(self.optimizer, under("optimizer."))
        for position, learner in enumerate(self.learners):
            learner.remember(under(f"learner.{position}."))
        self._losses = list(arrays["losses"])
        self._final = {name: value for name, value in arrays.items() if name.startswith(FINAL)}
        self.step, self.seconds, self.curve = state.step, state.seconds, list(state.curve)


def _mean(found: Tensor) -> tuple[float, float]:
    return float(found.mean()), float(found.std()) / math.sqrt(len(found)) if len(found) > 1 else math.nan


@contextlib.contextmanager
def _weighing(model: Model, weight: float | None) -> Iterator[None]:
    """While the divergence of a model that has one weighs so much."""
    before = getattr(model, "kl_weight", None)
    if before is None or weight is None:
        yield
        return
    model.kl_weight = weight  # type: ignore[assignment]
    try:
        yield
    finally:
        model.kl_weight = before
