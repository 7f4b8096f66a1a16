"""Stable Video Diffusion (Stability AI): a picture to 14 or 25 frames of its motion.

Blattmann et al., "Stable Video Diffusion: Scaling Latent Video Diffusion Models to Large Datasets", arXiv 2311.15127.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..defaults import GenerationDefaults
from .animatediff import spread
from .family import NEEDS_VIDEO_UNET, NO_LORA, OWN_SAMPLER, Capabilities, DiffusersFamily, Directory, FrameRule, Order, recommended

if TYPE_CHECKING:
    import torch

PICTURE_ALONE = "It follows the picture alone; it was taught without text."


class StableVideoDiffusion(DiffusersFamily):
    """SVD and SVD-XT. The guidance scale rises over the frames, from 1 to the given one."""

    name, title = "svd", "Stable Video Diffusion"
    pipelines = ("StableVideoDiffusionPipeline",)
    places = ("unet",)
    half = "float16"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        frames = int(directory.config("unet").get("num_frames") or 25)
        return recommended(frames=frames, fps=7.0, guidance_scale=3.0, size=(1024, 576), steps=25)

    def capabilities(self, directory: Directory) -> Capabilities:
        config = directory.config("unet")
        cannot = {
            "text": PICTURE_ALONE,
            "negative_prompt": PICTURE_ALONE,
            "sampler": OWN_SAMPLER,
            "one_shot": NEEDS_VIDEO_UNET,
            "lora": NO_LORA,
            "composition": "Its unconditional half sees no picture: the two halves are of different clips to a composition.",
        }
        pixels = 2 ** (len(directory.config("vae").get("block_out_channels") or (0,) * 4) - 1)
        unit = pixels * 2 ** (len(config.get("block_out_channels") or (0,) * 4) - 1)
        return Capabilities(FrameRule(least=2, most=max(int(config.get("num_frames") or 25), 25)), unit, "needed", cannot)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        return {
            "image": order.picture if len(order.prompts) == 1 else [order.picture] * len(order.prompts),
            "width": order.width,
            "height": order.height,
            "num_frames": order.frames,
            "num_inference_steps": order.steps,
            "max_guidance_scale": order.guidance_scale,
            "fps": round(order.fps),
            "generator": order.generator,
        }

    def to_pipeline(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return latents.transpose(1, 2)

    def to_latents(self, pipe: Any, sample: torch.Tensor, order: Order) -> torch.Tensor:
        return sample.transpose(1, 2)

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return pipe.decode_latents(latents.transpose(1, 2).to(pipe.vae.dtype), latents.shape[2], 14)

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        return spread(latents)
