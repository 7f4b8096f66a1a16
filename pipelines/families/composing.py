"""Two loaded models of any families as one (Video Adapter): each is told the text in its own way, and one stands in the other's pipeline.

told = own_inputs(prior, "a red ball", num_frames=33, height=480, width=832)
denoiser = ComposedDenoiser(network_of(prior), network_of(adapter), 0.5, prior_inputs=told, ...)
with standing(adapter, denoiser) as model:
    frames = model("a red ball", num_frames=33).frames
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn

from ..text_to_video import TextToVideoPipeline
from .video_model import VideoModel

# What a network is told at every step anew, or how: the sample and its level are the adapter's, and so is a guidance that was distilled.
OF_THE_STEP = ("timestep", "guidance", "return_dict", "attention_kwargs", "cross_attention_kwargs", "joint_attention_kwargs")


def network_of(model: VideoModel | TextToVideoPipeline) -> Any:
    """The denoiser of a model."""
    return model.denoiser if isinstance(model, VideoModel) else model.unet


def calls_once(model: VideoModel | TextToVideoPipeline) -> bool:
    """Whether under guidance the model asks its network once a step, with both halves; others ask twice, or are told the guidance."""
    from ..memory import COSTS

    return not isinstance(model, VideoModel) or COSTS[model.family.name].halves


@contextmanager
def standing(model: VideoModel | TextToVideoPipeline, denoiser: nn.Module) -> Iterator[Any]:
    """What to call, until the end of the `with`, for the model with another network in the place of its denoiser.

    Raises:
        InvalidInput: where the family's denoiser cannot be composed.
    """
    if isinstance(model, VideoModel):
        with model.replaced(denoiser):
            yield model
        return
    mixed = TextToVideoPipeline(**{**model.components, "unet": denoiser}, generation=dict(model.config.generation or {}))
    mixed.set_progress_bar_config(disable=True)
    yield mixed


@torch.no_grad()
def own_inputs(model: VideoModel | TextToVideoPipeline, prompt: str, **order: Any) -> dict[str, Any]:
    """What a model's pipeline tells its network of a clip beside the noisy sample and its level; the network itself is not asked.

    Args:
        prompt: of the clip.
        order: its `num_frames`, `height`, `width` and `fps`, as in the model's call.

    Returns:
        Arguments of the network by name, one row of text: the `prior_inputs` of a `ComposedDenoiser`.
    """
    listener = _Listener(network_of(model))
    with standing(model, listener) as asked, suppress(_HeardError):
        source = torch.Generator("cpu").manual_seed(0)  # of noise that nobody sees
        asked(prompt, **order, num_inference_steps=2, guidance_scale=1.0, generator=source, output_type="latent")
    return {name: value for name, value in listener.heard.items() if name not in (listener.names[0], *OF_THE_STEP)}


class _HeardError(Exception):
    """Leaves a pipeline when it calls its network; never leaves `own_inputs`."""


class _Listener(nn.Module):
    """Stands in the place of a network until it is called; everything else it is asked for is the network's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.names = [name for name in inspect.signature(network.forward).parameters if name != "self"]
        self.heard: dict[str, Any] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.heard = dict(zip(self.names, args, strict=False)) | kwargs
        raise _HeardError

    @property
    def config(self) -> Any:
        return self.network.config

    @property
    def dtype(self) -> torch.dtype:
        return self.network.dtype

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)
