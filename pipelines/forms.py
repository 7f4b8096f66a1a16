"""A loaded model in a cheaper form, and out of it again: the forms that `memory` estimates, put on and taken off.

    with applied(model, form):
        model("a red ball")         # decoded in tiles, parts in turn, weights in 8 bits, blocks in turn: as the form says

Tiling and slicing are the autoencoder's own; parts in turn are diffusers' model offloading, blocks in turn its group offloading, 8 bits its
layerwise casting. Works on a `TextToVideoPipeline`, on a `VideoModel`, and on any pipeline of diffusers.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from accelerate.hooks import remove_hook_from_module
from diffusers.hooks import HookRegistry, apply_group_offloading
from torch import nn

from .errors import InvalidInput
from .inflation import VideoUNet
from .memory import Form
from .pocket.autoencoder import PatchAutoencoder

CASTING = ("layerwise_casting", "peft_autocast_disable")  # names of diffusers' hooks
OFFLOADING = "group_offloading"


def possible(model: Any, form: Form) -> str:
    """Why a loaded model cannot take a form; "" where it can."""
    pipe, networks = pipeline_of(model), denoisers(model)
    size = networks[0].dtype.itemsize if networks else form.bytes
    if form.bytes != size:
        return f"It is loaded in {8 * size} bits a number."
    if form.tiled and not can_tile(pipe):
        return "Its autoencoder cannot decode in tiles."
    if form.sliced and not can_slice(pipe):
        return "Its autoencoder cannot decode frame by frame."
    if form.offload == "model" and not pipe.model_cpu_offload_seq:
        return "Its pipeline does not say in which order its parts are needed."
    if form.offload == "group" and isinstance(pipe.vae, PatchAutoencoder):
        return "Its autoencoder has no layers to bring one by one."
    if form.offload == "group" and not all(getattr(network, "_supports_group_offloading", True) for network in networks):
        return "Its network cannot be brought block by block."
    if (form.weight_bytes == 1 or form.offload == "group") and any(isinstance(network, VideoUNet) for network in networks):
        return "Tuned tensors are laid over its weights, in their own precision, and would not be brought along."
    if form.weight_bytes == 1 and any(_small(one) for network in networks for one in network.parameters()):
        return "Its weights are in 8 bits already."
    return ""


@contextmanager
def applied(model: Any, form: Form, device: str | torch.device | None = None) -> Iterator[None]:
    """The model in that form until the end of the `with`; then it is whole again, where it was before.

    Args:
        model: loaded, on its device or, where it does not fit there as a whole, on the CPU.
        form: how it should run; its `frames` are the caller's to ask for.
        device: to compute on; None is where the model is now.

    Raises:
        InvalidInput: where it cannot take the form, with the reason.
    """
    if reason := possible(model, form):
        raise InvalidInput(f"This model cannot run with {form.title}.", reason)
    pipe, target, home = pipeline_of(model), device_of(model, device), pipeline_of(model).device
    with ExitStack() as stack:
        if form.offload != "none" or form.weight_bytes == 1 or home != target:
            stack.callback(_bring, pipe, home)
        stack.callback(_let_go)
        if form.tiled or form.sliced:
            stack.enter_context(_decoding(pipe.vae, form.tiled))
        if form.weight_bytes == 1:
            _bring(pipe, "cpu")
            for network in denoisers(model):
                stack.enter_context(in_eight_bits(network))
        if form.offload == "model":
            stack.enter_context(_parts_in_turn(pipe, target))
        elif form.offload == "group":
            stack.enter_context(_blocks_in_turn(model, target))
        elif not _whole_on(pipe, target):
            _bring(pipe, target)
        yield


def pipeline_of(model: Any) -> Any:
    """The pipeline of diffusers in it, or that it is."""
    return getattr(model, "pipe", model)


def denoisers(model: Any) -> list[Any]:
    """Its denoising networks: one, or several experts."""
    pipe = pipeline_of(model)
    places = model.family.places if hasattr(model, "family") else ("transformer", "transformer_2", "unet")
    return [network for place in places if isinstance(network := getattr(pipe, place, None), nn.Module)]


def device_of(model: Any, device: str | torch.device | None = None) -> torch.device:
    """The device that was named, or that the model computes on."""
    return torch.device(device) if device is not None else pipeline_of(model)._execution_device


def can_tile(pipe: Any) -> bool:
    """Whether its autoencoder can decode in tiles."""
    return hasattr(getattr(pipe, "vae", None), "use_tiling")


def can_slice(pipe: Any) -> bool:
    """Whether its autoencoder can decode frames, or videos, one by one."""
    return hasattr(getattr(pipe, "vae", None), "use_slicing")


def free() -> None:
    """Gives back what nothing holds any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _small(parameter: torch.Tensor) -> bool:
    """Whether a weight is stored in 8 bits: as it is, or inside of what torchao makes of it."""
    return parameter.dtype.itemsize == 1 or type(parameter.data) is not torch.Tensor


