"""One measurement from beginning to end: the same bits on every schedule, honest verdicts on odd inputs, nothing left but a folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import resume
from gsx.configuration import Configuration
from gsx.costs import Expect
from gsx.distributions import Bernoulli
from gsx.estimators.concrete import Concrete
from gsx.estimators.reinforce import Reinforce
from gsx.measurement import Measurement
from gsx.models.base import Model, Params
from gsx.models.bernoulli_ising import BernoulliIsing
from gsx.noise import Noise
from gsx.records import STATISTICS, ConfigurationError, IntegrityError, Result
from gsx.store import RunDirectory
from tests.schedules import Interrupter, statistics_of


def measure(model: Any = "bernoulli_toy", estimator: Any = "reinforce", **settings: Any) -> Result:
    return gsx.measure(model, estimator, **{"num_replicates": 1024, "workers": 1, "blocks_per_task": 1, **settings})


def run_directory(root: Path, model: Any = "bernoulli_toy", estimator: Any = "reinforce", **settings: Any) -> Path:
    """Where the command line would put it: <slug>-<id>."""
    named = {"model": model, "estimator": estimator} | settings
    named = {key: {"name": value} if key in ("model", "estimator") and isinstance(value, str) else value for key, value in named.items()}
    measurement = Measurement(Configuration.of(named))
    return root / f"{measurement.model.name}-{measurement.estimator.name}-{measurement.result_id[:12]}"


# ------------------------------------------------------------------------------------------------------------------- the same bits

TUNED = {"name": "reinforce", "baseline": "moving_average", "warmup": 20}
ROUTED = [
    pytest.param("bernoulli_toy", "reinforce", {"num_samples": 2, "block_size": 64, "num_replicates": 64 * 128}, id="batched"),
    pytest.param("binary_vae", "concrete", {"wrt": "all", "block_size": 2, "num_replicates": 128}, id="vmap"),
    pytest.param("binary_vae", "rloo", {"engine": "structured", "block_size": 2, "num_replicates": 128}, id="structured"),
    pytest.param("bernoulli_ising", "st_gumbel", {"engine": "loop", "block_size": 2, "num_replicates": 128}, id="loop"),
    pytest.param("bernoulli_ising", TUNED, {"block_size": 32, "num_replicates": 4096}, id="tuned"),
]


@pytest.mark.parametrize(("model", "estimator", "settings"), ROUTED)
def test_schedules_do_not_change_a_bit(model: str, estimator: Any, settings: dict[str, Any]) -> None:
    digests = {
        measure(model, estimator, **settings, workers=workers, blocks_per_task=together).moments_sha256
        for workers in (1, 2)
        for together in (1, 3)
    }
    assert len(digests) == 1
    # Negative control: another seed does change them.
    assert measure(model, estimator, **settings, seed=1).moments_sha256 not in digests


@pytest.mark.parametrize(("model", "estimator", "settings"), ROUTED)
def test_interrupted_five_times_and_resumed(tmp_path: Path, model: str, estimator: Any, settings: dict[str, Any]) -> None:
    """By one worker and by two in turns: who goes on need not be who began."""
    in_one_go = measure(model, estimator, **settings)
    directory = run_directory(tmp_path, model, estimator, **settings)
    done = [0]
    for turn in range(5):
        with pytest.raises(KeyboardInterrupt):
            measure(model, estimator, **settings, directory=directory, progress=Interrupter(8), workers=1 + turn % 2)
        stored = RunDirectory(directory).read_segments()
        assert stored is not None
        done.append(int(stored.segments.blocks.sum()))
        assert RunDirectory(directory).read_result() is None
    assert done == sorted(done) and len(set(done)) == 6, "no progress was kept"
    resumed = measure(model, estimator, **settings, directory=directory, workers=2)
    assert resumed.moments_sha256 == in_one_go.moments_sha256
    assert statistics_of(resumed) == statistics_of(in_one_go)


def test_a_complete_run_is_returned_and_not_repeated(tmp_path: Path) -> None:
    directory = run_directory(tmp_path)
    first = measure(directory=directory)
    again = measure(directory=directory, progress=Interrupter(0))  # would stop any work
    assert again.moments_sha256 == first.moments_sha256 and again.cost.seconds == first.cost.seconds
    with pytest.raises(KeyboardInterrupt):
        measure(directory=directory, progress=Interrupter(0), force=True)


def test_a_larger_run_starts_from_a_smaller_ones_segments(tmp_path: Path) -> None:
    small, large = ({"block_size": 16, "num_replicates": n} for n in (1024, 4096))
    measure(directory=run_directory(tmp_path, **small), **small)
    advanced: list[int] = []

    def progress(what: str, replicates: int) -> Callable[[int], None]:
        assert replicates == 4096
        return advanced.append

    grown = measure(directory=run_directory(tmp_path, **large), progress=progress, **large)
    assert advanced[0] == 1024 and sum(advanced) == 4096
    assert grown.moments_sha256 == measure(**large).moments_sha256
    # Negative control: other noise is not taken over.
    advanced.clear()
    measure(directory=run_directory(tmp_path, seed=9, **large), progress=progress, seed=9, **large)
    assert advanced[0] == 0


def test_a_neighbour_is_asked_once_whose_moments_it_holds(tmp_path: Path) -> None:
    """Else a sweep's time would grow with the square of its cells."""
    before = resume._said_by.cache_info().misses
    for seed in range(5):
        measure(directory=run_directory(tmp_path, seed=seed), seed=seed)
    assert resume._said_by.cache_info().misses - before == 4


