"""The presets have the sizes that were published, and run on MNIST where it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gsx import registry, yardstick
from gsx.cli import main
from gsx.data import Dataset, load
from gsx.models.base import Model
from gsx.probe import sites
from gsx.program import Program
from gsx.records import MissingData
from tests.estimators.catalogue import settings_of

#: Widths of the encoder, of the decoder; batch; whether the prior is learned. From the programs of the papers that the files name.
PUBLISHED: dict[str, tuple[list[int], list[int], int, bool]] = {
    "binary_vae_disarm_linear": ([784, 200], [200, 784], 50, True),
    "binary_vae_disarm_nonlinear": ([784, 200, 200, 200], [200, 200, 200, 784], 50, True),
    "binary_vae_rodeo": ([784, 200, 200, 200], [200, 200, 200, 784], 100, False),
    **{
        f"categorical_vae_{categories}x{latents}": (
            [784, 512, 256, categories * latents],
            [categories * latents, 256, 512, 784],
            100,
            False,
        )
        for categories, latents in [(8, 4), (4, 24), (8, 16), (16, 12), (64, 8), (10, 30)]
    },
}
#: The variables that training in the papers is of: `activation, inputs`.
NETWORKS = {"binary_vae_disarm_linear": ("tanh", "centred"), "binary_vae_disarm_nonlinear": ("leaky_relu", "centred")}
NETWORKS |= {"binary_vae_rodeo": ("leaky_relu", "raw")} | {name: ("relu", "raw") for name in PUBLISHED if name.startswith("categorical")}


def built(preset: str) -> Model:
    """On a few images of MNIST's size."""
    rows = (np.random.default_rng(0).random((120, 784)) < 0.2).astype(np.float64)
    data = Dataset("mnist", "train", rows, np.zeros(120, dtype=np.int64), "none", None, "made up", "0" * 64)
    return registry.model(registry.settings("models", settings_of("model", preset)), data)


def widths(params: dict[str, Any], name: str) -> list[int]:
    weights = [value.shape for key, value in params.items() if key.startswith(f"{name}.") and key.endswith(".weight")]
    return [weights[0][1], *(shape[0] for shape in weights)]


@pytest.mark.parametrize("preset", PUBLISHED)
def test_published_sizes(preset: str) -> None:
    encoder, decoder, batch, learned = PUBLISHED[preset]
    model = built(preset)
    params = Program(model).params
    assert (widths(params, "encoder"), widths(params, "decoder")) == (encoder, decoder)
    assert len(model.x) == batch and ("prior.logits" in params) == learned  # type: ignore[arg-type]
    assert (model.activation, model.inputs) == NETWORKS[preset]


@pytest.mark.parametrize("preset", ["structured_output_200", "structured_output_20x10"])
def test_structured_output_is_392_200_200_392(preset: str) -> None:
    model = built(preset)
    params = Program(model).params
    assert [widths(params, name) for name in ("encoder", "encoder_2", "decoder")] == [[392, 200], [200, 200], [200, 392]]
    assert len(model.x) == 100  # type: ignore[arg-type]
    assert [site.q.event_shape for site in sites(Program(model)).values()] == [(20, 10) if "x10" in preset else (200,)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("preset", [*PUBLISHED, "structured_output_200", "structured_output_20x10", "binary_vae_200"])
def test_presets_run_on_mnist(preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = os.environ.get("GSX_DATA") or str(Path.cwd() / "data")
    try:
        load("mnist", root=root)
    except MissingData as error:
        pytest.skip(f"mnist: {error}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    small = ["num_replicates=64", "block_size=1", "reference.num_replicates=64", "wrt=distribution", "model.batch=4", "workers=1", "-q"]
    assert main(["run", f"model={preset}", "data=mnist", f"data.root={root}", *small]) == 0, capsys.readouterr().err
    assert "variance" in capsys.readouterr().out
