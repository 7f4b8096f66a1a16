"""Latte-1 (Ma et al.): text to video with the autoencoder of Stable Diffusion, frame by frame.

Ma et al., "Latte: Latent Diffusion Transformer for Video Generation", arXiv 2401.03048.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..defaults import GenerationDefaults
from .animatediff import spread
from .family import (
    NEEDS_VIDEO_UNET,
    NO_FRAME_RATE,
    NO_LORA,
    OWN_SAMPLER,
    Capabilities,
    DiffusersFamily,
    Directory,
    FrameRule,
    Order,
    common_inputs,
    recommended,
)

if TYPE_CHECKING:
    import torch


VARIANCE = "Its network predicts its variance as well, which no other model of its latents does."


class Latte(DiffusersFamily):
    """Latte. Its network knows as many places in time as its configuration says, and uses all of them, or one."""

    name, title = "latte", "Latte"
    pipelines = ("LattePipeline",)
    half = "float16"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Those of its pipeline in diffusers; the size is that of its transformer's configuration."""
        side = int(directory.config("transformer").get("sample_size") or 64) * _pixels(directory)
        return recommended(frames=_length(directory), fps=8.0, guidance_scale=7.5, size=(side, side))

    def capabilities(self, directory: Directory) -> Capabilities:
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET, "lora": NO_LORA, "composition": VARIANCE}
        length = _length(directory)
        unit = max(_pixels(directory) * int(directory.config("transformer").get("patch_size") or 2), 8)  # its pipeline insists on 8
        return Capabilities(FrameRule(max(length - 1, 1), 1, 1, length), unit, "none", cannot)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        """Prompts go in as they are: cleaning them, as its pipeline would, takes packages that may not be installed."""
        inputs = common_inputs(order) | {"negative_prompt": order.negatives or "", "clean_caption": False}
        inputs["video_length"] = inputs.pop("num_frames")
        return inputs

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return pipe.decode_latents(latents.to(pipe.vae.dtype), latents.shape[2])

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        return spread(latents)


def _length(directory: Directory) -> int:
    return int(directory.config("transformer").get("video_length") or 16)


def _pixels(directory: Directory) -> int:
    return 2 ** (len(directory.config("vae").get("block_out_channels") or (0,) * 4) - 1)
