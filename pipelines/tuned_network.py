"""A network under tuned tensors: which parameters Tune-A-Video trains, and how others are laid over a network that stays as it is.

Wu et al., "Tune-A-Video", arXiv 2212.11565, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import nn

from .errors import InvalidInput
from .inflation import VideoUNet
from .signatures import is_trained
from .sparse_causal import SparseCausalAttnProcessor
from .text_to_video import TextToVideoPipeline


@dataclass(frozen=True)
class Tuned:
    """What tuning leaves: tensors that replace the network's of the same names, and whether attention is sparse-causal."""

    tensors: dict[str, torch.Tensor]
    sparse_causal: bool = True


def trainable_parameters(unet: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that Tune-A-Video trains, by name: queries of self- and cross-attention, all of the temporal attention.

    The LayerNorm before the temporal attention and everything else stay as they are.
    """
    return {name: parameter for name, parameter in unet.named_parameters() if is_trained(name)}


@contextmanager
def laid_over(unet: VideoUNet, tensors: Mapping[str, torch.Tensor], sparse_causal: bool) -> Iterator[None]:
    """Inside the `with` the network computes with these tensors, and with sparse-causal attention if asked; afterwards as before.

    Gradients reach the tensors; a backward pass with gradient checkpointing must run inside the `with` too.

    Raises:
        InvalidInput: when a tensor has no place, or another shape.
    """
    places = [(*_place(unet, name, tensor), tensor) for name, tensor in tensors.items()]
    attentions = _self_attentions(unet) if sparse_causal and not unet.config.sparse_causal else []
    before = [(module, leaf, module._parameters[leaf]) for module, leaf, _ in places]
    processors = [attention.processor for attention in attentions]
    try:
        for module, leaf, tensor in places:
            module._parameters[leaf] = tensor  # type: ignore[assignment]
        for attention in attentions:
            attention.processor = SparseCausalAttnProcessor(unet.frame_context)
        with as_written(unet):
            yield
    finally:
        for module, leaf, parameter in before:
            module._parameters[leaf] = parameter
        for attention, processor in zip(attentions, processors, strict=True):
            attention.processor = processor


def _place(unet: nn.Module, name: str, tensor: torch.Tensor) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    try:
        module = unet.get_submodule(path)
        shape = module._parameters[leaf].shape  # type: ignore[union-attr]
    except (AttributeError, KeyError) as error:
        raise InvalidInput(f"The tuned tensor {name!r} has no place in this model.", "Use the model that it was tuned on.") from error
    if shape != tensor.shape:
        happened = f"The tuned tensor {name!r} has the shape {tuple(tensor.shape)}, the model's is {tuple(shape)}."
        raise InvalidInput(happened, "Use the model that it was tuned on.")
    return module, leaf


def _self_attentions(unet: nn.Module) -> list[Attention]:
    return [module for name, module in unet.named_modules() if name.endswith(".attn1") and isinstance(module, Attention)]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside the `with` no gradient is kept for the network's own parameters, but for those that are laid over them."""
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, learns in before:
            parameter.requires_grad_(learns)


@contextmanager
def as_written(network: nn.Module) -> Iterator[None]:
    """Inside the `with` blocks that were compiled run as they are written: under other tensors they would be compiled once more, at
    each step of a tuning."""
    compiled = [(module, module._compiled_call_impl) for module in network.modules() if module._compiled_call_impl is not None]
    for module, _ in compiled:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, call in compiled:
            module._compiled_call_impl = call


class TunedUNet(nn.Module):
    """The network under its tuned tensors, standing where the network stood; the network itself is shared and unchanged."""

    def __init__(self, unet: VideoUNet, tuned: Tuned) -> None:
        super().__init__()
        self.unet = unet
        self.tuned = Tuned({n: t.to(unet.device, unet.dtype) for n, t in tuned.tensors.items()}, tuned.sparse_causal)

    @property
    def config(self) -> Any:
        return self.unet.config

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype

    @property
    def device(self) -> torch.device:
        return self.unet.device

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor | float | int, *args: Any, **kwargs: Any) -> Any:
        """The call of the network itself."""
        with laid_over(self.unet, self.tuned.tensors, self.tuned.sparse_causal):
            return self.unet(sample, timestep, *args, **kwargs)


@contextmanager
def standing_in(pipe: TextToVideoPipeline, unet: nn.Module) -> Iterator[TextToVideoPipeline]:
    """The pipeline with another network inside the `with`."""
    before = pipe.unet
    pipe.unet = unet
    try:
        yield pipe
    finally:
        pipe.unet = before
