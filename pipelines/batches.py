"""Taking some rows out of everything a pipeline passes to its network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

SHARED = ("rope", "rotary")  # arguments with such a name describe places, not clips, however long they are
PER_FRAME = ("encoder_", "down_block_", "mid_block_")  # such arguments may hold several rows a clip, one a frame (AnimateDiff)


def rows_of(value: Any, rows: Sequence[int], batch: int, name: str = "") -> Any:
    """An argument of a network for some rows of its batch only; what does not belong to single rows stays as it is.

    Args:
        value: a tensor whose first axis may be the batch, or any nesting of such in dictionaries, lists and tuples.
        rows: which are kept.
        batch: of how many.
        name: of the argument.
    """
    if any(part in name for part in SHARED):
        return value
    if isinstance(value, dict):
        return {key: rows_of(one, rows, batch, name) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(rows_of(one, rows, batch, name) for one in value)
    if not isinstance(value, torch.Tensor) or value.ndim == 0:
        return value
    if len(value) == batch:
        return value[list(rows)]
    if name.startswith(PER_FRAME) and len(value) % batch == 0:
        return value.unflatten(0, (batch, -1))[list(rows)].flatten(0, 1)
    return value


def one_each(value: Any, batch: int) -> Any:
    """A tensor of one row as one of `batch` rows; anything else as it is."""
    single = isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == 1
    return value.expand(batch, *value.shape[1:]) if single else value


def common_part(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The leading part of x along each axis, no longer than `like` is; a view.

    Where channels are given beside the noisy ones (masks, first frames) they follow them, and where a network predicts variances too
    they follow the prediction.
    """
    for axis, length in enumerate(like.shape):
        x = x.narrow(axis, 0, min(x.shape[axis], length))
    return x


def as_network_takes(inputs: dict[str, Any], made_for: nn.Module, network: nn.Module) -> dict[str, Any]:
    """Arguments in the precision of one network in that of another; timesteps keep theirs, a half has too few digits for them."""
    old, new = getattr(made_for, "dtype", None), getattr(network, "dtype", None)
    if old == new or new is None:
        return inputs

    def cast(name: str, value: Any) -> Any:
        precise = name == "timestep" or not isinstance(value, torch.Tensor) or value.dtype != old
        return value if precise else value.to(new)

    return {name: cast(name, value) for name, value in inputs.items()}
