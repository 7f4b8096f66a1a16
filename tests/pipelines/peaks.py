"""The most memory that a computation holds at once, measured on the meta device: shapes are followed, nothing is computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Held(TorchDispatchMode):
    """Counts storages that operations make, until they are let go. Those of the network itself are known."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: dict[int, Any] = {id(storage): storage for storage in _storages([*network.parameters(), *network.buffers()])}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for storage in _storages(tree_leaves(out)):
            if id(storage) not in self.known:
                self._take(storage)
        return out

    def _take(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()

        def let_go(_: Any) -> None:
            self.now -= size
            self.known.pop(key, None)

        self.known[key] = weakref.ref(storage, let_go)
        self.now += size
        self.peak = max(self.peak, self.now)


def _storages(tensors: Iterable[Any]) -> list[Any]:
    return [tensor.untyped_storage() for tensor in tensors if isinstance(tensor, torch.Tensor)]


def _fused_attention(*args: Any, **kwargs: Any) -> torch.Tensor:
    """As a fused kernel: the result, and no matrix of all pairs."""
    query, value = (args[0], args[2]) if args else (kwargs["query"], kwargs["value"])
    return query.new_empty(*query.shape[:-1], value.shape[-1])


def peak_bytes(network: nn.Module, call: Callable[[], Any], monkeypatch: Any) -> int:
    """Bytes of all tensors that are alive at the worst moment of a call, without the network's own."""
    monkeypatch.setattr(F, "scaled_dot_product_attention", _fused_attention)
    with torch.no_grad(), _Held(network) as held:
        call()
    return held.peak


def on_meta(kind: Any, **config: Any) -> Any:
    """A network in bfloat16 with no weights."""
    with torch.device("meta"):
        network = kind(**config)
    return nn.Module.to(network, torch.bfloat16).eval()  # the model's own warns of casting


def empty(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")
