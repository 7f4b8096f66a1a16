"""A LoRA that can be switched off for one evaluation: one resident network is then two models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from .errors import IncompatibleModels


def lora_layers(network: nn.Module) -> list[Any]:
    """The layers of a network that hold a LoRA.

    Raises:
        IncompatibleModels: when there are none, or when one is fused into the weights.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    if not layers:
        raise IncompatibleModels(
            f"{type(network).__name__} has no LoRA that could be switched off.", "Load one with load_lora_weights or add_adapter."
        )
    if any(layer.merged for layer in layers):
        raise IncompatibleModels("The LoRA is fused into the weights and cannot be switched off.", "Call unfuse_lora first.")
    return layers


@contextmanager
def without_lora(network: nn.Module) -> Iterator[None]:
    """The network as it was before its LoRAs, inside the `with`; those that were on are on again after it."""
    on = [layer for layer in lora_layers(network) if not layer.disable_adapters]
    trainable = {parameter: parameter.requires_grad for parameter in network.parameters()}
    for layer in on:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in on:
            layer.enable_adapters(True)
        for parameter, before in trainable.items():  # peft freezes what it switches off and thaws what it switches on
            parameter.requires_grad_(before)


class WithoutLora(nn.Module):
    """A network as a prior to itself with a LoRA. Everything but the call is the network's own.

    Args:
        network: with a LoRA.

    Raises:
        IncompatibleModels: when it has none, or a fused one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        lora_layers(network)
        self.network = network

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with without_lora(self.network):
            return self.network(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)