def test_a_folder_that_holds_another_measurement_is_refused(tmp_path: Path) -> None:
    directory = run_directory(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        measure(directory=directory, progress=Interrupter(8))
    with pytest.raises(IntegrityError, match="holds the moments of another measurement"):
        measure(directory=directory, seed=5)


#: Matrix products wide enough for torch to cut them differently among 2 threads and among 4.
WIDE = {"name": "binary_vae", "latents": 3, "hidden": [100], "batch": 200}


@pytest.mark.parametrize(
    ("model", "estimator", "settings"),
    [*ROUTED, pytest.param(WIDE, TUNED, {"block_size": 1, "num_replicates": 64, "wrt": "distribution"}, id="reference")],
)
def test_the_callers_threads_do_not_change_a_bit(model: Any, estimator: Any, settings: dict[str, Any]) -> None:
    """Tuning and reference included: on a machine with more cores torch would split its sums otherwise."""
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            result = measure(model, estimator, **settings)
            found.add((result.moments_sha256, json.dumps(result.tuning)))
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


# ------------------------------------------------------------------------------------------------------------- objects and names


def test_objects_and_names_give_equal_numbers() -> None:
    by_name = measure("bernoulli_ising", {"name": "concrete", "temperature": 0.7}, num_samples=2)
    by_object = measure(BernoulliIsing(), Concrete(temperature=0.7, num_samples=2))
    assert by_object.moments_sha256 == by_name.moments_sha256
    assert statistics_of(by_object) == statistics_of(by_name)
    assert by_object.num_samples == by_name.num_samples == 2


@pytest.mark.parametrize("baseline", ["none", "moving_average"])
def test_an_object_can_be_measured_twice(baseline: Any) -> None:
    """What one measurement tunes must not be where the next one starts from: the same object, the same numbers."""
    estimator, model = Reinforce(baseline=baseline, warmup=20), BernoulliIsing()
    first, second = measure(model, estimator), measure(model, estimator)
    assert first.tuning == second.tuning
    assert first.moments_sha256 == second.moments_sha256


def test_an_object_has_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="an object made by hand has no identity"):
        measure("bernoulli_toy", Reinforce(), directory=tmp_path / "run")


