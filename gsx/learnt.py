"""What an estimator has learnt for itself, as named tensors: for a checkpoint, or for another process."""

from __future__ import annotations

from torch import Tensor

from gsx.estimators.base import Estimator


def learnt(estimator: Estimator) -> dict[str, Tensor]:
    """Its parameters and buffers, and what `get_extra_state` gives: a dict of tensors."""
    kept: dict[str, Tensor] = {}
    for key, value in estimator.state_dict().items():
        kept |= {f"extra.{name}": tensor for name, tensor in value.items()} if isinstance(value, dict) else {f"own.{key}": value}
    return kept


def put_back(estimator: Estimator, kept: dict[str, Tensor]) -> None:
    """Into an estimator that is prepared for the same sites. Raises RuntimeError where it has other parameters."""
    own = {key.removeprefix("own."): value for key, value in kept.items() if key.startswith("own.")}
    extra = {key.removeprefix("extra."): value for key, value in kept.items() if key.startswith("extra.")}
    state = estimator.state_dict()
    estimator.load_state_dict(own | {key: extra for key, value in state.items() if isinstance(value, dict)})