# -- the forms ------------------------------------------------------------------------------------------------------------


@contextmanager
def _decoding(vae: Any, tiled: bool) -> Iterator[None]:
    """Where it can, frames or videos one by one, which gives the same pixels; and in tiles."""
    before = {name: getattr(vae, name) for name in ("use_tiling", "use_slicing") if hasattr(vae, name)}
    if tiled:
        vae.enable_tiling()
    if "use_slicing" in before:
        vae.enable_slicing()
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(vae, name, value)


@contextmanager
def _parts_in_turn(pipe: Any, device: torch.device) -> Iterator[None]:
    pipe.enable_model_cpu_offload(device=device)
    try:
        yield
    finally:
        pipe.remove_all_hooks()


@contextmanager
def _blocks_in_turn(model: Any, device: torch.device) -> Iterator[None]:
    """Without streams: they trace one order of blocks, and previews and compositions call them in others."""
    pipe, networks = pipeline_of(model), denoisers(model)
    modules = [part for part in pipe.components.values() if isinstance(part, nn.Module)]
    _bring(pipe, "cpu")
    try:
        for module in modules:
            in_blocks = any(module is network for network in networks) and any(isinstance(c, nn.ModuleList) for c in module.children())
            # An autoencoder is called by its methods, which only hooks on its layers see.
            options = {"offload_type": "block_level", "num_blocks_per_group": 1} if in_blocks else {"offload_type": "leaf_level"}
            apply_group_offloading(module, onload_device=device, **options)
        yield
    finally:
        for module in modules:
            HookRegistry.check_if_exists_or_initialize(module).remove_hook(OFFLOADING)


@contextmanager
def in_eight_bits(network: Any) -> Iterator[None]:
    """Weights stored as float8 and computed in their own precision; the whole ones wait, and come back unchanged.

    A LoRA is to be on before: one that is put on meanwhile would take over float8, in which nothing can be computed.
    """
    whole = [(parameter, parameter.data) for parameter in network.parameters()]
    network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=network.dtype)
    try:
        yield
    finally:
        for module in network.modules():
            registry: Any = getattr(module, "_diffusers_hook", None)
            for name in CASTING if registry else ():
                if hook := registry.get_hook(name):
                    # diffusers refuses to take this hook off, for the weights have lost precision; ours are put back.
                    hook.deinitalize_hook = lambda module: module
                    registry.remove_hook(name, recurse=False)
        for parameter, data in whole:
            parameter.data = data


# -- coming and going -----------------------------------------------------------------------------------------------------


def _whole_on(pipe: Any, device: torch.device) -> bool:
    """Whether every part is on the device, and no hook takes it elsewhere. To look is quicker than to bring what is there."""
    parts = [part for part in pipe.components.values() if isinstance(part, nn.Module)]
    tensors = (tensor for part in parts for tensor in chain(part.parameters(), part.buffers()))
    return all(tensor.device == device for tensor in tensors) and not any(hasattr(m, "_hf_hook") for part in parts for m in part.modules())


def _bring(pipe: Any, device: str | torch.device) -> None:
    """Every part to a device; parts that were moved one by one may be anywhere."""
    for part in pipe.components.values():
        if isinstance(part, nn.Module):
            remove_hook_from_module(part, recurse=True)
            nn.Module.to(part, device)  # diffusers' own warns of half precision on a CPU, where it only waits


def _let_go() -> None:
    """Frees what a failed job computed: it hangs on the frames of the error that is on its way."""
    if error := sys.exception():
        traceback.clear_frames(error.__traceback__)
        free()