def test_measuring_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    threads, dtype, grad = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002 - the global one is what is guarded
    model = BernoulliIsing()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    measure(model, Reinforce(baseline="moving_average", warmup=5))
    for interrupted in (Interrupter(5), None):
        directory = run_directory(tmp_path)
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                measure(directory=directory, progress=interrupted)
        else:
            measure(directory=directory, workers=2)
        assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()) == (threads, dtype, grad)
    assert torch.equal(torch.get_rng_state(), torch_state) and repr(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert all(torch.equal(value, buffers[name]) and value.dtype == torch.float64 for name, value in model.named_buffers())


# ----------------------------------------------------------------------------------------------------------------------- results


def test_the_fields_of_a_result() -> None:
    result = measure("bernoulli_ising", "st_gumbel", num_samples=3, num_replicates=1000, seed=7, dtype="float64")
    assert (result.status, result.estimator, result.model, result.engine) == ("complete", "st_gumbel", "bernoulli_ising", "batched")
    assert (result.num_samples, result.num_replicates, result.blocks) == (3, 1024, 64)
    assert result.config["num_replicates"] == 1024 and result.config["block_size"] == 16 and result.config["seed"] == 7
    assert set(result.summary) == set(STATISTICS) and set(result.parameters) == {"logits"}
    assert result.reference["kind"] == "enumeration" and result.reference["error"] == {"max": 0.0, "norm": 0.0}
    assert (result.cost.evaluations, result.cost.gradient_evaluations, result.cost.random_numbers) == (3, 3, 18)
    assert result.verdict.status == "biased" and result.tuning == {}
    assert result.nonfinite == {"replicates": 0, "coordinates": 0, "first_block": None}
    assert result.segments is not None and result.segments.count.sum() == 1024
    assert result.moments_sha256 == result.segments.digest()
    again = Result.from_json(json.loads(json.dumps(result.as_json())))
    assert again.summary == result.summary and again.verdict == result.verdict


def test_summary_from_replicates_by_hand() -> None:
    """Trace, bias and cosine of 1024 replicates, from the gradients themselves."""
    from gsx.noise import Block
    from gsx.probe import probe
    from gsx.program import Program
    from gsx.routes.vmap import Loop

    result = measure("bernoulli_ising", "concrete", dtype="float64")
    program, estimator = Program(BernoulliIsing(), dtype=torch.float64), Concrete()
    route = Loop(program, estimator, probe(program, estimator))
    g = torch.cat([route.gradients(Block(0, "base", i, torch.float64, torch.device("cpu")), 0, 16) for i in range(64)]).numpy()
    assert result.coordinates is not None
    truth = result.coordinates.reference
    trace = g.var(0, ddof=1).sum()
    values = {name: interval.value for name, interval in result.summary.items() if interval is not None}
    assert values["variance"] == pytest.approx(trace, rel=1e-10)
    np.testing.assert_allclose(result.coordinates.mean, g.mean(0), rtol=1e-10, atol=1e-13)
    bias_sq = ((g.mean(0) - truth) ** 2).sum() - trace / 1024
    assert values["bias_sq"] == pytest.approx(bias_sq, rel=1e-8)
    assert values["mse"] == pytest.approx(bias_sq + trace, rel=1e-10)
    single = (g @ truth / np.linalg.norm(g, axis=1) / np.linalg.norm(truth)).mean()
    assert values["cosine_single"] == pytest.approx(single, rel=1e-9)
    assert values["variance_times_evaluations"] == pytest.approx(trace, rel=1e-10)


@pytest.mark.parametrize(
    ("asked", "block_size", "got"), [(1, None, 1024), (1025, None, 2048), (65, 1, 128), (64, 1, 64), (2000, 100, 6400)]
)
def test_replicates_are_rounded_up(asked: int, block_size: int | None, got: int) -> None:
    result = measure(num_replicates=asked, block_size=block_size)
    assert result.num_replicates == got == result.blocks * result.config["block_size"]


def test_one_replicate() -> None:
    """R = 1 is rounded up like any other number; a block of one replicate works."""
    assert measure(num_replicates=1).verdict.status in ("unbiased", "inconclusive")
    smallest = measure(num_replicates=1, block_size=1)
    assert smallest.num_replicates == 64 and smallest.summary["variance"] is not None


def test_exact_is_evaluated_once() -> None:
    result = measure("bernoulli_ising", "exact", dtype="float64")
    assert (result.engine, result.num_replicates, result.blocks) == ("exact", 1, 1)
    assert result.verdict.status == "deterministic"
    assert result.cost.evaluations == 64
    variance = result.summary["variance"]
    assert variance is not None and variance.value == 0
    assert measure("bernoulli_toy", "exact").cost.evaluations == 2  # it separates: one coordinate at a time


def test_zero_variance_is_no_miracle() -> None:
    """A cost that is linear in the Gaussian: the pathwise gradient in loc does not vary, and is found deterministic and right."""
    result = measure({"name": "gaussian_toy", "cost": "quadratic", "k": 0.5, "loc": [1.0], "log_scale": [-0.3]}, "reparameterization")
    assert result.verdict.status == "unbiased"
    flat = measure({"name": "bernoulli_toy", "logits": [0.3, -0.2], "target": 0.5}, "straight_through")
    assert flat.coordinates is not None and flat.summary["variance"] is not None
    # At target 1/2 the reference is zero and straight-through gives +- p (1 - p) / D: biased only by noise, with snr near zero.
    assert (flat.coordinates.reference == 0).all()
    assert flat.summary["cosine_single"] is None


class Linear(Model):
    """f(b) = 2 b_0 - b_1: straight-through does not vary at all and is exact."""

    def init(self, noise: Noise) -> Params:
        return {"logits": torch.tensor([0.4, -1.0], dtype=torch.float64)}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["logits"]), lambda b, q: 2 * b[..., 0] - b[..., 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_estimator_without_variance_is_deterministic(dtype: str) -> None:
    result = measure(Linear(), "straight_through", dtype=dtype)
    variance = result.summary["variance"]
    assert result.verdict.status == "deterministic"
    assert variance is not None and variance.value == 0 and variance.ci == (0, 0)
    assert result.summary["snr"] is None and result.verdict.max_abs_z is None
    wrong = measure(Linear(), {"name": "straight_through", "backward": "identity"}, dtype=dtype)
    assert wrong.verdict.status == "biased" and wrong.summary["variance"] is not None and wrong.summary["variance"].value == 0


class SometimesInfinite(Model):
    """The cost of one state in some hundred is infinite; the second coordinate's gradient is not touched by the first's."""

    def init(self, noise: Noise) -> Params:
        return {"logits": torch.tensor([-5.0, 0.3], dtype=torch.float64)}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["logits"]), lambda b, q: torch.where(b[..., 0] > 0, math.inf, b[..., 1]))

    def closed_form(self, params: Params) -> Params:
        return {"logits": torch.tensor([0.1, 0.2], dtype=torch.float64)}


