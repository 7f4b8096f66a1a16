"""Mochi 1 (Genmo): text to video at 30 frames a second.

Genmo Team, "Mochi 1", 2024 (github.com/genmoai/mochi).
"""

from __future__ import annotations

from typing import Any

from ..defaults import GenerationDefaults
from ..errors import InvalidInput
from .family import (
    NEEDS_VIDEO_UNET,
    NO_FRAME_RATE,
    OWN_SAMPLER,
    Capabilities,
    DiffusersFamily,
    Directory,
    FrameRule,
    Order,
    common_inputs,
    recommended,
)

SPATIAL, TEMPORAL = 8, 6  # of its autoencoder: its pipeline knows no others


class Mochi(DiffusersFamily):
    """Mochi 1. Its path of noise is told backwards: timesteps grow while noise goes."""

    name, title = "mochi", "Mochi 1"
    pipelines = ("MochiPipeline",)

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Those of its pipeline in diffusers; the length is that of diffusers' documentation (its authors trained 163 frames)."""
        return recommended(frames=85, fps=30.0, guidance_scale=4.5, size=(848, 480), steps=64)

    def capabilities(self, directory: Directory) -> Capabilities:
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET}
        unit = SPATIAL * int(directory.config("transformer").get("patch_size") or 2)
        return Capabilities(FrameRule(TEMPORAL, 1, 1, 163), unit, "none", cannot)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        if order.steps < 2:
            raise InvalidInput("1 step was asked for.", "Give 2 or more: the half of this model's steps are small, and the others grow.")
        return common_inputs(order)
