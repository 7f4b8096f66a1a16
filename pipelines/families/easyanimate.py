"""EasyAnimate 5.1 (Alibaba PAI): text to video.

Xu et al., "EasyAnimate: A High-Performance Long Video Generation Method based on Transformer Architecture", arXiv 2405.18991.
"""

from __future__ import annotations

from typing import Any

from ..defaults import GenerationDefaults
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


class EasyAnimate(DiffusersFamily):
    """EasyAnimate 5.1. Its older versions have two text encoders, and pipelines that diffusers has not."""

    name, title = "easyanimate", "EasyAnimate"
    pipelines = ("EasyAnimatePipeline",)

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Of the example in diffusers."""
        return recommended(frames=49, fps=8.0, guidance_scale=6.0, size=(512, 512))

    def capabilities(self, directory: Directory) -> Capabilities:
        """Frames are put together four to one: its autoencoder's configuration does not say so, and has no other."""
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET, "lora": NO_LORA}
        return Capabilities(FrameRule(4, 1, 1, 49), 16, "none", cannot)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        return common_inputs(order) | {"negative_prompt": order.negatives or [""] * len(order.prompts)}