def test_replicates_that_are_not_finite_are_counted_and_not_dropped() -> None:
    result = measure(SometimesInfinite(), "reinforce", num_replicates=4096)
    assert result.status == "complete" and result.verdict.status == "nonfinite"
    replicates = result.nonfinite["replicates"]
    assert replicates is not None and 5 <= replicates <= 70  # 4096 / 149 = 27 on average
    assert result.nonfinite["coordinates"] == 2 and result.nonfinite["first_block"] is not None
    assert all(value is None for name, value in result.summary.items() if name != "cosine_single")
    assert result.segments is not None and result.segments.count.sum() == 4096
    text = json.dumps(result.as_json(), allow_nan=False)  # strict JSON all the same
    assert Result.from_json(json.loads(text)).verdict == result.verdict


def test_a_reference_by_the_estimator_itself_proves_nothing() -> None:
    settings = {"reference": {"kind": "long_run", "estimator": "reinforce", "num_replicates": 1024}}
    assert measure("bernoulli_ising", "reinforce", **settings).verdict.status == "self_referenced"
    other = measure("bernoulli_ising", "concrete", **settings)
    assert other.verdict.status in ("biased", "inconclusive", "unbiased") and other.reference["estimator"] == "reinforce"
    assert other.reference["error"]["max"] > 0


def test_a_reference_does_not_depend_on_the_estimator(tmp_path: Path) -> None:
    results = [
        measure("bernoulli_ising", estimator, directory=run_directory(tmp_path, "bernoulli_ising", estimator, num_replicates=1024))
        for estimator in ("reinforce", "concrete", "exact")
    ]
    assert len({result.reference["id"] for result in results}) == 1
    assert len(list(tmp_path.glob("reference-*"))) == 1
    assert len({result.result_id for result in results}) == 3


def test_identity_changes_with_what_the_numbers_depend_on_and_with_nothing_else() -> None:
    def identity(**settings: Any) -> str:
        named = {"model": {"name": "bernoulli_toy"}, "estimator": {"name": "concrete"}, "num_replicates": 1024} | settings
        return Measurement(Configuration.of(named)).result_id

    same = [identity(), identity(workers=2), identity(force=True), identity(name="other")]
    same += [identity(block_size=16), identity(engine="batched")]  # what null and auto come to
    assert len(set(same)) == 1
    others = [
        identity(seed=1),
        identity(num_samples=2),
        identity(num_replicates=2048),
        identity(dtype="float64"),
        identity(wrt="distribution"),
        identity(engine="vmap"),
        identity(block_size=8),
        identity(estimator={"name": "concrete", "temperature": 0.6}),
        identity(model={"name": "bernoulli_toy", "target": 0.4}),
    ]
    assert len({same[0], *others}) == 1 + len(others)


def test_nothing_stored_grows_with_the_number_of_replicates(tmp_path: Path) -> None:
    sizes = []
    for replicates in (2**12, 2**16):
        directory = run_directory(tmp_path, num_replicates=replicates)
        measure(num_replicates=replicates, directory=directory)
        sizes.append({path.name: path.stat().st_size for path in directory.iterdir() if path.is_file()})
    assert sizes[0].keys() == sizes[1].keys() and "segments.npz" in sizes[0]
    assert sizes[0]["segments.npz"] == sizes[1]["segments.npz"]
    for name in sizes[0]:  # the others are text, whose numbers have more digits or fewer
        assert sizes[1][name] < 1.05 * sizes[0][name] + 100, name


