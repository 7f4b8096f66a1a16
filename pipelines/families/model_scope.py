"""ModelScope's text-to-video and its descendants (zeroscope): diffusers' `UNet3DConditionModel` in our own pipeline.

Wang et al., "ModelScope Text-to-Video Technical Report", arXiv 2308.06571. diffusers keeps this model's pipeline among those it no longer
supports; the network's class is all that is taken from there, so that every sampler and every noise prior of ours is at hand.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..defaults import GenerationDefaults
from .family import NEEDS_VIDEO_UNET, NO_FRAME_RATE, NO_LORA, Capabilities, Directory, Family, FrameRule, recommended


class ModelScope(Family):
    """ModelScope 1.7b and zeroscope: loaded as a `TextToVideoPipeline`."""

    name, title = "modelscope", "ModelScope"
    pipelines = ("TextToVideoSDPipeline", "VideoToVideoSDPipeline")
    places = ("unet",)
    half = "float16"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        side = int(directory.config("unet").get("sample_size") or 32) * pixels_per_latent(directory)
        return recommended(frames=16, fps=8.0, guidance_scale=9.0, size=(side, side), sampler="ddim")

    def capabilities(self, directory: Directory) -> Capabilities:
        cannot = {"fps": NO_FRAME_RATE, "one_shot": NEEDS_VIDEO_UNET, "lora": NO_LORA}
        return Capabilities(FrameRule(), unet_unit(directory), "none", cannot)

    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        from ..text_to_video import TextToVideoPipeline

        parts = load_parts(directory, ("vae", "text_encoder", "tokenizer", "unet", "scheduler"), dtype, components)
        return TextToVideoPipeline(**parts, generation=limited(self, directory).to_dict())


def load_parts(directory: Directory, names: tuple[str, ...], dtype: Any, components: Mapping[str, Any]) -> dict[str, Any]:
    """The named parts of a directory, each by the class of diffusers or transformers that its index names; given ones stay as they are."""
    import diffusers
    import torch
    import transformers

    libraries = {"diffusers": diffusers, "transformers": transformers}
    parts: dict[str, Any] = {}
    for name in names:
        library, kind = directory.index[name]
        if name in components:
            parts[name] = components[name]
            continue
        loaded_by: Any = getattr(libraries[library], kind)
        network = inspect.isclass(loaded_by) and torch.nn.Module in loaded_by.__mro__
        if network:
            precision = dtype.get(name, dtype["default"]) if isinstance(dtype, dict) else dtype
            parts[name] = loaded_by.from_pretrained(directory.path / name, dtype=precision, use_safetensors=True).eval()
        else:
            parts[name] = loaded_by.from_pretrained(directory.path / name)
    return parts


def limited(family: Family, directory: Directory) -> GenerationDefaults:
    """The family's defaults with the limits that its frame rule sets, and what it can be sampled with."""
    from dataclasses import replace

    rule = family.capabilities(directory).frames
    own = family.defaults(directory)
    return replace(own, num_frames=rule.nearest(own.num_frames), min_frames=rule.least, max_frames=rule.most)


def pixels_per_latent(directory: Directory) -> int:
    """Along each side: one halving between each two levels of an image autoencoder."""
    return 2 ** (len(directory.config("vae").get("block_out_channels") or (0,) * 4) - 1)


def unet_unit(directory: Directory) -> int:
    """Pixels that width and height are multiples of, so that all levels of the UNet can be halved."""
    return pixels_per_latent(directory) * 2 ** (len(directory.config("unet").get("block_out_channels") or (0,) * 4) - 1)