def test_progress_counts_every_replicate_once() -> None:
    opened: list[tuple[str, int]] = []
    moved: list[int] = []

    def progress(what: str, replicates: int) -> Callable[[int], None]:
        opened.append((what, replicates))
        return moved.append

    measure("bernoulli_ising", "reinforce", progress=progress, blocks_per_task=5, workers=2)
    assert opened == [("reinforce", 1024)] and sum(moved) == 1024
    opened.clear()
    measure("bernoulli_ising", "concrete", progress=progress, reference={"kind": "long_run", "num_replicates": 1024})
    assert [what for what, _ in opened] == ["reference", "concrete"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_replicates": 0}, "num_replicates=0: must be at least 1"),
        ({"num_samples": 0}, "num_samples=0: must be at least 1"),
        ({"engine": "fast"}, "engine=fast: must be one of auto, structured, batched, vmap, loop"),
        ({"wrt": "encoder"}, "wrt=encoder: bernoulli_toy has no parameter"),
        ({"estimator": "concret"}, "estimator=concret: unknown; did you mean concrete"),
        ({"estimator": {"name": "concrete", "temprature": 1}}, "did you mean temperature"),
        ({"estimator": "reparameterization"}, "needs a Normal distribution, and bernoulli_toy's is Bernoulli"),
        ({"num_replicate": 5}, "num_replicate=5: unknown key; did you mean num_replicates"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_bad_settings_are_refused_before_any_work(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        measure(**settings, directory=tmp_path / "run")
    assert message in str(refusal.value)
    assert not os.listdir(tmp_path)


# ----------------------------------------------------------------------------------------------------------------------------- CUDA


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")
@pytest.mark.parametrize(("model", "estimator", "settings"), [case for case in ROUTED if case.id != "loop"])
def test_the_gpu_repeats_itself_and_agrees_with_the_cpu(model: str, estimator: Any, settings: dict[str, Any]) -> None:
    """The same bits twice on one GPU, and the CPU's numbers within a thousandth of their errors (float64, the same noise)."""
    gpu = [measure(model, estimator, **settings, device="cuda", dtype="float64") for _ in range(2)]
    assert gpu[0].moments_sha256 == gpu[1].moments_sha256
    cpu = measure(model, estimator, **settings, dtype="float64").coordinates
    assert cpu is not None and gpu[0].coordinates is not None
    assert (np.abs(gpu[0].coordinates.mean - cpu.mean) <= 1e-3 * cpu.mean_se + 1e-12).all()


@pytest.mark.parametrize("logits", [[9.0, 0.3], [14.0], [60.0, -60.0]], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_a_right_estimator_is_not_convicted_by_a_state_it_never_drew(logits: list[float], seed: int) -> None:
    """A state of probability 1e-4 or less, and 4096 draws: what was seen is nearly constant, and off the reference by 600 errors."""
    result = measure({"name": "bernoulli_toy", "logits": logits}, "reinforce", num_replicates=4096, seed=seed)
    assert result.verdict.status in ("unbiased", "inconclusive")


def test_a_model_needs_no_seed_of_its_own() -> None:
    class Plain(Model):
        def init(self, noise: Noise) -> Params:
            return {"eta": torch.tensor([0.2, -0.4], dtype=torch.float64)}

        def loss(self, params: Params, expect: Expect) -> Tensor:
            return expect(Bernoulli(params["eta"]), lambda b, q: (b.sum(-1) - 0.3) ** 2)

    assert measure(Plain(), "reinforce", num_replicates=4096).verdict.status == "unbiased"


def test_groups_may_be_names_and_nothing_else_that_is_no_mapping() -> None:
    by_name = measure("bernoulli_ising", num_replicates=1024, reference="long_run", device="cpu", data="auto")
    assert by_name.reference["kind"] == "long_run"
    with pytest.raises(ConfigurationError, match=r"^reference=3: must be settings"):
        measure(reference=3)
    with pytest.raises(ConfigurationError, match=r"^num_samples=4: the estimator that was given has 2$"):
        measure("bernoulli_ising", Concrete(num_samples=2), num_samples=4)


def test_a_measurement_can_be_run_twice() -> None:
    """Tuned once and frozen: the command line keeps prepared measurements."""
    given = {"estimator": {"name": "reinforce", "baseline": "moving_average", "warmup": 20}, "model": {"name": "bernoulli_ising"}}
    measurement = Measurement(Configuration.of(given | {"num_replicates": 1024}))
    first, second = measurement.run(), measurement.run()
    assert first.tuning == second.tuning and first.moments_sha256 == second.moments_sha256
